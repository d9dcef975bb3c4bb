//! The agent between a plain client on loopback and a peer that speaks the real protocol, honest or
//! not: in this process, and as the program where its start is what is tested.
#![allow(clippy::unwrap_used)]

#[path = "../../transport/tests/peer/mod.rs"]
mod peer;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aegis::agent::{
    Agent,
    keys::Keys,
    listen::Listener,
    routes::{PRODUCTION_TABLE, Routes},
};
use aegis_verifier::Pcr;
use aegis_wire::binding::{self, Spki};
use peer::{Genuine, Peer, Script, Then};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};

const KEY: &str = "authorization: Bearer aegis-vk-test-1\r\n";

/// An agent in front of this peer, and its port.
async fn agent(genuine: &Genuine, peer: &Peer) -> SocketAddr {
    agent_with(genuine, peer, false).await
}

async fn agent_with(genuine: &Genuine, peer: &Peer, require_usage: bool) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Listener::Tcp(_, address) = listener else { panic!("a port was asked for") };
    let agent = Arc::new(Agent {
        client: peer.client(genuine.trust()),
        routes: Routes::new(PRODUCTION_TABLE, &[]).unwrap(),
        keys: Keys::FromSdk,
        receipts: None,
        require_usage,
    });
    tokio::spawn(agent.serve(listener, std::future::pending()));
    address
}

async fn honest() -> (Peer, SocketAddr) {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Http2)).await;
    let address = agent(&genuine, &peer).await;
    (peer, address)
}

/// Everything that comes back for a request with these header lines.
async fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\
         {headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Refused before it leaves, where the user asked for that and nowhere else.
#[tokio::test]
async fn a_stream_that_tells_no_usage_is_refused_if_the_user_says_so() {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Http2)).await;
    let line = "POST /openai/v1/chat/completions";
    let silent = r#"{"stream":true,"model":"m"}"#;
    let telling = r#"{"stream":true, "stream_options":{"include_usage":true},"model":"m"}"#;
    let strict = agent_with(&genuine, &peer, true).await;
    let refused = ask(strict, line, KEY, silent).await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.contains("aegis-error: usage_required\r\n"), "{refused}");
    assert_eq!(peer.sessions(), 0, "nothing left");
    assert!(ask(strict, line, KEY, telling).await.starts_with("HTTP/1.1 200 "));
    assert!(
        ask(strict, "POST /openai/v1/responses", KEY, silent).await.starts_with("HTTP/1.1 200 ")
    );
    let lenient = agent(&genuine, &peer).await;
    assert!(ask(lenient, line, KEY, silent).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_request_passes_as_it_is_and_a_key_does_not() {
    let (_peer, address) = honest().await;
    let answer = ask(address, "POST /openai/v1/x?b=%2f&a", KEY, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let target = "x-target: https://api.openai.com/v1/x?b=%2f&a\r\n";
    assert!(answer.contains(target), "{answer}");
    assert!(answer.contains("x-custody: host\r\n") && answer.ends_with("hello"));
    let given = format!(
        "{KEY}cookie: a=b\r\nx-api-key: k\r\nx-stainless-os: Linux\r\naegis-custody: client\r\n"
    );
    let answer = ask(address, "GET /anthropic/headers", &given, "").await;
    let (_, mut arrived) = answer.split_once("\r\n\r\n").unwrap();
    arrived = arrived.trim_end();
    let mut lines: Vec<_> = arrived.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["aegis-custody: host", "content-length: 0", "x-stainless-os: Linux"]);
}

#[tokio::test]
async fn strangers_and_unknown_prefixes_get_no_further() {
    let (peer, address) = honest().await;
    let origin = format!("{KEY}origin: https://evil.example\r\n");
    let answer = ask(address, "GET /openai/v1/models", &origin, "").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("access-control"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let rebound = format!(
        "GET /openai/v1/models HTTP/1.1\r\nhost: evil.example\r\n{KEY}connection: close\r\n\r\n"
    );
    stream.write_all(rebound.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let old = format!("GET /openai/v1/models HTTP/1.0\r\nhost: {address}\r\n{KEY}\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(old.as_bytes()).await.unwrap();
    answer.clear();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 505 ") && answer.contains("http_version"), "{answer}");
    let answer = ask(address, "GET /elsewhere", KEY, "").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.contains("/openai/v1, /anthropic, /gemini, /openrouter/api/v1"));
    let answer = ask(address, "GET /gemini/v1beta/models", "x-goog-api-key: k\r\n", "").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains(r#""status":"UNAUTHENTICATED""#), "{answer}");
    assert_eq!(peer.sessions(), 0);
}

#[tokio::test]
async fn redirects_stay_at_the_agent() {
    let (_peer, address) = honest().await;
    let inside = "GET /openai/redirect?https://api.openai.com/v1/files/1";
    let answer = ask(address, inside, KEY, "").await;
    let location = format!("location: http://{address}/openai/v1/files/1\r\n");
    assert!(answer.starts_with("HTTP/1.1 307 ") && answer.contains(&location), "{answer}");
    assert!(!answer.contains("access-control"), "{answer}");
    let outside = "GET /openai/redirect?https://evil.example/";
    let answer = ask(address, outside, KEY, "").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("aegis-error: redirect_refused\r\n") && !answer.contains("moved"));
}

#[tokio::test]
async fn a_broken_stream_has_no_clean_end() {
    let (_peer, address) = honest().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /openai/broken HTTP/1.1\r\nhost: {address}\r\n{KEY}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"first\r\n") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(String::from_utf8_lossy(&answer).contains("transfer-encoding: chunked\r\n"));
    ask(address, "GET /openai/break", KEY, "").await;
    answer.clear();
    // The connection just ends: no last chunk.
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty(), "{:?}", String::from_utf8_lossy(&answer));
}

/// After a good start the router goes away, and comes back with something else inside.
#[tokio::test]
async fn while_the_router_is_away_it_says_so_and_when_verification_fails_it_names_the_step() {
    let genuine = Arc::new(Genuine::new());
    let (inside, changed) = (Arc::clone(&genuine), Arc::new(AtomicBool::new(false)));
    let change = Arc::clone(&changed);
    let script = Script {
        evidence: Box::new(move |asked| {
            let mut pcrs = inside.pcrs;
            pcrs[0][0] ^= u8::from(change.load(Ordering::SeqCst));
            let spki = Spki(&inside.identity.spki);
            let nonce = binding::nonce(&asked.opening, spki, &asked.exporter);
            inside.document(&nonce, spki.0, &pcrs)
        }),
        ..genuine.script(Then::Http2)
    };
    let peer = Peer::start(script).await;
    let address = agent(&genuine, &peer).await;
    let line = "POST /anthropic/v1/messages";
    assert!(ask(address, line, KEY, "").await.starts_with("HTTP/1.1 200 "));
    changed.store(true, Ordering::SeqCst);
    peer.cut();
    // The request may still meet the session that is ending; then it is lost, and says so.
    let mut answer = ask(address, line, KEY, "").await;
    while answer.contains("session_lost") {
        answer = ask(address, line, KEY, "").await;
    }
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("x-should-retry: false\r\n"), "{answer}");
    assert!(answer.contains(r#""type":"error""#) && answer.contains("step pcrs"), "{answer}");
    peer.stop();
    let mut answer = ask(address, line, KEY, "").await;
    while answer.starts_with("HTTP/1.1 502 ") {
        answer = ask(address, line, KEY, "").await;
    }
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 2\r\n"), "{answer}");
    assert!(answer.contains("x-should-retry: true\r\n"), "{answer}");
}

/// The files that `aegis agent` is given for this peer.
struct Files {
    folder: TempDir,
    router: String,
}

impl Files {
    fn new(genuine: &Genuine, router: String, ca: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [pcr0, pcr1, pcr2] = [0, 1, 2].map(|at| Pcr::new(genuine.pcrs[at]).to_string());
        let list = format!(r#"[{{"release":0,"pcr0":"{pcr0}","pcr1":"{pcr1}","pcr2":"{pcr2}"}}]"#);
        std::fs::write(folder.path().join("accepted.json"), list).unwrap();
        std::fs::copy(ca, folder.path().join("ca.pem")).unwrap();
        aegis::secret_file::create(&folder.path().join("key"), "aegis-vk-test-1").unwrap();
        Self { folder, router }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, genuine: &Genuine) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aegis"));
        command
            .args(["agent", "--custody", "host", "--router", &self.router])
            .arg("--router-ca")
            .arg(self.path("ca.pem"))
            .arg("--accept")
            .arg(self.path("accepted.json"))
            .arg("--key-file")
            .arg(self.path("key"))
            .arg("--listen")
            .arg(format!("unix:{}", self.path("agent.sock").display()))
            .arg("--dangerous-development-root")
            .arg(hex::encode(genuine.attester.root_fingerprint()))
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

#[tokio::test]
async fn a_start_that_is_refused_ends_with_the_step_and_opens_no_port() {
    let genuine = Arc::new(Genuine::new());
    let script =
        Script { identity: genuine.identity.without_its_key(), ..genuine.script(Then::Record) };
    let peer = Peer::start(script).await;
    let files = Files::new(&genuine, format!("https://{}", peer.address), peer.ca());
    let output = files.command(&genuine).output().await.unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("step handshake"), "{errors}");
    assert!(!files.path("agent.sock").exists());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("DANGER") && !said.contains("listening"), "{said}");
}

#[tokio::test]
async fn a_router_that_is_away_is_tried_again_without_a_port() {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Record)).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let router = format!("https://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let files = Files::new(&genuine, router, peer.ca());
    let mut child = files.command(&genuine).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next_line().await.unwrap().unwrap();
        assert!(line.contains("trying again"), "{line}");
    }
    assert!(!files.path("agent.sock").exists());
    assert!(child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_good_start_shows_the_walk_and_serves_whoever_has_the_token() {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Http2)).await;
    let files = Files::new(&genuine, format!("https://{}", peer.address), peer.ca());
    let mut child = files.command(&genuine).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("API key") {
        said += &lines.next_line().await.unwrap().unwrap();
        said += "\n";
    }
    assert!(said.contains("  user_data   as expected\n"), "{said}");
    let token = aegis::secret_file::read(&files.path("key.token")).unwrap();
    assert!(!said.contains(token.as_str()), "a token is in no log");
    for (key, status) in [(token.as_str(), "200"), ("aegis-vk-test-1", "401")] {
        let mut stream = tokio::net::UnixStream::connect(files.path("agent.sock")).await.unwrap();
        let request = format!(
            "GET /openai/v1/models HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
