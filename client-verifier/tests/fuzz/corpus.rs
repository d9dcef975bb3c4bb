//! Kept inputs, and seeded changes of each, through the body they were kept for. Shared by the fuzzing
//! of the verifier and of release lists.
//!
//! `AEGIS_FUZZ_CHANGES` is how many changes of each input, 2 by default.

use std::env;
use std::fs;
use std::path::Path;

use crate::bodies;

/// The kept inputs of a target, in a fixed order.
fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
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

pub(crate) fn run(target: &str) {
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

/// Each target has a program for libFuzzer and, in the text given, a test of its kept inputs.
pub(crate) fn assert_complete(tests: &str) {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for (name, _) in bodies::TARGETS {
        let program = fs::read_to_string(targets.join(format!("{name}.rs"))).unwrap();
        assert!(program.contains(&format!("bodies::{name}(")), "{name}");
        assert!(tests.contains(&format!("run(\"{name}\")")), "{name}");
    }
    assert_eq!(fs::read_dir(targets).unwrap().count(), bodies::TARGETS.len());
}
