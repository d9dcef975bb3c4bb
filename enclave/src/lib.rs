//! The shell of the enclave: sockets, TLS and HTTP around the decisions of `aegis_core`.
//!
//! The way of a session: [`legs`] accepts it, [`session`] does the inner handshake and answers the
//! opening with evidence from [`identity`], then serves HTTP; [`relay`] follows one request through
//! `aegis_core::Exchange`, asking the host over [`channel`] and the provider over [`upstream`], with
//! the request's body as [`outgoing`] keeps it; [`receipt`] writes down what went through.
//!
//! There is no log. What goes wrong ends in an error to the client and nowhere else.

mod account;
pub mod boot;
mod channel;
mod confine;
mod identity;
pub mod legs;
mod number;
mod outgoing;
mod receipt;
mod relay;
mod session;
mod upstream;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_core::Accounts;
use aegis_nsm::Attester;
use aegis_wire::{limits, table::Table};
use rustls::RootCertStore;
use tokio::{sync::Semaphore, time};

use crate::{channel::Channel, identity::Identity, legs::Legs, upstream::Providers};

/// The provider table of the production image, measured as part of this program.
pub static TABLE: Table = include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// The public web's roots, as Mozilla's program has them.
pub fn public_roots() -> (&'static str, RootCertStore) {
    ("public", RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
}

/// What a boot is made of; the production program and the development one differ in nothing else.
pub struct Setup {
    /// Signs the evidence.
    pub attester: Box<dyn Attester>,
    /// Whom requests may reach.
    pub table: &'static Table,
    /// Sets of TLS roots by the names that the table uses.
    pub roots: Vec<(&'static str, RootCertStore)>,
    /// Where the host is.
    pub legs: Box<dyn Legs>,
}

/// Why there is no enclave, said before anything is served.
pub type BootError = &'static str;

/// One boot of one enclave.
pub struct Enclave {
    table: &'static Table,
    identity: Arc<Identity>,
    providers: Providers,
    channel: Channel,
    legs: Box<dyn Legs>,
    sessions: Semaphore,
    upstreams: Semaphore,
    /// Bytes that the copies of request bodies may take together.
    copies: Semaphore,
    /// Bytes that the receipts of all sessions may take together.
    receipts: Semaphore,
    accounts: Mutex<Accounts>,
}

impl Enclave {
    /// Makes keys and takes the first evidence. Lives as long as the process.
    pub fn boot(setup: Setup) -> Result<&'static Self, BootError> {
        let Setup { attester, table, roots, legs } = setup;
        let identity = Arc::new(Identity::new(attester)?);
        let providers = Providers::new(table, &roots, &identity)?;
        let channel = Channel::new(table)?;
        let [sessions, upstreams, copies, receipts] =
            [limits::SESSIONS, limits::SESSIONS, limits::REPLAY_TOTAL_BYTES, limits::RECEIPT_BYTES]
                .map(Semaphore::new);
        Ok(Box::leak(Box::new(Self {
            table,
            identity,
            providers,
            channel,
            legs,
            sessions,
            upstreams,
            copies,
            receipts,
            accounts: Mutex::default(),
        })))
    }

    /// Serves sessions for ever; the control leg is dialled beside it.
    pub async fn serve(&'static self) -> Infallible {
        tokio::spawn(self.channel.run(&*self.legs));
        loop {
            match (self.legs.accept().await, self.sessions.try_acquire()) {
                (Ok(leg), Ok(permit)) => drop(tokio::spawn(async move {
                    session::serve(self, leg).await;
                    drop(permit);
                })),
                // At the limit: closed at once, so that the host can look elsewhere.
                (Ok(leg), Err(_)) => drop(leg),
                // Out of descriptors or a client gone early: the next session may fare better.
                (Err(_), _) => time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}
