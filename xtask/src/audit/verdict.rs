//! What became of a defect: caught by the tests that should, or not, and why not.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt, fs,
    process::Command,
    time::Duration,
};

use super::{Patch, copy::Copy, patch::Expected};
use crate::{
    failure::Failure,
    process::{self, Ended},
    test::libtest::{Outcome, Run},
    up::PROGRAMS,
};

/// Longest build of a patched tree; the first one compiles every dependency.
const BUILD: Duration = Duration::from_secs(45 * 60);
/// Longest run of the tests that one patch names.
const TESTS: Duration = Duration::from_secs(10 * 60);
/// Packages whose tests start the programs of the sealed path, which must be the patched ones.
const START_PROGRAMS: &[&str] = &["aegis", "aegis-rig"];
/// What a failed test says when it waited in vain or was not compiled: nothing noticed the defect.
const NO_ASSERTION: &[&str] = &[
    "deadline has elapsed",
    "Elapsed(())",
    "Couldn't compile the test.",
    "error: could not compile",
    "cargo could not build",
];

/// What became of a defect.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Every named test ran and failed by an assertion.
    Caught,
    /// Not, for that reason.
    NotCaught(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => write!(f, "caught"),
            Self::NotCaught(reason) => write!(f, "NOT caught: {reason}"),
        }
    }
}

/// Refuses named tests that are red or missing without any patch: they would prove nothing.
pub(super) fn green_without(copy: &Copy, patches: &[Patch]) -> Result<(), Failure> {
    let expected: BTreeSet<_> = patches.iter().flat_map(|patch| &patch.expected).collect();
    println!("running the named tests without a patch");
    if let Some(reason) = build(copy, &expected)? {
        return Err(Failure::Refused(format!("without a patch: {reason}")));
    }
    let packages: BTreeSet<_> = expected.iter().map(|e| e.package.as_str()).collect();
    for package in packages {
        let of_package = expected.iter().filter(|e| e.package == package);
        let tests: Vec<_> = of_package.map(|e| e.test.as_str()).collect();
        let run = match tests_of(copy, package, &tests)? {
            Ok(run) => run,
            Err(reason) => return Err(Failure::Refused(format!("without a patch: {reason}"))),
        };
        for test in tests {
            if let Some(reason) = not_all(&run, test, Outcome::Passed) {
                return Err(Failure::Refused(format!("without a patch: {package}: {reason}")));
            }
        }
    }
    Ok(())
}

/// Applies the patch to the copy, runs the tests that it names, and takes it back.
pub(super) fn with(copy: &Copy, patch: &Patch) -> Result<Verdict, Failure> {
    let root = &copy.workspace.root;
    if !patch.applies(root)? {
        return Ok(Verdict::NotCaught("the patch does not apply".into()));
    }
    patch.apply(root)?;
    let verdict = judge(copy, patch);
    patch.revert(root)?;
    verdict
}

fn judge(copy: &Copy, patch: &Patch) -> Result<Verdict, Failure> {
    let expected: BTreeSet<_> = patch.expected.iter().collect();
    if let Some(reason) = build(copy, &expected)? {
        return Ok(Verdict::NotCaught(reason));
    }
    let mut by_package = BTreeMap::<_, Vec<_>>::new();
    for Expected { package, test } in &patch.expected {
        by_package.entry(package).or_default().push(test.as_str());
    }
    for (package, tests) in by_package {
        let run = match tests_of(copy, package, &tests)? {
            Ok(run) => run,
            Err(reason) => return Ok(Verdict::NotCaught(reason)),
        };
        if let Some(reason) = tests.iter().find_map(|test| unnoticed(&run, test)) {
            return Ok(Verdict::NotCaught(format!("{package}: {reason}")));
        }
    }
    Ok(Verdict::Caught)
}

/// Compiles the packages' tests, and the programs if these start them; a reason if that fails.
fn build(copy: &Copy, expected: &BTreeSet<&Expected>) -> Result<Option<String>, Failure> {
    let packages: BTreeSet<_> = expected.iter().map(|e| e.package.as_str()).collect();
    let mut commands = Vec::new();
    if packages.iter().any(|package| START_PROGRAMS.contains(package)) {
        let mut programs = copy.workspace.cargo();
        programs.args(["build", "--locked"]);
        programs.args(PROGRAMS.iter().flat_map(|name| ["--package", *name]));
        commands.push(programs);
    }
    let mut tests = copy.workspace.cargo();
    tests.args(["test", "--locked", "--no-run"]);
    tests.args(packages.iter().flat_map(|name| ["--package", *name]));
    commands.push(tests);
    for mut command in commands {
        match process::bounded(&mut command, BUILD, &copy.log)? {
            Ended::ByItself(true) => {}
            Ended::ByItself(false) => {
                return Ok(Some(format!("does not compile: {}", error(copy))));
            }
            Ended::TimedOut => return Ok(Some("the build did not end in time".into())),
        }
    }
    Ok(None)
}

/// Runs the tests of a package whose paths contain one of the texts; a reason if they do not end.
fn tests_of(copy: &Copy, package: &str, tests: &[&str]) -> Result<Result<Run, String>, Failure> {
    let mut command: Command = copy.workspace.cargo();
    command.args(["test", "--locked", "--no-fail-fast", "--package", package, "--"]);
    command.args(tests);
    // Where the tests of the original look for documents of real hardware, when not told.
    let documents = copy.original.root.join("../shared/attestation-documents");
    if env::var_os("AEGIS_ATTESTATION_DOCUMENTS").is_none() && documents.exists() {
        command.env("AEGIS_ATTESTATION_DOCUMENTS", documents);
    }
    let ended = process::bounded(&mut command, TESTS, &copy.log)?;
    if ended == Ended::TimedOut {
        return Ok(Err(format!("{package}: the tests did not end in time")));
    }
    let output = fs::read(&copy.log).map_err(|e| Failure::file(&copy.log, &e))?;
    Ok(Ok(Run::parse(&String::from_utf8_lossy(&output))))
}

/// Why the tests with this text in their path did not notice the defect.
fn unnoticed(run: &Run, text: &str) -> Option<String> {
    not_all(run, text, Outcome::Failed).or_else(|| {
        let waited = |test: &&str| NO_ASSERTION.iter().any(|mark| run.said(test).contains(mark));
        let test =
            run.tests.keys().map(String::as_str).filter(|test| test.contains(text)).find(waited)?;
        Some(format!("`{test}` failed by a time limit or a build, not by an assertion"))
    })
}

/// Why not all tests with this text in their path, at least one, ended so.
fn not_all(run: &Run, text: &str, wanted: Outcome) -> Option<String> {
    let mut named = run.tests.iter().filter(|(test, _)| test.contains(text)).peekable();
    if named.peek().is_none() {
        return Some(format!("no test with `{text}` in its path ran to its end"));
    }
    let (test, outcome) = named.find(|(_, outcome)| **outcome != wanted)?;
    Some(format!("`{test}` {outcome}"))
}

fn error(copy: &Copy) -> String {
    let output = fs::read_to_string(&copy.log).unwrap_or_default();
    let first = output.lines().find(|line| line.starts_with("error"));
    first.unwrap_or("no error shown").to_string()
}
