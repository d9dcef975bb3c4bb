//! The program as it is run: exit codes, how it stops, and that no key or credential is in
//! anything it prints or keeps.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Stdio},
};

use aegis_host::config::EXAMPLE;
use aegis_wire::control::{DenyCode, Grant, ToEnclave, ToHost};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

use crate::rig::{
    CREDENTIAL, Control, Enclave, KEY, OpenEnds, Setup, authorize, connect_head, read_head, soon,
    usage,
};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aegis-host"));
    command.args(arguments);
    piped(command)
}

fn piped(mut command: Command) -> Command {
    command.kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("RUST_LOG", "trace");
    command
}

/// Exit code, standard output and standard error of a program that ends by itself.
pub(crate) async fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = soon(command(arguments).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub(crate) struct Program {
    pub(crate) child: Child,
    events: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
    /// Every line seen on standard output.
    seen: String,
}

impl Program {
    pub(crate) async fn start(setup: &Setup) -> Self {
        let config = setup.config();
        let config = config.to_str().unwrap();
        Self::of(command(&["run", "--exit-with-stdin", "--config", config])).await
    }

    async fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Self {
            child,
            events,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            seen: String::new(),
        };
        let ready = program.event("ready").await;
        program.address = ready["listen"].as_str().unwrap().parse().unwrap();
        program
    }

    /// Opens a session on the enclave; its number.
    async fn session(&self, setup: &Setup, enclave: &Enclave) -> (OpenEnds, u64) {
        let mut tls = setup.tls(self.address).await;
        tls.write_all(connect_head(KEY, "7").as_bytes()).await.unwrap();
        read_head(&mut tls).await;
        let (inner, session) = enclave.session().await;
        ((tls, inner), session)
    }

    /// The next event of that kind.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            let line = soon(self.events.next_line()).await.unwrap().unwrap();
            self.seen += &line;
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Ends its standard input; everything it printed.
    async fn end(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let mut printed = self.seen;
        let mut stderr = self.child.stderr.take().unwrap();
        let errors = async {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        };
        let output = async {
            let mut text = String::new();
            while let Some(line) = self.events.next_line().await.unwrap() {
                text += &line;
            }
            text
        };
        let (errors, output) = soon(async { tokio::join!(errors, output) }).await;
        printed += &errors;
        printed += &output;
        (soon(self.child.wait()).await.unwrap(), printed)
    }
}

/// A host whose enclave has a grant for request 1 of a session.
struct Granted {
    program: Program,
    enclave: Enclave,
    control: Control,
    session: u64,
    grant: Grant,
    open: OpenEnds,
}

impl Granted {
    async fn by(setup: &Setup) -> Self {
        let program = Program::start(setup).await;
        let enclave = Enclave::listen(&setup.path("blue"));
        let mut control = enclave.control(1).await;
        let (open, session) = program.session(setup, &enclave).await;
        control.send(ToHost::Authorize(authorize(session, 1))).await;
        let Some(ToEnclave::Grant(grant)) = control.next().await else { panic!("no grant") };
        Self { program, enclave, control, session, grant, open }
    }
}

#[tokio::test]
async fn a_whole_session_leaves_no_secret_in_output_or_ledger() {
    let setup = Setup::new();
    let mut program = Program::start(&setup).await;
    let enclave = Enclave::listen(&setup.path("blue"));
    let mut control = enclave.control(1).await;
    for key in ["aegis-vk-test-wrong-canary", KEY] {
        let mut tls = setup.tls(program.address).await;
        tls.write_all(connect_head(key, "7").as_bytes()).await.unwrap();
        let answer = read_head(&mut tls).await;
        if key != KEY {
            assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
            continue;
        }
        let (_inner, session) = enclave.session().await;
        control.send(ToHost::Authorize(authorize(session, 1))).await;
        let Some(ToEnclave::Grant(grant)) = control.next().await else {
            panic!("no grant");
        };
        assert_eq!(&grant.credential[..], CREDENTIAL.as_bytes());
        control.send(ToHost::Usage(usage(grant.grant))).await;
        program.event("usage").await;
    }
    let (status, printed) = program.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(printed.contains("\"closed\""), "an open session's end is shown: {printed}");
    assert!(printed.contains("control channel up"), "logs were looked at");
    assert_eq!(setup.ledger_text().lines().count(), 1);
    for file in ["aegis.db", "aegis.db-wal"] {
        let kept = std::fs::read(setup.path(file)).unwrap_or_default();
        let kept = String::from_utf8_lossy(&kept);
        for secret in [KEY, "canary", "0123456789abcdef0"] {
            assert!(!printed.contains(secret), "{secret} is in what was printed");
            assert!(!kept.contains(secret), "{secret} is in {file}");
        }
    }
}

#[tokio::test]
async fn a_killed_host_goes_on_where_its_ledger_ends() {
    let setup = Setup::new();
    let mut before = Granted::by(&setup).await;
    let number = before.grant.grant;
    soon(before.program.child.kill()).await.unwrap();
    // The same boot finds the next host and settles what the one before had granted.
    let program = Program::start(&setup).await;
    let mut control = before.enclave.control(1).await;
    control.send(ToHost::Usage(usage(number))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(number)));
    assert_eq!(setup.ledger()[0]["source"], "provider");
    assert!(program.end().await.0.success());
}

/// Writing fails as on a full disk: the kernel refuses to let any file grow.
#[tokio::test]
async fn a_grant_that_is_not_on_the_books_is_not_given() {
    let setup = Setup::new();
    let config = setup.config();
    let mut command = Command::new("sh");
    let script = "trap '' XFSZ; exec \"$0\" run --exit-with-stdin --config \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_aegis-host")]).arg(&config);
    let mut program = Program::of(piped(command)).await;
    let enclave = Enclave::listen(&setup.path("blue"));
    let mut control = enclave.control(1).await;
    let (_open, session) = program.session(&setup, &enclave).await;
    let pid = program.child.id().unwrap().to_string();
    let full = Command::new("prlimit").args(["--fsize=0", "--pid", &pid]).status().await.unwrap();
    assert!(full.success());
    let _ = program.event("session").await;
    control.send(ToHost::Authorize(authorize(session, 1))).await;
    let Some(ToEnclave::Deny(deny)) = control.next().await else {
        panic!("no denial");
    };
    assert_eq!(deny.code, DenyCode::Overload);
    let (status, printed) = program.end().await;
    assert!(status.success());
    assert!(printed.contains("nothing can be written to the books"), "{printed}");
    assert!(setup.ledger_text().is_empty());
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let setup = Setup::new();
    let mut command = Command::new("sh");
    let script = "ulimit -Sn 256; exec \"$0\" run --exit-with-stdin --config \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_aegis-host")]).arg(setup.config());
    let program = Program::of(piped(command)).await;
    let limits = format!("/proc/{}/limits", program.child.id().unwrap());
    let limits = std::fs::read_to_string(limits).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace();
    let (soft, hard) = (words.next().unwrap(), words.next().unwrap());
    assert!(soft == hard && soft != "256", "{line}");
    assert!(program.end().await.0.success());
}

#[tokio::test]
async fn a_stop_waits_for_what_runs_and_grants_nothing_more() {
    let setup = Setup::new();
    let Granted { mut program, mut control, session, grant, open: _open, .. } =
        Granted::by(&setup).await;
    signal(&program, "TERM").await;
    soon(async { while TcpStream::connect(program.address).await.is_ok() {} }).await;
    control.send(ToHost::Authorize(authorize(session, 2))).await;
    let Some(ToEnclave::Deny(deny)) = control.next().await else { panic!("no denial") };
    assert_eq!(deny.code, DenyCode::Overload);
    assert!(program.child.try_wait().unwrap().is_none(), "a grant is open");
    control.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant)));
    program.event("usage").await;
    assert_eq!(soon(program.child.wait()).await.unwrap().code(), Some(0));
    assert_eq!(setup.ledger()[0]["source"], "provider");
}

#[tokio::test]
async fn a_second_signal_or_a_lost_enclave_ends_the_wait() {
    for lost in [false, true] {
        let setup = Setup::new();
        let Granted { mut program, control, open: _open, .. } = Granted::by(&setup).await;
        signal(&program, "INT").await;
        soon(async { while TcpStream::connect(program.address).await.is_ok() {} }).await;
        match lost {
            true => drop(control),
            false => signal(&program, "INT").await,
        }
        assert_eq!(soon(program.child.wait()).await.unwrap().code(), Some(0));
        assert_eq!(setup.ledger()[0]["outcome"], Value::Null);
    }
}

async fn signal(program: &Program, signal: &str) {
    let pid = program.child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn signals_stop_it_cleanly() {
    for name in ["INT", "TERM"] {
        let setup = Setup::new();
        let mut program = Program::start(&setup).await;
        signal(&program, name).await;
        assert_eq!(soon(program.child.wait()).await.unwrap().code(), Some(0));
        assert!(!setup.path("blue/control.sock").exists(), "sockets are removed");
    }
}

#[tokio::test]
async fn exit_codes_tell_configuration_from_environment_and_refusal() {
    let mut setup = Setup::new();
    setup.head = "surprise = 1".into();
    let wrong = setup.config();
    let (code, _, err) = outcome(&["run", "--config", wrong.to_str().unwrap()]).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("surprise") && err.lines().count() == 1, "{err}");
    assert_eq!(outcome(&["run"]).await.0, Some(2));
    assert_eq!(outcome(&["run", "--config", "/nonexistent/host.toml"]).await.0, Some(3));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    setup.head = String::new();
    let config = setup.config();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("127.0.0.1:0", &address)).unwrap();
    let (code, _, err) = outcome(&["run", "--config", config.to_str().unwrap()]).await;
    assert_eq!(code, Some(3));
    assert!(err.contains(&address), "{err}");

    std::fs::write(setup.path("aegis.db"), "not a database, but long enough\n".repeat(9)).unwrap();
    let config = setup.config();
    let (code, _, err) = outcome(&["run", "--config", config.to_str().unwrap()]).await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("aegis.db: this is no database of aegis-host"), "{err}");
}

#[tokio::test]
async fn help_documents_the_exit_codes_and_a_whole_configuration() {
    for arguments in [&["--help"][..], &["run", "--help"], &["check-config", "--help"]] {
        let (code, out, _) = outcome(arguments).await;
        assert_eq!(code, Some(0));
        assert!(out.contains("Exit codes:") && out.contains(EXAMPLE.trim_end()), "{out}");
        assert!(out.contains("aegis-enclave-dev") && out.contains("`ready` line"), "{out}");
    }
}
