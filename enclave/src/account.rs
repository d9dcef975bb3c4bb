//! Sealed accounts (DESIGN 3.5): a record that arrives on a session, and its signature.

use std::sync::{MutexGuard, PoisonError};

use aegis_core::{Accounts, Plan, Refusal};
use aegis_wire::control::{Custody, Grant, Secret};
use aegis_wire::{account::Account, limits, table::Envelope};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::Enclave;

impl Enclave {
    /// Takes a record from an owner's tool.
    pub(crate) async fn provision(&self, body: Incoming) -> Result<(), Refusal> {
        let record = Limited::new(body, limits::ACCOUNT_BYTES).collect().await;
        let record = record.map_err(|_| Refusal::AccountRefused)?.to_bytes();
        let (account, signature) =
            Account::unsealed(&record).map_err(|_| Refusal::AccountRefused)?;
        let signed = account.to_be_signed().map_err(|_| Refusal::AccountRefused)?;
        UnparsedPublicKey::new(&ED25519, account.key)
            .verify(&signed, &signature)
            .map_err(|_| Refusal::AccountRefused)?;
        let (name, now_s) = (self.identity.name(), self.identity.now_s());
        self.accounts().keep(self.table, name, now_s, account)
    }

    /// Chooses whose account is asked for, in custody *sealed*.
    pub(crate) fn choose_owner<'r>(
        &self,
        mut plan: Plan<'r>,
    ) -> Result<Plan<'r>, (Refusal, Envelope)> {
        if plan.custody == Custody::Sealed {
            let owner = self.accounts().owner(&plan, self.identity.now_s());
            plan.owner = owner.ok_or((Refusal::AccountMissing, plan.provider.envelope))?;
        }
        Ok(plan)
    }

    /// What a grant allows to be shown to the provider; `None` when it names an account that is not
    /// here.
    pub(crate) fn credential(&self, plan: &Plan<'_>, grant: Grant) -> Option<Secret> {
        match plan.custody {
            Custody::Client | Custody::Host => Some(grant.credential),
            Custody::Sealed => {
                self.accounts().credential(plan, grant.account, self.identity.now_s())
            }
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
