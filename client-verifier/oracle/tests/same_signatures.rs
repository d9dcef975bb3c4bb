//! Thousands of documents, genuine and spoilt: OpenSSL and the verifier agree on every signature.
//!
//! `AEGIS_ORACLE_DOCUMENTS` is how many, 3,000 by default. Documents are spoilt where their form
//! stays right, so that the verdict is on the signature alone.

#![allow(clippy::unwrap_used)]

use std::env;

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::IssuedChain;
use aegis_dev_attester::forge::SignedDocument;
use aegis_verifier::Challenge;
use aegis_verifier::ChainMemory;
use aegis_verifier::Error;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::error::SignatureError;
use aegis_verifier::verify_remembering;
use aws_nitro_enclaves_cose::CoseSign1;
use aws_nitro_enclaves_cose::crypto::Openssl;
use openssl::x509::X509;

const NOW_SECS: u64 = 1_750_000_000;

/// Numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn bytes(&mut self, max_length: usize) -> Vec<u8> {
        (0..=self.below(max_length)).map(|_| self.below(256) as u8).collect()
    }
}

/// A document and whether it was spoilt.
fn document(chain: &IssuedChain, numbers: &mut Numbers) -> (SignedDocument, bool) {
    let mut spec = DocumentSpec::like_aws(chain, NOW_SECS * 1000);
    spec.set_user_data(Some(&numbers.bytes(64)));
    // The nonce is the last thing in the payload, so its last byte is the payload's.
    spec.set_nonce(Some(&numbers.bytes(64)));
    let mut signed = spec.sign(chain);
    // Behind the two bytes of its head.
    let signature = &mut signed.signature[2..];
    let spoilt = match numbers.below(8) {
        0 => {
            *signed.payload.last_mut().unwrap() ^= 1 << numbers.below(8);
            true
        }
        1 => {
            signature[numbers.below(96)] ^= 1 << numbers.below(8);
            true
        }
        2 => {
            signature.rotate_left(48);
            true
        }
        3 => {
            signature[..48].fill(if numbers.below(2) == 0 { 0 } else { 0xff });
            true
        }
        4 => {
            // (r, n - s) is a signature wherever (r, s) is one.
            let (r, s) = p384::ecdsa::Signature::from_slice(signature).unwrap().split_scalars();
            let other = p384::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes());
            signature.copy_from_slice(&other.unwrap().to_bytes());
            false
        }
        _ => false,
    };
    (signed, spoilt)
}

fn openssl_agrees(bytes: &[u8], chain: &IssuedChain) -> bool {
    let key = X509::from_der(chain.leaf().der()).unwrap().public_key().unwrap();
    let sign1 = CoseSign1::from_bytes(bytes).unwrap();
    // An error is a refusal too: OpenSSL reports some impossible signatures so.
    sign1.verify_signature::<Openssl>(&key).unwrap_or(false)
}

#[test]
fn openssl_and_the_verifier_agree_on_every_signature() {
    let count = env::var("AEGIS_ORACLE_DOCUMENTS").map_or(3000, |text| text.parse().unwrap());
    let chain = ChainSpec::like_aws(NOW_SECS).issue();
    let root = RootFingerprint::new(chain.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(root);
    let policy = Policy::dangerous_any_measurement(anchor);
    let (challenge, now) = (Challenge::dangerous_without_nonce(), UnixTime::from_secs(NOW_SECS));
    // The chain is not what is compared.
    let mut memory = ChainMemory::new();
    let mut numbers = Numbers(0x00ae_0915_0c05_e516);
    let mut accepted = 0;
    for index in 0..count {
        let (signed, spoilt) = document(&chain, &mut numbers);
        let bytes = signed.encode();
        let ours = match verify_remembering(&bytes, &policy, &challenge, now, &mut memory) {
            Ok(_) => true,
            Err(Error::Signature(SignatureError::Invalid)) => false,
            Err(error) => panic!("document {index}: {error}"),
        };
        assert_eq!(ours, openssl_agrees(&bytes, &chain), "document {index}");
        assert_eq!(ours, !spoilt, "document {index}");
        accepted += usize::from(ours);
    }
    println!("{count} documents, {accepted} accepted by both");
    assert!(accepted > count / 3 && accepted < count);
}
