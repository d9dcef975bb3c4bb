//! Receipts out of an archive: a valid one passes, and each defect alone is refused by the check that
//! is meant for it.
#![allow(clippy::unwrap_used)]

use aegis_client::{
    ANSWER_CUT, Content, Receipt, ReceiptError, Release, Statement, Transcript, Trust,
};
use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
use aegis_verifier::{ImageMeasurement, Pcr, RootFingerprint, TrustAnchor};
use aegis_wire::{
    binding::{self, Exporter, Spki},
    control::{COUNTS, Custody, Source},
    receipt::{cose_sign1, to_be_signed},
    session::{Mode, Opening},
};
use aws_lc_rs::{
    digest,
    encoding::AsDer,
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

const BEGUN_MS: u64 = 1_795_000_000_000;
const SENT: &[u8] = b"what was asked";
const RECEIVED: &[u8] = b"what was answered";

/// One boot of one enclave, and one session with it.
struct Case {
    attester: DevelopmentAttester,
    key: EcdsaKeyPair,
    transcript: Transcript,
    statement: Statement,
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn generated() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()
}

fn pcrs() -> [[u8; 48]; 16] {
    std::array::from_fn(|at| [at as u8 + 1; 48])
}

impl Case {
    fn new() -> Self {
        let (attester, key) = (DevelopmentAttester::ephemeral(), generated());
        let transcript = transcript(&attester, &key, [7; 32]);
        let content = |body: &[u8]| Content {
            kind: Some(b"application/json".to_vec()),
            encoding: None,
            digest: sha256(body),
            bytes: body.len() as u64,
        };
        let mut counts = [None; COUNTS];
        counts[0] = Some(12);
        let statement = Statement {
            measurement: [1, 2, 3].map(|byte| vec![byte; 48]),
            session: session(&transcript),
            boot: vec![9; 16],
            request: 5,
            provider: "api.openai.com".into(),
            method: "POST".into(),
            target: "/v1/x?a=1".into(),
            sent: content(SENT),
            status: 200,
            received: content(RECEIVED),
            provider_id: Some(b"req_made_up".to_vec()),
            custody: Custody::Host,
            owner: None,
            attempts: 1,
            source: Source::Provider,
            counts,
            label: Some("mock-1".into()),
            time_ms: BEGUN_MS + 5_000,
            incomplete: 0,
        };
        Self { attester, key, transcript, statement }
    }

    fn trust(&self) -> Trust {
        let root = RootFingerprint::new(self.attester.root_fingerprint());
        let [pcr0, pcr1, pcr2] = [1, 2, 3].map(|byte| Pcr::new([byte; 48]));
        let release = Release { number: 7, measurement: ImageMeasurement { pcr0, pcr1, pcr2 } };
        Trust::new(TrustAnchor::dangerous_development_root(root), &[release]).unwrap()
    }

    fn signed(&self, payload: &[u8]) -> Vec<u8> {
        sign(&self.key, payload)
    }

    fn verify(&self, receipt: &[u8]) -> Result<Receipt, ReceiptError> {
        Receipt::verify_archived(receipt, &self.transcript, &self.trust())
    }

    /// A receipt that states something else, signed by the enclave.
    fn stating(&self, change: impl FnOnce(&mut Statement)) -> Result<Receipt, ReceiptError> {
        let mut statement = self.statement.clone();
        change(&mut statement);
        self.verify(&self.signed(&statement.encode()))
    }
}

fn sign(key: &EcdsaKeyPair, payload: &[u8]) -> Vec<u8> {
    let signature = key.sign(&SystemRandom::new(), &to_be_signed(payload)).unwrap();
    cose_sign1(payload, signature.as_ref().try_into().unwrap())
}

fn session(transcript: &Transcript) -> Vec<u8> {
    let exporter = Exporter(transcript.exporter);
    binding::nonce(&transcript.opening, Spki(&transcript.spki), &exporter).to_vec()
}

/// A session whose opening has this nonce.
fn transcript(attester: &DevelopmentAttester, key: &EcdsaKeyPair, nonce: [u8; 32]) -> Transcript {
    let receipt_key = key.public_key().as_der().unwrap().as_ref().to_vec();
    let opening = Opening { mode: Mode::Http2, padding: false, nonce }.encode();
    let (spki, exporter) = (vec![5; 91], [6; 32]);
    let document = Vec::new();
    let mut transcript = Transcript { opening, spki, exporter, document, receipt_key };
    let user_data = binding::user_data(Spki(&transcript.receipt_key));
    let request = AttestRequest {
        public_key: Some(&transcript.spki),
        user_data: Some(&user_data),
        nonce: Some(&session(&transcript)),
    };
    transcript.document = attester.attest(&pcrs(), &request, BEGUN_MS).unwrap();
    transcript
}

#[test]
fn a_receipt_is_verified_with_what_was_kept_of_its_session() {
    let case = Case::new();
    let receipt = case.stating(|_| {}).unwrap();
    assert_eq!(receipt.statement(), &case.statement);
    assert_eq!((receipt.release(), receipt.is_complete()), (7, true));
    receipt.check_request_body(SENT).unwrap();
    receipt.check_answer_body(RECEIVED).unwrap();
    assert!(!case.stating(|stated| stated.incomplete = ANSWER_CUT).unwrap().is_complete());
}

#[test]
fn no_byte_of_a_receipt_can_be_changed() {
    let case = Case::new();
    let good = case.signed(&case.statement.encode());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let refused = case.verify(&bad).unwrap_err();
        let expected = [ReceiptError::Form, ReceiptError::Signature];
        assert!(expected.contains(&refused), "byte {at}: {refused}");
    }
}

#[test]
fn a_receipt_cut_or_followed_by_something_is_none() {
    let case = Case::new();
    let good = case.signed(&case.statement.encode());
    for len in 0..good.len() {
        assert_eq!(case.verify(&good[..len]), Err(ReceiptError::Form), "cut to {len}");
    }
    let followed = [&good[..], b"\0"].concat();
    assert_eq!(case.verify(&followed), Err(ReceiptError::Form));
    let long = vec![0; 200_000];
    assert_eq!(case.verify(&long), Err(ReceiptError::Size(200_000)));
}

#[test]
fn another_key_s_signature() {
    let case = Case::new();
    let receipt = sign(&generated(), &case.statement.encode());
    assert_eq!(case.verify(&receipt), Err(ReceiptError::Signature));
}

#[test]
fn a_key_that_the_evidence_does_not_name() {
    let mut case = Case::new();
    let key = generated();
    case.transcript.receipt_key = key.public_key().as_der().unwrap().as_ref().to_vec();
    let refused = case.verify(&sign(&key, &case.statement.encode())).unwrap_err();
    assert!(refused.to_string().starts_with(&evidence("user_data")), "{refused}");
}

#[test]
fn another_session_of_the_same_boot() {
    let case = Case::new();
    let transcript = transcript(&case.attester, &case.key, [8; 32]);
    let receipt = case.signed(&case.statement.encode());
    let refused = Receipt::verify_archived(&receipt, &transcript, &case.trust());
    assert_eq!(refused, Err(ReceiptError::Session));
}

fn evidence(step: &str) -> String {
    format!("the evidence is refused at step {step}")
}

fn refused_evidence(change: impl FnOnce(&mut Transcript)) -> String {
    let mut case = Case::new();
    change(&mut case.transcript);
    let refused = case.stating(|_| {}).unwrap_err();
    refused.to_string().split(": ").next().unwrap().to_owned()
}

#[test]
fn another_frame_exporter_key_or_document() {
    assert!(refused_evidence(|t| t.opening[40] ^= 1).starts_with(&evidence("nonce")));
    assert!(refused_evidence(|t| t.exporter[0] ^= 1).starts_with(&evidence("nonce")));
    assert!(refused_evidence(|t| t.spki[0] ^= 1).starts_with("the evidence is refused"));
    let other = Case::new();
    let foreign = other.transcript.document.clone();
    assert!(refused_evidence(|t| t.document = foreign).starts_with(&evidence("chain")));
    assert!(refused_evidence(|t| t.document.clear()).starts_with(&evidence("size")));
    let last = |t: &mut Transcript| *t.document.last_mut().unwrap() ^= 1;
    assert!(refused_evidence(last).starts_with(&evidence("signature")));
}

#[test]
fn a_release_that_is_not_accepted() {
    let case = Case::new();
    let root = RootFingerprint::new(case.attester.root_fingerprint());
    let measurement = ImageMeasurement {
        pcr0: Pcr::new([8; 48]),
        pcr1: Pcr::new([2; 48]),
        pcr2: Pcr::new([3; 48]),
    };
    let release = Release { number: 7, measurement };
    let anchor = TrustAnchor::dangerous_development_root(root);
    let trust = Trust::new(anchor, &[release]).unwrap();
    let receipt = case.signed(&case.statement.encode());
    let refused = Receipt::verify_archived(&receipt, &case.transcript, &trust).unwrap_err();
    assert!(refused.to_string().starts_with(&evidence("pcrs")), "{refused}");
}

#[test]
fn another_measurement_than_the_evidence_proves() {
    let case = Case::new();
    for register in 0..3 {
        let stated = case.stating(|stated| stated.measurement[register][47] ^= 1);
        assert_eq!(stated, Err(ReceiptError::Measurement), "PCR{register}");
    }
}

#[test]
fn a_time_outside_the_session_s_life() {
    let case = Case::new();
    for time_ms in [0, BEGUN_MS - 1, BEGUN_MS + 3 * 3_600_000, u64::MAX] {
        let stated = case.stating(|stated| stated.time_ms = time_ms);
        assert_eq!(stated, Err(ReceiptError::Time), "{time_ms}");
    }
    assert!(case.stating(|stated| stated.time_ms = BEGUN_MS + 3_600_000).is_ok());
}

#[test]
fn another_body_or_a_part_of_it() {
    let receipt = Case::new().stating(|_| {}).unwrap();
    for body in [&b""[..], b"what was asked!", &SENT[..5], RECEIVED] {
        assert_eq!(receipt.check_request_body(body), Err(ReceiptError::RequestBody));
    }
    for body in [&b""[..], b"What was answered", &RECEIVED[1..], SENT] {
        assert_eq!(receipt.check_answer_body(body), Err(ReceiptError::AnswerBody));
    }
    let longer = Case::new().stating(|stated| stated.sent.bytes += 1).unwrap();
    assert_eq!(longer.check_request_body(SENT), Err(ReceiptError::RequestBody));
}

#[test]
fn what_is_signed_must_be_in_the_one_encoding() {
    let case = Case::new();
    let good = case.statement.encode();
    let field = |payload: &[u8]| match case.verify(&case.signed(payload)) {
        Err(ReceiptError::Field(field)) => field,
        other => panic!("{other:?}"),
    };
    // The map has 23 pairs, the first is the version.
    assert_eq!(good[..3], [0xa0 + 23, 1, 1]);
    let version = [&good[..2], &[2], &good[3..]].concat();
    assert_eq!(field(&version), "encoding");
    let longer = [&good[..2], &[0x18, 1], &good[3..]].concat();
    assert_eq!(field(&longer), "encoding");
    let unknown = [&[0xb8, 24], &good[1..], &[0x18, 99, 0]].concat();
    assert_eq!(field(&unknown), "encoding");
    let twice = [&[0xb8, 24], &good[1..], &[0x18, 26, 0]].concat();
    assert_eq!(field(&twice), "encoding");
    let trailing = [&good[..], &[0]].concat();
    assert_eq!(field(&trailing), "encoding");
    let missing = [&[0xa0 + 22], &good[1..good.len() - 3]].concat();
    assert_eq!(field(&missing), "completeness");
    assert_eq!(field(b"\xff"), "CBOR");
    assert_eq!(field(b"\x01"), "map");
}
