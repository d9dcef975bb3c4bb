//! Stages of the client verifier alone: what it promises to others, mutants, and libFuzzer.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{FAILED, PASSED, SKIPPED, libtest::Counts, one, stages};
use crate::{
    failure::Failure,
    process::{self, Ended},
    workspace::{Workspace, cache},
};

/// Installed from their sources when the cache does not have them.
const CARGO_MUTANTS: &str = "27.1.0";
const CARGO_FUZZ: &str = "0.13.2";

/// The oldest compiler that the verifier promises to build with (`rust-version` in its manifest).
const OLDEST: &str = "1.88.0";
/// A type of another crate in the public API is an error. Only a nightly can tell.
const NO_FOREIGN_TYPES: [&str; 3] =
    ["-Zpublic-dependency", "--config", "build.rustflags=['-Dexported_private_dependencies']"];

/// How long each target is fuzzed, in seconds; `AEGIS_FUZZ_SECONDS` says otherwise. All twelve together
/// then take an hour.
const FUZZ_SECONDS: u64 = 300;
/// How much longer a target may take to start and to end.
const FUZZ_GRACE: Duration = Duration::from_secs(120);
/// Fuzzing takes no more memory than this, in MiB.
const FUZZ_MEMORY: &str = "512";

/// Folders with libFuzzer targets.
const FUZZED: [&str; 2] = ["client-verifier/fuzz", "client-verifier/releases/fuzz"];

/// What needs more than this toolchain: each is counted as skipped, and named, where that is missing.
pub(super) fn promises(workspace: &Workspace) -> Result<Counts, Failure> {
    let mut counts = oracle(workspace)?;
    counts += checked(workspace, OLDEST, &[])?;
    counts += checked(workspace, "nightly", &NO_FOREIGN_TYPES)?;
    Ok(counts)
}

/// OpenSSL, by AWS's own COSE library, and the verifier on thousands of signatures. A workspace of its
/// own with the profile of this one, so what both need is compiled once.
fn oracle(workspace: &Workspace) -> Result<Counts, Failure> {
    let mut headers = Command::new("pkg-config");
    headers.args(["--exists", "openssl"]).stderr(Stdio::null());
    if !headers.status().is_ok_and(|status| status.success()) {
        println!("oracle: not run (no headers of OpenSSL; apt-get install libssl-dev pkg-config)");
        return Ok(SKIPPED);
    }
    let mut test = workspace.cargo();
    test.args(["test", "--locked", "--manifest-path", "client-verifier/oracle/Cargo.toml"]);
    let (mut counts, success) = stages::counted(&mut test, Counts::of_result)?;
    if !success && counts.failed == 0 {
        counts += FAILED;
    }
    Ok(counts)
}

/// `cargo check` of the verifier in pure Rust by another toolchain, if rustup has it.
fn checked(workspace: &Workspace, toolchain: &str, more: &[&str]) -> Result<Counts, Failure> {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["run", toolchain, "rustc", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if !rustup.status().is_ok_and(|status| status.success()) {
        println!("cargo check by {toolchain}: not run (rustup toolchain install {toolchain})");
        return Ok(SKIPPED);
    }
    let mut check = Command::new("rustup");
    check.current_dir(&workspace.root).env("CARGO_TARGET_DIR", cache()?.join("verifier"));
    check.args(["run", toolchain, "cargo", "check", "--quiet", "--locked"]);
    check.args(["--package", "aegis-verifier", "--no-default-features"]);
    check.args(["--features", "pure-rust"]).args(more);
    let passed = process::passes(&mut check)?;
    println!("cargo check by {toolchain}: {}", if passed { "passed" } else { "failed" });
    Ok(one(passed))
}

/// Every expression of the verifier changed, one at a time: a test must turn red.
pub(super) fn mutants(workspace: &Workspace) -> Result<Counts, Failure> {
    let tool = stages::installed(workspace, "cargo-mutants", CARGO_MUTANTS)?;
    let folder = cache()?.join("mutants");
    fs::create_dir_all(&folder).map_err(|e| Failure::file(&folder, &e))?;
    let mut mutants = Command::new(tool);
    mutants.current_dir(&workspace.root).env("CARGO_TARGET_DIR", folder.join("target"));
    mutants.env("CARGO_INCREMENTAL", "1");
    mutants.args(["mutants", "--package", "aegis-verifier", "--output"]).arg(&folder);
    mutants.args(["--config", "client-verifier/mutants.toml"]);
    let passed = process::passes(&mut mutants)?;
    let counts = tried(&folder.join("mutants.out"))?;
    Ok(match passed || counts.failed > 0 {
        true => counts,
        // The tests fail without any mutant, or do not compile.
        false => FAILED,
    })
}

/// Mutants that were caught and that were not, as cargo-mutants lists them; those that do not compile
/// are neither.
fn tried(folder: &Path) -> Result<Counts, Failure> {
    let lines = |name: &str| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
        Ok::<_, Failure>(text.lines().count())
    };
    let (passed, failed) = (lines("caught.txt")?, lines("missed.txt")? + lines("timeout.txt")?);
    println!("{passed} of {} mutants caught", passed + failed);
    Ok(Counts { passed, failed, skipped: 0 })
}

/// libFuzzer on every target, beginning with the kept inputs; what it finds goes to the cache.
pub(super) fn fuzz(workspace: &Workspace) -> Result<Counts, Failure> {
    let tool = stages::installed(workspace, "cargo-fuzz", CARGO_FUZZ)?;
    let seconds = match env::var("AEGIS_FUZZ_SECONDS") {
        Ok(text) => text.parse().map_err(|_| {
            Failure::Usage(format!("AEGIS_FUZZ_SECONDS is {text:?}; give a number of seconds"))
        })?,
        Err(_) => FUZZ_SECONDS,
    };
    let mut counts = Counts::default();
    for folder in FUZZED {
        let found = cache()?.join("fuzz").join(folder.replace('/', "-"));
        let fuzz = |command: &str| {
            let mut fuzz = Command::new(&tool);
            fuzz.current_dir(&workspace.root).env("CARGO_TARGET_DIR", found.join("target"));
            // A compiler that takes unstable options, whatever this tree and the one who called ask for.
            fuzz.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO");
            fuzz.args(["fuzz", command, "--fuzz-dir", folder]);
            fuzz
        };
        if !process::passes(&mut fuzz("build"))? {
            println!("{folder} does not compile: it needs `rustup toolchain install nightly`");
            counts += FAILED;
            continue;
        }
        for target in targets(&workspace.root.join(folder).join("fuzz_targets"))? {
            let new = found.join(&target);
            fs::create_dir_all(&new).map_err(|e| Failure::file(&new, &e))?;
            let mut run = fuzz("run");
            run.arg(&target)
                .arg(&new)
                .arg(workspace.root.join(folder).join("corpus").join(&target));
            run.args(["--", "-print_final_stats=1", "-rss_limit_mb", FUZZ_MEMORY]);
            run.arg(format!("-max_total_time={seconds}"));
            counts += fuzzed(&mut run, &target, seconds, &found)?;
        }
    }
    Ok(counts)
}

/// Fuzzes one target and shows how far it came.
fn fuzzed(run: &mut Command, target: &str, seconds: u64, folder: &Path) -> Result<Counts, Failure> {
    let log = folder.join(format!("{target}.log"));
    let ended = process::bounded(run, Duration::from_secs(seconds) + FUZZ_GRACE, &log)?;
    let said = fs::read(&log).map_err(|e| Failure::file(&log, &e))?;
    let said = String::from_utf8_lossy(&said);
    if ended != Ended::ByItself(true) {
        println!("{target}: {ended:?}; {} has:", log.display());
        said.lines().rev().take(30).collect::<Vec<_>>().iter().rev().for_each(|l| println!("{l}"));
        return Ok(FAILED);
    }
    let stat = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or("?").trim().to_owned()
    };
    println!(
        "{target}: {} executions, peak {} MB",
        stat("stat::number_of_executed_units"),
        stat("stat::peak_rss_mb")
    );
    Ok(PASSED)
}

/// Names of the targets in a folder.
fn targets(folder: &Path) -> Result<Vec<String>, Failure> {
    let bad = |e| Failure::file(folder, &e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(bad)? {
        let path: PathBuf = entry.map_err(bad)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_mutant_that_was_missed_or_hung_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("caught.txt", "a\nb\n"), ("missed.txt", "c\n"), ("timeout.txt", "d\n")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(tried(folder.path()).unwrap(), Counts { passed: 2, failed: 2, skipped: 0 });
    }

    #[test]
    fn a_run_that_tried_nothing_is_an_error() {
        assert!(tried(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_target_that_crashes_or_hangs_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let run = |script: &str| {
            let mut command = Command::new("sh");
            fuzzed(command.args(["-c", script]), "target", 60, folder.path()).unwrap()
        };
        assert_eq!(run("echo stat::number_of_executed_units: 7"), PASSED);
        assert_eq!(run("echo SUMMARY: libFuzzer: deadly signal; exit 77"), FAILED);
    }

    #[test]
    fn the_oldest_compiler_is_the_one_of_the_manifest() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client-verifier/Cargo.toml");
        let promised = format!("rust-version = \"{}\"", OLDEST.trim_end_matches(".0"));
        assert!(fs::read_to_string(manifest).unwrap().contains(&promised));
    }

    #[test]
    fn every_folder_that_is_fuzzed_has_targets() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let count = |folder| targets(&root.join(folder).join("fuzz_targets")).unwrap().len();
        assert_eq!(FUZZED.map(count), [5, 7]);
    }
}
