//! The host from outside: real sockets, real frames, a fake enclave and clients of every kind.
#![allow(clippy::unwrap_used)]

mod check_config;
mod config;
mod control;
mod egress;
mod kill;
mod pairs;
#[path = "../store/postgres.rs"]
mod postgres;
mod program;
mod rig;
mod tunnel;
