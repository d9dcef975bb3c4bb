//! The `aegis` command: a local agent for unmodified tools, the whole router on one machine, and
//! checks of evidence by hand.
//!
//! | module | what it is |
//! |---|---|
//! | [`agent`] | the loopback listener that passes requests on over verified sessions |
//! | [`up`] | mock provider, host, enclave and agent together |
//! | [`verify`] | one attestation document, or a router's evidence, looked at by hand |
//! | [`account`] | an account owner's side of custody *sealed* |
//! | [`receipt`] | receipts and their evidence, checked offline |
//! | [`release`] | release lists made, logged, cosigned and checked |
//! | [`accepting`] | which enclaves are accepted: by the user's word or by a list that is followed |
//! | [`accept`] | the file of releases that a user names himself |
//! | [`lists`] | signed release lists: trust file, state file |
//! | [`patience`] | trying again while a router is away |
//! | [`failure`] | exit codes and last words |

pub mod accept;
pub mod accepting;
pub mod account;
pub mod agent;
pub mod args;
pub mod failure;
pub mod files;
pub mod lists;
pub mod patience;
pub mod receipt;
pub mod release;
pub mod secret_file;
pub mod up;
pub mod verify;
