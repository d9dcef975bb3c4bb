//! One valid document of the development chain, one defect, one test named after the defect.
//!
//! Defects that a signature covers are signed again, certificates issued again, so the defect is
//! the only one there is. Each test asserts the very variant.

#![allow(clippy::unwrap_used)]

mod certificates;
mod chain;
mod cose;
mod payload;
mod pcrs;
mod policy;
mod support;

/// One backend is in this program; `tests/portable` runs the same tests with two.
fn compare(_: &[u8], _: aegis_verifier::UnixTime) {}
