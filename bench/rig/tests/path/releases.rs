//! Release lists end to end: made by the shipped commands, served by the shipped host, believed or
//! not by the shipped agent. The operator chooses which file is served, and is hostile in some.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use aegis_rig::program::Binary;
use aegis_rig::program::Program;
use aegis_rig::publisher::Publisher;
use aegis_rig::stack::RELEASES_FILE;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat_body;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::Pcr;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

/// The number under which the enclave is released.
pub(crate) const RELEASE: u32 = 7;

pub(crate) struct Case {
    pub(crate) stack: Stack,
    pub(crate) publisher: Publisher,
}

impl Case {
    /// A router whose enclave is release 7, and list 1, which accepts it and release 8.
    pub(crate) async fn start() -> Self {
        let stack = Stack::of_release(RELEASE).await.unwrap();
        let publisher = Publisher::new(&stack.folder().join("publisher")).unwrap();
        let case = Self { stack, publisher };
        case.serve(&case.publisher.publish("log", 1, &case.releases(), &[]).unwrap());
        case
    }

    pub(crate) fn releases(&self) -> [(u32, ImageMeasurement); 2] {
        let runs = self.stack.enclave.as_ref().unwrap().measurement();
        let other = ImageMeasurement { pcr0: Pcr::new([9; 48]), ..runs };
        [(RELEASE, runs), (8, other)]
    }

    /// What the host serves from now on.
    pub(crate) fn serve(&self, bundle: &[u8]) {
        fs::write(self.stack.host_folder().join(RELEASES_FILE), bundle).unwrap();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.stack.folder().join("agent.state")
    }

    /// An agent that takes the router's list and looks for another each second.
    async fn agent(&self) -> std::io::Result<(Program, SocketAddr)> {
        self.agent_with(&[]).await
    }

    /// The same with further options.
    pub(crate) async fn agent_with(
        &self,
        more: &[(&str, &OsStr)],
    ) -> std::io::Result<(Program, SocketAddr)> {
        let (trust, state) = (self.publisher.trust(), self.state());
        let accepting = [
            ("--trust", trust.as_os_str()),
            ("--release-state", state.as_os_str()),
            ("--releases-every", "1".as_ref()),
        ];
        self.stack.start_agent_accepting(&[&accepting, more].concat()).await
    }

    /// Why an agent does not start.
    async fn refused(&self) -> String {
        self.agent().await.err().unwrap().to_string()
    }
}

async fn ask(agent: SocketAddr, behavior: &str) -> http::Response<Incoming> {
    let tcp = tokio::net::TcpStream::connect(agent).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post("/openai/v1/chat/completions")
        .header("host", agent.to_string())
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json");
    if !behavior.is_empty() {
        request = request.header("x-mock-behavior", behavior);
    }
    sender.send_request(request.body(chat_body("say hi")).unwrap()).await.unwrap()
}

/// The first answer that `wanted` wants; the agent looks for a new list each second.
pub(crate) async fn until(agent: SocketAddr, wanted: impl Fn(&Answer) -> bool) -> Answer {
    for _ in 0..600 {
        let answer = Answer::read(ask(agent, "").await).await;
        if wanted(&answer) {
            return answer;
        }
        // Nothing tells an SDK that the agent has changed its mind; it asks again.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no such answer came");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_release_is_accepted() {
    let case = Case::start().await;
    let (agent, address) = case.agent().await.unwrap();
    let answer = until(address, |answer| answer.status.as_u16() != 503).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?} {}", agent.stderr());
    let said = agent.stdout();
    assert!(said.contains("sequence 1, accepted releases: 7, 8"), "{said}");
    assert!(said.contains("signed by alice.example, bob.example"), "{said}");
    assert!(said.contains("witness.example/w1 at "), "{said}");
    assert!(said.contains("first use"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_release_ends_its_sessions() {
    let case = Case::start().await;
    let (_agent, address) = case.agent().await.unwrap();
    until(address, |answer| answer.status.as_u16() == 200).await;
    let mut stalled = ask(address, "bytes;n=90000, stall;after=20000").await.into_body();
    stalled.frame().await.unwrap().unwrap();
    case.serve(&case.publisher.publish("log", 2, &case.releases(), &[RELEASE]).unwrap());
    // The stream in flight breaks: nobody else would ever end it.
    let broken = loop {
        match stalled.frame().await {
            Some(Ok(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(broken, Some(Err(_))), "{broken:?}");
    let answer = until(address, |answer| answer.status.as_u16() != 503).await;
    assert_eq!(answer.error_code(), Some("no_release"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_list_of_a_hostile_host_is_refused() {
    let case = Case::start().await;
    let first = fs::read(case.stack.host_folder().join(RELEASES_FILE)).unwrap();
    case.serve(&case.publisher.publish("log", 2, &case.releases(), &[8]).unwrap());
    let (agent, address) = case.agent().await.unwrap();
    until(address, |answer| answer.status.as_u16() == 200).await;
    // Shown to an agent that runs, it changes nothing; shown to one that starts, it ends it.
    case.serve(&first);
    let error = case.refused().await;
    assert!(error.contains("step history"), "{error}");
    assert!(error.contains("sequence number is 1, and 2 was accepted before"), "{error}");
    until(address, |answer| answer.status.as_u16() == 200).await;
    drop(agent);
    // Without what it remembered it could not tell, and says so.
    fs::remove_file(case.state()).unwrap();
    let (agent, _) = case.agent().await.unwrap();
    assert!(agent.stdout().contains("first use"), "{}", agent.stdout());
}

#[tokio::test(flavor = "multi_thread")]
async fn forked_log_is_refused_by_witness_and_client() {
    let case = Case::start().await;
    case.publisher.copy_log("log", "forked").unwrap();
    case.serve(&case.publisher.publish("log", 2, &case.releases(), &[8]).unwrap());
    let (agent, _) = case.agent().await.unwrap();
    drop(agent);
    // The log's key signs another past: list 2 accepts what it withdrew.
    case.publisher.append("forked", 2, &case.releases(), &[]).unwrap();
    let refused = case.publisher.cosign("forked", "w1.state").unwrap_err().to_string();
    assert!(refused.contains("the log is forked"), "{refused}");
    case.serve(&case.publisher.bundle("forked").unwrap());
    let error = case.refused().await;
    assert!(error.contains("step witnesses") && error.contains("0 of the trusted"), "{error}");
    // A witness that forgot, or is the operator's friend, does not help either.
    case.publisher.append("forked", 3, &case.releases(), &[]).unwrap();
    case.publisher.cosign("forked", "another.state").unwrap();
    case.serve(&case.publisher.bundle("forked").unwrap());
    let error = case.refused().await;
    assert!(error.contains("step history") && error.contains("the log is forked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn router_is_asked_the_live_question() {
    let case = Case::start().await;
    // The control channel must be up before the host opens tunnels; an agent waits for that.
    let (agent, address) = case.agent().await.unwrap();
    until(address, |answer| answer.status.as_u16() == 200).await;
    drop(agent);
    let (router, ca) = case.stack.router();
    let root = case.stack.enclave.as_ref().unwrap().root().unwrap().to_string();
    let key = case.stack.folder().join("key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (trust, state) = (case.publisher.trust(), case.state());
    let arguments: Vec<&OsStr> = vec![
        "verify".as_ref(),
        router.as_ref(),
        "--router-ca".as_ref(),
        ca.as_ref(),
        "--dangerous-development-root".as_ref(),
        root.as_ref(),
        "--key-file".as_ref(),
        key.as_ref(),
        "--trust".as_ref(),
        trust.as_ref(),
        "--release-state".as_ref(),
        state.as_ref(),
    ];
    let text = String::from_utf8(Program::output(Binary::Aegis, &arguments).unwrap()).unwrap();
    assert!(text.contains("accepted releases: 7, 8"), "{text}");
    assert!(text.contains("PCR 0-2 as in release 7"), "{text}");
    let json = [&arguments[..], &["--json".as_ref()]].concat();
    let json: serde_json::Value =
        serde_json::from_slice(&Program::output(Binary::Aegis, &json).unwrap()).unwrap();
    assert_eq!((&json["verified"], &json["policy"]), (&true.into(), &"releases".into()), "{json}");
    assert_eq!(json["list"]["release"], RELEASE, "{json}");
    // The same router after its release is withdrawn.
    case.serve(&case.publisher.publish("log", 2, &case.releases(), &[RELEASE]).unwrap());
    let asked = [&arguments[..], &["--release".as_ref(), "7".as_ref(), "--json".as_ref()]].concat();
    let json: serde_json::Value =
        serde_json::from_slice(&Program::output_with_code(1, Binary::Aegis, &asked).unwrap())
            .unwrap();
    assert_eq!((&json["verified"], &json["step"]), (&false.into(), &"pcrs".into()), "{json}");
}
