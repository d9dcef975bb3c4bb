//! Every published document of real hardware, at its own time, under AWS's root.
//!
//! The documents are no part of the project: `AEGIS_ATTESTATION_DOCUMENTS` names their folder, else
//! it is `../shared/attestation-documents` beside the workspace. Without it, one test says so and
//! is counted as ignored. Each document is a test of its own, so this file brings its own harness.

#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aegis_verifier::ChainMemory;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Nonce;
use aegis_verifier::Pcr;
use aegis_verifier::PcrIndex;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::error::CertificatePosition;
use aegis_verifier::error::ChainError;
use aegis_verifier::error::DebugError;
use aegis_verifier::error::PcrError;
use aegis_verifier::error::SignatureError;
use aegis_verifier::verify;
use aegis_verifier::verify_archived;
use aegis_verifier::verify_remembering;
use coset::CborSerializable;
use libtest_mimic::Arguments;
use libtest_mimic::Failed;
use libtest_mimic::Trial;
use serde_json::Value;

/// A document with what its manifest says of it.
struct Document {
    bytes: Vec<u8>,
    manifest: Value,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match documents() {
        Some(documents) => documents.into_iter().flat_map(trials_of).collect(),
        None => {
            eprintln!(
                "published attestation documents: not found, skipped; \
                 set AEGIS_ATTESTATION_DOCUMENTS to their folder"
            );
            vec![Trial::test("published_attestation_documents", || Ok(())).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn documents() -> Option<Vec<Document>> {
    let folder = env::var_os("AEGIS_ATTESTATION_DOCUMENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/attestation-documents"),
        PathBuf::from,
    );
    let manifest = fs::read(folder.join("manifest.json")).ok()?;
    let Value::Array(entries) = serde_json::from_slice(&manifest).unwrap() else {
        panic!("the manifest is an array")
    };
    assert_eq!(entries.len(), 31, "the manifest names 31 documents");
    let read = |manifest: Value| {
        let bytes = fs::read(folder.join(manifest["file"].as_str().unwrap())).unwrap();
        Document { bytes, manifest }
    };
    Some(entries.into_iter().map(read).collect())
}

type Check = fn(&Document);

fn trials_of(document: Document) -> Vec<Trial> {
    let genuine: &[(&str, Check)] = &[
        ("passes_archived_at_its_second", passes_archived_at_its_second),
        ("passes_live_at_its_timestamp", passes_live_at_its_timestamp),
        ("says_what_the_manifest_says", says_what_the_manifest_says),
        ("passes_with_tag_18", passes_with_tag_18),
        ("is_verified_alike_when_remembered", is_verified_alike_when_remembered),
        ("is_read_alike_by_coset", is_read_alike_by_coset),
        ("is_refused_in_debug_or_of_another_image", is_refused_in_debug_or_of_another_image),
        ("is_refused_with_a_changed_payload", refused_with_changed_payload),
        ("is_refused_with_another_signature", refused_with_another_signature),
        ("is_refused_a_day_later", is_refused_a_day_later),
        ("is_refused_a_month_earlier", is_refused_a_month_earlier),
        ("is_refused_under_another_root", is_refused_under_another_root),
    ];
    let checks: &[(&str, Check)] = match (flag(&document, "aws_root"), signature_valid(&document)) {
        (true, true) => genuine,
        (true, false) => &[("is_refused_for_its_signature", is_refused_for_its_signature)],
        (false, _) => &[("is_refused_for_its_root", is_refused_for_its_root)],
    };
    let document = Arc::new(document);
    let trial = |(name, check): &(&str, Check)| {
        let (document, check) = (Arc::clone(&document), *check);
        let name = format!("{}::{name}", document.manifest["file"].as_str().unwrap());
        Trial::test(name, move || -> Result<(), Failed> {
            check(&document);
            Ok(())
        })
    };
    checks.iter().map(trial).collect()
}

fn flag(document: &Document, name: &str) -> bool {
    document.manifest[name].as_bool().unwrap()
}

fn signature_valid(document: &Document) -> bool {
    flag(document, "cose_signature_valid")
}

/// The second the manifest gives: up to one before the document's timestamp.
fn its_second(document: &Document) -> UnixTime {
    UnixTime::from_secs(document.manifest["verify_at_unix_s"].as_u64().unwrap())
}

fn its_timestamp(document: &Document) -> UnixTime {
    UnixTime::from_millis(document.manifest["timestamp_ms"].as_u64().unwrap())
}

fn its_pcrs(document: &Document) -> Vec<(PcrIndex, Pcr)> {
    let pcrs = document.manifest["pcrs"].as_object().unwrap();
    let parse = |(index, value): (&String, &Value)| {
        let index = PcrIndex::new(index.parse().unwrap()).unwrap();
        (index, Pcr::from_hex(value.as_str().unwrap()).unwrap())
    };
    pcrs.iter().map(parse).collect()
}

/// The strictest policy the manifest allows to write: every register it names.
fn its_policy(document: &Document) -> Policy {
    let pcrs = its_pcrs(document);
    let (index, value) = pcrs[0];
    let set = pcrs
        .iter()
        .fold(MeasurementSet::dangerous_partial(index, value), |set, (i, v)| set.with(*i, *v));
    let policy = Policy::new(TrustAnchor::aws_nitro(), vec![set]);
    if flag(document, "debug_mode") { policy.dangerous_allow_debug() } else { policy }
}

fn any_challenge() -> Challenge<'static> {
    Challenge::dangerous_without_nonce()
}

fn refusal(document: &Document, bytes: &[u8], at: UnixTime) -> Error {
    verify_archived(bytes, &its_policy(document), &any_challenge(), at).unwrap_err()
}

fn passes_archived_at_its_second(document: &Document) {
    let policy = its_policy(document);
    let at = its_second(document);
    let enclave = verify_archived(&document.bytes, &policy, &any_challenge(), at).unwrap();
    assert_eq!(enclave.root_fingerprint(), RootFingerprint::AWS_NITRO_G1);
    assert_eq!(enclave.accepted_set(), Some(0));
    assert_eq!(enclave.claims().certificates().len(), 5);
}

fn passes_live_at_its_timestamp(document: &Document) {
    // That the nonce read is the manifest's is another test's: the manifest cuts long ones.
    let decoded = decode_without_verifying(&document.bytes).unwrap();
    let challenge = match decoded.claims().nonce() {
        Some(nonce) => Challenge::new(Nonce(nonce)),
        None => any_challenge(),
    };
    let at = its_timestamp(document);
    verify(&document.bytes, &its_policy(document), &challenge, at).unwrap();
}

fn says_what_the_manifest_says(document: &Document) {
    let decoded = decode_without_verifying(&document.bytes).unwrap();
    let claims = decoded.claims();
    assert_eq!(claims.module_id(), document.manifest["module_id"].as_str().unwrap());
    assert_eq!(claims.timestamp(), its_timestamp(document));
    assert_eq!(claims.pcrs().count() as u64, document.manifest["pcr_count"].as_u64().unwrap());
    for (index, value) in its_pcrs(document) {
        assert_eq!(claims.pcrs().value(index), Some(&value), "{index}");
    }
    for (name, field) in [
        ("public_key_hex", claims.public_key()),
        ("user_data_hex", claims.user_data()),
        ("nonce_hex", claims.nonce()),
    ] {
        let Some(expected) = document.manifest[name].as_str() else {
            assert_eq!(field, None, "{name}");
            continue;
        };
        let found = hex::encode(field.unwrap());
        // The manifest cuts long fields and names their length.
        match expected.split_once("...") {
            None => assert_eq!(found, expected, "{name}"),
            Some((start, rest)) => {
                assert!(found.starts_with(start), "{name}");
                assert_eq!(rest, format!("({} bytes)", found.len() / 2), "{name}");
            }
        }
    }
}

fn passes_with_tag_18(document: &Document) {
    let tagged = [&[0xd2], document.bytes.as_slice()].concat();
    verify_archived(&tagged, &its_policy(document), &any_challenge(), its_second(document))
        .unwrap();
}

fn is_verified_alike_when_remembered(document: &Document) {
    let mut memory = ChainMemory::new();
    let at = its_timestamp(document);
    let policy = its_policy(document);
    let mut check = |bytes: &[u8]| {
        verify_remembering(bytes, &policy, &any_challenge(), at, &mut memory)
            .map(|enclave| enclave.claims().clone())
    };
    let cold = check(&document.bytes).unwrap();
    assert_eq!(check(&document.bytes).unwrap(), cold);
    let mut changed = document.bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(check(&changed), Err(Error::Signature(SignatureError::Invalid)));
}

/// A second reader, independent of ours, sees the same document.
fn is_read_alike_by_coset(document: &Document) {
    let sign1 = coset::CoseSign1::from_slice(&document.bytes).unwrap();
    let payload: ciborium::Value =
        ciborium::from_reader(sign1.payload.as_deref().unwrap()).unwrap();
    let field = |name: &str| {
        payload
            .as_map()
            .unwrap()
            .iter()
            .find(|(key, _)| key.as_text() == Some(name))
            .unwrap()
            .1
            .clone()
    };
    let decoded = decode_without_verifying(&document.bytes).unwrap();
    let claims = decoded.claims();
    assert_eq!(field("module_id").as_text(), Some(claims.module_id()));
    assert_eq!(field("public_key").as_bytes().map(Vec::as_slice), claims.public_key());
    assert_eq!(field("user_data").as_bytes().map(Vec::as_slice), claims.user_data());
    assert_eq!(field("nonce").as_bytes().map(Vec::as_slice), claims.nonce());
    let leaf = claims.certificates().last().unwrap();
    assert_eq!(field("certificate").as_bytes().unwrap(), leaf);
    for (index, value) in field("pcrs").as_map().unwrap() {
        let index = u8::try_from(index.as_integer().unwrap()).unwrap();
        let ours = claims.pcrs().value(PcrIndex::new(index).unwrap()).unwrap();
        assert_eq!(value.as_bytes().unwrap(), ours.as_bytes());
    }
}

fn is_refused_in_debug_or_of_another_image(document: &Document) {
    let other = MeasurementSet::dangerous_partial(PcrIndex::IMAGE, Pcr::new([1; 48]));
    let policy = Policy::new(TrustAnchor::aws_nitro(), vec![other]);
    let at = its_second(document);
    let error = verify_archived(&document.bytes, &policy, &any_challenge(), at).unwrap_err();
    let expected = match flag(document, "debug_mode") {
        true => Error::Debug(DebugError::DebugEnclave),
        false => Error::Pcrs(PcrError::NotAccepted { index: PcrIndex::IMAGE, sets: 1 }),
    };
    assert_eq!(error, expected);
}

fn refused_with_changed_payload(document: &Document) {
    let sign1 = coset::CoseSign1::from_slice(&document.bytes).unwrap();
    let pcr = its_pcrs(document).iter().find(|(_, value)| !value.is_zero()).unwrap().1;
    let payload = sign1.payload.unwrap();
    let at = payload.windows(48).position(|window| window == pcr.as_bytes()).unwrap();
    let payload_start =
        document.bytes.windows(payload.len()).position(|window| window == payload).unwrap();
    let mut changed = document.bytes.clone();
    changed[payload_start + at] ^= 0x80;
    let policy = Policy::dangerous_any_measurement(TrustAnchor::aws_nitro());
    let error = verify_archived(&changed, &policy, &any_challenge(), its_second(document));
    assert_eq!(error.unwrap_err(), Error::Signature(SignatureError::Invalid));
}

fn refused_with_another_signature(document: &Document) {
    for bit in 0..8 {
        let mut changed = document.bytes.clone();
        *changed.last_mut().unwrap() ^= 1 << bit;
        let error = refusal(document, &changed, its_second(document));
        assert_eq!(error, Error::Signature(SignatureError::Invalid));
    }
}

fn is_refused_a_day_later(document: &Document) {
    let later = UnixTime::from_secs(its_second(document).as_secs() + 86_400);
    let error = refusal(document, &document.bytes, later);
    assert!(matches!(error, Error::Chain(ChainError::Expired { .. })), "{error}");
}

fn is_refused_a_month_earlier(document: &Document) {
    let earlier = UnixTime::from_secs(its_second(document).as_secs() - 30 * 86_400);
    let error = refusal(document, &document.bytes, earlier);
    let Error::Chain(ChainError::NotYetValid { at, .. }) = error else { panic!("{error}") };
    assert_eq!(at, CertificatePosition::CaBundle(1));
}

fn is_refused_under_another_root(document: &Document) {
    let trusted = RootFingerprint::new([7; 32]);
    let anchor = TrustAnchor::dangerous_development_root(trusted);
    let policy = Policy::dangerous_any_measurement(anchor);
    let at = its_second(document);
    let error = verify_archived(&document.bytes, &policy, &any_challenge(), at).unwrap_err();
    let found = RootFingerprint::AWS_NITRO_G1;
    assert_eq!(error, Error::Chain(ChainError::UntrustedRoot { found, trusted }));
}

fn is_refused_for_its_signature(document: &Document) {
    let error = refusal(document, &document.bytes, its_second(document));
    assert_eq!(error, Error::Signature(SignatureError::Invalid));
}

fn is_refused_for_its_root(document: &Document) {
    let error = refusal(document, &document.bytes, its_second(document));
    assert!(matches!(error, Error::Chain(ChainError::UntrustedRoot { .. })), "{error}");
}
