//! What each stage runs and how its result is counted.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use super::{FAILED, PASSED, SKIPPED, Stage, libtest::Counts, one, sdk, verifier};
use crate::{
    audit, deps,
    failure::Failure,
    process::{self, Ended},
    sizes, tcb,
    workspace::{Workspace, cache, in_ci},
};

/// Installed from its source when the cache does not have it.
const CARGO_DENY: &str = "0.20.2";

/// How many vsock connections must leave no memory behind; by hand also 10,000.
const BOOT_CONNECTIONS: &str = "1000";

/// Longest wait for the database of advisories.
const FETCH: Duration = Duration::from_secs(120);

/// Runs one stage.
pub(super) fn run(workspace: &Workspace, stage: Stage) -> Result<Counts, Failure> {
    match stage {
        Stage::Fmt => fmt(workspace),
        Stage::Clippy => clippy(workspace),
        Stage::Gates => Ok(gates(workspace)),
        Stage::Tests => tests(workspace),
        Stage::Verifier => verifier::promises(workspace),
        Stage::Mutants => verifier::mutants(workspace),
        Stage::Fuzz => verifier::fuzz(workspace),
        Stage::Sdk => sdk::run(workspace),
        Stage::Boot => boot(workspace),
        Stage::Deny => deny(workspace),
        Stage::Audit => seeded(workspace),
    }
}

fn fmt(workspace: &Workspace) -> Result<Counts, Failure> {
    process::passes(workspace.cargo().args(["fmt", "--all", "--check"])).map(one)
}

fn clippy(workspace: &Workspace) -> Result<Counts, Failure> {
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet"]);
    process::passes(clippy.args(["--", "--deny", "warnings"])).map(one)
}

/// Each gate is one check; all of them look, whatever the first says.
fn gates(workspace: &Workspace) -> Counts {
    type Gate = fn(&Workspace) -> Result<(), Failure>;
    let gates: [(&str, Gate); 4] = [
        ("tcb", tcb::run),
        ("deps", deps::run),
        ("sizes", sizes::run),
        ("audit --check", audit::check),
    ];
    let mut counts = Counts::default();
    for (name, gate) in gates {
        println!("-- {name}");
        counts += match gate(workspace) {
            Ok(()) => PASSED,
            Err(failure) => {
                println!("{name}: {failure}");
                FAILED
            }
        };
    }
    counts
}

/// The programs first: end-to-end tests start them from the target folder.
fn tests(workspace: &Workspace) -> Result<Counts, Failure> {
    if !built(workspace)? {
        return Ok(FAILED);
    }
    let mut command = workspace.cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    let (mut counts, success) = counted(&mut command, Counts::of_result)?;
    if !success && counts.failed == 0 {
        println!("cargo test failed without a failed test: something did not compile or died");
        counts += FAILED;
    }
    Ok(counts)
}

/// Builds everything at once: a build of a few packages would have other features, and compile
/// the dependencies again.
pub(super) fn built(workspace: &Workspace) -> Result<bool, Failure> {
    let mut build = workspace.cargo();
    let built = process::passes(build.args(["build", "--workspace", "--locked", "--quiet"]))?;
    if !built {
        println!("the workspace does not compile");
    }
    Ok(built)
}

/// Everything that a machine takes, the path through one, then the probe's questions to one. The second
/// copies the source to the place in the cache where both build, so that dependencies compiled there
/// serve every checkout.
fn boot(workspace: &Workspace) -> Result<Counts, Failure> {
    if !built(workspace)? {
        return Ok(FAILED);
    }
    let eif = workspace.target.join("debug/aegis-eif");
    let mut tools = Command::new(&eif);
    let status = tools.arg("tools").stdout(Stdio::null()).status();
    let status = status.map_err(|e| process::cannot_start(&tools, &e))?;
    if !status.success() {
        return Ok(without_machines(status.code(), in_ci()));
    }
    let mut path = workspace.cargo();
    path.args(["test", "--workspace", "--locked", "--no-fail-fast", "--test", "boot"]);
    path.args(["--features", "aegis-rig/machines"]);
    // An emulated machine takes two processors, and its programs keep the protocol's limits of time.
    path.args(["--", "--test-threads", "1"]);
    let (mut counts, success) = counted(&mut path, Counts::of_result)?;
    if !success && counts.failed == 0 {
        println!("the tests of machines failed before the first of them ended");
        counts += FAILED;
    }
    let mut probe = Command::new(&eif);
    probe.args(["boot-test", "--connections", BOOT_CONNECTIONS, "--source"]);
    probe.arg(cache()?.join("boot/tree"));
    counts += one(process::passes(&mut probe)?);
    Ok(counts)
}

/// What it means that this machine did not get what a machine takes; why has been said. Only for want of
/// something (exit code 3) it is not tried, and in CI that is a failure too.
fn without_machines(code: Option<i32>, in_ci: bool) -> Counts {
    if code == Some(3) && !in_ci {
        println!("boot: skipped, for the reason above; README.md has its requirements");
        return SKIPPED;
    }
    FAILED
}

/// Runs a test program, shows what it prints but for tests that passed, and adds up the lines
/// that are counts.
pub(super) fn counted(
    command: &mut Command,
    line_counts: fn(&str) -> Option<Counts>,
) -> Result<(Counts, bool), Failure> {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| process::cannot_start(command, &e))?;
    let mut counts = Counts::default();
    let output = child.stdout.take();
    for line in output.into_iter().flat_map(|output| BufReader::new(output).split(b'\n')) {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        counts += line_counts(&line).unwrap_or_default();
        if !is_noise(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|e| process::cannot_start(command, &e))?;
    Ok((counts, status.success()))
}

fn is_noise(line: &str) -> bool {
    let passed = line.starts_with("ok ") || line.starts_with("test ") && line.ends_with("ok");
    let empty = line.starts_with("test result: ok. 0 passed; 0 failed; 0 ignored");
    passed || empty || line.is_empty() || line == "running 0 tests"
}

/// What needs no network must hold; advisories are looked up where their database can be had.
fn deny(workspace: &Workspace) -> Result<Counts, Failure> {
    let program = installed(workspace, "cargo-deny", CARGO_DENY)?;
    let check = |what: &[&str]| {
        let mut deny = Command::new(&program);
        deny.current_dir(&workspace.root);
        deny.args(["--locked", "--all-features"]).args(what);
        deny
    };
    let mut kept = check(&["check", "bans", "licenses", "sources"]);
    let mut counts = one(process::passes(&mut kept)?);
    let log = cache()?.join("tools/advisories.log");
    let fetched = process::bounded(&mut check(&["fetch", "db"]), FETCH, &log)?;
    if fetched == Ended::ByItself(true) {
        counts += one(process::passes(&mut check(&["check", "advisories"]))?);
    } else {
        println!("advisories: not checked (their database cannot be reached)");
        counts.skipped += 1;
    }
    Ok(counts)
}

/// A tool of cargo's from the cache, at this version.
pub(super) fn installed(
    workspace: &Workspace,
    name: &str,
    version: &str,
) -> Result<PathBuf, Failure> {
    let folder = cache()?.join("tools").join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.exists() {
        println!("installing {name} {version} into {}", folder.display());
        let mut install = workspace.cargo();
        install.env_remove("CARGO_TARGET_DIR");
        install.args(["install", "--locked", "--quiet", "--root"]).arg(&folder);
        install.arg(format!("{name}@{version}"));
        if !process::passes(&mut install)? {
            let text = format!("{name} cannot be installed; check that crates.io can be reached");
            return Err(Failure::Environment(text));
        }
    }
    Ok(program)
}

fn seeded(workspace: &Workspace) -> Result<Counts, Failure> {
    let (caught, of) = audit::run(workspace, &audit::Choice::ByCommit)?;
    println!("{caught} of {of} seeded defects caught");
    let (passed, failed) = (caught, of - caught);
    Ok(Counts { passed, failed, skipped: 0 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixture::{Fixture, manifest};

    fn fixture(lib: &str) -> Fixture {
        Fixture::new(&[("Cargo.toml", &manifest("one")), ("src/lib.rs", lib)])
    }

    #[test]
    fn a_badly_formatted_file_fails() {
        assert_eq!(fmt(&fixture("//! One.\n").workspace).unwrap(), PASSED);
        assert_eq!(fmt(&fixture("fn  f( ){}\n").workspace).unwrap(), FAILED);
    }

    #[test]
    fn a_warning_fails() {
        assert_eq!(clippy(&fixture("//! One.\n").workspace).unwrap(), PASSED);
        assert_eq!(clippy(&fixture("fn unused() {}\n").workspace).unwrap(), FAILED);
    }

    #[test]
    fn tests_are_added_up_and_a_build_error_is_a_failure() {
        let lib = "/// ```\n/// assert!(true);\n/// ```\npub fn f() {}\n#[test]\nfn good() {}\n\
                   #[test]\nfn bad() {\n    panic!()\n}\n#[test]\n#[ignore]\nfn slow() {}\n";
        let counts = tests(&fixture(lib).workspace).unwrap();
        assert_eq!(counts.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(tests(&fixture("fn f(").workspace).unwrap(), FAILED);
        let only_tests = "#[cfg(test)]\nfn f() -> u8 {\n    \"no\"\n}\n";
        assert_eq!(tests(&fixture(only_tests).workspace).unwrap(), FAILED);
    }

    #[test]
    fn machines_are_skipped_for_want_of_something_and_never_in_ci() {
        assert_eq!(without_machines(Some(3), false), SKIPPED);
        assert_eq!(without_machines(Some(3), true), FAILED);
        assert_eq!(without_machines(Some(1), false), FAILED);
        assert_eq!(without_machines(None, false), FAILED);
    }

    #[test]
    fn gates_fail_one_by_one_on_a_tree_that_is_none() {
        assert_eq!(gates(&fixture("").workspace), Counts { passed: 1, failed: 3, skipped: 0 });
    }
}
