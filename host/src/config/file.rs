//! The file as it is written, before any meaning is checked.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroU64, path::PathBuf};

use serde::Deserialize;

use super::ConfigError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: SocketAddr,
    pub(super) name: Option<String>,
    pub(super) table: Option<PathBuf>,
    pub(super) releases: Option<PathBuf>,
    pub(super) custodies: Option<Vec<String>>,
    pub(super) handshake_ms: Option<NonZeroU64>,
    pub(super) usage_deadline_s: Option<NonZeroU64>,
    pub(super) drain_s: Option<u64>,
    pub(super) tls: Tls,
    pub(super) store: Store,
    #[serde(default)]
    pub(super) reserve: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) enclave: Vec<Enclave>,
    #[serde(default)]
    pub(super) dial: Vec<Dial>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enclave {
    pub(super) name: String,
    pub(super) release: u32,
    pub(super) unix: Option<PathBuf>,
    pub(super) vsock_cid: Option<u32>,
    pub(super) vhost: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) url: Option<String>,
    pub(super) url_env: Option<String>,
    pub(super) master_key_file: Option<PathBuf>,
    pub(super) master_key_env: Option<String>,
    pub(super) master_key_command: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dial {
    pub(super) provider: String,
    pub(super) address: String,
}

pub(super) fn parse(text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        ConfigError::Syntax {
            line: before.matches('\n').count() + 1,
            reason: without_values(error.message()),
        }
    })
}

/// A message of the parser without what stands in double quotes: a value of the wrong type is
/// quoted there, and it could be a credential. Names of keys stand in backticks and stay.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let parts: Vec<_> = line.split('"').step_by(2).collect();
    parts.join("...")
}
