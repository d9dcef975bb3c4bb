//! Which of the operator's accounts serves a request. Today: one that is fixed for a tenant, the
//! next one for the next attempt. Weights, cooldown and draining will replace `choose` alone.

use aegis_wire::account::Owner;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// A provider credential of the operator.
#[derive(Debug, Clone)]
pub struct Account {
    /// The number that grants and ledger use; never 0.
    pub number: u32,
    /// Index of its provider.
    pub provider: u16,
    /// What the provider wants to see; empty when sealed.
    pub credential: Secret,
    /// Who sealed it to the enclaves, if it is not the operator's: SHA-256 of the owner's key.
    pub owner: Option<Owner>,
}

/// All accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts(pub Vec<Account>);

impl Accounts {
    /// The account for that attempt. A tenant stays with one account, because prompt caches live
    /// per account; a further attempt goes to the next, and there is none when all were asked: the
    /// client then gets the provider's own answer, and its `retry-after`. With an owner, of those
    /// that this owner seals to the enclaves.
    pub fn choose(
        &self,
        provider: u16,
        owner: Option<Owner>,
        tenant: &str,
        attempt: u8,
    ) -> Option<&Account> {
        let fits = |account: &&Account| account.provider == provider && account.owner == owner;
        let count = self.0.iter().filter(fits).count();
        let further = usize::from(attempt.saturating_sub(1));
        if further >= count {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(tenant.as_bytes()).into();
        let start = usize::from(u16::from_be_bytes([digest[0], digest[1]]));
        self.0.iter().filter(fits).nth((start + further) % count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Account, Accounts, Secret};

    fn accounts() -> Accounts {
        let account = |(number, provider)| Account {
            number,
            provider,
            credential: Secret::new(format!("sk-made-up-{number}")),
            owner: None,
        };
        Accounts([(1, 0), (2, 0), (3, 1), (4, 0)].map(account).into())
    }

    #[test]
    fn a_tenant_keeps_its_account_and_attempts_visit_all() {
        let accounts = accounts();
        let number = |attempt| accounts.choose(0, None, "acme", attempt).map(|a| a.number);
        assert_eq!(number(1), number(1));
        let visited: BTreeSet<_> = (1..=3).map(number).collect();
        assert_eq!(visited, BTreeSet::from([Some(1), Some(2), Some(4)]));
        assert_eq!(number(4), None, "no account is asked twice for one request");
    }

    #[test]
    fn an_account_of_another_provider_never_serves() {
        let accounts = accounts();
        for tenant in 0..50 {
            let chosen = accounts.choose(1, None, &tenant.to_string(), 1).map(|a| a.number);
            assert_eq!(chosen, Some(3));
        }
        assert!(accounts.choose(2, None, "acme", 1).is_none());
    }

    #[test]
    fn a_sealed_account_serves_its_owner_s_clients_only() {
        let mut accounts = accounts();
        let (credential, owner) = (Secret::new(String::new()), Some([7; 32]));
        accounts.0.push(Account { number: 9, provider: 0, credential, owner });
        let number = |owner| accounts.choose(0, owner, "acme", 1).map(|account| account.number);
        assert_eq!(number(Some([7; 32])), Some(9));
        assert_eq!(number(Some([8; 32])), None);
        assert!((0..50).all(|tenant| {
            let chosen = accounts.choose(0, None, &tenant.to_string(), 1);
            chosen.is_some_and(|account| account.number != 9)
        }));
    }
}
