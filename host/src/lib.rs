//! The untrusted host of Aegis: it authenticates clients, splices them to an enclave, answers the
//! enclave's questions from the operator's accounts, dials providers, and keeps the ledger.
//!
//! It is the adversary of the threat model and also the operator's own software: nothing here can
//! see a request or an answer, and the enclave believes none of it. What crosses the boundary is
//! `enclave/wire/PROTOCOL.md`; what this program learns and prints is DESIGN section 7.
//!
//! | module | is |
//! |---|---|
//! | [`config`] | the one file, read strictly |
//! | [`ingress`] | outer TLS, CONNECT, splice to an enclave |
//! | [`control`] | the enclave's questions and its usage reports |
//! | [`egress`] | dialling providers by index |
//! | [`store`] | the database: SQLite or PostgreSQL |
//! | [`books`] | every grant, its reservation and its one outcome |
//! | [`prices`], [`money`] | what a request costs |
//! | [`directory`] | keys, accounts, prices and limits in memory |
//! | [`vault`] | credentials at rest |
//! | [`policy`], [`limits`] | who may do what, and how often |
//! | [`accounts`] | which account serves a request |
//! | [`admin`] | the commands that change the store |
//! | [`fleet`], [`sessions`] | which enclaves answer, which sessions are open |
//! | [`legs`], [`splice`] | the sockets between host and enclave, and copying between two |
//! | [`events`] | what the operator sees |

pub mod accounts;
pub mod admin;
pub mod books;
pub mod config;
pub mod control;
pub mod directory;
mod drain;
pub mod egress;
pub mod events;
pub mod fleet;
mod folder;
mod grants;
mod host;
pub mod ingress;
pub mod keys;
pub mod legs;
pub mod limits;
pub mod money;
pub mod policy;
pub mod prices;
pub mod providers;
pub mod secret;
pub mod sessions;
pub mod splice;
pub mod store;
pub mod vault;

pub use host::{Host, Running, StartError};

/// Milliseconds since 1970, as books and events count time.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    // A clock before 1970 reads as 0: only the deadline of lost grants looks at it.
    since.map_or(0, |since| since.as_millis() as u64)
}

/// The first number that no start before this time can have given: hosts count from here on, and a
/// store that was lost or put back does not make numbers come twice. Seconds times 2^20 stay exact
/// in every JSON reader.
pub(crate) fn number_floor(now_ms: u64) -> i64 {
    i64::try_from((now_ms / 1000) << 20).unwrap_or(i64::MAX >> 1)
}
