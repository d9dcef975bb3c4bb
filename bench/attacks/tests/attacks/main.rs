//! The attacks, held to their ledger: each in two of the eight variants of its own, all places.
//! `cargo xtask attacks` runs all variants.
#![allow(clippy::unwrap_used)]

mod adaptive;
mod baseline;
mod defences;
mod ledger;
mod sealed;
