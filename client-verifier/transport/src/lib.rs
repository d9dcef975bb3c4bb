//! Attested sessions to an Aegis router (DESIGN, sections 2 to 4; PROTOCOL.md, sections 2 and 3).
//!
//! A request can be sent only by a [`Session`], and a [`Session`] comes only out of
//! [`Unverified::verify`], after the enclave's evidence has passed every check:
//!
//! ```text
//! Tunnel::open          TCP, outer TLS 1.3, CONNECT: the host is reached, nothing is believed
//! Tunnel::handshake     inner TLS 1.3: somebody holds the key of the certificate it showed
//! Unverified::verify    opening, evidence, bindings, verification: it is an accepted enclave
//! Session::send         HTTP
//! ```
//!
//! Each step consumes the one before; after an error there is nothing left to misuse. Most callers
//! want [`Client`], which keeps a verified session for each virtual key, verifies anew when it ends,
//! and never falls back to less.
//!
//! Which releases are accepted comes from a list that [`Releases`] fetches, checks and follows, or is
//! named by hand. When it changes, sessions of the old one take no further request, and those with a
//! release that is not accepted any more are cut.
//!
//! What is not checked here: anything about the provider behind the enclave (the measured table's
//! job).

mod belief;
mod client;
mod connect;
mod custody;
mod error;
mod fetch;
mod gate;
mod inner;
mod key;
mod once;
mod receipt;
mod releases;
mod router;
mod session;
mod slot;
mod state;
mod trust;
mod tunnel;
mod unverified;

pub use client::{Client, Config};
pub use custody::Custodies;
pub use error::{ConfigError, Error, Refusal};
pub use key::VirtualKey;
pub use receipt::{
    ANSWER_CUT, Content, NO_ANSWER, REQUEST_CUT, Receipt, ReceiptError, Statement, Transcript,
};
pub use releases::{Followed, Releases, ReleasesError, Source};
pub use router::{OuterRoots, Router};
pub use session::{Attested, Session};
pub use state::{StateError, StateFile};
pub use trust::{Release, Shown, Trust};
pub use tunnel::Tunnel;
pub use unverified::Unverified;

pub use aegis_wire::{control::Custody, session::Mode};
/// Body of an answer: the provider's bytes as they arrive. A broken stream ends in an error.
pub use hyper::body::Incoming;
