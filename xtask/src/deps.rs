//! Who may depend on whom, and what is linked into the trusted path (DESIGN section 10).
//!
//! Directions are held over normal and build dependencies, direct and indirect; tests may use
//! what they like. Every crate of the workspace has a line in [`MAY_USE`]: a new one that has none
//! is refused, so nobody can forget to decide.

mod ledger;

use std::collections::BTreeSet;

use crate::{
    failure::Failure,
    source::Source,
    tcb::{PRODUCTION, trusted},
    workspace::{Kinds, Linked, Metadata, Workspace},
};

/// Each crate with the first-party crates that may be among what it is built from.
const MAY_USE: &[(&str, &[&str])] = &[
    // The trusted path. Nothing in it knows the host, a client or the development attester.
    ("aegis-wire", &[]),
    // The table's text becomes constants while the enclave is built; host and agent link the reader.
    ("aegis-table", &["aegis-wire"]),
    ("aegis-core", &["aegis-wire"]),
    ("aegis-nsm", &["aegis-wire"]),
    // Frames over any stream, for enclave and client alike.
    ("aegis-padding", &["aegis-wire"]),
    ("aegis-enclave", &["aegis-core", "aegis-nsm", "aegis-padding", "aegis-table", "aegis-wire"]),
    // Development only: the one crate that links both the enclave and the development attester.
    ("aegis-dev-attester", &["aegis-nsm", "aegis-wire"]),
    (
        "aegis-enclave-dev",
        &[
            "aegis-core",
            "aegis-dev-attester",
            "aegis-enclave",
            "aegis-nsm",
            "aegis-padding",
            "aegis-table",
            "aegis-wire",
        ],
    ),
    // The adversary knows the frames and the public table, and nothing else of the enclave.
    ("aegis-host", &["aegis-table", "aegis-wire"]),
    // The verifier does not depend on the thing it verifies, nor on its encodings.
    ("aegis-verifier", &[]),
    // Signed lists know files' bytes and keys: no evidence, no protocol, no verifier.
    ("aegis-releases", &[]),
    ("aegis-client", &["aegis-padding", "aegis-releases", "aegis-verifier", "aegis-wire"]),
    // `aegis up` starts enclave and host as programs; it does not link them.
    (
        "aegis",
        &[
            "aegis-client",
            "aegis-padding",
            "aegis-releases",
            "aegis-table",
            "aegis-verifier",
            "aegis-wire",
        ],
    ),
    ("aegis-eif", &[]),
    // Test tools. The adversary of the rig signs evidence of its own, so it has an attester too.
    ("aegis-mock", &[]),
    (
        "aegis-rig",
        &[
            "aegis-client",
            "aegis-dev-attester",
            // Boots images; brings no other crate of ours.
            "aegis-eif",
            "aegis-mock",
            "aegis-nsm",
            "aegis-padding",
            "aegis-releases",
            "aegis-table",
            "aegis-verifier",
            "aegis-wire",
        ],
    ),
    // The attacker knows the frames; it starts the trusted programs and links none of them.
    (
        "aegis-attacks",
        &[
            "aegis-client",
            "aegis-dev-attester",
            "aegis-eif",
            "aegis-mock",
            "aegis-nsm",
            "aegis-padding",
            "aegis-releases",
            "aegis-rig",
            "aegis-table",
            "aegis-verifier",
            "aegis-wire",
        ],
    ),
    // Drives the shipped machines beside their model; ships nothing.
    ("aegis-conformance", &["aegis-core", "aegis-table", "aegis-wire"]),
    ("xtask", &[]),
];

/// Crates that decide or encode: no I/O, no runtime, no `std`.
const NO_STD: &[&str] = &["aegis-wire", "aegis-core"];

/// What the state machine may not even reach through others: it has no I/O.
const NOT_IN_CORE: &[&str] = &["tokio", "hyper", "rustls", "http"];

/// Prints what is linked into the trusted path and every breach, and refuses the tree if there is one.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let mut breaches = directions(&metadata);
    breaches.extend(no_std(workspace, &metadata)?);
    breaches.extend(ledger::check(workspace, &metadata)?);
    breaches.extend(built_twice(&workspace.programs()?, &workspace.tests()?));
    let (linked, helpers) = third_party(workspace, &metadata)?;
    println!("third-party crates linked into {PRODUCTION}: {linked}");
    println!("and at its build (macros, build scripts and theirs): {helpers}");
    for breach in &breaches {
        println!("{breach}");
    }
    println!("deps: {} breaches", breaches.len());
    if breaches.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused(
        "remove the dependencies named above, or decide and write down why they stay".into(),
    ))
}

/// First-party crates that are built from something they may not use.
fn directions(metadata: &Metadata) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in metadata.first_party() {
        let Some((name, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            breaches
                .push(format!("{}: give it a line in MAY_USE of xtask/src/deps.rs", package.name));
            continue;
        };
        for used in metadata.closure(package, Kinds::Built) {
            let own = used.is_first_party() && used.name != *name;
            if own && !allowed.contains(&used.name.as_str()) {
                breaches.push(format!("{name} is built from {}, which it may not know", used.name));
            }
        }
    }
    breaches
}

/// Breaches of `no_std` in the crates that must hold it and in what they are built from.
fn no_std(workspace: &Workspace, metadata: &Metadata) -> Result<Vec<String>, Failure> {
    let mut breaches = Vec::new();
    for name in NO_STD {
        let package = metadata.own(name)?;
        let files = workspace.files()?.into_iter().map(|file| workspace.root.join(file));
        for file in files.filter(|file| file.starts_with(package.folder().join("src"))) {
            if file.extension().is_some_and(|extension| extension == "rs") {
                let root = package.targets.iter().any(|target| target.src_path == file);
                breaches.extend(uses_std(&file, root)?);
            }
        }
        for linked in workspace.linked(name)? {
            breaches.extend(brings_std(name, &linked, metadata));
        }
    }
    Ok(breaches)
}

fn uses_std(file: &std::path::Path, root: bool) -> Result<Option<String>, Failure> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|e| Failure::file(file, &e))?;
    let source = Source::parse(&text).map_err(|e| Failure::Refused(format!("{shown}: {e}")))?;
    let production = source.production();
    if let Some(line) = production.find(&["extern", "crate", "std"]) {
        return Ok(Some(format!("{shown}:{line}: `extern crate std`; this crate is no_std")));
    }
    let declared = production.find(&["#", "!", "[", "no_std", "]"]).is_some();
    Ok((root && !declared).then(|| format!("{shown}: does not begin with `#![no_std]`")))
}

/// A third-party crate that is built with `std`, or that cannot be built without.
fn brings_std(user: &str, linked: &Linked, metadata: &Metadata) -> Option<String> {
    let name = &linked.name;
    if user == "aegis-core" && NOT_IN_CORE.contains(&name.as_str()) {
        return Some(format!("aegis-core is built from {name}: decisions have no I/O"));
    }
    if linked.features.iter().any(|feature| feature == "std") {
        return Some(format!("{user} is built from {name} with its feature `std`"));
    }
    let package = metadata.version(name, &linked.version)?;
    let library = |kind: &String| kind == "lib" || kind == "rlib";
    let root = package.targets.iter().find(|target| target.kind.iter().any(library))?;
    let text = std::fs::read_to_string(&root.src_path).ok()?;
    let production = Source::parse(&text).ok()?.production();
    let says = production.find(&["no_std"]).is_some();
    (!says).then(|| format!("{user} is built from {name}, which is not no_std"))
}

/// Crates with features that only tests ask for: they, and all that stands on them, would be
/// compiled once for the programs and once more for the tests.
fn built_twice(programs: &BTreeSet<Linked>, tests: &BTreeSet<Linked>) -> Vec<String> {
    let breach = |Linked { name, version, features }: &Linked| {
        let in_tests = tests.iter().filter(|test| (&test.name, &test.version) == (name, version));
        let all: BTreeSet<_> = in_tests.flat_map(|test| &test.features).collect();
        let added: Vec<_> = all.into_iter().filter(|feature| !features.contains(feature)).collect();
        format!(
            "{name} {version} has the features {added:?} in tests alone, so it is compiled twice: \
             name them in bench/rig/Cargo.toml too"
        )
    };
    programs.difference(tests).map(breach).collect()
}

/// How many third-party crates are linked into the production binary, and how many more are run
/// to build it.
fn third_party(workspace: &Workspace, metadata: &Metadata) -> Result<(usize, usize), Failure> {
    let own: BTreeSet<_> = metadata.first_party().map(|package| package.name.as_str()).collect();
    let foreign = |all: BTreeSet<Linked>| -> BTreeSet<_> {
        let foreign = all.into_iter().filter(|linked| !own.contains(linked.name.as_str()));
        foreign.map(|linked| (linked.name, linked.version)).collect()
    };
    let linked = foreign(workspace.linked(PRODUCTION)?);
    let built = foreign(workspace.built(PRODUCTION)?);
    Ok((linked.len(), built.difference(&linked).count()))
}

/// Names of the third-party crates that first-party crates of the production binary name.
fn named_by_trusted(metadata: &Metadata) -> Result<BTreeSet<String>, Failure> {
    let trusted = trusted(metadata)?;
    let direct = trusted.iter().flat_map(|package| metadata.direct(package, Kinds::Built));
    let foreign = direct.filter(|package| !package.is_first_party());
    Ok(foreign.map(|package| package.name.clone()).collect())
}

#[cfg(test)]
mod tests;
