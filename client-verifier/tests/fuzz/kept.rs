//! The kept inputs of each target.

use crate::corpus::assert_complete;
use crate::corpus::run;

#[test]
fn kept_documents_and_their_changes() {
    run("document");
}

#[test]
fn kept_headers_and_their_changes() {
    run("cose");
}

#[test]
fn kept_edits_of_payloads_and_their_changes() {
    run("payload");
}

#[test]
fn kept_edits_of_certificates_and_their_changes() {
    run("certificate");
}

#[test]
fn kept_extensions_and_their_changes() {
    run("extension");
}

#[test]
fn every_target_has_a_test_here_and_a_program_for_libfuzzer() {
    assert_complete(include_str!("kept.rs"));
}
