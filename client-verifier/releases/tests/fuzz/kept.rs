//! The kept inputs of each target.

use crate::corpus::{assert_complete, run};

#[test]
fn kept_lists_and_their_changes() {
    run("list");
}

#[test]
fn kept_texts_and_their_changes() {
    run("texts");
}

#[test]
fn kept_checkpoints_and_their_changes() {
    run("checkpoint");
}

#[test]
fn kept_bundles_and_their_changes() {
    run("bundle");
}

#[test]
fn kept_proofs_and_their_changes() {
    run("proofs");
}

#[test]
fn kept_edits_of_signed_lists_and_their_changes() {
    run("signed_list");
}

#[test]
fn kept_edits_of_signed_checkpoints_and_their_changes() {
    run("signed_checkpoint");
}

#[test]
fn every_target_has_a_test_here_and_a_program_for_libfuzzer() {
    assert_complete(include_str!("kept.rs"));
}
