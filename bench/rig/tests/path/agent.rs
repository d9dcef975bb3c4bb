//! The agent in front of the whole path: an SDK sets a base URL and sends its virtual key.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use aegis_mock::DEFAULT_KEY;
use aegis_rig::program::Binary;
use aegis_rig::program::Program;
use aegis_rig::record::contains;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat_body;
use http::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

/// Asks the agent once it has an enclave to ask.
pub(crate) async fn asked(agent: &Program, address: SocketAddr) -> Answer {
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let answer = loop {
        sender.ready().await.unwrap();
        let request = Request::post("/openai/v1/chat/completions?agent-canary=1")
            .header("host", address.to_string())
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(chat_body("say agent-canary"));
        let answer = Answer::read(sender.send_request(request.unwrap()).await.unwrap()).await;
        // Until the enclave's control channel is up the host has no enclave to give.
        if answer.status.as_u16() != 503 {
            break answer;
        }
    };
    assert_eq!(answer.status.as_u16(), 200, "{answer:?} {}", agent.stderr());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_is_enough() {
    let stack = Stack::start().await.unwrap();
    let (agent, address) = stack.start_agent().await.unwrap();
    let answer = asked(&agent, address).await;
    assert!(contains(&answer.body, b"You said: say agent-canary"));
    let recorded = stack.mock.wait_recorded(1).await.remove(0);
    assert_eq!(recorded.target, "/v1/chat/completions?agent-canary=1");
    let credential = format!("Bearer {DEFAULT_KEY}");
    assert_eq!(recorded.header_values("authorization"), [credential.as_bytes()]);
    assert!(stack.record.find(b"agent-canary").is_empty());
    assert!(stack.record.find(KEY.as_bytes()).is_empty(), "only inside outer TLS");
}

/// The one receipt of a folder, once it is whole: it is written when the answer is over.
pub(crate) async fn written(folder: &Path) -> PathBuf {
    for _ in 0..1200 {
        if let Some(entry) = fs::read_dir(folder).unwrap().next() {
            let path = entry.unwrap().path();
            if fs::read_to_string(&path).unwrap().ends_with("}\n") {
                return path;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no receipt was kept");
}

/// What `aegis receipt verify` prints, or its last words.
fn verified(stack: &Stack, bundle: &Path, more: &[&OsStr]) -> Result<serde_json::Value, String> {
    let (accept, root) = (stack.folder().join("accept.json"), stack.enclave.as_ref().unwrap());
    let root = root.root().unwrap().to_string();
    let fixed: [&OsStr; 8] = [
        "receipt".as_ref(),
        "verify".as_ref(),
        bundle.as_os_str(),
        "--json".as_ref(),
        "--accept".as_ref(),
        accept.as_os_str(),
        "--dangerous-development-root".as_ref(),
        root.as_ref(),
    ];
    let output = std::process::Command::new(Binary::Aegis.path().unwrap())
        .args(fixed.iter().chain(more))
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    assert_eq!(output.status.code(), Some(1));
    Err(String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_kept_and_verified_offline() {
    let stack = Stack::start().await.unwrap();
    let kept = stack.folder().join("receipts");
    fs::create_dir(&kept).unwrap();
    let flags = ["--receipts".as_ref(), kept.as_os_str()];
    let (agent, address) = stack.start_agent_with(&flags).await.unwrap();
    let answer = asked(&agent, address).await;
    let name = answer.header("aegis-request").unwrap().to_owned();
    let bundle = written(&kept).await;
    assert_eq!(bundle.file_stem().unwrap(), name.as_str());
    let (body, other) = (stack.folder().join("body"), stack.folder().join("other"));
    fs::write(&body, &answer.body).unwrap();
    fs::write(&other, b"another body").unwrap();
    let stated = verified(&stack, &bundle, &["--answer-body".as_ref(), body.as_os_str()]).unwrap();
    assert_eq!((&stated["request"], &stated["complete"]), (&name.into(), &true.into()));
    assert_eq!(stated["target"], "/v1/chat/completions?agent-canary=1");
    for flag in ["--answer-body", "--request-body"] {
        let refused = verified(&stack, &bundle, &[flag.as_ref(), other.as_os_str()]).unwrap_err();
        assert!(refused.contains("body is not the one"), "{refused}");
    }
    let text = fs::read_to_string(&bundle).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let exporter = changed["exporter"].as_str().unwrap();
    let flipped = if exporter.starts_with('0') { "1" } else { "0" };
    changed["exporter"] = format!("{flipped}{}", &exporter[1..]).into();
    fs::write(&bundle, changed.to_string()).unwrap();
    assert!(verified(&stack, &bundle, &[]).unwrap_err().contains("step nonce"));
}
