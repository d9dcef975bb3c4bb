//! The sealed path end to end: shipped client, shipped enclave, real sockets. One program, so that
//! it is built and linked once; one module for each theme.
#![allow(clippy::unwrap_used)]

mod agent;
mod broken;
mod canary;
mod control;
mod credentials;
mod denials;
mod egress;
mod evidence;
mod frames;
mod heads;
mod ledger;
mod lists;
mod padding;
mod raw_answers;
mod raw_heads;
mod receipt;
mod releases;
mod restart;
mod retry;
mod scoped;
mod sealed;
mod session_leg;
mod twins;
mod verbatim;
