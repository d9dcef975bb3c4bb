//! What a mock is started with, and why it cannot start.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::MockRoot;

/// The provider key that a mock accepts when none is configured.
pub const DEFAULT_KEY: &str = "sk-made-up-provider-key";

/// The only name in the certificate of a mock with [`MockConfig::wrong_name`].
pub const WRONG_NAME: &str = "wrong-name.mock.aegis.test";

/// The settings of a mock.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The root that signs the mock's certificate; `None` serves plain HTTP/1.1, with the
    /// provider as first path segment (`/openai/v1/...`), for developing clients.
    pub root: Option<Arc<MockRoot>>,
    /// The DNS names in the certificate.
    pub names: Vec<String>,
    /// Presents a certificate for [`WRONG_NAME`] instead of `names`.
    pub wrong_name: bool,
    /// Offers only `http/1.1` in ALPN, not `h2`.
    pub http1_only: bool,
    /// The provider keys that are right.
    pub keys: Vec<String>,
    /// Time between two pieces of a streamed answer.
    pub pace: Duration,
    /// Compresses answers with gzip when the client accepts it.
    pub gzip: bool,
    /// Keeps every request for [`crate::MockHandle::recorded`]; off for long runs, whose record
    /// would fill the memory.
    pub record: bool,
    /// How many bytes of each request body are kept in the record.
    pub keep_body_bytes: usize,
}

impl MockConfig {
    /// A TLS mock on a free port of 127.0.0.1 with certificate names `names`, the default key,
    /// no pace, no compression, and no bodies kept.
    pub fn tls(root: Arc<MockRoot>, names: &[&str]) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { root: Some(root), names, ..Self::plain_http() }
    }

    /// The same without TLS.
    pub fn plain_http() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            root: None,
            names: Vec::new(),
            wrong_name: false,
            http1_only: false,
            keys: vec![DEFAULT_KEY.to_owned()],
            pace: Duration::ZERO,
            gzip: false,
            record: true,
            keep_body_bytes: 0,
        }
    }

    pub(crate) fn certificate_names(&self) -> Vec<String> {
        if self.wrong_name { vec![WRONG_NAME.to_owned()] } else { self.names.clone() }
    }

    pub(crate) fn alpn(&self) -> Vec<Vec<u8>> {
        let mut tokens = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.http1_only {
            tokens.remove(0);
        }
        tokens
    }
}

/// Why a mock could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum MockError {
    /// The address could not be bound.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the state folder could not be read or written.
    File {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The root certificate is not PEM.
    RootUnreadable,
    /// A certificate or key could not be made or read.
    Certificate(rcgen::Error),
    /// rustls refused the certificate or key.
    Tls(rustls::Error),
}

impl std::fmt::Display for MockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen { address, source } => {
                write!(f, "cannot listen on {address}: {source}; choose another address or port 0")
            }
            Self::File { path, source } => {
                write!(f, "cannot use {}: {source}; name another state folder", path.display())
            }
            Self::RootUnreadable => {
                f.write_str("the mock root is not a PEM certificate; delete its state folder")
            }
            Self::Certificate(error) => {
                write!(f, "cannot use the mock certificate: {error}; delete its state folder")
            }
            Self::Tls(error) => write!(f, "cannot set up TLS: {error}; report this defect"),
        }
    }
}

impl std::error::Error for MockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::File { source, .. } => Some(source),
            Self::Certificate(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::RootUnreadable => None,
        }
    }
}

impl From<rcgen::Error> for MockError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }
}

impl From<rustls::Error> for MockError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}
