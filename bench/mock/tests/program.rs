//! The program `aegis-mock`: its ready line, its state folder, its end.
#![allow(clippy::unwrap_used)]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

fn start(arguments: &[&str]) -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aegis-mock"))
        .args(arguments)
        .arg("--exit-with-stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

#[test]
fn it_names_its_address_and_root_and_ends_with_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (mut child, ready) = start(&["--state", state.to_str().unwrap(), "--name", "a.aegis.test"]);
    let root = std::fs::read_to_string(ready["root"].as_str().unwrap()).unwrap();
    assert!(root.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(TcpStream::connect(ready["listening"].as_str().unwrap()).is_ok());
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn plain_http_takes_prefixes() {
    let (mut child, ready) = start(&["--plain-http", "--key", "sk-made-up-a"]);
    let mut tcp = TcpStream::connect(ready["listening"].as_str().unwrap()).unwrap();
    let request = "GET /gemini/v1beta/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                   x-goog-api-key: sk-made-up-a\r\n\r\n";
    tcp.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("models/gemini-mock"), "{answer}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn bad_arguments_and_a_taken_port_have_their_codes() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aegis-mock"));
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    assert_eq!(run(&["--no-such-flag"]).status.code(), Some(2));
    assert_eq!(run(&[]).status.code(), Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--plain-http", "--listen", &address]);
    assert_eq!(output.status.code(), Some(3));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&address), "{message}");
}
