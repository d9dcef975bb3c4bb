//! Enclave and host go away and come back: what was under way ends as a broken stream, the client
//! verifies anew and goes on, and every grant is settled exactly once in the ledger.

use aegis_client::Client;
use aegis_client::Custody;
use aegis_client::Error;
use aegis_rig::enclave::Image;
use aegis_rig::stack::OTHER_TENANT;
use aegis_rig::stack::Stack;
use aegis_rig::stack::TENANT;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::OTHER_KEY;
use aegis_rig::user::User;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use http::Response;
use serde_json::Value;

/// Sends until the host has an enclave again: away is an answer of its own, all else is final.
async fn send(
    client: &Client,
    user: &User,
    behavior: &str,
) -> Result<Response<aegis_client::Incoming>, Error> {
    for _ in 0..1200 {
        let request = match behavior {
            "" => chat("x"),
            behavior => chat("x").header("x-mock-behavior", behavior),
        };
        let request = request.body(chat_body("say hi")).unwrap();
        match client.send(&user.key, Custody::Host, request).await {
            Err(error) if error.is_away() => {}
            Ok(answer) if answer.status().as_u16() == 503 => {}
            outcome => return outcome,
        }
        // Nothing tells a client when a router is back; it asks again, as an agent does.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the router stayed away");
}

/// The sources with which all grants are settled, in the order of grants.
fn sources(stack: &Stack) -> Vec<String> {
    let rows = stack.ledger().unwrap();
    let source = |row: &Value| {
        assert!(row["outcome"].is_string() && row["charged"].is_u64(), "open: {row}");
        row["source"].as_str().unwrap().to_owned()
    };
    rows.iter().map(source).collect()
}

async fn settled(stack: &Stack, source: &str) {
    let find =
        |event: &Value| (event["event"] == "usage" && event["source"] == source).then_some(());
    stack.event(find).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn enclave_restart_is_verified_anew_and_settled() {
    let mut stack = Stack::start().await.unwrap();
    let user = stack.user(KEY).unwrap();
    let client = user.client().unwrap();
    let stalled = send(&client, &user, "bytes;n=90000, stall;after=20000").await.unwrap();
    let before = client.session(&user.key).await.unwrap().attested().clone();
    stack.enclave.take().unwrap().kill().unwrap();
    assert!(!Answer::read(stalled).await.clean, "a stream of a dead enclave ended cleanly");

    stack.start_enclave(Image::Shipped).await.unwrap();
    let answer = Answer::read(send(&client, &user, "").await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true));
    let after = client.session(&user.key).await.unwrap().attested().clone();
    assert_ne!(before.enclave().public_key(), after.enclave().public_key(), "a new key");
    settled(&stack, "provider").await;
    let host = stack.host.take().unwrap();
    host.finish().await.unwrap();
    assert_eq!(sources(&stack), ["lost", "provider"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn enclave_of_another_measurement_is_refused_after_a_restart() {
    let mut stack = Stack::start().await.unwrap();
    let user = stack.user(KEY).unwrap();
    let client = user.client().unwrap();
    assert_eq!(send(&client, &user, "").await.unwrap().status().as_u16(), 200);
    stack.enclave.take().unwrap().kill().unwrap();
    let folder = stack.folder().to_owned();
    stack.start_enclave(Image::OtherMeasurement(&folder)).await.unwrap();
    let sent = stack.mock.recorded().len();
    let error = loop {
        match send(&client, &user, "").await {
            Err(Error::Lost(_)) => {}
            Err(error) => break error,
            Ok(answer) => panic!("another program was believed: {}", answer.status()),
        }
    };
    assert_eq!(error.step(), Some("pcrs"), "{error}");
    assert_eq!(stack.mock.recorded().len(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn host_restart_loses_no_settlement() {
    let mut stack = Stack::start().await.unwrap();
    let user = stack.user(KEY).unwrap();
    let client = user.client().unwrap();
    let whole = Answer::read(send(&client, &user, "").await.unwrap()).await;
    assert!(whole.clean);
    let stalled = send(&client, &user, "bytes;n=90000, stall;after=20000").await.unwrap();
    stack.host.take().unwrap().kill().unwrap();
    assert!(!Answer::read(stalled).await.clean, "a stream over a dead host ended cleanly");

    stack.start_host().await.unwrap();
    let answer = Answer::read(send(&client, &user, "").await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true));
    // The enclave lived on and told the new host what became of the old grant.
    settled(&stack, "aborted").await;
    settled(&stack, "provider").await;
    stack.host.take().unwrap().finish().await.unwrap();
    assert_eq!(sources(&stack), ["provider", "aborted", "provider"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_are_booked_apart_and_a_stranger_is_refused() {
    let mut stack = Stack::start().await.unwrap();
    for key in [KEY, OTHER_KEY] {
        let user = stack.user(key).unwrap();
        let answer = send(&user.client().unwrap(), &user, "").await.unwrap();
        assert_eq!(Answer::read(answer).await.status.as_u16(), 200);
    }
    let stranger = stack.user("aegis-vk-test-stranger").unwrap();
    let refused = send(&stranger.client().unwrap(), &stranger, "").await.err().unwrap();
    assert!(matches!(refused, Error::Refused(aegis_client::Refusal::UnknownKey)), "{refused}");
    let second = |event: &Value| {
        // Numbers of one start begin at a multiple of 2^20.
        let second = event["grant"].as_u64().is_some_and(|grant| grant % (1 << 20) == 1);
        (event["event"] == "usage" && second).then_some(())
    };
    stack.event(second).await.unwrap();
    stack.host.take().unwrap().finish().await.unwrap();
    let ledger = stack.ledger().unwrap();
    let tenants: Vec<_> = ledger.iter().map(|row| row["tenant"].as_str().unwrap()).collect();
    assert_eq!(tenants, [TENANT, OTHER_TENANT]);
    assert_eq!(sources(&stack), ["provider", "provider"]);
}
