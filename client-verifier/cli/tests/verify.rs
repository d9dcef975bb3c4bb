//! `aegis verify` with a release list, and `aegis explain`.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[allow(dead_code)]
#[path = "../../transport/tests/peer/releases.rs"]
mod releases;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
use releases::{Lists, Says, release_json};
use serde_json::Value;
use tempfile::TempDir;

const DAY: u64 = 24 * 3600;

/// A document of release 7, lists about it, and the files of both.
struct Case {
    folder: TempDir,
    lists: Lists,
    now: u64,
}

impl Case {
    fn new() -> Self {
        let case = Self {
            folder: TempDir::new().unwrap(),
            lists: Lists::new(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        };
        let attester = DevelopmentAttester::ephemeral();
        let document = |byte: u8| {
            let request = AttestRequest { nonce: Some(b"nonce"), ..AttestRequest::default() };
            attester.attest(&[[byte; 48]; 16], &request, case.now * 1000).unwrap()
        };
        fs::write(case.path("document"), document(7)).unwrap();
        fs::write(case.path("stranger"), document(9)).unwrap();
        fs::write(case.path("root.der"), attester.root_der()).unwrap();
        fs::write(case.path("trust.toml"), case.lists.trust_text()).unwrap();
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes list `sequence` to the file of that name.
    fn list(&mut self, sequence: u64, withdrawn: &[u32]) {
        let pcrs = |byte: u8| [[byte; 48]; 3];
        let (seven, eight) = (pcrs(7), pcrs(8));
        let json = |number, pcrs: &[[u8; 48]; 3]| {
            let [pcr0, pcr1, pcr2] = pcrs;
            (number, release_json(number, [pcr0, pcr1, pcr2]))
        };
        let releases = [json(7, &seven), json(8, &eight)];
        let (not_before, not_after) = (self.now - DAY, self.now + DAY);
        let says = Says { releases: &releases, withdrawn, not_before, not_after };
        let bundle = self.lists.bundle(sequence, &says);
        fs::write(self.path(&format!("list-{sequence}")), bundle).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aegis"));
        command.args(args).current_dir(self.folder.path());
        command.env("XDG_CONFIG_HOME", self.path("config")).env_remove("AEGIS_VIRTUAL_KEY");
        command.env("XDG_STATE_HOME", self.path("usual-state")).output().unwrap()
    }

    /// `aegis verify` of that document against that list, as JSON, with its exit code.
    fn verify(&self, document: &str, list: &str, more: &[&str]) -> (Option<i32>, Value) {
        let fixed = [
            "verify",
            document,
            "--root",
            "root.der",
            "--releases",
            list,
            "--trust",
            "trust.toml",
            "--json",
        ];
        let output = self.run(&[&fixed[..], more].concat());
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
        (output.status.code(), json)
    }
}

const STATE: [&str; 2] = ["--release-state", "state"];

#[test]
fn document_of_a_listed_release_is_verified() {
    let mut case = Case::new();
    case.list(1, &[]);
    let (code, json) = case.verify("document", "list-1", &STATE);
    assert_eq!(code, Some(0), "{json}");
    assert_eq!((&json["verified"], &json["policy"]), (&true.into(), &"releases".into()));
    assert_eq!((&json["list"]["release"], &json["list"]["sequence"]), (&7.into(), &1.into()));
    assert_eq!(json["list"]["first_use"], true);
    assert_eq!(json["document"]["pcrs"]["0"], "07".repeat(48));
    assert_eq!(case.verify("document", "list-1", &STATE).1["list"]["first_use"], false);
}

#[test]
fn document_of_another_image_is_refused() {
    let mut case = Case::new();
    case.list(1, &[]);
    let (code, json) = case.verify("stranger", "list-1", &STATE);
    assert_eq!((code, &json["step"]), (Some(1), &"pcrs".into()), "{json}");
    assert_eq!(json["list"]["release"], Value::Null);
}

#[test]
fn document_of_a_withdrawn_release_is_refused_and_named() {
    let mut case = Case::new();
    case.list(1, &[7]);
    let (code, json) = case.verify("document", "list-1", &STATE);
    assert_eq!((code, &json["step"]), (Some(1), &"pcrs".into()), "{json}");
    let args = ["verify", "document", "--root", "root.der", "--releases", "list-1"];
    let output = case.run(&[&args[..], &["--trust", "trust.toml"], &STATE].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("  release     7, WITHDRAWN in list 1\n"), "{text}");
}

#[test]
fn old_list_is_refused_before_the_document_is_judged() {
    let mut case = Case::new();
    case.list(1, &[]);
    case.list(2, &[]);
    assert_eq!(case.verify("document", "list-2", &STATE).0, Some(0));
    let (code, json) = case.verify("document", "list-1", &STATE);
    assert_eq!(code, Some(1));
    assert_eq!((&json["verified"], &json["step"]), (&false.into(), &"releases".into()), "{json}");
    assert_eq!((&json["error"], &json["list"]["step"]), (&"old".into(), &"history".into()));
}

#[test]
fn at_another_time_the_list_is_judged_then_and_nothing_is_remembered() {
    let mut case = Case::new();
    case.list(1, &[]);
    let (now, later) = (case.now.to_string(), (case.now + DAY).to_string());
    let (code, json) = case.verify("document", "list-1", &["--at", &now]);
    assert_eq!((code, &json["list"]["first_use"]), (Some(0), &true.into()), "{json}");
    assert!(!case.path("usual-state").exists());
    let (code, json) = case.verify("document", "list-1", &["--at", &later]);
    assert_eq!((code, &json["error"]), (Some(1), &"frozen".into()), "{json}");
    // Without --at the state has its usual place, one for each origin.
    assert_eq!(case.verify("document", "list-1", &[]).0, Some(0));
    let states: Vec<_> = fs::read_dir(case.path("usual-state/aegis")).unwrap().collect();
    assert!(!states.is_empty());
}

#[test]
fn further_registers_are_compared_too() {
    let mut case = Case::new();
    case.list(1, &[]);
    let register = |value: &str| format!("8={}", value.repeat(48));
    let with = |value: &str| {
        case.verify("document", "list-1", &[&STATE[..], &["--pcr", &register(value)]].concat())
    };
    assert_eq!(with("07").0, Some(0));
    assert_eq!(with("08").1["step"], "pcrs");
}

#[test]
fn what_cannot_be_used_is_told_apart() {
    let mut case = Case::new();
    case.list(1, &[]);
    let root = ["verify", "document", "--root", "root.der"];
    let pcr = format!("0={}", "07".repeat(48));
    for (more, code, expected) in [
        (&["--releases", "list-1"][..], 3, "config/aegis/trust.toml"),
        (&["--releases", "missing", "--trust", "trust.toml"], 3, "missing"),
        (&["--releases", "list-1", "--trust", "document"], 3, "document"),
        (&["--trust", "trust.toml"], 2, "--releases LIST"),
        (&["--key-file", "k"], 2, "--key-file is for a router"),
        (&["--releases", "list-1", "--trust", "trust.toml", "--pcr", &pcr], 2, "release list"),
    ] {
        let output = case.run(&[&root[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
        assert!(said.contains(expected), "{more:?}: {said}");
    }
    for (args, expected) in [
        (&["verify", "https://127.0.0.1:1"][..], "--key-file FILE"),
        (&["verify", "https://127.0.0.1:1", "--at", "5"], "--at is for a file"),
        (&["verify", "https://127.0.0.1:1", "--root", "root.der"], "--dangerous-development-root"),
    ] {
        let output = case.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn explain_says_loudly_that_nothing_is_verified() {
    let case = Case::new();
    let output = case.run(&["explain", "stranger"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.starts_with("NOT VERIFIED: anybody can make"), "{text}");
    assert!(text.ends_with("NOT VERIFIED.\n"), "{text}");
    assert!(text.contains(&format!("  pcr         0={}\n", "09".repeat(48))), "{text}");
    let json = case.run(&["explain", "stranger", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["verified"], false);
    assert_eq!(json["document"]["pcrs"]["1"], "09".repeat(48));
    let none = case.run(&["explain", "root.der"]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(1), 0));
}
