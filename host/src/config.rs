//! The one configuration file. Everything in it is checked before anything starts: unknown keys,
//! names that mean nothing, credentials that no header can carry. Errors never repeat a value that
//! could be a secret.
//!
//! Relative paths start at the folder of the file. What the host writes to is looked at by
//! [`Host::check`](crate::Host::check). Checked nowhere: that ports are free, that enclaves answer,
//! that a provider accepts a credential.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aegis_wire::{control::Custody, limits};

use crate::{accounts::Accounts, keys::Keys, legs::Place, providers::Providers};

mod check;
mod error;
mod file;
mod tls;

pub use error::ConfigError;

/// An example that `check-config` accepts once its paths exist; `--help` shows it.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Outer TLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// The provider table, with dial overrides.
    pub providers: Providers,
    /// The bundle of the release list that clients may fetch.
    pub releases: Option<PathBuf>,
    /// Enclaves, in the order of their ids.
    pub enclaves: Vec<Enclave>,
    /// Virtual keys.
    pub keys: Keys,
    /// Provider accounts.
    pub accounts: Accounts,
    /// Custodies that are served.
    pub custodies: Vec<Custody>,
    /// Time for a client's handshake and CONNECT.
    pub handshake: Duration,
    /// Age at which a grant without usage is settled as lost.
    pub usage_deadline: Duration,
    /// What an operator should mend although it works.
    pub warnings: Vec<String>,
}

/// One enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclave {
    /// What the operator calls it.
    pub name: String,
    /// The release it runs.
    pub release: u32,
    /// Where it is reached.
    pub place: Place,
}

/// Nothing bounds how long an answer may stream, so a grant is given up only after a day.
const USAGE_DEADLINE: Duration = Duration::from_secs(24 * 3600);

impl Config {
    /// Reads and checks the file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = error::read(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let checked = file::parse(&text).and_then(|file| Self::check(file, &folder));
        checked.map_err(|error| error.in_file(path))
    }

    fn check(file: file::File, folder: &Path) -> Result<Self, ConfigError> {
        let file::File {
            listen,
            ledger,
            table,
            releases,
            custodies,
            handshake_ms,
            usage_deadline_s,
            tls,
            enclave,
            key,
            account,
            dial,
        } = file;
        let secrets = account.iter().filter_map(|account| account.credential_file.as_ref());
        let warnings = secrets.chain([&tls.key]).filter_map(|path| exposed(&folder.join(path)));
        let warnings = warnings.collect();
        let mut providers = check::providers(table.as_deref(), folder)?;
        check::dials(dial, &mut providers)?;
        Ok(Self {
            listen,
            tls: tls::server(&tls, folder)?,
            ledger: folder.join(ledger),
            releases: releases.map(|path| folder.join(path)),
            enclaves: check::enclaves(enclave, folder)?,
            keys: check::keys(key, &providers)?,
            accounts: check::accounts(account, &providers, folder)?,
            custodies: check::custodies(custodies)?,
            handshake: handshake_ms.map_or(limits::HANDSHAKE, |ms| Duration::from_millis(ms.get())),
            usage_deadline: usage_deadline_s
                .map_or(USAGE_DEADLINE, |s| Duration::from_secs(s.get())),
            providers,
            warnings,
        })
    }
}

/// A warning when any user of the machine may read the file. Groups are the operator's business.
fn exposed(path: &Path) -> Option<String> {
    // A file that cannot be looked at is refused when it is read.
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let path = path.display();
    (mode & 0o004 != 0).then(|| format!("{path}: every user may read this secret; run chmod o-r"))
}
