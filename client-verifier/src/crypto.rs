//! ECDSA on P-384 with SHA-384, and two hashes, by one of two backends with one verdict.

#[cfg(feature = "aws-lc-rs")]
#[path = "crypto/aws_lc.rs"]
mod backend;

#[cfg(all(feature = "pure-rust", not(feature = "aws-lc-rs")))]
#[path = "crypto/pure.rs"]
mod backend;

#[cfg(not(any(feature = "aws-lc-rs", feature = "pure-rust")))]
compile_error!("aegis-verifier needs one of its features `aws-lc-rs` (default) and `pure-rust`");

pub(crate) use backend::CERTIFICATE_SIGNATURES;
pub(crate) use backend::sha256;
pub(crate) use backend::sha384;
pub(crate) use backend::verify_es384;
