//! Every kept input, and seeded changes of each, through the body it was kept for.
//!
//! `AEGIS_FUZZ_CHANGES` is how many changes of each input, 2 by default.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::bodies;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The kept inputs of a target, in a fixed order.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> =
        fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}

fn run(target: &str) {
    let (_, body) = bodies::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let changes: usize = env::var("AEGIS_FUZZ_CHANGES").map_or(2, |text| text.parse().unwrap());
    let inputs = inputs(target);
    assert!(!inputs.is_empty(), "the corpus is kept");
    let mut numbers = Numbers(0x00ae_0915_f022_0001);
    for input in &inputs {
        body(input);
        for _ in 0..changes {
            let mut changed = input.clone();
            let edits: Vec<u8> = (0..4 + numbers.byte() % 12).map(|_| numbers.byte()).collect();
            bodies::edit(&mut changed, &edits);
            body(&changed);
        }
    }
}

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
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for (name, _) in bodies::TARGETS {
        let program = fs::read_to_string(targets.join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("bodies::{name}(")), "{name}");
        assert!(include_str!("corpus.rs").contains(&format!("run(\"{name}\")")), "{name}");
    }
    assert_eq!(fs::read_dir(targets).unwrap().count(), bodies::TARGETS.len());
}
