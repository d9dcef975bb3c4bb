//! The agent in front of the whole path: an SDK sets a base URL and sends its virtual key.

use aegis_mock::DEFAULT_KEY;
use aegis_rig::record::contains;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat_body;
use http::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

#[tokio::test(flavor = "multi_thread")]
async fn a_base_url_is_enough() {
    let stack = Stack::start().await.unwrap();
    let (agent, address) = stack.start_agent().await.unwrap();
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
    assert!(contains(&answer.body, b"You said: say agent-canary"));
    let recorded = stack.mock.wait_recorded(1).await.remove(0);
    assert_eq!(recorded.target, "/v1/chat/completions?agent-canary=1");
    let credential = format!("Bearer {DEFAULT_KEY}");
    assert_eq!(recorded.header_values("authorization"), [credential.as_bytes()]);
    assert!(stack.record.find(b"agent-canary").is_empty());
    assert!(stack.record.find(KEY.as_bytes()).is_empty(), "only inside outer TLS");
}
