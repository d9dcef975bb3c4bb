//! The shell of the enclave: sockets, TLS and HTTP around the decisions of `aegis_core`.
//!
//! The way of a session: [`legs`] accepts it, [`session`] does the inner handshake and answers the
//! opening with evidence from [`identity`], then serves HTTP; [`relay`] follows one request through
//! `aegis_core::Exchange`, asking the host over [`channel`] and the provider over [`upstream`].
//!
//! There is no log. What goes wrong ends in an error to the client and nowhere else.

mod channel;
mod identity;
mod legs;
mod relay;
mod session;
mod upstream;

use std::{fmt, sync::Arc};

use aegis_nsm::Attester;
use aegis_wire::{Malformed, table::Table};
use rustls::RootCertStore;

pub use legs::{Legs, Listener};

use crate::{channel::Channel, identity::Identity, upstream::Providers};

/// The provider table of the production image, measured as part of this program.
pub const TABLE: &str = include_str!("../providers.table");

/// The public web's roots, as Mozilla's program has them.
pub fn public_roots() -> (&'static str, RootCertStore) {
    (
        "public",
        RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    )
}

/// What a boot is made of; the production binary and the development one differ in nothing else.
pub struct Setup {
    /// Signs the evidence.
    pub attester: Arc<dyn Attester>,
    /// Text of the provider table.
    pub table: &'static str,
    /// Sets of TLS roots by the names that the table uses.
    pub roots: Vec<(&'static str, RootCertStore)>,
    /// Where the host is.
    pub legs: Legs,
}

/// Why there is no enclave.
#[derive(Debug)]
pub enum BootError {
    /// The provider table breaks a rule.
    Table(Malformed),
    /// The table names a set of roots that is not there, or a host name that is none.
    Provider(&'static str),
    /// The attester gives no evidence.
    Attester,
    /// A key or certificate could not be made.
    Keys,
    /// A socket could not be had.
    Leg(std::io::Error),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(rule) => write!(f, "the provider table is {rule}"),
            Self::Provider(name) => write!(f, "provider {name} has unknown roots or a bad name"),
            Self::Attester => f.write_str("the attester gives no evidence"),
            Self::Keys => f.write_str("no key pair could be made"),
            Self::Leg(error) => write!(f, "a socket of the enclave failed: {error}"),
        }
    }
}

impl std::error::Error for BootError {}

/// One boot of one enclave.
pub struct Enclave {
    table: &'static Table<'static>,
    identity: Arc<Identity>,
    providers: Providers,
    channel: Channel,
    legs: Legs,
}

impl Enclave {
    /// Makes keys, reads the table, takes the first evidence. Lives as long as the process.
    pub fn boot(setup: Setup) -> Result<&'static Self, BootError> {
        let Setup {
            attester,
            table: text,
            roots,
            legs,
        } = setup;
        let table: &Table<'_> = Box::leak(Box::new(Table::parse(text).map_err(BootError::Table)?));
        let identity = Arc::new(Identity::new(attester)?);
        let providers = Providers::new(table, &roots, &identity)?;
        let channel = Channel::new(text).map_err(|_| BootError::Keys)?;
        Ok(Box::leak(Box::new(Self {
            table,
            identity,
            providers,
            channel,
            legs,
        })))
    }

    /// Opens the session leg.
    pub fn listen(&self) -> Result<Listener, BootError> {
        self.legs.listen().map_err(BootError::Leg)
    }

    /// Serves sessions for ever; the control leg is dialled beside it.
    pub async fn serve(&'static self, listener: Listener) -> Result<(), BootError> {
        tokio::spawn(self.channel.run(&self.legs));
        loop {
            let leg = listener.accept().await.map_err(BootError::Leg)?;
            tokio::spawn(session::serve(self, leg));
        }
    }
}
