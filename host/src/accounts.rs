//! Which of the operator's accounts serves a request. A tenant stays with one account, because
//! prompt caches live per account; the tenants spread over accounts by weight, and a further attempt
//! goes to the next.

use aegis_wire::account::Owner;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Whether an account serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// It gets nothing new; what is under way ends.
    Draining,
    /// It never will again.
    Revoked,
}

impl State {
    const ALL: [Self; 3] = [Self::Active, Self::Draining, Self::Revoked];

    /// The word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

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
    /// Whether it serves.
    pub state: State,
    /// Its share among those of its priority.
    pub weight: u32,
    /// Those of the lowest number serve first.
    pub priority: u32,
}

/// All accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts(pub Vec<Account>);

impl Accounts {
    /// The account for that attempt. There is none when all were asked: the client then gets the
    /// provider's own answer, and its `retry-after`. With an owner, of those that this owner seals
    /// to the enclaves.
    pub fn choose(
        &self,
        provider: u16,
        owner: Option<Owner>,
        tenant: &str,
        attempt: u8,
    ) -> Option<&Account> {
        let serves = |account: &&Account| {
            let fits = account.provider == provider && account.owner == owner;
            fits && account.state == State::Active && account.weight > 0
        };
        let mut fitting: Vec<_> = self.0.iter().filter(serves).collect();
        fitting.sort_by(|a, b| {
            let by_turn = turn(tenant, a).total_cmp(&turn(tenant, b));
            a.priority.cmp(&b.priority).then(by_turn).then(a.number.cmp(&b.number))
        });
        let further = usize::from(attempt.saturating_sub(1));
        fitting.get(further).copied()
    }

    /// The account of that number.
    pub fn by_number(&self, number: u32) -> Option<&Account> {
        self.0.iter().find(|account| account.number == number)
    }
}

/// Weighted rendezvous: the smallest comes first. An account that comes or goes moves only the
/// tenants that it wins or loses.
fn turn(tenant: &str, account: &Account) -> f64 {
    let digest = Sha256::new()
        .chain_update(account.number.to_be_bytes())
        .chain_update(tenant.as_bytes())
        .finalize();
    let mut high = [0; 8];
    high.copy_from_slice(&digest[..8]);
    // In (0, 1]: 53 bits are what a float holds exactly.
    let uniform = ((u64::from_be_bytes(high) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(account.weight)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Account, Accounts, Secret, State};

    fn accounts() -> Accounts {
        let account = |(number, provider)| Account {
            number,
            provider,
            credential: Secret::new(format!("sk-made-up-{number}")),
            owner: None,
            state: State::Active,
            weight: 1,
            priority: 0,
        };
        Accounts([(1, 0), (2, 0), (3, 1), (4, 0)].map(account).into())
    }

    fn share(accounts: &Accounts, number: u32) -> usize {
        let chosen = |tenant: &usize| {
            accounts.choose(0, None, &tenant.to_string(), 1).map(|a| a.number) == Some(number)
        };
        (0..1000).filter(chosen).count()
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
    fn weights_share_the_tenants_and_priorities_come_first() {
        let mut accounts = accounts();
        accounts.0[0].weight = 8;
        let (heavy, light) = (share(&accounts, 1), share(&accounts, 2));
        assert!((700..900).contains(&heavy) && (50..150).contains(&light), "{heavy} {light}");
        accounts.0[0].priority = 1;
        assert_eq!(share(&accounts, 1), 0);
        let last = accounts.choose(0, None, "acme", 3).map(|a| a.number);
        assert_eq!(last, Some(1), "a further attempt comes to it");
    }

    #[test]
    fn a_draining_account_serves_nobody_and_moves_only_its_tenants() {
        let mut accounts = accounts();
        let of = |accounts: &Accounts| -> Vec<_> {
            (0..100)
                .map(|t| accounts.choose(0, None, &t.to_string(), 1).map(|a| a.number))
                .collect()
        };
        let before = of(&accounts);
        accounts.0[1].state = State::Draining;
        for (before, after) in before.into_iter().zip(of(&accounts)) {
            assert_ne!(after, Some(2));
            assert!(before == after || before == Some(2));
        }
    }

    #[test]
    fn a_sealed_account_serves_its_owner_s_clients_only() {
        let mut accounts = accounts();
        let (credential, owner) = (Secret::new(String::new()), Some([7; 32]));
        accounts.0.push(Account { number: 9, credential, owner, ..accounts.0[0].clone() });
        let number = |owner| accounts.choose(0, owner, "acme", 1).map(|account| account.number);
        assert_eq!(number(Some([7; 32])), Some(9));
        assert_eq!(number(Some([8; 32])), None);
        assert!((0..50).all(|tenant| {
            let chosen = accounts.choose(0, None, &tenant.to_string(), 1);
            chosen.is_some_and(|account| account.number != 9)
        }));
    }
}
