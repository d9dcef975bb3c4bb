//! What can go wrong on the way to a verified session and on it. Every message is one sentence:
//! the thing, the reason, the next step. No message holds a key or a byte of a request.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use aegis_verifier::UnixTime;
use aegis_wire::{Malformed, control::Custody};

/// A configuration that cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The router's URL.
    #[error("the router URL {url:?} cannot be used: {reason}; give it as https://NAME[:PORT]")]
    RouterUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file with the router's certificate authorities.
    #[error("{path} cannot be used as the router's certificate authorities: {reason}; give a PEM file", path = path.display())]
    RouterRoots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// That file cannot be read.
    #[error("cannot read the router's certificate authorities {path}: {reason}; give a PEM file", path = path.display())]
    RouterRootsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A virtual key that does not look like one.
    #[error(
        "the virtual key is malformed; use the one your router's operator gave you, aegis-vk-..."
    )]
    VirtualKey,
    /// No custody is accepted.
    #[error("no custody is accepted, so no request could be sent; accept client, sealed or host")]
    NoCustody,
    /// The owners of sealed accounts.
    #[error(
        "custody sealed and {0} owners do not go together; accept sealed with 1 to 4 owners, each by the hash that aegis account key prints"
    )]
    Owners(usize),
    /// The number of accepted releases.
    #[error("{0} releases are accepted; accept at least 1 and at most 16")]
    Releases(usize),
    /// A release number or measurement twice.
    #[error("release {0} is accepted twice; name each release once")]
    ReleaseTwice(u32),
    /// The TLS library refused its own settings.
    #[error("TLS 1.3 is not available in this build; report this as a defect")]
    Tls,
}

/// Why there is no answer to a request.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answered at the address.
    #[error(
        "cannot reach {place}: {source}; check that it is running and that the address is right"
    )]
    Unreachable {
        /// Name and port of router or proxy.
        place: String,
        /// What the network said.
        source: Arc<io::Error>,
    },
    /// The proxy of `HTTPS_PROXY` cannot be used, or did not let us through.
    #[error(
        "the proxy {proxy} did not open a tunnel to the router: {reason}; check HTTPS_PROXY and NO_PROXY"
    )]
    Proxy {
        /// Name and port.
        proxy: String,
        /// Its answer.
        reason: String,
    },
    /// The router is not the one that the configured roots vouch for.
    #[error(
        "the outer TLS to {place} failed: {source}; check the router's name and its certificate authority"
    )]
    OuterTls {
        /// Name and port.
        place: String,
        /// What the handshake said.
        source: rustls::Error,
    },
    /// The router does not open a tunnel.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The peer did not prove to hold the key of its certificate, or speaks no `aegis/1`.
    #[error("verification failed at step handshake: {0}; no request was sent")]
    Handshake(rustls::Error),
    /// Evidence was given and refused.
    #[error("verification failed at step {0}; no request was sent")]
    Evidence(#[source] aegis_verifier::Error),
    /// What came in the place of evidence is none.
    #[error("verification failed at step evidence: {0}; no request was sent")]
    Frame(Malformed),
    /// The enclave cannot attest now.
    #[error("the enclave has no evidence to give now; no request was sent, try again shortly")]
    NoEvidence,
    /// The connection ended or fell silent before there was a session.
    #[error(
        "the connection to {place} ended during {stage}; no request was sent, try again shortly"
    )]
    Ended {
        /// Name and port.
        place: String,
        /// How far it had come.
        stage: Stage,
    },
    /// The session was lost with a request on it.
    #[error(
        "the session to the enclave was lost: {0}; whether the provider got the request is not known"
    )]
    Lost(Arc<hyper::Error>),
    /// The session ended before the request was sent.
    #[error("the session to the enclave ended before the request was sent; try again")]
    NotSent,
    /// The list of accepted releases has ended, and there is no newer one.
    #[error(
        "the list of accepted releases ended at {} (Unix seconds) and no newer one was found; no request was sent, ask the router's operator for the current list", .not_after.as_secs()
    )]
    ReleasesEnded {
        /// Its end.
        not_after: UnixTime,
    },
    /// The list of accepted releases accepts none.
    #[error(
        "the list of accepted releases withdraws every release; no request was sent, wait for a new release"
    )]
    NothingAccepted,
    /// The router has no list of releases, or none that can be read.
    #[error(
        "the router serves no list of releases: {reason}; ask its operator for one, or give it as a file"
    )]
    NoReleaseList {
        /// What it answered.
        reason: String,
    },
    /// The caller asked for a custody that its own policy does not accept.
    #[error("custody {word} is not accepted by this client; accept it by name or use another", word = .0.word())]
    Custody(Custody),
    /// The enclave does not take a sealed account.
    #[error("the enclave did not take the sealed account ({0}); seal it again for this enclave")]
    Account(String),
    /// A request that names no provider by `https://AUTHORITY/PATH`.
    #[error("the request's address is not https://AUTHORITY/PATH; use the provider's own address")]
    Address,
}

/// How far a connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// TLS to the host.
    OuterTls,
    /// The host's answer to CONNECT.
    Connect,
    /// TLS to the enclave.
    InnerTls,
    /// Opening and evidence.
    Evidence,
    /// HTTP's own beginning.
    Http,
    /// The request for the list of releases.
    Releases,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OuterTls => "the outer TLS handshake",
            Self::Connect => "the request for a tunnel",
            Self::InnerTls => "the inner TLS handshake",
            Self::Evidence => "the exchange of evidence",
            Self::Http => "the start of HTTP",
            Self::Releases => "the request for the list of releases",
        })
    }
}

/// The router's answer to CONNECT when it opens no tunnel (PROTOCOL.md, section 2). The sentence
/// is chosen by code; the host's own text is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 400
    #[error(
        "the router did not understand the request for a tunnel; check that its version fits this client's"
    )]
    BadRequest,
    /// 407
    #[error(
        "the router does not know this virtual key, or it was revoked; get a key from the router's operator"
    )]
    UnknownKey,
    /// 412
    #[error(
        "the router runs no enclave of a release that this client accepts; update the accepted releases, or ask the operator what runs"
    )]
    NoRelease,
    /// 429
    #[error(
        "the virtual key, its team or its tenant has as many sessions open at the router as it may; close one, or ask the operator for more"
    )]
    TooManySessions {
        /// When the host asks to come back.
        retry_after: Option<Duration>,
    },
    /// 503
    #[error("no enclave of an accepted release answers at the router now; try again shortly")]
    NoEnclave {
        /// When the host asks to come back.
        retry_after: Option<Duration>,
    },
    /// Anything else.
    #[error(
        "the router answered {0} to the request for a tunnel; check that the address is an Aegis router's"
    )]
    Other(u16),
}

impl Error {
    /// The step at which verification failed: the verifier's own names, or `handshake` or
    /// `evidence` before it was asked. `None` when this is no failed verification.
    pub fn step(&self) -> Option<&'static str> {
        match self {
            Self::Handshake(_) => Some("handshake"),
            Self::Frame(_) => Some("evidence"),
            Self::Evidence(error) => Some(error.step().name()),
            _ => None,
        }
    }

    /// Whether the router or its enclaves are away, so that trying again later makes sense.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Proxy { .. }
                | Self::NoEvidence
                | Self::Ended { .. }
                | Self::NotSent
                | Self::Refused(Refusal::NoEnclave { .. } | Refusal::TooManySessions { .. })
        )
    }

    /// When the host asks to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(
                Refusal::NoEnclave { retry_after } | Refusal::TooManySessions { retry_after },
            ) => *retry_after,
            _ => None,
        }
    }
}

/// The TLS error inside an I/O error, or the I/O error itself.
pub(crate) fn tls_or_io(error: io::Error) -> Result<rustls::Error, io::Error> {
    match error.get_ref().and_then(|e| e.downcast_ref()) {
        Some(tls) => Ok(rustls::Error::clone(tls)),
        None => Err(error),
    }
}
