//! Every known attack of a malicious LLM router, live in two places: in a plaintext router as they
//! are built today, and in the host's place on the sealed path.
//!
//! * [`scenario`] says what an attack is; [`attacks`] has them, one file each.
//! * [`router`] is the plaintext router, [`baseline`] puts it between agent and provider.
//! * [`place`] puts the same attackers into the host's place.
//! * [`adaptive`] has the attacks that only a host on the sealed path has occasion for.
//! * [`defences`] sets what a client can do by itself beside it.
//! * [`agent`] executes what it is told; what ran is what counts ([`run`]). [`real`] has Codex CLI
//!   and Claude Code in its place.
//!
//! `ATTACKS.md` is the ledger: what is expected of each, and which test holds it.

pub mod adaptive;
pub mod agent;
pub mod api;
pub mod attacker;
pub mod attacks;
pub mod baseline;
pub mod defences;
pub mod ledger;
pub mod message;
pub mod place;
pub mod real;
pub mod report;
pub mod router;
pub mod run;
pub mod scenario;
pub mod shell;
mod tls;
