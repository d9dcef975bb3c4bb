//! What was accepted before: old, forked and frozen lists and logs; and what a witness refuses.

use aegis_releases::{
    Bundle, HistoryError, Seen, StateError, UnixSeconds, WitnessRefusal, checkpoint, cosign,
    merkle::TreeHead,
};

use crate::support::{DAY, Keys, Log, NOW, judge, other, seen, signed, text};

#[test]
fn next_list_is_accepted_and_remembered() {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 3));
    let accepted = judge(&keys, &Log::of(&keys, 5).bundle(&keys), Some(&before)).unwrap();
    assert_eq!((accepted.seen().sequence(), accepted.seen().head().size), (5, 5));
    assert!(!accepted.is_first());
    // The same once more.
    let again = judge(&keys, &Log::of(&keys, 5).bundle(&keys), Some(accepted.seen())).unwrap();
    assert_eq!(again.seen(), accepted.seen());
}

#[test]
fn lower_sequence_is_an_old_list() {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 5));
    let error = judge(&keys, &Log::of(&keys, 4).bundle(&keys), Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::Old { sequence: 4, seen: 5 }.into());
    assert_eq!(error.name(), "old");
}

#[test]
fn old_list_in_a_newer_log() {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 5));
    let log = Log::of(&keys, 6);
    let checkpoint = log.checkpoint(&keys);
    let old = log.tree.bundle(3, &log.entries[3], checkpoint.as_bytes(), None).unwrap();
    let error = judge(&keys, &old, Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::Old { sequence: 4, seen: 5 }.into());
}

#[test]
fn same_sequence_with_another_text_is_a_fork() {
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    let before = seen(&keys, &log);
    let mut forked = log.clone();
    let text = text(3).replacen("minimum 5", "minimum 6", 1);
    forked.push(signed(&keys, &text).as_bytes());
    let error = judge(&keys, &forked.bundle(&keys), Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::Forked { sequence: 3 }.into());
    assert_eq!(error.name(), "forked");
}

#[test]
fn smaller_tree_is_an_old_log() {
    let keys = Keys::new();
    let mut long = Log::of(&keys, 3);
    let short = long.bundle(&keys);
    long.push(b"something that a client never saw");
    let checkpoint = long.checkpoint(&keys);
    let bundle = long.tree.bundle(2, &long.entries[2], checkpoint.as_bytes(), None).unwrap();
    let before = judge(&keys, &bundle, None).unwrap().seen().clone();
    let error = judge(&keys, &short, Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::LogOld { size: 3, seen: 4 }.into());
}

/// A log whose entry 1 is another one.
fn rewritten(keys: &Keys, count: u64) -> Log {
    let mut log = Log::of(keys, 1);
    log.push(b"another second entry");
    for sequence in 3..=count {
        log.push(signed(keys, &text(sequence)).as_bytes());
    }
    log
}

#[test]
fn rewritten_log_is_a_fork() {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 3));
    for size in [3, 4, 8] {
        let forked = rewritten(&keys, size).bundle(&keys);
        let error = judge(&keys, &forked, Some(&before)).unwrap_err();
        assert_eq!(error, HistoryError::LogForked { seen: 3, size }.into());
        assert_eq!(error.name(), "log_forked");
    }
}

/// The error of list 6 after a change to the proof from 3.
fn consistency_error(change: impl FnOnce(&mut Vec<aegis_releases::merkle::Hash>)) -> String {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 3));
    let good = Log::of(&keys, 6).bundle(&keys);
    let mut bundle = Bundle::parse(&good).unwrap();
    let proof = bundle.consistency.iter_mut().find(|proof| proof.from == 3).unwrap();
    change(&mut proof.hashes);
    let error = judge(&keys, &bundle.encode(), Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::LogForked { seen: 3, size: 6 }.into());
    error.name().to_owned()
}

#[test]
fn consistency_proof_with_another_hash() {
    for at in 0..2 {
        consistency_error(|hashes| hashes[at] = other(hashes[at]));
    }
}

#[test]
fn consistency_proof_of_another_length() {
    consistency_error(|hashes| hashes.truncate(hashes.len() - 1));
    consistency_error(Vec::clear);
    consistency_error(|hashes| hashes.push(hashes[0]));
}

#[test]
fn no_consistency_proof_from_what_was_seen() {
    let keys = Keys::new();
    let before = seen(&keys, &Log::of(&keys, 3));
    let good = Log::of(&keys, 6).bundle(&keys);
    let mut bundle = Bundle::parse(&good).unwrap();
    bundle.consistency.retain(|proof| proof.from != 3);
    let error = judge(&keys, &bundle.encode(), Some(&before)).unwrap_err();
    assert_eq!(error, HistoryError::NoConsistencyProof { from: 3 }.into());
}

#[test]
fn state_of_another_list_or_log() {
    let keys = Keys::new();
    let log = Log::of(&keys, 3);
    let bundle = log.bundle(&keys);
    let text = seen(&keys, &log).to_text();
    for (from, to) in [("origin aegis", "origin other"), ("log log", "log other")] {
        let changed = resummed(&text.replacen(from, to, 1));
        let state = Seen::parse(changed.as_bytes()).unwrap();
        let error = judge(&keys, &bundle, Some(&state)).unwrap_err();
        assert_eq!(error.name(), "history_origin");
    }
}

/// The text with the digest that it should have.
fn resummed(text: &str) -> String {
    use sha2::{Digest, Sha256};
    let (lines, _) = text.split_once("sum ").unwrap();
    format!("{lines}sum {}\n", hex::encode(Sha256::digest(lines)))
}

#[test]
fn damaged_state_is_refused() {
    let keys = Keys::new();
    let text = seen(&keys, &Log::of(&keys, 3)).to_text();
    assert_eq!(Seen::parse(text.as_bytes()).unwrap().to_text(), text);
    let sequence = text.replacen("sequence 3", "sequence 2", 1);
    assert_eq!(Seen::parse(sequence.as_bytes()), Err(StateError::Sum));
    for at in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[at] ^= 1;
        assert!(Seen::parse(&damaged).is_err(), "byte {at}");
        assert!(Seen::parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
    }
    assert!(Seen::parse(b"").is_err());
    assert!(Seen::parse((text + "more\n").as_bytes()).is_err());
}

#[test]
fn witness_cosigns_what_continues() {
    let keys = Keys::new();
    let (three, five) = (Log::of(&keys, 3), Log::of(&keys, 5));
    let log = keys.log.verifier();
    let (witness, now) = (&keys.witnesses[0], UnixSeconds(NOW + DAY));
    let first = checkpoint::sign(&three.head(), &keys.log);
    let seen = cosign(first.as_bytes(), &log, None, &[], witness, now).unwrap().seen;
    assert_eq!(seen, three.head());
    let next = checkpoint::sign(&five.head(), &keys.log);
    let proof = five.tree.consistency(3).unwrap();
    let given = cosign(next.as_bytes(), &log, Some(&seen), &proof, witness, now).unwrap();
    assert_eq!(given.seen, five.head());
}

fn witness_error(keys: &Keys, seen: &Log, log: &Log) -> WitnessRefusal {
    let checkpoint = checkpoint::sign(&log.head(), &keys.log);
    let proof = log.tree.consistency(seen.head().size).unwrap_or_default();
    let (witness, now) = (&keys.witnesses[0], UnixSeconds(NOW));
    let key = keys.log.verifier();
    let seen = seen.head();
    cosign(checkpoint.as_bytes(), &key, Some(&seen), &proof, witness, now).unwrap_err()
}

#[test]
fn witness_refuses_a_fork_and_an_old_log() {
    let keys = Keys::new();
    let three = Log::of(&keys, 3);
    for size in [3, 4] {
        let error = HistoryError::LogForked { seen: 3, size };
        let found = witness_error(&keys, &three, &rewritten(&keys, size));
        assert_eq!(found, WitnessRefusal::History { error });
    }
    let error = HistoryError::LogOld { size: 2, seen: 3 };
    let found = witness_error(&keys, &three, &Log::of(&keys, 2));
    assert_eq!(found, WitnessRefusal::History { error });
}

#[test]
fn witness_refuses_an_empty_log_and_another_log() {
    let keys = Keys::new();
    let empty = Log::default();
    let head = TreeHead { size: 0, root: empty.head().root };
    let checkpoint = checkpoint::sign(&head, &keys.log);
    let (witness, now) = (&keys.witnesses[0], UnixSeconds(NOW));
    let refused = |key| cosign(checkpoint.as_bytes(), &key, None, &[], witness, now).unwrap_err();
    assert_eq!(refused(keys.log.verifier()), WitnessRefusal::Empty);
    assert_eq!(refused(keys.alice.verifier()).name(), "checkpoint");
}
