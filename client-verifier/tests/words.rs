//! What is shown to people and machines: names of steps and checks, sentences, findings, values.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aegis_dev_attester::AttestRequest;
use aegis_dev_attester::DevelopmentAttester;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::Finding;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Nonce;
use aegis_verifier::Pcr;
use aegis_verifier::PcrIndex;
use aegis_verifier::Policy;
use aegis_verifier::PublicKey;
use aegis_verifier::RootFingerprint;
use aegis_verifier::Step;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::UserData;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::error::AgeError;
use aegis_verifier::error::CborError;
use aegis_verifier::error::CborFault;
use aegis_verifier::error::CertificatePosition;
use aegis_verifier::error::ChainError;
use aegis_verifier::error::CoseError;
use aegis_verifier::error::DebugError;
use aegis_verifier::error::FieldError;
use aegis_verifier::error::Key;
use aegis_verifier::error::PayloadError;
use aegis_verifier::error::PcrError;
use aegis_verifier::error::SignatureError;
use aegis_verifier::error::SizeError;
use aegis_verifier::verify;
use aegis_verifier::verify_archived;

const NOW_MS: u64 = 1_750_000_000_250;

/// An error with its step, the name of its check, and its sentence.
fn assert_says(error: &Error, step: Step, name: &str, sentence: &str) {
    assert_eq!((error.step(), error.name()), (step, name));
    assert_eq!(error.to_string(), format!("{step}: {sentence}"));
}

#[test]
fn refusals_of_the_form_name_step_check_and_reason() {
    let fault = CborFault { offset: 7, error: CborError::Truncated };
    let size = Error::Size(SizeError::Empty);
    assert_says(&size, Step::Size, "empty", "the document is empty");
    let cose = Error::Cose(CoseError::Cbor { fault });
    let sentence =
        "the COSE_Sign1 structure is malformed at byte 7: the item ends beyond the input";
    assert_says(&cose, Step::Cose, "cbor", sentence);
    let payload = Error::Payload(PayloadError::NullKey { key: Key::CaBundle });
    assert_says(&payload, Step::Payload, "null_key", "the key cabundle is null");
    let signature = Error::Signature(SignatureError::Invalid);
    let sentence = "the document was not signed by its leaf certificate's key";
    assert_says(&signature, Step::Signature, "invalid", sentence);
}

#[test]
fn refusals_of_the_chain_name_the_certificate() {
    let authority = CertificatePosition::CaBundle(2);
    let key = Error::Chain(ChainError::KeyNotP384 { at: authority });
    let sentence = "the certificate at entry 2 of cabundle does not hold an uncompressed P-384 key";
    assert_says(&key, Step::Chain, "key_not_p384", sentence);
    let root = CertificatePosition::CaBundle(0);
    let usage = Error::Chain(ChainError::KeyUsageMissing { at: root });
    let sentence = "the root certificate has no key usage extension";
    assert_says(&usage, Step::Chain, "key_usage_missing", sentence);
    let (at, not_before) = (CertificatePosition::Leaf, UnixTime::from_secs(3));
    let now = UnixTime::from_millis(1500);
    let early = Error::Chain(ChainError::NotYetValid { at, not_before, now });
    let sentence = "the leaf certificate is valid from unix time 3.000, now is unix time 1.500; \
                    check this machine's clock";
    assert_says(&early, Step::Chain, "not_yet_valid", sentence);
}

#[test]
fn refusals_of_another_document_than_asked_for_name_step_check_and_reason() {
    let (age, max_age) = (Duration::from_secs(301), Duration::from_secs(300));
    let old = Error::Age(AgeError::TooOld { age, max_age });
    let sentence = "the document is 301s old, at most 300s is allowed; ask for a new one";
    assert_says(&old, Step::Age, "too_old", sentence);
    let debug = Error::Debug(DebugError::Pcr0Missing);
    assert_says(&debug, Step::Debug, "pcr0_missing", "the document does not list PCR0");
    let pcr = Error::Pcrs(PcrError::Missing { index: PcrIndex::SIGNING_CERTIFICATE });
    let sentence = "the document does not list PCR8, which the policy expects";
    assert_says(&pcr, Step::Pcrs, "missing", sentence);
    for (error, step) in [
        (Error::Nonce(FieldError::Absent), Step::Nonce),
        (Error::PublicKey(FieldError::Absent), Step::PublicKey),
        (Error::UserData(FieldError::Absent), Step::UserData),
    ] {
        assert_says(&error, step, "absent", "the document does not have the field");
    }
}

#[test]
fn steps_and_keys_have_the_names_of_the_design_and_the_payload() {
    let steps = Step::ALL.map(Step::name).join(" ");
    assert_eq!(
        steps,
        "size cose payload chain signature age debug pcrs nonce public_key user_data"
    );
    assert_eq!(format!("[{:<6}]", Step::Age), "[age   ]");
    let keys = Key::ALL.map(|key| key.to_string()).join(" ");
    assert_eq!(
        keys,
        "module_id digest timestamp pcrs certificate cabundle public_key user_data nonce"
    );
}

fn attester_and_document() -> (DevelopmentAttester, Vec<u8>) {
    let attester = DevelopmentAttester::ephemeral();
    let pcrs = std::array::from_fn(|index| [index as u8 + 1; 48]);
    let request =
        AttestRequest { public_key: Some(b"spki"), user_data: None, nonce: Some(b"nonce") };
    let document = attester.attest(&pcrs, &request, NOW_MS).unwrap();
    (attester, document)
}

fn image() -> ImageMeasurement {
    let [pcr0, pcr1, pcr2] = [1, 2, 3].map(|byte| Pcr::new([byte; 48]));
    ImageMeasurement { pcr0, pcr1, pcr2 }
}

#[test]
fn findings_say_what_was_found_and_what_was_not_checked() {
    let (attester, document) = attester_and_document();
    let root = RootFingerprint::new(attester.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(root);
    let policy = Policy::new(anchor.clone(), vec![image().into()]);
    let challenge = Challenge::new(Nonce(b"nonce"));
    let now = UnixTime::from_millis(NOW_MS + 2900);
    let enclave = verify(&document, &policy, &challenge, now).unwrap();
    let said: Vec<_> = enclave.findings().iter().map(ToString::to_string).collect();
    let expected = [
        format!("{} bytes of at most 16384", document.len()),
        "COSE_Sign1 without a tag, ES384".into(),
        format!("module {}, 16 PCRs", enclave.module_id()),
        format!(
            "5 certificates to root {root}, leaf valid to {}",
            enclave.leaf_validity().not_after
        ),
        "made by the leaf over the received bytes".into(),
        "2 s".into(),
        "not a debug enclave".into(),
        "equal to accepted measurement set 0".into(),
        "as expected".into(),
        "not checked: none was expected".into(),
        "not checked: none was expected".into(),
    ];
    assert_eq!(said, expected);
    let checked: Vec<_> = enclave.findings().iter().map(Finding::is_checked).collect();
    assert_eq!(checked, [[true; 9].as_slice(), &[false; 2]].concat());

    let any = Policy::dangerous_any_measurement(anchor);
    let archived = verify_archived(&document, &any, &challenge, now).unwrap();
    let unchecked: Vec<_> = archived.findings().iter().filter(|one| !one.is_checked()).collect();
    assert_eq!(unchecked[0].to_string(), "not checked: an archived document");
    assert_eq!(unchecked[1].to_string(), "not checked: the policy accepts any measurement");
    assert_eq!(unchecked.len(), 4);
    assert_eq!(archived.claims(), enclave.claims());
    let debug = Finding::Debug { debug: true };
    assert_eq!(debug.to_string(), "A DEBUG ENCLAVE, which the policy allows");
}

#[test]
fn a_decoded_document_shows_what_it_says() {
    let (attester, document) = attester_and_document();
    let decoded = decode_without_verifying(&document).unwrap();
    let claims = decoded.claims();
    assert_eq!(claims.timestamp(), UnixTime::from_millis(NOW_MS));
    assert_eq!((claims.public_key(), claims.user_data()), (Some(&b"spki"[..]), None));
    assert_eq!(claims.nonce(), Some(&b"nonce"[..]));
    assert_eq!(decoded.root_fingerprint().as_bytes(), &attester.root_fingerprint());
    let validity = decoded.leaf_validity().unwrap();
    assert_eq!(validity.not_before.as_secs(), NOW_MS / 1000 - 3);
    assert!(validity.contains(UnixTime::from_millis(NOW_MS)));
    assert!(!validity.contains(UnixTime::from_secs(NOW_MS / 1000 - 4)));
    let root = claims.certificates().next().unwrap();
    assert_eq!(RootFingerprint::of_certificate(root), decoded.root_fingerprint());
    let numbers: Vec<_> = claims.pcrs().iter().map(|(index, _)| index.number()).collect();
    assert_eq!(numbers, (0..16).collect::<Vec<_>>());
    let shown = format!("{:?}", claims.pcrs());
    assert!(
        shown.starts_with("{PcrIndex(0): Pcr(0101") && shown.contains("PcrIndex(15): Pcr(1010")
    );
}

#[test]
fn values_are_read_and_written_in_hexadecimal() {
    let digits = "0123456789abcdef".repeat(6);
    let pcr = Pcr::from_hex(&digits).unwrap();
    assert_eq!(pcr.as_bytes()[..3], [0x01, 0x23, 0x45]);
    assert_eq!((pcr.to_string(), format!("{pcr:?}")), (digits.clone(), format!("Pcr({digits})")));
    assert_eq!(Pcr::from_hex(&digits[1..]), None);
    let root = RootFingerprint::from_hex(&digits[..64]).unwrap();
    assert_eq!(root.to_string(), digits[..64]);
    assert_eq!(format!("{root:?}"), format!("RootFingerprint({root})"));
    assert_eq!(RootFingerprint::from_hex(&digits), None);
    assert_eq!(RootFingerprint::AWS_NITRO_G1.to_string()[..8], *"641a0321");
    assert_eq!((PcrIndex::new(31).unwrap().number(), PcrIndex::new(32)), (31, None));
    assert_eq!(PcrIndex::new(31).unwrap().to_string(), "PCR31");
    assert_eq!(format!("{:?}", Nonce(&[0xab, 1])), "Nonce(ab01 (2 bytes))");
    assert_eq!(format!("{:?}", PublicKey(&[])), "PublicKey( (0 bytes))");
    let long = format!("UserData({}... (65 bytes))", "07".repeat(64));
    assert_eq!(format!("{:?}", UserData(&[7; 65])), long);
}

#[test]
fn a_policy_tells_what_it_accepts() {
    let set = MeasurementSet::new(image()).with(PcrIndex::ROLE, Pcr::new([9; 48]));
    let policy = Policy::new(TrustAnchor::aws_nitro(), vec![set.clone()]);
    assert!(policy.anchor().is_aws_nitro());
    assert_eq!(policy.anchor().fingerprint(), RootFingerprint::AWS_NITRO_G1);
    assert_eq!(policy.accepted(), Some(&[set.clone()][..]));
    assert_eq!((policy.max_age().as_secs(), policy.max_future_skew().as_secs()), (300, 60));
    assert!(!policy.allows_debug());
    let changed = policy.with_max_age(Duration::from_secs(1)).dangerous_allow_debug();
    let changed = changed.with_max_future_skew(Duration::from_secs(2));
    assert_eq!((changed.max_age().as_secs(), changed.max_future_skew().as_secs()), (1, 2));
    assert!(changed.allows_debug());
    let other = TrustAnchor::dangerous_development_root(RootFingerprint::new([7; 32]));
    assert!(!other.is_aws_nitro());
    assert_eq!(Policy::dangerous_any_measurement(other).accepted(), None);
    let numbers: Vec<_> = set.iter().map(|(index, _)| index.number()).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(UnixTime::from_millis(1500).as_duration(), Duration::from_millis(1500));
}
