//! The portable backend: RustCrypto's p384 and sha2.

use p384::ecdsa::Signature;
use p384::ecdsa::VerifyingKey;
use p384::ecdsa::signature::Verifier;
use rustls_pki_types::AlgorithmIdentifier;
use rustls_pki_types::InvalidSignature;
use rustls_pki_types::SignatureVerificationAlgorithm;
use rustls_pki_types::alg_id;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;

/// The one algorithm a certificate may be signed with.
pub(crate) static CERTIFICATE_SIGNATURES: &[&dyn SignatureVerificationAlgorithm] =
    &[&EcdsaP384Sha384];

#[derive(Debug)]
struct EcdsaP384Sha384;

impl SignatureVerificationAlgorithm for EcdsaP384Sha384 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        match verify(public_key, message, &signature) {
            true => Ok(()),
            false => Err(InvalidSignature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA384
    }
}

/// Whether `signature` (r and s, 48 bytes each) over `message` was made by the key at `point`.
pub(crate) fn verify_es384(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| verify(point, message, &signature))
}

fn verify(point: &[u8], message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_sec1_bytes(point).is_ok_and(|key| key.verify(message, signature).is_ok())
}

pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

pub(crate) fn sha384(data: &[u8]) -> [u8; 48] {
    Sha384::digest(data).into()
}
