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

use crate::{books::Floors, legs::Place, vault::Vault};

mod books;
pub(crate) mod check;
mod error;
mod file;
mod tls;

pub use books::{BooksConfig, MasterKey};
pub use error::ConfigError;

/// An example that `check-config` accepts once its paths exist; `--help` shows it.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// What the ledger calls this host.
    pub name: String,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Outer TLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// The database, and what opens its credentials.
    pub books: BooksConfig,
    /// Opens the credentials; none without accounts.
    pub vault: Option<Arc<Vault>>,
    /// Least reservation of each class.
    pub floors: Floors,
    /// The bundle of the release list that clients may fetch.
    pub releases: Option<PathBuf>,
    /// Enclaves, in the order of their ids.
    pub enclaves: Vec<Enclave>,
    /// Custodies that are served.
    pub custodies: Vec<Custody>,
    /// Time for a client's handshake and CONNECT.
    pub handshake: Duration,
    /// Age at which a grant without usage is settled as lost.
    pub usage_deadline: Duration,
    /// Time for requests that run when the host is told to stop.
    pub drain: Duration,
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

/// Service managers give a program 90 s to end by default.
const DRAIN: Duration = Duration::from_secs(60);

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
            name,
            listen,
            table,
            releases,
            custodies,
            handshake_ms,
            usage_deadline_s,
            drain_s,
            tls,
            store,
            reserve,
            enclave,
            dial,
        } = file;
        let mut books = BooksConfig::check(store, table.as_deref(), folder)?;
        let name = check::host_name(name, &books.address)?;
        check::dials(dial, &mut books.providers)?;
        let secrets = [Some(folder.join(&tls.key)), books.master.file().map(Path::to_owned)];
        let database = books.address.path().map(Path::to_owned);
        let warnings = secrets.iter().chain([&database]).flatten().filter_map(|path| exposed(path));
        let warnings = warnings.collect();
        Ok(Self {
            name,
            listen,
            tls: tls::server(&tls, folder)?,
            releases: releases.map(|path| folder.join(path)),
            vault: books.master.vault()?.map(Arc::new),
            books,
            floors: check::reserve(reserve)?,
            enclaves: check::enclaves(enclave, folder)?,
            custodies: check::custodies(custodies)?,
            handshake: handshake_ms.map_or(limits::HANDSHAKE, |ms| Duration::from_millis(ms.get())),
            usage_deadline: usage_deadline_s
                .map_or(USAGE_DEADLINE, |s| Duration::from_secs(s.get())),
            drain: drain_s.map_or(DRAIN, Duration::from_secs),
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
