//! The development attester's documents pass, under its own root and no other.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aegis_dev_attester::AttestRequest;
use aegis_dev_attester::DevelopmentAttester;
use aegis_dev_attester::PcrBank;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::Finding;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Nonce;
use aegis_verifier::Pcr;
use aegis_verifier::Policy;
use aegis_verifier::PublicKey;
use aegis_verifier::RootFingerprint;
use aegis_verifier::Step;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::UserData;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::error::ChainError;
use aegis_verifier::verify;

const NOW_MS: u64 = 1_750_000_000_123;

fn pcrs() -> PcrBank {
    std::array::from_fn(|index| [index as u8 + 1; 48])
}

fn image() -> ImageMeasurement {
    let [pcr0, pcr1, pcr2, ..] = pcrs().map(Pcr::new);
    ImageMeasurement { pcr0, pcr1, pcr2 }
}

fn document(attester: &DevelopmentAttester) -> Vec<u8> {
    let request = AttestRequest {
        public_key: Some(b"spki"),
        user_data: Some(b"data"),
        nonce: Some(b"nonce"),
    };
    attester.attest(&pcrs(), &request, NOW_MS).unwrap()
}

fn challenge() -> Challenge<'static> {
    Challenge::new(Nonce(b"nonce"))
        .expecting_public_key(PublicKey(b"spki"))
        .expecting_user_data(UserData(b"data"))
}

#[test]
fn a_development_document_passes_every_step_under_its_root() {
    let attester = DevelopmentAttester::ephemeral();
    let fingerprint = RootFingerprint::new(attester.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(fingerprint);
    let policy = Policy::new(anchor, vec![image().into()]);
    let now = UnixTime::from_millis(NOW_MS + 1500);
    let enclave = verify(&document(&attester), &policy, &challenge(), now).unwrap();

    assert_eq!(enclave.public_key(), Some(&b"spki"[..]));
    assert_eq!(enclave.user_data(), Some(&b"data"[..]));
    assert_eq!(enclave.timestamp(), UnixTime::from_millis(NOW_MS));
    assert_eq!(enclave.root_fingerprint(), fingerprint);
    assert_eq!(enclave.accepted_set(), Some(0));
    assert_eq!(enclave.leaf_validity().not_before, UnixTime::from_secs(NOW_MS / 1000 - 3));
    assert!(enclave.module_id().starts_with("i-") && enclave.module_id().contains("-enc"));
    let steps: Vec<_> = enclave.findings().iter().map(|finding| finding.step()).collect();
    assert_eq!(steps, Step::ALL);
    assert!(enclave.findings().iter().all(|finding| finding.is_checked()));
}

#[test]
fn what_each_step_found_is_told() {
    let attester = DevelopmentAttester::ephemeral();
    let root = RootFingerprint::new(attester.root_fingerprint());
    let policy = Policy::new(TrustAnchor::dangerous_development_root(root), vec![image().into()]);
    let now = UnixTime::from_millis(NOW_MS + 1500);
    let untagged = document(&attester);
    let tagged = [&[0xd2], untagged.as_slice()].concat();
    for (bytes, is_tagged) in [(untagged, false), (tagged, true)] {
        assert_eq!(decode_without_verifying(&bytes).unwrap().is_tagged(), is_tagged);
        let enclave = verify(&bytes, &policy, &challenge(), now).unwrap();
        let expected = [
            Finding::Size { bytes: bytes.len() },
            Finding::Cose { tagged: is_tagged },
            Finding::Payload { module_id: enclave.module_id().into(), pcrs: 16 },
            Finding::Chain {
                certificates: 5,
                root,
                leaf_validity: enclave.leaf_validity(),
                remembered: false,
            },
            Finding::Signature,
            Finding::Age { age: Some(Duration::from_millis(1500)) },
            Finding::Debug { debug: false },
            Finding::Pcrs { accepted_set: Some(0) },
            Finding::Nonce { checked: true },
            Finding::PublicKey { checked: true },
            Finding::UserData { checked: true },
        ];
        assert_eq!(enclave.findings(), expected);
    }
}

#[test]
fn a_development_document_is_refused_under_aws_s_root() {
    let attester = DevelopmentAttester::ephemeral();
    let policy = Policy::new(TrustAnchor::aws_nitro(), vec![image().into()]);
    let now = UnixTime::from_millis(NOW_MS);
    let error = verify(&document(&attester), &policy, &challenge(), now).unwrap_err();
    let found = RootFingerprint::new(attester.root_fingerprint());
    let trusted = RootFingerprint::AWS_NITRO_G1;
    assert_eq!(error, Error::Chain(ChainError::UntrustedRoot { found, trusted }));
}

#[test]
fn the_second_of_two_accepted_sets_is_named() {
    let attester = DevelopmentAttester::ephemeral();
    let fingerprint = RootFingerprint::new(attester.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(fingerprint);
    let older = MeasurementSet::new(ImageMeasurement { pcr0: Pcr::new([9; 48]), ..image() });
    let policy = Policy::new(anchor, vec![older, image().into()]);
    let now = UnixTime::from_millis(NOW_MS);
    let enclave = verify(&document(&attester), &policy, &challenge(), now).unwrap();
    assert_eq!(enclave.accepted_set(), Some(1));
}
