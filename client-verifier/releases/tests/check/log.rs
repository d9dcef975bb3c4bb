//! The log: its checkpoint, its witnesses, and that the list is in it.

use aegis_releases::{
    CheckpointError, Error, InclusionError, Kind, NoteError, Trust, UnixSeconds, WitnessError,
    check, checkpoint, merkle::TreeHead, sign, signature_line,
};

use crate::support::{Keys, Log, NOW, cosignature, judge, other, refused_bundle, signer};

fn witness_one() -> String {
    "witness.example/1".to_owned()
}

/// The error of list 3 with this checkpoint.
fn refused(make: impl Fn(&Keys, &Log) -> String) -> Error {
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    judge(&keys, &log.bundle_with(&make(&keys, &log)), None).unwrap_err()
}

#[test]
fn checkpoint_that_the_log_did_not_sign() {
    let error = refused(|keys, log| {
        let stranger = signer("log.example/aegis", Kind::Signature, 9);
        let _ = keys;
        checkpoint::sign(&log.head(), &stranger)
    });
    assert_eq!(error, CheckpointError::Unsigned.into());
}

#[test]
fn checkpoint_signed_by_a_release_key() {
    let error = refused(|keys, log| {
        let text = checkpoint::text("log.example/aegis", &log.head());
        sign(&text, &keys.alice)
    });
    assert_eq!(error, CheckpointError::Unsigned.into());
}

#[test]
fn checkpoint_changed_after_the_log_signed_it() {
    let error = refused(|keys, log| log.checkpoint(keys).replacen("\n3\n", "\n4\n", 1));
    assert_eq!(error, CheckpointError::SignatureWrong.into());
}

#[test]
fn checkpoint_of_another_origin() {
    let error =
        refused(|keys, log| sign(&checkpoint::text("log.example/other", &log.head()), &keys.log));
    let (found, expected) = ("log.example/other".to_owned(), "log.example/aegis".to_owned());
    assert_eq!(error, CheckpointError::Origin { found, expected }.into());
}

#[test]
fn checkpoint_with_extension_lines() {
    let error = refused(|keys, log| {
        sign(&(checkpoint::text("log.example/aegis", &log.head()) + "more\n"), &keys.log)
    });
    assert_eq!(error, CheckpointError::Extension.into());
}

#[test]
fn checkpoint_with_malformed_lines() {
    for (text, expected) in [
        ("\n3\nAAAA\n", "origin"),
        ("log.example/aegis\n03\nAAAA\n", "size"),
        ("log.example/aegis\n-3\nAAAA\n", "size"),
        ("log.example/aegis\n3\nAAAA\n", "root hash"),
        ("log.example/aegis\n3\n", "root hash"),
    ] {
        let error = refused(|keys, _| sign(text, &keys.log));
        assert_eq!(error, CheckpointError::Line { expected }.into(), "{text:?}");
    }
}

#[test]
fn checkpoint_that_is_no_note() {
    let error = refused(|_, _| "log.example/aegis\n".to_owned());
    assert_eq!(error, CheckpointError::Note { error: NoteError::NoSignatures }.into());
    let error = refused(|_, _| "a".repeat(16 * 1024 + 1));
    let bytes = 16 * 1024 + 1;
    assert_eq!(error, CheckpointError::Note { error: NoteError::TooLarge { bytes } }.into());
}

#[test]
fn no_witness_where_one_must_be() {
    let error = refused(|keys, log| checkpoint::sign(&log.head(), &keys.log));
    assert_eq!(error, WitnessError::Threshold { found: 0, needed: 1 }.into());
}

#[test]
fn one_witness_twice_counts_once() {
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    let once = log.checkpoint(&keys);
    let twice = once.clone() + &cosignature(&keys, &once, &keys.witnesses[0], NOW - 30);
    let trust = Trust::parse(&keys.trust_text(2, 2)).unwrap();
    let now = UnixSeconds(NOW);
    let error = check(&log.bundle_with(&twice), &trust, None, now).unwrap_err();
    assert_eq!(error, WitnessError::Threshold { found: 1, needed: 2 }.into());
    let both = once.clone() + &cosignature(&keys, &once, &keys.witnesses[1], NOW);
    assert!(check(&log.bundle_with(&both), &trust, None, now).is_ok());
}

#[test]
fn unknown_witness_is_not_counted() {
    let error = refused(|keys, log| {
        let checkpoint = checkpoint::sign(&log.head(), &keys.log);
        let stranger = signer("witness.example/9", Kind::Witness, 9);
        let line = cosignature(keys, &checkpoint, &stranger, NOW);
        checkpoint + &line
    });
    assert_eq!(error, WitnessError::Threshold { found: 0, needed: 1 }.into());
}

#[test]
fn cosignature_over_another_tree() {
    let error = refused(|keys, log| {
        let elsewhere = Log::of(keys, 2).checkpoint(keys);
        let line = cosignature(keys, &elsewhere, &keys.witnesses[0], NOW);
        checkpoint::sign(&log.head(), &keys.log) + &line
    });
    assert_eq!(error, WitnessError::Wrong { key: witness_one() }.into());
}

#[test]
fn cosignature_without_its_domain_is_none() {
    let error = refused(|keys, log| {
        let checkpoint = checkpoint::sign(&log.head(), &keys.log);
        let text = checkpoint::text("log.example/aegis", &log.head());
        // A plain signature of the witness's key: no timestamp in it.
        checkpoint + &signature_line(&text, &keys.witnesses[0])
    });
    assert_eq!(error, WitnessError::Timestamp { key: witness_one() }.into());
}

/// The checkpoint with the time in the first witness's cosignature replaced, and not signed anew.
fn with_time(keys: &Keys, log: &Log, time: u64) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let checkpoint = log.checkpoint(keys);
    let (head, encoded) = checkpoint.trim_end().rsplit_once(' ').unwrap();
    let mut blob = STANDARD.decode(encoded).unwrap();
    blob[4..12].copy_from_slice(&time.to_be_bytes());
    format!("{head} {}\n", STANDARD.encode(blob))
}

#[test]
fn cosignature_of_another_time() {
    let error = refused(|keys, log| with_time(keys, log, NOW));
    assert_eq!(error, WitnessError::Wrong { key: witness_one() }.into());
}

#[test]
fn cosignature_times_out_of_range() {
    for time in [0, 1 << 63, u64::MAX] {
        let error = refused(|keys, log| with_time(keys, log, time));
        assert_eq!(error, WitnessError::Timestamp { key: witness_one() }.into());
    }
}

#[test]
fn cosignature_from_the_future() {
    let at = |time: u64| {
        let keys = Keys::new();
        let log = Log::of(&keys, 3);
        let checkpoint = checkpoint::sign(&log.head(), &keys.log);
        let line = cosignature(&keys, &checkpoint, &keys.witnesses[0], time);
        judge(&keys, &log.bundle_with(&(checkpoint + &line)), None)
    };
    assert!(at(NOW + 60).is_ok());
    let (key, time) = (witness_one(), NOW + 61);
    assert_eq!(at(time).unwrap_err(), WitnessError::Future { key, time }.into());
}

#[test]
fn inclusion_proof_with_another_hash() {
    let error = refused_bundle(|bundle| bundle.proof.hashes[0] = other(bundle.proof.hashes[0]));
    assert_eq!(error, InclusionError::Root.into());
}

#[test]
fn inclusion_proof_of_another_length() {
    let error = refused_bundle(|bundle| bundle.proof.hashes.clear());
    assert_eq!(error, InclusionError::Root.into());
    let error = refused_bundle(|bundle| {
        let again = bundle.proof.hashes[0];
        bundle.proof.hashes.push(again);
    });
    assert_eq!(error, InclusionError::Root.into());
}

#[test]
fn inclusion_of_another_place() {
    assert_eq!(refused_bundle(|bundle| bundle.proof.index = 1), InclusionError::Root.into());
    let error = refused_bundle(|bundle| bundle.proof.index = 3);
    assert_eq!(error, InclusionError::Index { index: 3, size: 3 }.into());
}

#[test]
fn list_that_is_not_in_the_log() {
    let keys = Keys::new();
    let (log, mut elsewhere) = (Log::of(&keys, 3), Log::of(&keys, 2));
    elsewhere.push(b"something else");
    let checkpoint = elsewhere.checkpoint(&keys);
    let error = judge(&keys, &log.bundle_with(&checkpoint), None).unwrap_err();
    assert_eq!(error, InclusionError::Root.into());
}

#[test]
fn list_with_a_line_that_was_not_logged() {
    let stranger = signer("dave.example", Kind::Signature, 9);
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    let good = log.bundle(&keys);
    let mut bundle = aegis_releases::Bundle::parse(&good).unwrap();
    let line = signature_line("anything\n", &stranger);
    let longer = [bundle.list, line.as_bytes()].concat();
    bundle.list = &longer;
    let error = judge(&keys, &bundle.encode(), None).unwrap_err();
    assert_eq!(error, InclusionError::Root.into());
}

#[test]
fn empty_log_includes_nothing() {
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    let head = TreeHead { size: 0, root: log.head().root };
    let bundle = log.bundle_with(&checkpoint::sign(&head, &keys.log));
    let trust = Trust::parse(&keys.trust_text(2, 0)).unwrap();
    let error = check(&bundle, &trust, None, UnixSeconds(NOW)).unwrap_err();
    assert_eq!(error, InclusionError::Index { index: 2, size: 0 }.into());
}
