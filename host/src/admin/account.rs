//! Accounts: the operator's credentials at providers, sealed under the master key.

use std::{io::Read, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Admin, AdminError, now_ms, shown_day, table};
use crate::{
    accounts::State,
    config::{ConfigError, check},
    directory::Sealed,
    secret::Secret,
    store::Write,
};

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Enter an account.
    Create {
        /// Its number in grants and ledger; 1 or more.
        number: u32,
        /// Its provider, by its name in the table.
        #[arg(long)]
        provider: String,
        /// Where its credential is.
        #[command(flatten)]
        credential: Credential,
        /// When it is chosen.
        #[command(flatten)]
        turn: Turn,
    },
    /// Change an account: its credential, its share, or whether it serves. With --provider it is
    /// made when it is not there.
    Set {
        /// Its number.
        number: u32,
        /// Make it with this provider when it is not there.
        #[arg(long)]
        provider: Option<String>,
        /// Where its credential is.
        #[command(flatten)]
        credential: Credential,
        /// When it is chosen.
        #[command(flatten)]
        turn: Turn,
        /// `active`, or `draining`: it gets nothing new, and what is under way ends.
        #[arg(long, value_parser = ["active", "draining"])]
        state: Option<String>,
    },
    /// Show all accounts; no credential is shown.
    List,
    /// Show one account.
    Show(Numbered),
    /// End an account for ever and forget its credential; its ledger stays.
    Revoke(Numbered),
}

/// One of them.
#[derive(Debug, Args)]
pub struct Numbered {
    /// Its number.
    number: u32,
}

/// Where the credential is; never on the command line, which every user of the machine can read.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Credential {
    /// The environment variable that holds the credential.
    #[arg(long, value_name = "NAME")]
    credential_env: Option<String>,
    /// The file that holds it; a line end at its end does not count.
    #[arg(long, value_name = "FILE")]
    credential_file: Option<PathBuf>,
    /// Read it from standard input.
    #[arg(long)]
    credential_stdin: bool,
    /// There is none here: this owner seals it to the enclaves. What `aegis account key` prints.
    #[arg(long, value_name = "HEX", value_parser = owner)]
    owner: Option<String>,
}

fn owner(text: &str) -> Result<String, String> {
    let next = "write the 64 hexadecimal digits that `aegis account key` prints";
    hex::decode_to_slice(text, &mut [0; 32]).map_err(|_| next)?;
    Ok(text.to_ascii_lowercase())
}

/// What an account gets its credential from.
enum Given {
    Secret(Secret),
    Owner(String),
}

/// When an account is chosen.
#[derive(Debug, Args)]
pub struct Turn {
    /// Its share of the tenants among accounts of its priority; 0 is none.
    #[arg(long)]
    weight: Option<u32>,
    /// Accounts of the lowest number serve, the others when those have failed a request.
    #[arg(long)]
    priority: Option<u32>,
}

impl AccountCommand {
    /// Does it.
    pub async fn run(self, admin: &Admin) -> Result<(), AdminError> {
        match self {
            Self::Create { number, provider, credential, turn } => {
                let secret = credential.read(number)?.ok_or(NO_CREDENTIAL)?;
                let mut write = admin.store.begin().await?;
                if admin.account(&mut write, number).await?.is_some() {
                    return Err(AdminError::Exists(format!("account {number}")));
                }
                make(admin, &mut write, number, &provider, &secret, &turn).await?;
                admin.commit(write).await
            }
            Self::Set { number, provider, credential, turn, state } => {
                let secret = credential.read(number)?;
                let mut write = admin.store.begin().await?;
                match (admin.account(&mut write, number).await?, provider) {
                    (Some(known), provider) => {
                        let new = (secret.as_ref(), provider, &turn, state);
                        change(admin, &mut write, known, new).await?;
                    }
                    (None, Some(provider)) => {
                        let secret = secret.ok_or(NO_CREDENTIAL)?;
                        make(admin, &mut write, number, &provider, &secret, &turn).await?;
                    }
                    (None, None) => return Err(AdminError::Unknown(format!("account {number}"))),
                }
                admin.commit(write).await
            }
            Self::List => list(admin, None).await,
            Self::Show(Numbered { number }) => list(admin, Some(number)).await,
            Self::Revoke(Numbered { number }) => {
                let mut write = admin.store.begin().await?;
                if admin.account(&mut write, number).await?.is_none() {
                    return Err(AdminError::Unknown(format!("account {number}")));
                }
                // Its row stays, so that its number is not given again.
                let text = "UPDATE accounts SET state = 'revoked', sealed = '' WHERE number = $1";
                admin.run(&mut write, text, [i64::from(number).into()]).await?;
                admin.commit(write).await
            }
        }
    }
}

const NO_CREDENTIAL: AdminError =
    AdminError::Usage("give --credential-env, --credential-file, --credential-stdin or --owner");

impl Credential {
    fn read(self, number: u32) -> Result<Option<Given>, AdminError> {
        if let Some(owner) = self.owner {
            return Ok(Some(Given::Owner(owner)));
        }
        let entry = format!("account {number}");
        let text = match (self.credential_env, self.credential_file, self.credential_stdin) {
            (Some(name), _, _) => check::variable(&entry, &name)?.to_string(),
            (_, Some(path), _) => std::fs::read_to_string(&path)
                .map_err(|source| ConfigError::Unreadable { path, source })?,
            (_, _, true) => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
            (None, None, false) => return Ok(None),
        };
        let end = text.trim_end_matches(['\r', '\n']).len();
        let mut text = text;
        text.truncate(end);
        Ok(Some(Given::Secret(check::credential(&entry, text)?)))
    }
}

impl Admin {
    /// That account, unless it was revoked.
    async fn account(&self, write: &mut Write, number: u32) -> Result<Option<Sealed>, AdminError> {
        let query = sqlx::query("SELECT * FROM accounts WHERE number = $1").bind(i64::from(number));
        let row = query.fetch_optional(&mut **write).await;
        let row = row.map_err(|error| self.store.failed(error))?;
        let Some(row) = row else { return Ok(None) };
        let known = Sealed::read(&self.store, &row)?;
        match known.state {
            State::Revoked => Err(AdminError::Revoked(format!("account {number}"))),
            State::Active | State::Draining => Ok(Some(known)),
        }
    }
}

/// The columns: the sealed record, empty for an owner's; the owner, none for the operator's.
fn kept(
    admin: &Admin,
    number: u32,
    provider: &str,
    given: &Given,
) -> Result<(String, Option<String>), AdminError> {
    match given {
        Given::Secret(secret) => Ok((admin.vault()?.seal(number, provider, secret)?, None)),
        Given::Owner(owner) => Ok((String::new(), Some(owner.clone()))),
    }
}

async fn make(
    admin: &Admin,
    write: &mut Write,
    number: u32,
    provider: &str,
    given: &Given,
    turn: &Turn,
) -> Result<(), AdminError> {
    if number == 0 {
        return Err(AdminError::Usage("0 stands for no account; number accounts from 1"));
    }
    check::index_of("--provider", provider, &admin.config.providers)?;
    let (sealed, owner) = kept(admin, number, provider, given)?;
    let text = "INSERT INTO accounts (number, provider, sealed, owner, state, weight, priority, \
                created_ms) VALUES ($1, $2, $3, $4, 'active', $5, $6, $7)";
    let values = [
        i64::from(number).into(),
        provider.into(),
        sealed.as_str().into(),
        owner.into(),
        i64::from(turn.weight.unwrap_or(1)).into(),
        i64::from(turn.priority.unwrap_or(0)).into(),
        now_ms().into(),
    ];
    admin.run(write, text, values).await.map(|_| ())
}

/// Credential, provider, turn and state that are to be from now on, each if given.
type Change<'a> = (Option<&'a Given>, Option<String>, &'a Turn, Option<String>);

async fn change(
    admin: &Admin,
    write: &mut Write,
    known: Sealed,
    (given, provider, turn, state): Change<'_>,
) -> Result<(), AdminError> {
    let moved = provider.as_ref().is_some_and(|provider| *provider != known.provider);
    let provider = provider.unwrap_or(known.provider);
    check::index_of("--provider", &provider, &admin.config.providers)?;
    let (sealed, owner) = match given {
        Some(given) => kept(admin, known.number, &provider, given)?,
        None if moved => return Err(NO_CREDENTIAL),
        None => (known.record, known.owner.map(hex::encode)),
    };
    let text = "UPDATE accounts SET provider = $1, sealed = $2, owner = $3, weight = $4, \
                priority = $5, state = $6 WHERE number = $7";
    let values = [
        provider.as_str().into(),
        sealed.as_str().into(),
        owner.into(),
        i64::from(turn.weight.unwrap_or(known.weight)).into(),
        i64::from(turn.priority.unwrap_or(known.priority)).into(),
        state.as_deref().unwrap_or(known.state.word()).into(),
        i64::from(known.number).into(),
    ];
    admin.run(write, text, values).await.map(|_| ())
}

async fn list(admin: &Admin, number: Option<u32>) -> Result<(), AdminError> {
    let filter = if number.is_some() { "WHERE number = $1" } else { "" };
    let text = format!("SELECT * FROM accounts {filter} ORDER BY number");
    let values = number.map(|number| i64::from(number).into());
    let mut cells = Vec::new();
    for row in admin.rows(&text, values).await? {
        let account = Sealed::read(&admin.store, &row)?;
        cells.push([
            account.number.to_string(),
            account.provider,
            account.state.word().into(),
            account.weight.to_string(),
            account.priority.to_string(),
            shown_day(Some(admin.get(&row, "created_ms")?)),
        ]);
    }
    if let (Some(number), true) = (number, cells.is_empty()) {
        return Err(AdminError::Unknown(format!("account {number}")));
    }
    table(["ACCOUNT", "PROVIDER", "STATE", "WEIGHT", "PRIORITY", "CREATED"], &cells)
}
