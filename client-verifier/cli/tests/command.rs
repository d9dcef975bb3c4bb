//! Bad input at the command line: one sentence that names thing, reason and next step, and an exit
//! code that is documented.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn run(program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_remove("AEGIS_VIRTUAL_KEY");
    command.output().unwrap()
}

fn aegis(args: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_aegis")), args)
}

/// The exit code and the one line on standard error.
fn refused(output: &Output) -> (Option<i32>, String) {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    (output.status.code(), errors)
}

#[test]
fn help_documents_the_exit_codes() {
    for args in [&["--help"][..], &["up", "--help"], &["agent", "--help"], &["verify", "--help"]] {
        let output = aegis(args);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("1 refused by a check"), "{text}");
    }
}

#[test]
fn programs_that_are_not_built_are_named_with_the_command_that_builds_them() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("aegis");
    fs::copy(env!("CARGO_BIN_EXE_aegis"), &alone).unwrap();
    let (code, said) = refused(&run(&alone, &["up", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(3));
    assert!(said.contains("cargo build -p aegis"), "{said}");
}

#[test]
fn a_port_in_use_is_said_before_anything_is_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&aegis(&["up", "--listen", &address]));
    assert_eq!(code, Some(3));
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn an_address_that_others_can_reach_is_a_usage_error() {
    for command in ["up", "agent"] {
        let output = aegis(&[command, "--listen", "0.0.0.0:4180"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("not a loopback address"), "{said}");
    }
}

#[test]
fn the_agent_names_what_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (good, bad, key) = (path("good.json"), path("bad.json"), path("key"));
    let pcr = "01".repeat(48);
    let list = format!(r#"[{{"release":1,"pcr0":"{pcr}","pcr1":"{pcr}","pcr2":"{pcr}"}}]"#);
    fs::write(&good, list).unwrap();
    fs::write(&bad, "[{}]").unwrap();
    fs::write(&key, "aegis-vk-test-1").unwrap();
    let router = "https://127.0.0.1:1";
    let host = ["--custody", "host"];
    for (router, accept, more, code, expected) in [
        ("http://127.0.0.1", &good, &host[..], 2, "https://"),
        (router, &path("missing"), &host, 3, "missing"),
        (router, &bad, &host, 2, "bad.json"),
        (router, &good, &[], 2, "--key-file"),
        (router, &good, &["--key-file", &key], 3, "chmod 600"),
        (router, &good, &["--custody", "host", "--route", "x=y"], 2, "openai=api.openai.com"),
        (router, &good, &["--custody", "host", "--router-ca", &key], 2, "PEM"),
    ] {
        let args = [&["agent", "--router", router, "--accept", accept], more].concat();
        let (found, said) = refused(&aegis(&args));
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_document_that_is_none_is_refused_with_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("document");
    fs::write(&path, [0x84, 0xff]).unwrap();
    let output = aegis(&["verify", path.to_str().unwrap(), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["verified"], &json["step"]), (&false.into(), &"cose".into()));
    let (code, said) = refused(&output);
    assert_eq!(code, Some(1));
    assert!(said.contains("step cose"), "{said}");
    let (code, _) = refused(&aegis(&["verify", "/nowhere"]));
    assert_eq!(code, Some(3));
}

#[test]
fn a_root_that_is_no_certificate_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    let root = path.to_str().unwrap();
    for bytes in [&b"no certificate"[..], b"-----BEGIN NOTHING-----\n", &[0x30, 0x00]] {
        fs::write(&path, bytes).unwrap();
        let (code, said) = refused(&aegis(&["verify", root, "--root", root]));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(root) && said.contains("holds no certificate"), "{said}");
    }
}

#[test]
fn the_help_of_verify_says_when_age_counts() {
    let text = String::from_utf8(aegis(&["verify", "--help"]).stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("the document may be 300 s old"), "{text}");
    assert!(text.contains("the age is not checked unless --max-age is given"), "{text}");
    assert!(text.contains("[default: 300; with --at: none]"), "{text}");
}
