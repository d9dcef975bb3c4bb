//! `aegis up` as a new user has it: real programs, real sockets, one command.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

const CANARY: &str = "canary-in-the-prompt";
/// Longest wait for something that must come; only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds the programs that `aegis up` starts, beside it; with the whole workspace, as single
/// packages would have other features and their dependencies be compiled again.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let aegis = PathBuf::from(env!("CARGO_BIN_EXE_aegis"));
        let target = aegis.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--workspace", "--target-dir"]).arg(target);
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        assert!(build.status().unwrap().success());
        aegis
    })
}

/// A running `aegis up --json`.
struct Up {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Value,
    /// Where its temporary files are.
    temporary: TempDir,
}

impl Up {
    fn start(more: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = Command::new(built());
        command.args(["up", "--json", "--listen", "127.0.0.1:0"]).args(more);
        for name in ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"]
        {
            command.env_remove(name);
        }
        command.env("TMPDIR", temporary.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(line)) = lines.next() else {
            let mut errors = String::new();
            child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
            panic!("not ready: {errors}");
        };
        Self { child, lines, ready: serde_json::from_str(&line).unwrap(), temporary }
    }

    /// A chat request with a canary in it; the whole answer.
    fn chat(&self) -> String {
        let address = self.ready["agent"].as_str().unwrap().strip_prefix("http://").unwrap();
        let key = self.ready["key"].as_str().unwrap();
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{CANARY}"}}]}}"#);
        let request = format!(
            "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             authorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Numbers of the programs it started.
    fn parts(&self) -> Vec<(String, u32)> {
        let mut parts = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            // A process may end while its files are being read.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            let (name, rest) = stat.rsplit_once(") ").unwrap();
            if rest.split(' ').nth(1) == Some(&self.child.id().to_string()) {
                parts.push((name.split_once('(').unwrap().1.to_owned(), pid));
            }
        }
        parts
    }

    fn signal(&self, signal: &str) {
        kill(signal, self.child.id());
    }

    /// Its end, with what it still printed, and its complaints.
    fn ended(mut self) -> (ExitStatus, Vec<Value>, String) {
        let lines = self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let lines = lines.collect();
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        let status = self.child.wait().unwrap();
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        (status, lines, errors)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already ended in every test that passes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pid: u32) {
    let pid = pid.to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
}

fn is_alive(pid: u32) -> bool {
    // A zombie is dead, and waits only for whoever adopted it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn a_new_user_is_answered_and_sees_what_the_operator_saw() {
    let up = Up::start(&[]);
    assert_eq!(up.ready["verification"].as_array().unwrap().len(), 11);
    let answer = up.chat();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains(&format!("You said: {CANARY}")), "{answer}");
    let request = answer.lines().find_map(|line| line.strip_prefix("aegis-request: ")).unwrap();
    let request = request.trim().to_owned();
    up.signal("INT");
    let (status, seen, errors) = up.ended();
    assert_eq!(status.code(), Some(0), "{errors}");
    let usage = |line: &&Value| line["seen"]["event"] == "usage";
    let usage = &seen.iter().find(usage).unwrap()["seen"];
    assert_eq!(usage["request"], request.as_str());
    assert_eq!(usage["counts"]["output"], 3);
    assert!(seen.iter().all(|line| !line.to_string().contains(CANARY)));
}

#[test]
fn a_named_folder_keeps_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let ready = folder.path().join("ready.json");
    let keys = [(); 2].map(|()| {
        let args = ["--state", state.to_str().unwrap(), "--ready-file", ready.to_str().unwrap()];
        let up = Up::start(&args);
        assert!(up.chat().starts_with("HTTP/1.1 200 OK\r\n"));
        let written: Value = serde_json::from_slice(&fs::read(&ready).unwrap()).unwrap();
        assert_eq!(written, up.ready);
        let key = up.ready["key"].as_str().unwrap().to_owned();
        up.signal("TERM");
        assert_eq!(up.ended().0.code(), Some(0));
        key
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_part_that_dies_is_named() {
    for part in ["aegis-mock", "aegis-host", "aegis-enclave-d"] {
        let up = Up::start(&[]);
        let parts = up.parts();
        assert_eq!(parts.len(), 3, "{parts:?}");
        let (_, pid) = parts.iter().find(|(name, _)| name == part).unwrap();
        kill("KILL", *pid);
        let (status, _, errors) = up.ended();
        assert_eq!(status.code(), Some(3), "{errors}");
        let last = errors.lines().last().unwrap();
        assert!(last.contains(part) && last.contains("ended by itself"), "{errors}");
        assert!(parts.iter().all(|(_, pid)| !is_alive(*pid)));
    }
}

#[test]
fn a_part_that_is_configured_wrongly_says_so_once_and_ends_with_its_code() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(built());
    command.args(["up", "--listen", "127.0.0.1:0"]).env("TMPDIR", temporary.path());
    // No header can carry it.
    let output = command.env("OPENAI_API_KEY", "sk-made-up\u{1}").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    let expected = "aegis: the host's books cannot be made with OPENAI_API_KEY: account 1: its \
                    credential has ";
    assert!(errors.starts_with(expected), "{errors}");
    assert!(!errors.contains("sk-made-up"), "{errors}");
}

#[test]
fn a_stream_in_flight_is_said_and_a_second_signal_ends_it() {
    let mut up = Up::start(&["--pace-ms", "600000"]);
    let address = up.ready["agent"].as_str().unwrap().strip_prefix("http://").unwrap();
    let key = up.ready["key"].as_str().unwrap();
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a b c"}]}"#;
    let request = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    up.signal("INT");
    let mut errors = BufReader::new(up.child.stderr.take().unwrap()).lines();
    let said = errors.find(|line| line.as_ref().unwrap().contains("Ctrl-C again")).unwrap();
    assert!(said.unwrap().contains("requests are in flight"));
    up.signal("INT");
    assert_eq!(up.child.wait().unwrap().code(), Some(0));
}

#[test]
fn no_part_outlives_a_parent_that_was_killed() {
    let mut up = Up::start(&[]);
    let parts = up.parts();
    assert_eq!(parts.len(), 3);
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    let begun = Instant::now();
    while parts.iter().any(|(_, pid)| is_alive(*pid)) {
        assert!(begun.elapsed() < PATIENCE, "{parts:?}");
        std::thread::yield_now();
    }
}
