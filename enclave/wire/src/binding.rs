//! What evidence is bound to (PROTOCOL.md, section 3.2): this key, this session, this question.

use sha2::{Digest, Sha384};

use crate::{VERSION, session::Opening};

/// Label of the TLS exporter; its context is the opening's nonce.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-aegis/1 evidence";

/// Keying material exported from the inner TLS session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exporter(pub [u8; 32]);

/// A SubjectPublicKeyInfo in DER.
#[derive(Debug, Clone, Copy)]
pub struct Spki<'a>(pub &'a [u8]);

/// `user_data` of the document: which receipt key speaks for this enclave.
pub fn user_data(receipt_key: Spki<'_>) -> [u8; 48] {
    hash(&[b"aegis/1 user-data", &VERSION.to_be_bytes(), receipt_key.0])
}

/// `nonce` of the document: the client's question, the key it met and the session it is in.
pub fn nonce(opening: &[u8; Opening::LEN], spki: Spki<'_>, exporter: &Exporter) -> [u8; 48] {
    let key: [u8; 48] = Sha384::digest(spki.0).into();
    hash(&[b"aegis/1 nonce", opening, &key, &exporter.0])
}

/// SHA-384 over the fields, each behind its length as u32, so that no two lists of fields give
/// the same input.
fn hash(fields: &[&[u8]]) -> [u8; 48] {
    let mut sha = Sha384::new();
    for field in fields {
        // Fields are keys and frames of this protocol, far below 4 GiB.
        sha.update((field.len() as u32).to_be_bytes());
        sha.update(field);
    }
    sha.finalize().into()
}
