//! Further attempts over the whole path (DESIGN 3.9): one account refuses, another serves; when
//! there is none, the client gets the provider's own words; what may have been done is not repeated.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::MockConfig;
use aegis_mock::PseudoRandom;
use aegis_mock::RecordedRequest;
use aegis_rig::hostile;
use aegis_rig::hostile::Dial;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Authorize;
use aegis_wire::control::DenyCode;
use aegis_wire::control::Frame as _;
use aegis_wire::control::Secret;
use aegis_wire::control::Source;
use aegis_wire::control::ToEnclave;
use aegis_wire::limits;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const KEYS: [&str; 4] = ["sk-made-up-a", "sk-made-up-b", "sk-made-up-c", "sk-made-up-d"];

/// A world whose host has four accounts, one for each attempt.
async fn world(http1_only: bool) -> World {
    let keys = KEYS.map(str::to_owned).to_vec();
    let world =
        World::with_mock(|config| MockConfig { keys, http1_only, keep_body_bytes: 1024, ..config })
            .await
            .unwrap();
    world.hostile.on_authorize(|ask, desk| {
        let mut grant = desk.honest(ask);
        grant.account = u32::from(ask.attempt);
        if !grant.credential.is_empty() {
            grant.credential = Secret(KEYS[usize::from(ask.attempt) - 1].as_bytes().to_vec());
        }
        vec![ToEnclave::Grant(grant).encode().unwrap()]
    });
    world
}

async fn ask(session: &Session, behavior: &str, body: impl Into<Bytes>) -> Answer {
    let request = chat("x").header("x-mock-behavior", behavior).body(Full::new(body.into()));
    exchange(session, request.unwrap()).await.unwrap()
}

fn small() -> Bytes {
    Bytes::from_static(br#"{"model":"mock-1","messages":[{"role":"user","content":"say hi"}]}"#)
}

/// What the host was asked.
fn asked(world: &World) -> Vec<Authorize> {
    world.hostile.seen().iter().filter_map(|seen| seen.authorize().cloned()).collect()
}

/// A request as the provider got it, without its credential.
fn without_credential(request: &RecordedRequest) -> impl PartialEq + std::fmt::Debug + use<> {
    let RecordedRequest { method, target, headers, body, .. } = request.clone();
    let rest = headers.into_iter().filter(|(name, _)| name != "authorization").collect::<Vec<_>>();
    (method, target, rest, body.sha256, body.length_bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_serves_what_the_first_refused() {
    for http1_only in [false, true] {
        let world = world(http1_only).await;
        for mode in [Mode::Http1, Mode::Http2] {
            let session = world.user().unwrap().session(mode).await.unwrap();
            for code in [429, 500, 502, 503, 529] {
                let before = (world.mock.recorded().len(), asked(&world).len());
                let behavior = format!("status;code={code};retry-after=7, for-key;key={}", KEYS[0]);
                let answer = ask(&session, &behavior, small()).await;
                let name = format!("{code} {mode:?} http1_only={http1_only}");
                assert_eq!((answer.status.as_u16(), answer.clean), (200, true), "{name}");
                assert_eq!(answer.header("retry-after"), None, "{name}");

                let requests = world.mock.wait_recorded(before.0 + 2).await.split_off(before.0);
                let [first, second] = &requests[..] else { panic!("{name}: {requests:?}") };
                assert_eq!(first.body.first_bytes, small(), "{name}");
                assert_eq!(without_credential(first), without_credential(second), "{name}");
                let keys = requests.iter().map(|it| it.header_values("authorization")[0]);
                assert!(keys.eq(KEYS[..2].iter().map(|key| format!("Bearer {key}").into_bytes())));

                let questions = asked(&world).split_off(before.1);
                let [one, two] = &questions[..] else { panic!("{name}: {questions:?}") };
                assert_eq!((one.attempt, two.attempt), (1, 2), "{name}");
                assert_eq!((one.request, one.session), (two.request, two.session), "{name}");
                let usages = world.hostile.wait_usage(before.1 + 2).await.unwrap();
                let ends = usages[before.1..].iter().map(|it| (it.source, it.status_class));
                let class = u8::try_from(code / 100).unwrap();
                let expected = [(Source::Unmetered, class), (Source::Provider, 2)];
                assert!(ends.eq(expected), "{name}: {usages:?}");
            }
        }
        let mut grants: Vec<_> =
            world.hostile.wait_usage(20).await.unwrap().iter().map(|usage| usage.grant).collect();
        grants.sort_unstable();
        assert!(grants.iter().copied().eq(1..=20), "each grant is settled once: {grants:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_attempts_are_the_most() {
    let world = world(false).await;
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let answer = ask(&session, "status;code=503;retry-after=11", small()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code()), (503, None));
    assert_eq!(answer.header("retry-after"), Some("11"), "the provider's last word");
    assert_eq!(world.mock.recorded().len(), 4);
    assert!(asked(&world).iter().map(|ask| ask.attempt).eq(1..=4));
    assert_eq!(world.hostile.wait_usage(4).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_account_the_client_gets_the_providers_words() {
    for mode in [Mode::Http1, Mode::Http2] {
        let world = world(false).await;
        let session = world.user().unwrap().session(mode).await.unwrap();
        let alone = ask(&session, "status;code=429;retry-after=7;should-retry=true", small()).await;
        assert_eq!(world.mock.recorded().len(), 4);
        world.hostile.on_authorize(|ask, desk| match ask.attempt {
            1 => vec![desk.grant(ask)],
            _ => vec![hostile::deny(ask, DenyCode::Rate, 99)],
        });
        world.hostile.desk().set_credential(KEYS[0].as_bytes());
        let answer =
            ask(&session, "status;code=429;retry-after=7;should-retry=true", small()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code(), answer.clean), (429, None, true));
        assert_eq!(answer.header("retry-after"), Some("7"), "not the host's 99");
        assert_eq!(answer.header("x-should-retry"), Some("true"));
        assert_eq!(answer.body.len(), alone.body.len(), "the provider's error, whole");
        assert_eq!(world.mock.recorded().len(), 5, "sent once");
        let usages = world.hostile.wait_usage(5).await.unwrap();
        assert_eq!((usages[4].source, usages[4].status_class), (Source::Unmetered, 4));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_may_not_be_repeated_are_sent_once() {
    let world = world(false).await;
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let behavior = format!("status;code=429, for-key;key={}", KEYS[0]);
    let list = Request::get("https://openai.mock.aegis.test/v1/models")
        .header("aegis-custody", "host")
        .header("x-mock-behavior", &behavior)
        .body(Full::<Bytes>::default());
    let own = Request::post("https://openai.mock.aegis.test/v1/chat/completions")
        .header("aegis-custody", "client")
        .header("authorization", format!("Bearer {}", KEYS[0]))
        .header("x-mock-behavior", &behavior)
        .body(Full::new(small()));
    for (count, request) in (1..).zip([list, own]) {
        let answer = exchange(&session, request.unwrap()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (429, None));
        assert_eq!((world.mock.recorded().len(), asked(&world).len()), (count, count));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_processed_is_not_repeated() {
    let world = world(false).await;
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let only_first = format!("for-key;key={}", KEYS[0]);
    let answer = ask(&session, &format!("early-close, {only_first}"), small()).await;
    assert_eq!(answer.error_code(), Some("upstream_lost"));
    assert_eq!((world.mock.recorded().len(), asked(&world).len()), (1, 1));

    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let cut = format!("bytes;n=90000, reset;after=100, {only_first}");
    let request = chat("x").header("x-mock-behavior", cut).body(chat_body("x")).unwrap();
    let outcome = exchange(&session, request).await;
    assert!(outcome.is_err() || outcome.is_ok_and(|answer| !answer.clean), "never a clean end");
    assert_eq!((world.mock.recorded().len(), asked(&world).len()), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_kept_up_to_the_limit() {
    let behavior = format!("status;code=429, for-key;key={}", KEYS[0]);
    for (over, attempts) in [(0, 2), (1, 1)] {
        let world = world(false).await;
        let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
        let body = Bytes::from(PseudoRandom::new(3).take(limits::REPLAY_BYTES + over));
        let answer = ask(&session, &behavior, body.clone()).await;
        // The mock finds no JSON in it, which is the API's answer.
        let status = if attempts == 2 { 400 } else { 429 };
        assert_eq!((answer.status.as_u16(), answer.error_code()), (status, None));
        let requests = world.mock.recorded();
        assert_eq!((requests.len(), asked(&world).len()), (attempts, attempts));
        assert!(requests.iter().all(|it| it.body.length_bytes == body.len() as u64));
        assert!(requests.iter().all(|it| it.body.sha256 == requests[0].body.sha256));
    }
}

/// While others' bodies fill the room for copies, requests are made once, and again as before when
/// the room is free.
#[tokio::test(flavor = "multi_thread")]
async fn all_kept_bodies_together_are_bounded() {
    let world = world(false).await;
    let user = world.user().unwrap();
    let session = user.session(Mode::Http2).await.unwrap();
    let behavior = format!("status;code=429, for-key;key={}", KEYS[0]);
    let full = limits::REPLAY_TOTAL_BYTES / limits::REPLAY_BYTES;
    let body = Bytes::from(vec![b'x'; limits::REPLAY_BYTES]);
    let mut held = tokio::task::JoinSet::new();
    for _ in 0..full {
        let (user, body) = (user.clone(), body.clone());
        held.spawn(async move {
            let session = user.session(Mode::Http2).await.unwrap();
            ask(&session, "silent", body).await;
        });
    }
    world.mock.wait_recorded(full).await;
    assert_eq!(ask(&session, &behavior, small()).await.status.as_u16(), 429, "no room, no copy");
    assert_eq!(asked(&world).len(), full + 1);
    held.shutdown().await;
    // Whose client is gone is not tried again: the room is given back before the provider answers.
    let kept = async { while ask(&session, &behavior, small()).await.status.as_u16() == 429 {} };
    tokio::time::timeout(limits::DRAIN / 2, kept).await.expect("room for a copy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_reached_is_tried_again() {
    let world = world(false).await;
    let (mock, dials) = (world.mock.addr(), Arc::new(AtomicUsize::new(0)));
    world.hostile.on_egress(move |_| match dials.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Dial::Answer(vec![2]),
        _ => Dial::To(mock),
    });
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let answer = ask(&session, "echo", small()).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &small()));
    let usages = world.hostile.wait_usage(3).await.unwrap();
    let sources = usages.iter().map(|usage| usage.source).collect::<Vec<_>>();
    assert_eq!(sources[..2], [Source::NotDispatched; 2]);
    assert_eq!((sources.len(), world.mock.recorded().len()), (3, 1));
}
