//! Hostile bytes: no panic, and nothing passes that says something else than what was signed.
//!
//! Property tests on stable Rust, whose counts are proptest's (`PROPTEST_CASES` raises them), and in
//! `kept` the bodies of the libFuzzer targets over their kept corpus.

#![allow(clippy::unwrap_used)]

mod bodies;
mod corpus;
mod kept;

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::Extension;
use aegis_dev_attester::forge::cbor;
use aegis_verifier::ChainMemory;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::Step;
use aegis_verifier::TrustAnchor;
use aegis_verifier::VerifiedEnclave;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::verify_remembering;
use ciborium::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::bodies::BYTES;
use crate::bodies::CHAIN;
use crate::bodies::DOCUMENT;
use crate::bodies::NOW;
use crate::bodies::NOW_SECS;
use crate::bodies::assert_read_alike;
use crate::bodies::document_under;

fn judge(
    bytes: &[u8],
    chain: &aegis_dev_attester::forge::IssuedChain,
) -> Result<VerifiedEnclave, Error> {
    bodies::judge(bytes, RootFingerprint::new(chain.root_fingerprint()))
}

/// A change to a byte string at a place chosen later.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let range = |index: &Index, bytes: &[u8], length: u8| {
            let start = index.index(bytes.len());
            start..(start + usize::from(length)).min(bytes.len())
        };
        match self {
            _ if bytes.is_empty() => {}
            Self::Replace(index, byte) => *index.get_mut(bytes) = *byte,
            Self::Insert(index, content) => {
                let at = index.index(bytes.len());
                bytes.splice(at..at, content.iter().copied());
            }
            Self::Remove(index, length) => {
                let range = range(index, bytes, *length);
                bytes.drain(range);
            }
            Self::Repeat(index, length) => {
                let range = range(index, bytes, *length);
                bytes.extend_from_within(range);
            }
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    // Bytes that begin CBOR or DER items are likelier than others.
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&[0xf6, 0xbf, 0x9f, 0x5f, 0xff, 0xd2, 0x58, 0x59, 0x30, 0x82][..])
    ];
    let edit = prop_oneof![
        4 => (any::<Index>(), byte.clone()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        1 => (any::<Index>(), vec(byte, 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (any::<Index>(), 1..64_u8).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (any::<Index>(), 1..64_u8).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ];
    vec(edit, 1..4)
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Integer(n.into())),
        any::<f64>().prop_map(Value::Float),
        vec(any::<u8>(), 0..64).prop_map(Value::Bytes),
        vec(any::<u8>(), 48).prop_map(Value::Bytes),
        prop::sample::select(&["SHA384", "i-0", "nonce", "pcrs", ""][..])
            .prop_map(|text| Value::Text(text.into())),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::Array),
            vec((inner.clone(), inner.clone()), 0..8).prop_map(Value::Map),
            (any::<u64>(), inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(
            proptest::test_runner::FileFailurePersistence::WithSource("regressions"),
        )),
        ..ProptestConfig::default()
    })]

    #[test]
    fn noise_is_refused(bytes in vec(any::<u8>(), 0..17_000)) {
        prop_assert!(judge(&bytes, &CHAIN).is_err());
        prop_assert!(decode_without_verifying(&bytes).is_err());
    }

    #[test]
    fn changed_documents_say_nothing_new(edits in edits()) {
        let mut bytes = BYTES.clone();
        edits.iter().for_each(|edit| edit.apply(&mut bytes));
        if let Ok(enclave) = judge(&bytes, &CHAIN) {
            let original = judge(&BYTES, &CHAIN).unwrap();
            prop_assert_eq!(enclave.claims(), original.claims());
        }
    }

    #[test]
    fn changed_and_signed_payloads_are_read_as_others_read_them(edits in edits()) {
        let mut payload = DOCUMENT.payload();
        edits.iter().for_each(|edit| edit.apply(&mut payload));
        let bytes = DOCUMENT.sign_payload(payload, &CHAIN).encode();
        match judge(&bytes, &CHAIN) {
            Ok(enclave) => assert_read_alike(&bytes, enclave.claims()),
            // The signature is right, whatever it is over.
            Err(error) => prop_assert_ne!(error.step(), Step::Signature),
        }
    }

    #[test]
    fn signed_values_of_any_type_are_refused_or_read_alike(
        key in 0..9_usize,
        value in any_value(),
    ) {
        let mut document = DOCUMENT.clone();
        document.entries[key].1.clear();
        ciborium::into_writer(&value, &mut document.entries[key].1).unwrap();
        let bytes = document.sign(&CHAIN).encode();
        if let Ok(enclave) = judge(&bytes, &CHAIN) {
            assert_read_alike(&bytes, enclave.claims());
        }
    }

    #[test]
    fn changed_certificates_are_refused(which in 0..5_usize, edits in edits()) {
        let mut chain = ChainSpec::like_aws(NOW_SECS).issue();
        let root = RootFingerprint::new(chain.root_fingerprint());
        let leaf = chain.leaf().der().to_vec();
        let certificate = chain.cabundle.get(which).unwrap_or(&leaf).clone();
        let mut changed = certificate.clone();
        edits.iter().for_each(|edit| edit.apply(&mut changed));
        prop_assume!(changed != certificate);
        let mut document = document_under(&chain);
        match chain.cabundle.get_mut(which) {
            Some(entry) => {
                *entry = changed;
                document = document_under(&chain);
            }
            None => document.set("certificate", cbor::bytes(&changed)),
        }
        let bytes = document.sign(&chain).encode();
        prop_assert!(bodies::judge(&bytes, root).is_err());
        // A memory that has seen nothing changes no verdict.
        let mut memory = ChainMemory::new();
        let anchor = TrustAnchor::dangerous_development_root(root);
        let policy = Policy::dangerous_any_measurement(anchor);
        let challenge = Challenge::dangerous_without_nonce();
        prop_assert!(verify_remembering(&bytes, &policy, &challenge, NOW, &mut memory).is_err());
        prop_assert_eq!(memory.count(), 0);
    }

    #[test]
    fn any_signed_extension_is_judged_without_panic(
        which in 0..5_usize,
        number in any::<u8>(),
        critical in any::<bool>(),
        value in vec(any::<u8>(), 0..64),
    ) {
        let mut spec = ChainSpec::like_aws(NOW_SECS);
        let identifier = vec![0x55, 0x1d, number & 0x7f];
        spec.certificates[which].extensions.push(Extension::Raw { identifier, critical, value });
        let chain = spec.issue();
        let verdict = judge(&document_under(&chain).sign(&chain).encode(), &chain);
        if let Err(error) = verdict {
            prop_assert_eq!(error.step(), Step::Chain);
        }
    }
}

/// The seeds of the properties above pass unchanged, or the properties would show nothing.
#[test]
fn the_unchanged_document_passes() {
    let enclave = judge(&BYTES, &CHAIN).unwrap();
    assert_read_alike(&BYTES, enclave.claims());
}
