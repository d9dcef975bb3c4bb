//! The pure-Rust build: it needs neither std nor a C compiler, and judges as the other backend does.
//!
//! `client-verifier/portable` is built here, a workspace of its own, because a test program holds one
//! backend. So this takes half a minute when nothing is cached. The tests of `tests/mutations` run here
//! once more, and each document that they judge is judged by both.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/bodies.rs"]
#[allow(dead_code)]
mod bodies;
#[path = "../mutations/certificates.rs"]
mod certificates;
#[path = "../mutations/chain.rs"]
mod chain;
#[path = "../mutations/cose.rs"]
mod cose;
mod documents;
#[path = "../mutations/payload.rs"]
mod payload;
#[path = "../mutations/pcrs.rs"]
mod pcrs;
#[path = "../mutations/policy.rs"]
mod policy;
#[path = "../mutations/support.rs"]
mod support;
mod verdict;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Lines;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_verifier::UnixTime;

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

/// The program with the other backend: documents go in, verdicts come out.
struct Other {
    documents: ChildStdin,
    verdicts: Lines<BufReader<ChildStdout>>,
    /// Ends with this program, when nothing more can come.
    _program: Child,
}

static OTHER: LazyLock<Mutex<Other>> = LazyLock::new(|| Mutex::new(Other::start()));

impl Other {
    fn start() -> Self {
        let (mut cargo, built) = cargo_build(&["--bin", "verdicts"]);
        assert!(cargo.status().unwrap().success());
        let mut program = Command::new(built.join("verdicts"));
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self {
            documents: child.stdin.take().unwrap(),
            verdicts: BufReader::new(child.stdout.take().unwrap()).lines(),
            _program: child,
        }
    }

    fn verdict(&mut self, digits: &str, at: UnixTime) -> String {
        writeln!(self.documents, "{} {digits}", at.as_secs()).unwrap();
        self.verdicts.next().unwrap().unwrap()
    }
}

/// Judges a document with both backends; the verdicts must be the same, word for word.
fn compare(document: &[u8], at: UnixTime) -> String {
    let digits = document.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    });
    let at = UnixTime::from_secs(at.as_secs());
    // A test that failed left no question unanswered.
    let theirs = OTHER.lock().unwrap_or_else(PoisonError::into_inner).verdict(&digits, at);
    let ours = verdict(document, at);
    assert_eq!(theirs, ours, "{digits}");
    ours
}

#[test]
fn both_backends_give_the_same_verdict() {
    let (mut accepted, mut count) = (0, 0);
    for (at, document) in documents::all() {
        accepted += usize::from(compare(&document, at).starts_with("Ok"));
        count += 1;
    }
    println!("{count} documents, {accepted} accepted by both");
    assert!(accepted > 10 && accepted < count / 2, "{accepted} of {count}");
}
