//! Accounts that their owners sealed to this enclave (DESIGN 3.5), in memory and nowhere else.
//!
//! The caller has verified the owner's signature; everything else is decided here: an account is kept
//! under its owner, provider and number, so no other owner can replace it, and its credential is given
//! out for that owner, provider and number only, until it expires.

use alloc::collections::BTreeMap;

use aegis_wire::account::{Account, Owner};
use aegis_wire::control::Secret;
use aegis_wire::limits;
use aegis_wire::table::{ProviderIndex, Table};

use crate::{plan::Plan, refusal::Refusal};

/// The accounts of a boot.
#[derive(Debug, Default)]
pub struct Accounts(BTreeMap<(Owner, ProviderIndex, u32), Held>);

#[derive(Debug)]
struct Held {
    credential: Secret,
    expires_s: u64,
}

impl Accounts {
    /// Keeps an account whose signature is its owner's. `enclave` is this one's own name.
    pub fn keep(
        &mut self,
        table: &'static Table,
        enclave: [u8; 32],
        now_s: u64,
        account: Account,
    ) -> Result<(), Refusal> {
        let (provider, _) =
            table.by_authority(account.provider.as_str()).ok_or(Refusal::AccountRefused)?;
        if account.enclave != enclave || account.expires_s <= now_s {
            return Err(Refusal::AccountRefused);
        }
        self.0.retain(|_, held| held.expires_s > now_s);
        let place = (account.owner(), provider, account.number);
        if self.0.len() >= limits::ACCOUNTS && !self.0.contains_key(&place) {
            return Err(Refusal::AccountsFull);
        }
        let Account { credential, expires_s, .. } = account;
        self.0.insert(place, Held { credential, expires_s });
        Ok(())
    }

    /// The first of the owners that the client accepts who has an account for its provider here.
    pub fn owner(&self, plan: &Plan<'_>, now_s: u64) -> Option<Owner> {
        let has = |owner: &&Owner| {
            let all = (**owner, plan.index, 0)..=(**owner, plan.index, u32::MAX);
            self.0.range(all).any(|(_, held)| held.expires_s > now_s)
        };
        plan.owners.iter().find(has).copied()
    }

    /// The credential of the plan's owner under the number that the host chose.
    pub fn credential(&self, plan: &Plan<'_>, number: u32, now_s: u64) -> Option<Secret> {
        let held = self.0.get(&(plan.owner, plan.index, number));
        held.filter(|held| held.expires_s > now_s).map(|held| held.credential.clone())
    }
}
