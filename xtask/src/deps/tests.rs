//! Each direction, broken once in a workspace that is otherwise good.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::fixture::{Fixture, manifest};

type Packages = Vec<(&'static str, &'static str, &'static [&'static str])>;

fn good() -> Packages {
    vec![
        ("aegis-wire", "enclave/wire", &[]),
        ("aegis-core", "enclave/core", &["aegis-wire"]),
        ("aegis-dev-attester", "enclave/dev/attester", &[]),
        ("aegis-enclave", "enclave", &["aegis-core", "aegis-wire"]),
        ("aegis-host", "host", &["aegis-wire"]),
        ("aegis-verifier", "client-verifier", &[]),
    ]
}

fn with(name: &str, uses: &'static [&'static str]) -> Vec<String> {
    let mut packages = good();
    packages.iter_mut().find(|p| p.0 == name).unwrap().2 = uses;
    directions(&Fixture::packages(&packages).workspace.metadata().unwrap())
}

#[test]
fn the_directions_as_they_should_be_pass() {
    let metadata = Fixture::packages(&good()).workspace.metadata().unwrap();
    assert_eq!(directions(&metadata), [""; 0]);
}

#[test]
fn each_wrong_direction_is_a_breach() {
    for (name, uses, word) in [
        ("aegis-host", &["aegis-wire", "aegis-core"][..], "aegis-core"),
        ("aegis-verifier", &["aegis-wire"][..], "aegis-wire"),
        ("aegis-enclave", &["aegis-dev-attester"][..], "aegis-dev-attester"),
        ("aegis-core", &["aegis-verifier"][..], "aegis-verifier"),
    ] {
        let breaches = with(name, uses);
        let expected = format!("{name} is built from {word}, which it may not know");
        assert!(breaches.contains(&expected), "{breaches:?}");
    }
}

#[test]
fn a_wrong_direction_through_another_crate_is_a_breach() {
    let breaches = with("aegis-core", &["aegis-dev-attester"]);
    let expected = "aegis-enclave is built from aegis-dev-attester, which it may not know";
    assert!(breaches.iter().any(|breach| breach == expected), "{breaches:?}");
}

#[test]
fn tests_may_use_what_they_like() {
    let fixture = Fixture::packages(&good());
    let manifest = manifest("aegis-verifier").replace("[dependencies]", "[dev-dependencies]");
    let attester = "aegis-dev-attester = { path = \"../enclave/dev/attester\" }\n";
    fixture.write("client-verifier/Cargo.toml", &(manifest + attester));
    fixture.lock();
    assert_eq!(directions(&fixture.workspace.metadata().unwrap()), [""; 0]);
}

#[test]
fn a_crate_that_nobody_decided_on_is_a_breach() {
    let mut packages = good();
    packages.push(("aegis-new", "new", &[]));
    let breaches = directions(&Fixture::packages(&packages).workspace.metadata().unwrap());
    assert_eq!(breaches.len(), 1);
    assert!(breaches[0].contains("MAY_USE"), "{breaches:?}");
}

fn std_breaches(fixture: &Fixture) -> Vec<String> {
    no_std(&fixture.workspace, &fixture.workspace.metadata().unwrap()).unwrap()
}

#[test]
fn std_in_a_file_of_core_or_wire_is_a_breach() {
    let fixture = Fixture::packages(&good());
    assert_eq!(std_breaches(&fixture), [""; 0]);
    fixture.write("enclave/core/src/deep.rs", "fn f() {\n    extern crate std;\n}\n");
    assert!(std_breaches(&fixture)[0].contains("extern crate std"));
    fixture.write("enclave/core/src/deep.rs", "#[cfg(test)]\nextern crate std;\n");
    assert_eq!(std_breaches(&fixture), [""; 0]);
    fixture.write("enclave/wire/src/lib.rs", "#![cfg_attr(not(test), no_std)]\n");
    assert!(std_breaches(&fixture)[0].contains("#![no_std]"));
}

#[test]
fn a_dependency_of_core_with_std_or_io_is_a_breach() {
    let mut packages = good();
    packages[1].2 = &["tokio"];
    packages.push(("tokio", "tokio", &[]));
    let fixture = Fixture::packages(&packages);
    assert!(std_breaches(&fixture)[0].contains("decisions have no I/O"));
    packages[1].2 = &["helper"];
    packages.push(("helper", "helper", &[]));
    let fixture = Fixture::packages(&packages);
    fixture.write("helper/src/lib.rs", "pub fn f() {}\n");
    assert!(std_breaches(&fixture)[0].contains("not no_std"));
    let features = format!("{}[features]\ndefault = [\"std\"]\nstd = []\n", manifest("helper"));
    fixture.write("helper/src/lib.rs", "#![cfg_attr(not(feature = \"std\"), no_std)]\n");
    fixture.write("helper/Cargo.toml", &features);
    assert!(std_breaches(&fixture)[0].contains("feature `std`"));
}

#[test]
fn a_feature_that_only_tests_ask_for_is_a_breach() {
    let crates = |features: &[&str]| {
        let linked = |name: &str, features: &[&str]| Linked {
            name: name.into(),
            version: "1.0.0".into(),
            features: features.iter().map(ToString::to_string).collect(),
        };
        BTreeSet::from([linked("runtime", features), linked("codec", &["std"])])
    };
    assert_eq!(built_twice(&crates(&["net"]), &crates(&["net"])), [""; 0]);
    let breaches = built_twice(&crates(&["net"]), &crates(&["net", "test-util"]));
    assert_eq!(breaches.len(), 1);
    assert!(breaches[0].contains("runtime 1.0.0 has the features [\"test-util\"]"), "{breaches:?}");
}
