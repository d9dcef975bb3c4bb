//! The attester as a development enclave uses it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aegis_dev_attester::AttestRequest;
use aegis_dev_attester::AttesterError;
use aegis_dev_attester::DevelopmentAttester;
use aegis_dev_attester::PcrBank;
use aegis_dev_attester::development_pcrs;
use aegis_dev_attester::development_pcrs_of_file;
use coset::CborSerializable;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;

const NOW_MS: u64 = 1_750_000_000_123;
const PCRS: PcrBank = [[7; 48]; 16];

/// The payload's fields, read by another implementation than the writer's.
fn fields(document: &[u8]) -> Vec<(String, ciborium::Value)> {
    let sign1 = coset::CoseSign1::from_slice(document).unwrap();
    let payload: ciborium::Value = ciborium::from_reader(&sign1.payload.unwrap()[..]).unwrap();
    let entries = payload.into_map().unwrap();
    entries.into_iter().map(|(key, value)| (key.into_text().unwrap(), value)).collect()
}

fn field(document: &[u8], name: &str) -> ciborium::Value {
    fields(document).into_iter().find(|(key, _)| key == name).unwrap().1
}

#[test]
fn a_document_has_the_shape_that_aws_emits() {
    let attester = DevelopmentAttester::ephemeral();
    let request = AttestRequest { public_key: Some(b"key"), ..AttestRequest::default() };
    let document = attester.attest(&PCRS, &request, NOW_MS).unwrap();

    // Four elements without a tag; {1: -35} protected; nothing unprotected; a payload.
    assert_eq!(document[..9], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x59, document[8]]);
    let fields = fields(&document);
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "module_id",
            "digest",
            "timestamp",
            "pcrs",
            "certificate",
            "cabundle",
            "public_key",
            "user_data",
            "nonce"
        ]
    );
    assert_eq!(fields[1].1.as_text(), Some("SHA384"));
    assert_eq!(u64::try_from(fields[2].1.as_integer().unwrap()).unwrap(), NOW_MS);
    let pcrs = fields[3].1.as_map().unwrap();
    assert_eq!(pcrs.len(), 16);
    assert!(pcrs.iter().all(|(_, value)| value.as_bytes().unwrap() == &[7; 48]));
    let cabundle = fields[5].1.as_array().unwrap();
    assert_eq!(cabundle.len(), 4);
    assert_eq!(cabundle[0].as_bytes().unwrap(), attester.root_der());
    assert_eq!(fields[6].1.as_bytes().unwrap(), b"key");
    assert!(fields[7].1.is_null() && fields[8].1.is_null());
}

#[test]
fn the_root_outlives_the_attester_and_its_key_is_private() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let first = DevelopmentAttester::open_or_create(&state).unwrap();
    let second = DevelopmentAttester::open_or_create(&state).unwrap();
    assert_eq!(first.root_der(), second.root_der());
    assert_eq!(first.root_fingerprint(), <[u8; 32]>::from(Sha256::digest(first.root_der())));
    assert_eq!(fs::read(state.join("root.der")).unwrap(), first.root_der());
    let pem = pem::parse(fs::read(state.join("root.pem")).unwrap()).unwrap();
    assert_eq!((pem.tag(), pem.contents()), ("CERTIFICATE", first.root_der()));
    let mode = fs::metadata(state.join("root.key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // A second run issues a chain under the same root that the first one's readers accept.
    let document = second.attest(&PCRS, &AttestRequest::default(), NOW_MS).unwrap();
    let cabundle = field(&document, "cabundle").into_array().unwrap();
    assert_eq!(cabundle[0].as_bytes().unwrap(), first.root_der());
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    DevelopmentAttester::open_or_create(folder.path()).unwrap();
    let key = folder.path().join("root.key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = DevelopmentAttester::open_or_create(folder.path()).unwrap_err();
    assert!(matches!(error, AttesterError::KeyReadable { mode: 0o640, .. }), "{error}");
}

#[test]
fn a_key_of_another_root_is_refused() {
    let [ours, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let blocks = [&ours, &other].map(|folder| {
        DevelopmentAttester::open_or_create(folder.path()).unwrap();
        pem::parse_many(fs::read(folder.path().join("root.key.pem")).unwrap()).unwrap()
    });
    let mixed = [blocks[0][0].clone(), blocks[1][1].clone()];
    fs::write(ours.path().join("root.key.pem"), pem::encode_many(&mixed)).unwrap();
    let error = DevelopmentAttester::open_or_create(ours.path()).unwrap_err();
    assert!(matches!(error, AttesterError::Corrupt { .. }), "{error}");
}

#[test]
fn a_key_file_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    DevelopmentAttester::open_or_create(folder.path()).unwrap();
    fs::write(folder.path().join("root.key.pem"), "not a key").unwrap();
    let error = DevelopmentAttester::open_or_create(folder.path()).unwrap_err();
    assert!(matches!(error, AttesterError::Corrupt { .. }), "{error}");
}

#[test]
fn processes_that_start_at_once_share_a_root() {
    let folder = tempfile::tempdir().unwrap();
    // Two attesters have made a root before either looks: the second link finds the first one's.
    let roots: Vec<_> = std::thread::scope(|scope| {
        let open =
            || DevelopmentAttester::open_or_create(folder.path()).unwrap().root_fingerprint();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(roots.iter().all(|root| *root == roots[0]));
}

#[test]
fn fields_beyond_the_nsm_s_bounds_are_refused() {
    let attester = DevelopmentAttester::ephemeral();
    let long = [0; 1025];
    for (request, name) in [
        (AttestRequest { public_key: Some(&[]), ..AttestRequest::default() }, "public_key"),
        (AttestRequest { public_key: Some(&long), ..AttestRequest::default() }, "public_key"),
        (AttestRequest { user_data: Some(&long), ..AttestRequest::default() }, "user_data"),
        (AttestRequest { nonce: Some(&long), ..AttestRequest::default() }, "nonce"),
    ] {
        let error = attester.attest(&PCRS, &request, NOW_MS).unwrap_err();
        assert!(
            matches!(error, AttesterError::FieldLength { field, .. } if field == name),
            "{error}"
        );
    }
    let longest = AttestRequest {
        public_key: Some(&long[1..]),
        user_data: Some(&long[1..]),
        nonce: Some(&long[1..]),
    };
    attester.attest(&PCRS, &longest, NOW_MS).unwrap();
}

#[test]
fn times_outside_the_root_s_validity_are_refused() {
    let attester = DevelopmentAttester::ephemeral();
    for now_ms in [0, 1_704_067_199_999, 2_524_608_000_000, u64::MAX] {
        let error = attester.attest(&PCRS, &AttestRequest::default(), now_ms).unwrap_err();
        assert!(matches!(error, AttesterError::Clock { .. }), "{error}");
    }
}

#[test]
fn the_leaf_is_kept_for_its_three_hours_and_then_issued_anew() {
    let attester = DevelopmentAttester::ephemeral();
    let leaf_at = |now_ms| {
        let document = attester.attest(&PCRS, &AttestRequest::default(), now_ms).unwrap();
        field(&document, "certificate").into_bytes().unwrap()
    };
    let (hour_ms, first) = (3_600_000, leaf_at(NOW_MS));
    assert_eq!(leaf_at(NOW_MS + 2 * hour_ms), first);
    let second = leaf_at(NOW_MS + 3 * hour_ms);
    assert_ne!(second, first);
    // A clock set back finds the new leaf not yet valid, and gets another.
    assert_ne!(leaf_at(NOW_MS), second);
}

#[test]
fn pcrs_of_a_process_follow_the_documented_accumulation() {
    let executable = b"the bytes of some executable".repeat(5000);
    let extend = |measured: &[u8]| -> [u8; 48] {
        Sha384::digest([[0; 48], Sha384::digest(measured).into()].concat()).into()
    };
    let pcrs = development_pcrs(&executable);
    assert_eq!(pcrs[0], extend(&executable));
    assert_eq!(pcrs[1], extend(b"aegis development platform\n"));
    assert_eq!(pcrs[2], extend(&[b"aegis development program\n", &executable[..]].concat()));
    assert_eq!(pcrs[3..], [[0; 48]; 13]);

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &executable).unwrap();
    assert_eq!(development_pcrs_of_file(file.path()).unwrap(), pcrs);
}
