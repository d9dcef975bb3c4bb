//! The shipped machines of `aegis-core`, driven by lines of text, so that they can be held against
//! the model (`formal/coq/Machines.v`, extracted to OCaml) and explored.
//!
//! [`Shell`] stands where `enclave/src/channel.rs` and `enclave/src/relay.rs` stand in the enclave: it
//! takes no decision, it carries out what `Control` and `Exchange` say. [`line`] has the protocol of
//! lines, [`random`] the traces.

pub mod line;
pub mod random;
pub mod shell;

pub use shell::Shell;
