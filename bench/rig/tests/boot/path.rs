//! The whole path through an enclave that is a machine: agent, host, PID 1 behind its vsock, provider.

use std::net::SocketAddr;

use aegis_client::Mode;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::PseudoRandom;
use aegis_rig::machine::Init;
use aegis_rig::record::contains;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_verifier::PcrIndex;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;

use crate::programs;

/// Sessions in a row, each with its evidence and a request.
const SESSIONS: usize = 20;
/// More than every buffer on the way, and than one write takes.
const BODY_BYTES: usize = 3 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_reaches_the_provider_through_the_machine() {
    let stack = Stack::on_machine(programs(), Init::Development, false).await.unwrap();
    stack.ready().await.unwrap();
    let (agent, address) = stack.start_agent().await.unwrap();
    let plain = json!({ "model": "mock-1", "messages": [message("say machine-canary")] });
    let answer = ask(address, &plain).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?} {}", agent.stderr());
    assert!(contains(&answer.body, b"You said: say machine-canary"));
    let streamed = json!({
        "model": "mock-1", "messages": [message("say machine-canary")], "stream": true,
        "stream_options": { "include_usage": true },
    });
    let answer = ask(address, &streamed).await;
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert!(answer.body.ends_with(b"data: [DONE]\n\n"), "{answer:?}");
    let recorded = stack.mock.wait_recorded(2).await;
    let credential = format!("Bearer {DEFAULT_KEY}");
    assert_eq!(recorded[1].header_values("authorization"), [credential.as_bytes()]);
    assert!(stack.record.find(b"machine-canary").is_empty(), "the host saw plaintext");
    // Grants of one start count from a multiple of 2^20.
    let settled = |event: &serde_json::Value| {
        let second = event["grant"].as_u64().is_some_and(|grant| grant % (1 << 20) == 1);
        (event["event"] == "usage" && second).then(|| event["source"].clone())
    };
    assert_eq!(stack.event(settled).await.unwrap(), "provider", "usage comes over the control leg");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_registers_are_those_computed_from_the_image() {
    let stack = Stack::on_machine(programs(), Init::Development, false).await.unwrap();
    stack.ready().await.unwrap();
    let computed = stack.enclave.as_ref().unwrap().measurement();
    let user = stack.user(KEY).unwrap();
    let mut keys = Vec::new();
    for _ in 0..SESSIONS {
        let session = user.session(Mode::Http2).await.unwrap();
        let verified = session.attested().enclave();
        for (index, pcr) in (0..).zip([computed.pcr0, computed.pcr1, computed.pcr2]) {
            assert_eq!(
                verified.claims().pcrs().value(PcrIndex::new(index).unwrap()),
                Some(&pcr),
                "PCR{index}"
            );
        }
        keys.push(verified.public_key().map(<[u8]>::to_vec));
        let request = chat("x").body(chat_body("x")).unwrap();
        assert_eq!(exchange(&session, request).await.unwrap().status.as_u16(), 200);
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "one boot, one key");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_the_machines_vsock_unchanged() {
    let stack = Stack::on_machine(programs(), Init::Development, false).await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    let mut bytes = vec![0; BODY_BYTES];
    PseudoRandom::new(7).fill(&mut bytes);
    let body = Bytes::from(bytes);
    let request = chat("x").header("x-mock-behavior", "echo").body(Full::new(body.clone()));
    let answer = exchange(&session, request.unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true));
    assert!(answer.body == body, "{} bytes came back, or others", answer.body.len());
}

fn message(text: &str) -> serde_json::Value {
    json!({ "role": "user", "content": text })
}

/// As an SDK does with the agent as its base URL.
async fn ask(agent: SocketAddr, body: &serde_json::Value) -> Answer {
    let tcp = tokio::net::TcpStream::connect(agent).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/openai/v1/chat/completions")
        .header("host", agent.to_string())
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())));
    Answer::read(sender.send_request(request.unwrap()).await.unwrap()).await
}
