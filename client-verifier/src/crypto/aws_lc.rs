//! The default backend: aws-lc-rs.

use aws_lc_rs::digest;
use aws_lc_rs::signature;
use rustls_pki_types::SignatureVerificationAlgorithm;

/// The one algorithm a certificate may be signed with.
pub(crate) static CERTIFICATE_SIGNATURES: &[&dyn SignatureVerificationAlgorithm] =
    &[webpki::aws_lc_rs::ECDSA_P384_SHA384];

/// Whether `signature` (r and s, 48 bytes each) over `message` was made by the key at `point`.
pub(crate) fn verify_es384(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point)
        .verify(message, signature)
        .is_ok()
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    output.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    output
}

pub(crate) fn sha384(data: &[u8]) -> [u8; 48] {
    let mut output = [0; 48];
    output.copy_from_slice(digest::digest(&digest::SHA384, data).as_ref());
    output
}
