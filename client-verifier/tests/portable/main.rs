//! The pure-Rust build: it needs neither std nor a C compiler, and judges as the other backend does.
//!
//! Both tests build `client-verifier/portable`, a workspace of its own, because a test program holds
//! one backend. So they take half a minute when nothing is cached.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/bodies.rs"]
#[allow(dead_code)]
mod bodies;
mod documents;
mod verdict;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::verdict::verdict;

/// `cargo build` of the portable workspace, and where what it builds is.
fn cargo_build(arguments: &[&str]) -> (Command, PathBuf) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("portable");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("portable"));
    cargo.env("CARGO_TARGET_DIR", &target).args(["build", "--locked", "--quiet"]).args(arguments);
    (cargo, target.join("debug"))
}

fn rustc() -> PathBuf {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    Path::new(String::from_utf8(output.stdout).unwrap().trim()).join("bin/rustc")
}

/// What a linker is started with is objects and libraries. The one given here refuses anything else,
/// and `CC` and its kin name a program that fails, so nothing can be compiled from C.
const LINKER: &str = r#"#!/bin/sh
for argument in "$@"; do
    case "$argument" in
        -c | -S | -E | *.c | *.cc | *.cpp | *.s | *.S) exit 1 ;;
    esac
done
exec "$LINKER_BEHIND" "$@"
"#;

/// On the path are cargo and rustc and nothing else. (A linker it takes, for a build script.)
#[test]
fn pure_rust_compiles_without_std_and_without_a_c_compiler() {
    let tools = tempfile::tempdir().unwrap();
    symlink(env!("CARGO"), tools.path().join("cargo")).unwrap();
    symlink(rustc(), tools.path().join("rustc")).unwrap();
    let linker = tools.path().join("link");
    fs::write(&linker, LINKER).unwrap();
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).unwrap();
    // A folder of its own: nothing that was compiled with a C compiler at hand is taken over.
    let target = tools.path().join("target");
    let (mut cargo, _) = cargo_build(&["--lib"]);
    cargo.env("CARGO_TARGET_DIR", &target).env("PATH", tools.path());
    for tool in ["CC", "CXX", "AR", "HOST_CC", "TARGET_CC"] {
        cargo.env(tool, "/bin/false");
    }
    cargo.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    cargo.env("LINKER_BEHIND", found_on_path("cc"));
    cargo.env("RUSTFLAGS", format!("-Clinker={} -Clinker-flavor=gcc", linker.display()));
    assert!(cargo.status().unwrap().success());
    assert!(target.join("debug/libaegis_verifier_portable.a").exists());
}

fn found_on_path(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap();
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists()).unwrap()
}

#[test]
fn both_backends_give_the_same_verdict() {
    let (mut cargo, built) = cargo_build(&["--bin", "verdicts"]);
    assert!(cargo.status().unwrap().success());
    let mut other = Command::new(built.join("verdicts"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = other.stdin.take().unwrap();
    let mut answers = BufReader::new(other.stdout.take().unwrap()).lines();
    let (mut accepted, mut count) = (0, 0);
    for (at, document) in documents::all() {
        let digits = document.iter().fold(String::new(), |mut digits, byte| {
            write!(digits, "{byte:02x}").unwrap();
            digits
        });
        writeln!(questions, "{} {digits}", at.as_secs()).unwrap();
        let ours = verdict(&document, at);
        assert_eq!(answers.next().unwrap().unwrap(), ours, "{digits}");
        accepted += usize::from(ours.starts_with("Ok"));
        count += 1;
    }
    drop(questions);
    assert!(other.wait().unwrap().success());
    println!("{count} documents, {accepted} accepted by both");
    assert!(accepted > 10 && accepted < count / 2, "{accepted} of {count}");
}
