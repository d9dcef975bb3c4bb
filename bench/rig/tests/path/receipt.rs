//! Receipts over the real path: what the enclave states is what the two ends saw, only its own
//! session can have it, a stream cut short is stated as such, and the host sees none of it.

use aegis_client::ANSWER_CUT;
use aegis_client::Client;
use aegis_client::Mode;
use aegis_client::NO_ANSWER;
use aegis_client::REQUEST_CUT;
use aegis_client::Receipt;
use aegis_client::Session;
use aegis_client::Statement;
use aegis_mock::DEFAULT_KEY;
use aegis_rig::record::contains;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Custody;
use aegis_wire::control::DenyCode;
use aegis_wire::control::Slot;
use aegis_wire::control::Source;
use aegis_wire::limits;
use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http_body_util::BodyExt as _;
use http_body_util::Full;

const QUESTION: &[u8] = br#"{"model":"mock-1","messages":[{"role":"user","content":"say hi"}]}"#;

async fn session(world: &World, mode: Mode) -> Session {
    world.user().unwrap().session(mode).await.unwrap()
}

fn asking(behavior: &str) -> http::request::Builder {
    let request = chat("x").header("aegis-receipt", "1");
    if behavior.is_empty() { request } else { request.header("x-mock-behavior", behavior) }
}

/// The verified receipt of an answer that was read to its end.
async fn receipt_of(session: &Session, answer: &Answer) -> Receipt {
    let name = answer.header("aegis-request").unwrap();
    let receipt = session.fetch_receipt(name).await.unwrap().unwrap();
    session.verify_receipt(&receipt).unwrap()
}

async fn stated(session: &Session, behavior: &str) -> (Answer, Statement) {
    let request = asking(behavior).body(Full::<Bytes>::from(QUESTION)).unwrap();
    let answer = exchange(session, request).await.unwrap();
    let receipt = receipt_of(session, &answer).await;
    (answer, receipt.statement().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_states_what_both_ends_saw() {
    let world = World::start().await.unwrap();
    for mode in [Mode::Http1, Mode::Http2] {
        let session = session(&world, mode).await;
        let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
        let answer = exchange(&session, request).await.unwrap();
        let receipt = receipt_of(&session, &answer).await;
        receipt.check_request_body(QUESTION).unwrap();
        receipt.check_answer_body(&answer.body).unwrap();
        assert!(receipt.is_complete());
        let stated = receipt.statement();
        let name = format!("{}-{}", hex::encode(&stated.boot), stated.request);
        assert_eq!(answer.header("aegis-request"), Some(name.as_str()));
        assert_eq!(stated.provider, "openai.mock.aegis.test");
        assert_eq!((stated.method.as_str(), stated.status), ("POST", 200));
        assert_eq!(stated.target, "/v1/chat/completions");
        assert_eq!(stated.sent.kind.as_deref(), Some(&b"application/json"[..]));
        let kind = answer.header("content-type").map(str::as_bytes);
        assert_eq!(stated.received.kind.as_deref(), kind);
        let id = answer.header("x-request-id").map(str::as_bytes);
        assert!(id.is_some() && stated.provider_id.as_deref() == id, "{stated:?}");
        assert_eq!((stated.custody, stated.attempts), (Custody::Host, 1));
        assert_eq!(stated.source, Source::Provider);
        assert!(stated.counts[Slot::Input as usize].is_some());
        assert_eq!(stated.label.as_deref(), Some("mock-1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_comes_as_a_trailer_too() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    for (behavior, wanted) in [("", true), ("bytes;n=50000;seed=3;length=1", true), ("", false)] {
        let mut request = asking(behavior);
        if !wanted {
            request.headers_mut().unwrap().remove("aegis-receipt");
        }
        let request = request.body(Full::<Bytes>::from(QUESTION)).unwrap();
        let (head, body) = session.send(request).await.unwrap().into_parts();
        let whole = body.collect().await.unwrap();
        let trailer = whole.trailers().and_then(|trailers| trailers.get("aegis-receipt"));
        let name = head.headers["aegis-request"].to_str().unwrap();
        let fetched = session.fetch_receipt(name).await.unwrap();
        assert_eq!(trailer.map(|hex| hex::decode(hex).unwrap()), fetched.map(|b| b.to_vec()));
        assert_eq!(trailer.is_some(), wanted, "{behavior}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_stated() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let uri = "https://gemini.mock.aegis.test/v1beta/models/m:generateContent";
    let request = Request::post(format!("{uri}?a=%2f&key={DEFAULT_KEY}&access_token=x&b=1"))
        .header("aegis-custody", "client")
        .header("aegis-receipt", "1")
        .body(Full::<Bytes>::from("{}"));
    let answer = exchange(&session, request.unwrap()).await.unwrap();
    let receipt = receipt_of(&session, &answer).await;
    let target = "/v1beta/models/m:generateContent?a=%2f&b=1";
    assert_eq!(receipt.statement().target, target);
    assert_eq!(receipt.statement().custody, Custody::Client);
    let recorded = world.mock.wait_recorded(1).await.remove(0);
    assert!(recorded.target.contains(DEFAULT_KEY), "the provider was not even sent the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_short_says_so() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let behavior = "bytes;n=500000;seed=1, reset;after=100000";
    let request = asking(behavior).body(Full::<Bytes>::from(QUESTION)).unwrap();
    // The reset may overtake the head, and then the client has no answer at all.
    let answer = exchange(&session, request).await;
    assert!(!answer.as_ref().is_ok_and(|answer| answer.clean));
    let boot = hex::encode(world.hostile.wait_hello(1).await.unwrap().boot);
    let asked = world.hostile.seen().iter().find_map(|seen| Some(seen.authorize()?.request));
    let name = format!("{boot}-{}", asked.unwrap());
    let receipt = session.fetch_receipt(&name).await.unwrap().unwrap();
    let receipt = session.verify_receipt(&receipt).unwrap();
    let stated = receipt.statement();
    assert_eq!((stated.incomplete, stated.status), (ANSWER_CUT, 200));
    assert!(stated.received.bytes >= answer.map_or(0, |answer| answer.body.len() as u64));
    let (answer, stated) = self::stated(&session, "early-close").await;
    assert_eq!(answer.error_code(), Some("upstream_lost"));
    assert_eq!((stated.incomplete & !REQUEST_CUT, stated.status), (NO_ANSWER, 0));
    assert_eq!(stated.source, Source::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_a_receipt_of_a_cut_stream() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let behavior = "bytes;n=90000000;seed=7";
    let request = asking(behavior).body(Full::<Bytes>::from(QUESTION)).unwrap();
    let (head, mut body) = session.send(request).await.unwrap().into_parts();
    let mut held = 0;
    while held < 60_000 {
        held += body.frame().await.unwrap().unwrap().data_ref().unwrap().len();
    }
    drop(body);
    // The grant is settled when the enclave knows; the receipt is there by then.
    world.hostile.wait_usage(1).await.unwrap();
    let name = head.headers["aegis-request"].to_str().unwrap();
    let receipt = session.fetch_receipt(name).await.unwrap().unwrap();
    let receipt = session.verify_receipt(&receipt).unwrap();
    assert_eq!(receipt.statement().incomplete, ANSWER_CUT);
    // What is read on for the books was not relayed.
    let relayed = receipt.statement().received.bytes;
    assert!((held as u64..limits::DRAIN_BYTES as u64).contains(&relayed), "{relayed} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_belongs_to_its_session() {
    let world = World::start().await.unwrap();
    let (one, two) = (session(&world, Mode::Http2).await, session(&world, Mode::Http2).await);
    let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
    let answer = exchange(&one, request).await.unwrap();
    let name = answer.header("aegis-request").unwrap();
    assert_eq!(two.fetch_receipt(name).await.unwrap(), None, "another session had it");
    let receipt = one.fetch_receipt(name).await.unwrap().unwrap();
    let refused = two.verify_receipt(&receipt).unwrap_err();
    assert_eq!(refused, aegis_client::ReceiptError::Session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_denied_or_asked_for_none_has_none() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let request = chat("x").body(Full::<Bytes>::from(QUESTION)).unwrap();
    let answer = exchange(&session, request).await.unwrap();
    let name = answer.header("aegis-request").unwrap().to_owned();
    assert_eq!(session.fetch_receipt(&name).await.unwrap(), None);
    world.hostile.on_authorize(|ask, _| vec![aegis_rig::hostile::deny(ask, DenyCode::Budget, 0)]);
    let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
    let answer = exchange(&session, request).await.unwrap();
    let name = answer.header("aegis-request").unwrap();
    assert_eq!(session.fetch_receipt(name).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_receipts_are_kept_and_the_newest_are() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let mut names = Vec::new();
    for _ in 0..=aegis_wire::limits::RECEIPTS {
        let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
        let answer = exchange(&session, request).await.unwrap();
        names.push(answer.header("aegis-request").unwrap().to_owned());
    }
    let (first, last) = (names.first().unwrap(), names.last().unwrap());
    assert_eq!(session.fetch_receipt(first).await.unwrap(), None);
    assert!(session.fetch_receipt(&names[1]).await.unwrap().is_some());
    assert!(session.fetch_receipt(last).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_sees_nothing_of_a_receipt_and_is_asked_nothing_for_it() {
    let world = World::start().await.unwrap();
    let session = session(&world, Mode::Http2).await;
    let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
    let answer = exchange(&session, request).await.unwrap();
    let asked = |world: &World| world.hostile.seen().iter().filter_map(|s| s.authorize()).count();
    let before = asked(&world);
    let name = answer.header("aegis-request").unwrap();
    let receipt = session.fetch_receipt(name).await.unwrap().unwrap();
    assert_eq!(asked(&world), before);
    let stated = session.verify_receipt(&receipt).unwrap();
    let stated = stated.statement();
    for secret in [&receipt[100..140], &stated.sent.digest, &stated.received.digest] {
        assert!(contains(&receipt, secret));
        assert!(world.hostile.record().find(secret).is_empty());
    }
    let mut fields = HeaderMap::new();
    fields.extend(world.mock.recorded().remove(0).headers.into_iter().filter_map(|(name, _)| {
        let name = http::HeaderName::try_from(name).ok()?;
        Some((name, http::HeaderValue::from_static("")))
    }));
    assert!(!fields.contains_key("aegis-receipt"), "the provider was told");
}

/// The pool's answers name the session that carried them.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_s_pool_leads_to_the_receipt() {
    let world = World::start().await.unwrap();
    let user = world.user().unwrap();
    let client: Client = user.client().unwrap();
    let request = asking("").body(Full::<Bytes>::from(QUESTION)).unwrap();
    let mut answer = client.send(&user.key, Custody::Host, request).await.unwrap();
    let session = answer.extensions_mut().remove::<std::sync::Arc<Session>>().unwrap();
    let answer = Answer::read(answer).await;
    receipt_of(&session, &answer).await.check_answer_body(&answer.body).unwrap();
}
