//! What became of each request is in the shipped host's ledger, in its words: whatever the
//! provider or the way to it did, every grant is settled once.

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockRoot;
use aegis_rig::stack::Stack;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use serde_json::Value;

async fn ask(session: &Session, behavior: &str) -> Option<Answer> {
    let request = match behavior {
        "" => chat("x"),
        behavior => chat("x").header("x-mock-behavior", behavior),
    };
    // A stream that breaks before its head brings no answer at all.
    exchange(session, request.body(chat_body("say hi")).unwrap()).await.ok()
}

/// Waits until grant `number` is settled and gives source and status class.
async fn settled(stack: &Stack, number: u64) -> (String, u64) {
    let find = |event: &Value| {
        let this = event["event"] == "usage" && event["grant"] == number;
        this.then(|| Some((event["source"].as_str()?.to_owned(), event["status_class"].as_u64()?)))?
    };
    stack.event(find).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_has_its_word() {
    let mut stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    let cases = [
        ("", "provider", 2),
        ("no-usage", "missing", 2),
        ("status;code=429", "unmetered", 4),
        ("status;code=503", "unmetered", 5),
        ("redirect;location=/v1/x", "unmetered", 3),
        ("early-close", "aborted", 0),
        ("endless-header", "aborted", 0),
        ("bytes;n=500000, reset;after=100000", "aborted", 2),
    ];
    for (number, (behavior, source, class)) in (1..).zip(cases) {
        ask(&session, behavior).await;
        assert_eq!(settled(&stack, number).await, (source.to_owned(), class), "{behavior}");
    }
    drop(session);
    stack.host.take().unwrap().finish().await.unwrap();
    let lines = stack.ledger().unwrap();
    for (line, count) in [("grant", cases.len()), ("settle", cases.len())] {
        assert_eq!(lines.iter().filter(|entry| entry["line"] == line).count(), count);
    }
    let first = lines.iter().find(|entry| entry["line"] == "settle").unwrap();
    assert_eq!(first["outcome"]["counts"]["input"], 2);
    assert_eq!(first["outcome"]["counts"]["output"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_and_one_that_is_another() {
    let stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    // A port that was free a moment ago and is closed now.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    stack.set_upstream(closed);
    let answer = ask(&session, "").await.unwrap();
    assert_eq!(answer.error_code(), Some("upstream_unreachable"));
    assert_eq!(settled(&stack, 1).await, ("not_dispatched".to_owned(), 0));

    let root = std::sync::Arc::new(MockRoot::load(stack.folder()).unwrap());
    let config = MockConfig { wrong_name: true, ..MockConfig::tls(root, &[]) };
    let other = Mock::start(config).await.unwrap();
    stack.set_upstream(other.addr());
    let answer = ask(&session, "").await.unwrap();
    assert_eq!(answer.error_code(), Some("upstream_tls"));
    assert_eq!(settled(&stack, 2).await, ("not_dispatched".to_owned(), 0));
    assert!(other.recorded().is_empty() && stack.mock.recorded().is_empty());
}
