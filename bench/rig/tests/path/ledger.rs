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

/// Waits until the n-th grant of a host is settled and gives source and status class.
async fn settled(stack: &Stack, nth: u64) -> (String, u64) {
    let find = |event: &Value| {
        let this = event["event"] == "usage" && is_nth(event, nth);
        this.then(|| Some((event["source"].as_str()?.to_owned(), event["status_class"].as_u64()?)))?
    };
    stack.event(find).await.unwrap()
}

/// Whether an event is of the n-th grant: those of one start begin at a multiple of 2^20.
fn is_nth(event: &Value, nth: u64) -> bool {
    event["grant"].as_u64().is_some_and(|grant| grant % (1 << 20) == nth - 1)
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
    let rows = stack.ledger().unwrap();
    assert_eq!(rows.len(), cases.len());
    for (row, (_, source, class)) in rows.iter().zip(cases) {
        let outcome = if source == "aborted" { "aborted" } else { "settled" };
        assert_eq!(row["outcome"], outcome, "{row}");
        // Without a price whatever may have cost something costs its reservation.
        let free = source == "unmetered" && class != 2;
        let charged = if free { &Value::from(0) } else { &row["reserved"] };
        assert_eq!(row["charged"], *charged, "{row}");
    }
    assert_eq!((&rows[0]["counts"]["input"], &rows[0]["counts"]["output"]), (&2.into(), &4.into()));
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
