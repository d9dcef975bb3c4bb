//! Two worlds that differ in content only, side by side on the shipped machines and the shipped meter:
//! nothing that the host is told tells them apart.
//!
//! The model's theorem (`NonInterference.v`) is about every strategy of a host; as the machines are
//! deterministic, equal outputs on every trace are equal views for every strategy.

use aegis_conformance::Shell;
use aegis_conformance::line::event;
use aegis_conformance::random::{Random, trace};

#[test]
fn content_is_told_to_nobody() {
    let (mut random, mut settled) = (Random::new(2), 0);
    for _ in 0..3_000 {
        let (mut one, mut other) = (Shell::default(), Shell::twin());
        let mut before = Vec::new();
        for line in trace(&mut random) {
            let told = one.step(&line);
            assert_eq!(told, other.step(&line), "{line}\n{}", before.join("\n"));
            settled += told.iter().filter(|output| output.starts_with("usage")).count();
            before.push(line);
        }
    }
    assert!(settled > 3_000, "too little happened: {settled}");
}

#[test]
fn twins_differ_in_content_and_in_nothing_else() {
    for byte in ["n", "3.44.m1"] {
        let (one, other) = (event(byte, false), event(byte, true));
        assert_ne!(one, other);
        assert_eq!(one.len(), other.len());
    }
}
