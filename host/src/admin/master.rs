//! The master key: made, and replaced by sealing every credential anew.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Admin, AdminError};
use crate::{
    accounts::State,
    config::MasterKey,
    directory::Sealed,
    vault::{Vault, new_key},
};

/// What to do with the master key.
#[derive(Debug, Subcommand)]
pub enum MasterKeyCommand {
    /// Print a new master key. Keep it in a file that the host alone may read, and a copy where
    /// backups are not: a backup without it has no credentials, and with it has them all.
    New,
    /// Seal every credential under another key: the one configured opens, the one in FILE seals.
    /// Then configure FILE. Hosts that serve go on with the credentials that they have, and need
    /// the new key when they start again.
    Rotate {
        /// The new key, as `master-key new` printed it.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

impl MasterKeyCommand {
    /// Prints a new key; needs no store.
    pub fn print_new() -> Result<(), AdminError> {
        println!("{}", *new_key()?);
        Ok(())
    }
}

/// Seals everything anew, or nothing; gives the number of accounts.
pub async fn rotate(admin: &Admin, to: PathBuf) -> Result<usize, AdminError> {
    let old = admin.vault()?;
    let new: Vault = MasterKey::File(to).vault()?.ok_or(AdminError::Usage("name a file"))?;
    let mut write = admin.store.begin().await?;
    let text = format!("SELECT * FROM accounts ORDER BY number{}", admin.store.lock());
    let rows = sqlx::query(&text).fetch_all(&mut *write).await;
    let mut count = 0;
    for row in rows.map_err(|error| admin.store.failed(error))? {
        let Sealed { number, provider, record, state, owner, .. } =
            Sealed::read(&admin.store, &row)?;
        if state == State::Revoked || owner.is_some() {
            continue;
        }
        let secret = old.open(number, &provider, &record)?;
        let sealed = new.seal(number, &provider, &secret)?;
        let text = "UPDATE accounts SET sealed = $1 WHERE number = $2";
        let values = [sealed.as_str().into(), i64::from(number).into()];
        admin.run(&mut write, text, values).await?;
        count += 1;
    }
    admin.commit(write).await?;
    Ok(count)
}
