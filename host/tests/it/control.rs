//! The control leg: grants and denials, the ledger before the answer, settlement once, and every
//! frame that must close the channel.

use aegis_wire::control::{Class, Custody, DenyCode, Frame, Grant, Hello, ToEnclave, ToHost};
use serde_json::{Value, json};

use crate::rig::{CREDENTIAL, Control, OpenEnds, Rig, Setup, authorize, hello, usage};

async fn up(setup: Setup) -> (Rig, Control) {
    let mut rig = setup.start().await;
    let control = rig.enclave.control(1).await;
    rig.event_of("authorize").await;
    rig.event_of("deny").await;
    (rig, control)
}

/// A granted request in a session that stays open as long as the returned streams.
async fn granted(rig: &mut Rig, control: &mut Control, request: u64) -> (Grant, u64, OpenEnds) {
    let (tls, inner, session) = rig.session().await;
    control.send(ToHost::Authorize(authorize(session, request))).await;
    let Some(ToEnclave::Grant(grant)) = control.next().await else {
        panic!("no grant");
    };
    (grant, session, (tls, inner))
}

fn boot(byte: u8) -> String {
    hex::encode([byte; 16])
}

/// The ledger without its times.
fn rows(rig: &Rig) -> Vec<Value> {
    let mut rows = rig.setup.ledger();
    for row in &mut rows {
        let fields = row.as_object_mut().unwrap();
        assert!(fields.remove("at_ms").unwrap().is_u64());
        fields.remove("settled_ms").unwrap();
    }
    rows
}

#[tokio::test]
async fn a_grant_is_on_the_books_when_it_arrives() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (grant, session, _open) = granted(&mut rig, &mut control, 1).await;
    assert_eq!((grant.request, grant.attempt), (1, 1));
    assert!(grant.grant < 1 << 53, "every JSON reader holds it");
    assert_eq!((grant.account, grant.custody), (4, Custody::Host));
    assert_eq!(&grant.credential[..], CREDENTIAL.as_bytes());
    let row = json!({
        "grant_id": grant.grant, "host": "host", "boot": boot(1), "request": 1, "attempt": 1,
        "session_no": session, "tenant": "acme", "team": "", "key_name": "laptop",
        "enclave": "blue", "release_no": 7, "provider": "openai", "class": "generate",
        "custody": "host", "account": 4, "reserved": 20_000, "outcome": null, "source": null,
        "status_class": null, "counts": null, "label": null, "first_byte_ms": null,
        "total_ms": null, "charged": null, "pricing": null,
    });
    assert_eq!(rows(&rig), [row]);
    rig.event_of("session").await;
    let request = format!("{}-1", boot(1));
    let asked = json!({
        "request": request, "attempt": 1, "session": session, "tenant": "acme", "key": "laptop",
        "provider": "openai", "class": "generate", "custody": "host",
    });
    assert_eq!(rig.event_of("authorize").await, asked);
    let given = json!({ "request": request, "attempt": 1, "grant": grant.grant, "account": 4 });
    assert_eq!(rig.event_of("grant").await, given);
}

#[tokio::test]
async fn usage_is_settled_once_and_acknowledged_each_time() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (grant, _, _open) = granted(&mut rig, &mut control, 1).await;
    control.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant)));
    let mut again = usage(grant.grant);
    again.counts[0] = Some(1_000_000);
    control.send(ToHost::Usage(again)).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant)));
    let outcome = json!({
        "source": "provider", "status_class": 2, "counts": { "input": 11, "output": 0 },
        "label": "mock-1", "first_byte_ms": 120, "total_ms": 4500,
    });
    let rows = rows(&rig);
    assert_eq!(rows.len(), 1);
    for (name, value) in outcome.as_object().unwrap() {
        assert_eq!(rows[0][name], *value, "{name}");
    }
    assert_eq!((&rows[0]["outcome"], &rows[0]["pricing"]), (&"settled".into(), &"unpriced".into()));
    assert_eq!(rows[0]["charged"], rows[0]["reserved"], "without any price the reservation is due");
    for kind in ["session", "authorize", "grant"] {
        rig.event_of(kind).await;
    }
    let mut shown = outcome;
    (shown["request"], shown["grant"]) = (format!("{}-1", boot(1)).into(), grant.grant.into());
    assert_eq!(rig.event_of("usage").await, shown);
}

/// The deny code of one question.
async fn denied(control: &mut Control, asked: aegis_wire::control::Authorize) -> DenyCode {
    control.send(ToHost::Authorize(asked.clone())).await;
    match control.next().await {
        Some(ToEnclave::Deny(deny)) => {
            assert_eq!((deny.request, deny.attempt), (asked.request, asked.attempt));
            deny.code
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn denials_have_their_codes_and_leave_no_grant() {
    let mut setup = Setup::new();
    setup.host(&["key", "set", "laptop", "--provider", "openai", "--provider", "gemini"]);
    setup.host(&["limit", "set", "key", "laptop", "--requests-per-minute", "1"]);
    setup.head = "custodies = [\"host\"]".into();
    let (mut rig, mut control) = up(setup).await;
    let (_tls, _inner, session) = rig.session().await;
    let ask = |request| authorize(session, request);
    let code = denied(&mut control, authorize(session + 1, 1)).await;
    assert_eq!(code, DenyCode::Key);
    let mut client = ask(2);
    client.custody = Custody::Client;
    assert_eq!(denied(&mut control, client).await, DenyCode::Custody);
    let mut anthropic = ask(3);
    anthropic.provider = 1;
    assert_eq!(denied(&mut control, anthropic).await, DenyCode::Endpoint);
    let mut file = ask(4);
    file.class = Class::File;
    assert_eq!(denied(&mut control, file).await, DenyCode::Endpoint);
    let mut gemini = ask(5);
    gemini.provider = 2;
    assert_eq!(denied(&mut control, gemini).await, DenyCode::Account);
    assert!(rows(&rig).is_empty());
    control.send(ToHost::Authorize(ask(6))).await;
    assert!(matches!(control.next().await, Some(ToEnclave::Grant(_))));
    assert_eq!(denied(&mut control, ask(7)).await, DenyCode::Rate);
    assert_eq!(rows(&rig).len(), 1);
}

#[tokio::test]
async fn a_place_is_free_for_the_question_that_follows_the_usage() {
    let setup = Setup::new();
    setup.host(&["limit", "set", "key", "laptop", "--streams", "1"]);
    let (mut rig, mut control) = up(setup).await;
    let (grant, session, _open) = granted(&mut rig, &mut control, 1).await;
    assert_eq!(denied(&mut control, authorize(session, 2)).await, DenyCode::Rate);
    let frames = [ToHost::Usage(usage(grant.grant)), ToHost::Authorize(authorize(session, 3))];
    let bytes = frames.map(|frame| frame.encode().unwrap()).concat();
    control.send_bytes(&bytes).await;
    let answers = [control.next().await.unwrap(), control.next().await.unwrap()];
    assert!(answers.contains(&ToEnclave::Ack(grant.grant)), "{answers:?}");
    assert!(answers.iter().any(|frame| matches!(frame, ToEnclave::Grant(_))), "{answers:?}");
    assert_eq!(denied(&mut control, authorize(session, 4)).await, DenyCode::Rate);
}

#[tokio::test]
async fn what_a_budget_refuses_counts_in_no_rate() {
    let setup = Setup::new();
    setup.host(&["limit", "set", "key", "laptop", "--requests-per-minute", "2"]);
    setup.host(&["budget", "set", "tenant", "acme", "--day", "0.03"]);
    let (mut rig, mut control) = up(setup).await;
    let (_grant, session, _open) = granted(&mut rig, &mut control, 1).await;
    assert_eq!(denied(&mut control, authorize(session, 2)).await, DenyCode::Budget);
    rig.setup.host(&["budget", "set", "tenant", "acme", "--day", "0.05"]);
    control.send(ToHost::Authorize(authorize(session, 3))).await;
    let answer = control.next().await;
    assert!(matches!(answer, Some(ToEnclave::Grant(_))), "{answer:?}");
}

#[tokio::test]
async fn client_custody_gets_no_credential() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (_tls, _inner, session) = rig.session().await;
    let mut asked = authorize(session, 1);
    asked.custody = Custody::Client;
    control.send(ToHost::Authorize(asked)).await;
    let Some(ToEnclave::Grant(grant)) = control.next().await else {
        panic!("no grant");
    };
    assert_eq!((grant.account, grant.credential.len()), (0, 0));
}

#[tokio::test]
async fn a_session_that_ended_is_unknown() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (tls, inner, session) = rig.session().await;
    rig.event_of("session").await;
    drop((tls, inner));
    assert_eq!(rig.event_of("session").await["state"], "closed");
    // The event is shown just before the session is forgotten; both are one drop.
    let mut code = None;
    for request in 1..1000 {
        control.send(ToHost::Authorize(authorize(session, request))).await;
        if let Some(ToEnclave::Deny(deny)) = control.next().await {
            code = Some(deny.code);
            break;
        }
    }
    assert_eq!(code, Some(DenyCode::Key));
}

#[tokio::test]
async fn an_enclave_cannot_speak_for_the_session_of_another() {
    let mut setup = Setup::new();
    setup.tail = "[[enclave]]\nname = \"green\"\nrelease = 9\nunix = \"green\"".into();
    let (mut rig, _blue) = up(setup).await;
    let (_tls, _inner, session) = rig.session().await;
    let green = crate::rig::Enclave::listen(&rig.setup.path("green"));
    let mut control = green.control(2).await;
    assert_eq!(denied(&mut control, authorize(session, 1)).await, DenyCode::Key);
    assert!(rows(&rig).is_empty());
}

/// Whether the host closes a fresh channel after these bytes without answering.
async fn closes(rig: &Rig, greet: bool, bytes: &[u8]) -> bool {
    let mut control = match greet {
        true => rig.enclave.control(1).await,
        false => rig.enclave.dial().await,
    };
    control.send_bytes(bytes).await;
    control.next().await.is_none()
}

#[tokio::test]
async fn every_refused_frame_closes_the_channel() {
    let rig = Setup::new().start().await;
    let text = include_str!("../../../enclave/wire/vectors/refused.txt");
    let mut tried = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, bytes) = line.split_once(' ').unwrap();
        let bytes = hex::decode(bytes).unwrap();
        assert!(closes(&rig, true, &bytes).await, "{name} after Hello");
        assert!(closes(&rig, false, &bytes).await, "{name} first");
        tried += 1;
    }
    assert!(tried > 25, "{tried} vectors");
}

#[tokio::test]
async fn frames_of_the_wrong_moment_close_the_channel() {
    let rig = Setup::new().start().await;
    let vectors = include_str!("../../../enclave/wire/vectors/protocol.txt");
    let vector = |wanted: &str| {
        let found = vectors.lines().find_map(|line| line.strip_prefix(wanted));
        hex::decode(found.unwrap().trim()).unwrap()
    };
    let again = ToHost::Hello(hello(1)).encode().unwrap();
    assert!(closes(&rig, true, &again).await, "a second Hello");
    assert!(closes(&rig, false, &vector("authorize ")).await, "Authorize first");
    assert!(closes(&rig, false, &vector("usage ")).await, "Usage first");
    assert!(closes(&rig, true, &vector("ack ")).await, "a frame of the host's own");
    let mut beyond = authorize(1, 1);
    beyond.provider = 999;
    let beyond = ToHost::Authorize(beyond).encode().unwrap();
    assert!(closes(&rig, true, &beyond).await, "a provider beyond the table");
}

#[tokio::test]
async fn hello_must_match_version_and_table() {
    let rig = Setup::new().start().await;
    let wrong: [fn(&mut Hello); 2] = [|hello| hello.version = 2, |hello| hello.table[31] ^= 1];
    for spoil in wrong {
        let mut spoilt = hello(1);
        spoil(&mut spoilt);
        let bytes = ToHost::Hello(spoilt).encode().unwrap();
        assert!(closes(&rig, false, &bytes).await);
    }
}

/// The books may have been lost while the enclave lived: it must be able to go on.
#[tokio::test]
async fn usage_of_unknown_grants_is_acknowledged_and_not_booked() {
    let mut setup = Setup::new();
    setup.tail = "[[enclave]]\nname = \"green\"\nrelease = 9\nunix = \"green\"".into();
    let (mut rig, mut control) = up(setup).await;
    let (grant, _, _open) = granted(&mut rig, &mut control, 1).await;
    control.send(ToHost::Usage(usage(grant.grant - 1))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant - 1)));
    let green = crate::rig::Enclave::listen(&rig.setup.path("green"));
    let mut other = green.control(2).await;
    other.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(other.next().await, Some(ToEnclave::Ack(grant.grant)));
    assert_eq!(rows(&rig)[0]["outcome"], Value::Null, "another boot cannot settle it");
}

#[tokio::test]
async fn a_new_channel_of_the_same_boot_still_settles() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (grant, _, _open) = granted(&mut rig, &mut control, 1).await;
    let mut next = rig.enclave.control(1).await;
    assert_eq!(control.next().await, None, "the old channel is closed");
    next.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(next.next().await, Some(ToEnclave::Ack(grant.grant)));
    assert_eq!(rows(&rig)[0]["source"], "provider");
}

#[tokio::test]
async fn a_new_boot_settles_the_old_ones_grants_as_lost() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (grant, _, _open) = granted(&mut rig, &mut control, 1).await;
    let mut next = rig.enclave.control(2).await;
    let settled = rows(&rig);
    assert_eq!(settled.len(), 1);
    let ended = ["outcome", "source", "charged"].map(|name| settled[0][name].clone());
    assert_eq!(ended, [json!("aborted"), json!("lost"), json!(20_000)]);
    for kind in ["session", "authorize", "grant"] {
        rig.event_of(kind).await;
    }
    let shown = rig.event_of("usage").await;
    assert_eq!((&shown["grant"], &shown["source"]), (&grant.grant.into(), &"lost".into()));
    // A word on it from the boot that took its place changes nothing.
    next.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(next.next().await, Some(ToEnclave::Ack(grant.grant)));
    assert_eq!(rows(&rig)[0]["source"], "lost");
}

/// Nothing with a complete usage received stays aborted.
#[tokio::test]
async fn a_grant_past_its_deadline_is_lost_until_its_usage_comes() {
    let mut setup = Setup::new();
    setup.head = "usage_deadline_s = 1".into();
    let (mut rig, mut control) = up(setup).await;
    let (grant, _, _open) = granted(&mut rig, &mut control, 1).await;
    for kind in ["session", "authorize", "grant"] {
        rig.event_of(kind).await;
    }
    let shown = rig.event_of("usage").await;
    assert_eq!((&shown["grant"], &shown["source"]), (&grant.grant.into(), &"lost".into()));
    assert_eq!(rows(&rig)[0]["outcome"], "aborted");
    control.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant)));
    let row = &rows(&rig)[0];
    assert_eq!((&row["outcome"], &row["source"]), (&"settled".into(), &"provider".into()));
}

/// Grants of a channel that ended before they could be sent cost nobody anything.
#[tokio::test]
async fn a_grant_that_was_not_sent_is_void_or_open() {
    let (mut rig, mut control) = up(Setup::new()).await;
    let (_tls, _inner, session) = rig.session().await;
    for request in 1..=50 {
        control.send(ToHost::Authorize(authorize(session, request))).await;
    }
    drop(control);
    // The next channel of this boot is served after the end of the last.
    let mut next = rig.enclave.control(1).await;
    next.send(ToHost::Authorize(authorize(session, 51))).await;
    assert!(matches!(next.next().await, Some(ToEnclave::Grant(_))));
    for row in rows(&rig) {
        let charged = row["charged"].as_u64();
        match row["outcome"].as_str() {
            Some("void") => assert_eq!(charged, Some(0)),
            outcome => assert_eq!((outcome, charged), (None, None)),
        }
    }
}

#[tokio::test]
async fn a_used_up_budget_is_refused_with_its_end() {
    let setup = Setup::new();
    setup.host(&["price", "set", "*", "input=1000", "output=1000"]);
    setup.host(&["budget", "set", "tenant", "acme", "--day", "0.03"]);
    let (mut rig, mut control) = up(setup).await;
    let (grant, session, _open) = granted(&mut rig, &mut control, 1).await;
    // 0.02 is reserved: a second 0.02 does not fit, and fits again when the first cost 0.011.
    control.send(ToHost::Authorize(authorize(session, 2))).await;
    let Some(ToEnclave::Deny(deny)) = control.next().await else { panic!("no denial") };
    assert_eq!(deny.code, DenyCode::Budget);
    assert!((1..=86_400).contains(&deny.retry_after_s), "{}", deny.retry_after_s);
    control.send(ToHost::Usage(usage(grant.grant))).await;
    assert_eq!(control.next().await, Some(ToEnclave::Ack(grant.grant)));
    control.send(ToHost::Authorize(authorize(session, 3))).await;
    assert!(
        matches!(control.next().await, Some(ToEnclave::Deny(_))),
        "0.011 and 0.02 are too much"
    );
    rig.setup.host(&["budget", "set", "tenant", "acme", "--day", "0.031"]);
    control.send(ToHost::Authorize(authorize(session, 4))).await;
    assert!(matches!(control.next().await, Some(ToEnclave::Grant(_))), "budgets hold at once");
    let list = rig.setup.host(&["budget", "list"]);
    assert!(list.contains("0.031   0.011    0.02      0.00"), "{list}");
}

#[tokio::test]
async fn a_channel_without_hello_is_closed() {
    let rig = Setup::new().start().await;
    // Time stands still from here and jumps to the next deadline when everybody waits.
    tokio::time::pause();
    assert!(closes(&rig, false, b"").await, "not a byte");
    let hello = ToHost::Hello(hello(1)).encode().unwrap();
    assert!(closes(&rig, false, &hello[..20]).await, "a part of it");
}
