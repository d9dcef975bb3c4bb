//! The part of the configuration that concerns the store: all that the commands beside `run` need.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use zeroize::Zeroizing;

use super::{ConfigError, check, error, file};
use crate::{
    providers::Providers,
    store::{Address, StoreError},
    vault::Vault,
};

/// Where the books are and what opens their credentials.
#[derive(Debug)]
pub struct BooksConfig {
    /// The database.
    pub address: Address,
    /// Where the master key comes from.
    pub master: MasterKey,
    /// The provider table, with dial overrides.
    pub providers: Providers,
}

/// Where the master key comes from. It is asked for only when a credential is sealed or opened.
#[derive(Debug, Clone)]
pub enum MasterKey {
    /// Nowhere: there are no accounts.
    None,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// What a program prints, as one that asks a key service does.
    Command(Vec<String>),
}

impl BooksConfig {
    /// Reads the file and checks this part of it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = error::read(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let checked = file::parse(&text)
            .and_then(|file| Self::check(file.store, file.table.as_deref(), &folder));
        checked.map_err(|error| error.in_file(path))
    }

    pub(super) fn check(
        store: file::Store,
        table: Option<&Path>,
        folder: &Path,
    ) -> Result<Self, ConfigError> {
        let file::Store { url, url_env, master_key_file, master_key_env, master_key_command } =
            store;
        let url = match (url, url_env) {
            (Some(url), None) => Zeroizing::new(url),
            (None, Some(name)) => check::variable("[store] url_env", &name)?,
            _ => {
                let reason = "it needs exactly one of url and url_env";
                return Err(ConfigError::entry("[store]", reason, "keep one of them"));
            }
        };
        let address = Address::parse(&url, folder).map_err(|error| {
            let (reason, next) = match error {
                StoreError::Password => (
                    "it has `/`, `?` or `#` before its last `@`",
                    "write them in the password as %2F, %3F, %23",
                ),
                _ => (
                    "it is neither sqlite:FILE nor postgres://USER@HOST/DATABASE",
                    "write one of these forms",
                ),
            };
            ConfigError::entry("[store] url", reason, next)
        })?;
        let master = match (master_key_file, master_key_env, master_key_command) {
            (None, None, None) => MasterKey::None,
            (Some(file), None, None) => MasterKey::File(folder.join(file)),
            (None, Some(name), None) => MasterKey::Variable(name),
            (None, None, Some(command)) => MasterKey::Command(command),
            _ => {
                let reason = "it has more than one of master_key_file, _env and _command";
                return Err(ConfigError::entry("[store]", reason, "keep one of them"));
            }
        };
        Ok(Self { address, master, providers: check::providers(table, folder)? })
    }
}

impl MasterKey {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::None | Self::Variable(_) | Self::Command(_) => None,
        }
    }

    /// Fetches the key; none where none is configured.
    pub fn vault(&self) -> Result<Option<Vault>, ConfigError> {
        let entry = "[store] the master key";
        let text = match self {
            Self::None => return Ok(None),
            Self::File(path) => Zeroizing::new(error::read(path)?),
            Self::Variable(name) => check::variable(entry, name)?,
            Self::Command(words) => printed(words)?,
        };
        let next = "make one with `aegis-host master-key new`";
        let vault = Vault::from_text(&text)
            .map_err(|_| ConfigError::entry(entry, "it is not 64 hexadecimal digits", next))?;
        Ok(Some(vault))
    }
}

/// What a command prints.
fn printed(words: &[String]) -> Result<Zeroizing<String>, ConfigError> {
    let entry = "[store] master_key_command";
    let Some((program, arguments)) = words.split_first() else {
        return Err(ConfigError::entry(entry, "it is empty", "name a program and its arguments"));
    };
    let run = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = run.map_err(|source| ConfigError::Unreadable { path: program.into(), source })?;
    let text = String::from_utf8(output.stdout).map(Zeroizing::new);
    match (output.status.success(), text) {
        (true, Ok(text)) => Ok(text),
        (true, Err(_)) => {
            Err(ConfigError::entry(entry, "it printed no text", "let it print the digits alone"))
        }
        (false, _) => {
            let reason = format!("it ended with {}", output.status);
            Err(ConfigError::entry(entry, reason, "run it by hand to see why"))
        }
    }
}
