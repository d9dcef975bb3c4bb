//! What `aegis up` keeps in its state folder: keys, roots, configuration.

use std::{
    env, fmt, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde::Serialize;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::child::PROVIDER_KEYS;
use crate::{failure::Failure, secret_file};

/// What the mock accepts as a provider key.
pub(super) const MOCK_KEY: &str = "sk-made-up-provider-key";

/// The folder, temporary or named.
pub(super) struct State {
    folder: PathBuf,
    /// Sockets have short paths only, so they are never in a named folder.
    legs: TempDir,
    /// Removed at the end when nobody named a folder.
    _temporary: Option<TempDir>,
}

/// A provider of the table as this run uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// Agent prefix without the slash, and name of the real provider in the table.
    pub(super) prefix: &'static str,
    /// Environment variable that holds the key of the real provider, if it is set.
    pub(super) key: Option<&'static str>,
}

impl Served {
    /// All four, each real when its key is in the environment.
    pub(super) fn by_environment() -> [Self; 4] {
        let prefixes = ["openai", "anthropic", "gemini", "openrouter"];
        std::array::from_fn(|at| {
            let set = env::var_os(PROVIDER_KEYS[at]).is_some_and(|value| !value.is_empty());
            Self { prefix: prefixes[at], key: set.then_some(PROVIDER_KEYS[at]) }
        })
    }

    /// Its name in the provider table.
    pub(super) fn name(&self) -> String {
        match self.key {
            Some(_) => self.prefix.to_owned(),
            None => format!("{}-mock", self.prefix),
        }
    }

    /// The mock's DNS name for it.
    pub(super) fn mock_name(&self) -> String {
        format!("{}.mock.aegis.test", self.prefix)
    }
}

impl State {
    /// Opens the folder, made if missing.
    pub(super) fn open(named: Option<&Path>) -> Result<Self, Failure> {
        let bad = |path: &dyn fmt::Display, e: io::Error| {
            Failure::environment(format!(
                "cannot use the state folder {path}: {e}; choose another with --state"
            ))
        };
        let temporary = || tempfile::Builder::new().prefix("aegis-up-").tempdir();
        let legs = temporary().map_err(|e| bad(&env::temp_dir().display(), e))?;
        let (folder, removed) = match named {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let made = temporary().map_err(|e| bad(&env::temp_dir().display(), e))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let made = builder.create(&folder);
        let folder =
            made.and_then(|()| folder.canonicalize()).map_err(|e| bad(&folder.display(), e))?;
        Ok(Self { folder, legs, _temporary: removed })
    }

    /// A file or folder of it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where host and enclave meet.
    pub(super) fn legs(&self) -> &Path {
        self.legs.path()
    }

    /// The virtual key, made on the first start.
    pub(super) fn virtual_key(&self) -> Result<Zeroizing<String>, Failure> {
        let path = self.path("virtual-key");
        let made = || {
            if !path.exists() {
                secret_file::create(&path, &secret_file::random("aegis-vk-")?)?;
            }
            secret_file::read(&path)
        };
        made().map_err(|e| unusable(&path, &e))
    }

    /// The host's certificate under an authority of its own, made on the first start; gives the
    /// authority's file.
    pub(super) fn outer_tls(&self) -> Result<PathBuf, Failure> {
        let [ca, chain, key] = ["router-ca.pem", "tls.pem", "tls.key"].map(|name| self.path(name));
        if [&ca, &chain, &key].iter().all(|path| path.exists()) {
            return Ok(ca);
        }
        let made = certificates().map_err(|e| unusable(&ca, &io::Error::other(e)))?;
        for (path, pem) in [(&ca, &made.ca), (&chain, &made.chain)] {
            fs::write(path, pem).map_err(|e| unusable(path, &e))?;
        }
        // A half-made set from an interrupted start is replaced as a whole.
        let _ = fs::remove_file(&key);
        secret_file::create(&key, &made.key).map_err(|e| unusable(&key, &e))?;
        Ok(ca)
    }

    /// Writes a file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|e| unusable(&path, &e))?;
        Ok(path)
    }

    /// The host's configuration.
    pub(super) fn host_toml(&self, served: &[Served], mock: &str) -> Result<PathBuf, Failure> {
        let config = HostToml {
            listen: "127.0.0.1:0",
            drain_s: 5,
            table: self.path("providers.table"),
            custodies: ["host", "client"],
            store: Store { url: "sqlite:aegis.db", master_key_file: self.path("master.key") },
            tls: Tls { certificate: self.path("tls.pem"), key: self.path("tls.key") },
            enclave: [Enclave { name: "dev", release: 0, unix: self.legs() }],
            dial: served
                .iter()
                .filter(|served| served.key.is_none())
                .map(|served| Dial { provider: served.name(), address: mock.to_owned() })
                .collect(),
        };
        let text = toml::to_string(&config)
            .map_err(|e| Failure::usage(format!("cannot write the host's configuration: {e}")))?;
        self.write("host.toml", &text)
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::environment(format!(
        "cannot use {path}: {error}; remove it, or choose another --state"
    ))
}

struct Certificates {
    ca: String,
    chain: String,
    key: Zeroizing<String>,
}

fn certificates() -> Result<Certificates, rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "aegis up");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate()?;
    let authority = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(names)?.signed_by(&leaf_key, &issuer)?;
    Ok(Certificates {
        ca: authority.pem(),
        chain: leaf.pem(),
        key: Zeroizing::new(leaf_key.serialize_pem()),
    })
}

#[derive(Serialize)]
struct HostToml<'a> {
    listen: &'static str,
    drain_s: u64,
    table: PathBuf,
    custodies: [&'static str; 2],
    store: Store,
    tls: Tls,
    enclave: [Enclave<'a>; 1],
    dial: Vec<Dial>,
}

#[derive(Serialize)]
struct Store {
    url: &'static str,
    master_key_file: PathBuf,
}

#[derive(Serialize)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct Enclave<'a> {
    name: &'static str,
    release: u32,
    unix: &'a Path,
}

#[derive(Serialize)]
struct Dial {
    provider: String,
    address: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_named_folder_keeps_key_and_authority() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("state");
        let first = State::open(Some(&named)).unwrap();
        let (key, ca) = (first.virtual_key().unwrap(), first.outer_tls().unwrap());
        let authority = fs::read_to_string(&ca).unwrap();
        drop(first);
        let second = State::open(Some(&named)).unwrap();
        assert_eq!(second.virtual_key().unwrap(), key);
        second.outer_tls().unwrap();
        assert_eq!(fs::read_to_string(&ca).unwrap(), authority);
    }

    #[test]
    fn a_temporary_folder_is_gone_at_the_end() {
        let state = State::open(None).unwrap();
        let (folder, legs) = (state.path(""), state.legs().to_owned());
        drop(state);
        assert!(!folder.exists() && !legs.exists());
    }

    #[test]
    fn the_host_s_configuration_redirects_the_mock_alone_and_holds_no_key() {
        let state = State::open(None).unwrap();
        let served = [("openai", Some("OPENAI_API_KEY")), ("gemini", None)]
            .map(|(prefix, key)| Served { prefix, key });
        let path = state.host_toml(&served, "127.0.0.1:9").unwrap();
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains(MOCK_KEY), "{text}");
        let toml: toml::Value = toml::from_str(&text).unwrap();
        assert_eq!(toml["store"]["url"].as_str(), Some("sqlite:aegis.db"));
        assert_eq!(toml["dial"].as_array().unwrap().len(), 1);
        assert_eq!(toml["dial"][0]["provider"].as_str(), Some("gemini-mock"));
        assert_eq!(toml["dial"][0]["address"].as_str(), Some("127.0.0.1:9"));
    }
}
