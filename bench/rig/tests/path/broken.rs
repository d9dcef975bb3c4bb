//! Broken upstreams: the client sees a failure as a failure, never as a clean end, and the usage
//! says what became of the grant. No request is sent twice.

use aegis_client::Error;
use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::MockConfig;
use aegis_mock::PseudoRandom;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Slot;
use aegis_wire::control::Source;
use aegis_wire::control::Usage;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;

use crate::egress::is_broken;

async fn ask(session: &Session, behavior: &str) -> Result<Answer, Error> {
    let request = chat("x").header("x-mock-behavior", behavior);
    exchange(session, request.body(chat_body("say hi")).unwrap()).await
}

/// Runs `behavior` over both kinds of upstream and of session, each time in a world of its own,
/// and gives outcome and usage of the one request.
async fn four_ways(behavior: &str) -> Vec<(String, Result<Answer, Error>, Usage)> {
    let mut outcomes = Vec::new();
    for http1_only in [false, true] {
        let change = |config| MockConfig { http1_only, ..config };
        let world = World::with_mock(change).await.unwrap();
        for (count, mode) in [Mode::Http1, Mode::Http2].into_iter().enumerate() {
            let session = world.user().unwrap().session(mode).await.unwrap();
            let outcome = ask(&session, behavior).await;
            let usage = world.hostile.wait_usage(count + 1).await.unwrap().remove(count);
            outcomes.push((format!("{behavior} {mode:?} http1_only={http1_only}"), outcome, usage));
            assert_eq!(world.mock.recorded().len(), count + 1, "the request was sent again");
        }
    }
    outcomes
}

/// The answer is an error of the enclave's own.
async fn is_error(behavior: &str, errors: &[&str]) {
    for (name, outcome, usage) in four_ways(behavior).await {
        let answer = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let code = answer.error_code().unwrap_or("none");
        assert!(errors.contains(&code), "{name}: {code}, {answer:?}");
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (502, Some("false")));
        assert_eq!((usage.source, usage.status_class), (Source::Aborted, 0), "{name}");
    }
}

async fn breaks(behavior: &str, right: &[u8]) {
    for (name, outcome, usage) in four_ways(behavior).await {
        eprintln!("{name}");
        is_broken(&outcome, right);
        assert_eq!((usage.source, usage.status_class), (Source::Aborted, 2), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_in_the_middle_of_an_answer() {
    let right = PseudoRandom::new(1).take(500_000);
    breaks("bytes;n=500000;seed=1, reset;after=100000", &right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_in_the_middle_of_an_announced_length() {
    let right = PseudoRandom::new(1).take(500_000);
    breaks("bytes;n=500000;seed=1;length=1, reset;after=100000", &right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn end_without_close_notify() {
    for (name, outcome, usage) in four_ways("eof-without-close-notify").await {
        match outcome {
            Ok(answer) => assert!(!answer.clean, "{name}: a cut answer ended cleanly"),
            Err(error) => assert!(matches!(error, Error::Lost(_)), "{name}: {error}"),
        }
        assert_ne!(usage.source, Source::Provider, "{name}: broken, so not complete");
        assert_eq!(usage.status_class, 2, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_before_an_answer() {
    is_error("early-close", &["upstream_lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_of_64_kib() {
    is_error("header;bytes=65536", &["upstream_head"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_that_fits() {
    for (name, outcome, usage) in four_ways("header;bytes=60000").await {
        let answer = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status.as_u16(), answer.error_code()), (200, None), "{name}");
        assert_eq!(usage.source, Source::Provider, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_without_an_end() {
    is_error("endless-header", &["upstream_head", "upstream_lost"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_is_relayed_and_not_followed() {
    let behavior = "redirect;location=https://openai.mock.aegis.test/v1/elsewhere?a=b;code=307";
    for (name, outcome, usage) in four_ways(behavior).await {
        let answer = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let location = Some("https://openai.mock.aegis.test/v1/elsewhere?a=b");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (307, location), "{name}");
        assert_eq!((usage.source, usage.status_class), (Source::Unmetered, 3), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_provider_are_relayed_once_and_unmetered() {
    for code in [400, 401, 404, 408, 409, 429, 500, 502, 503, 529] {
        let world = World::start().await.unwrap();
        let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
        let answer = ask(&session, &format!("status;code={code}")).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.error_code()), (code, None));
        let usage = world.hostile.wait_usage(1).await.unwrap().remove(0);
        let class = u8::try_from(code / 100).unwrap();
        assert_eq!((usage.source, usage.status_class), (Source::Unmetered, class), "{code}");
        assert_eq!(world.mock.recorded().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_gives_up_an_answer_pays_for_all_of_it() {
    for mode in [Mode::Http1, Mode::Http2] {
        let world = World::start().await.unwrap();
        let session = world.user().unwrap().session(mode).await.unwrap();
        // An event for each word, and so more than any window on the way holds.
        let body = serde_json::json!({
            "model": "mock-1", "stream": true, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "word ".repeat(25_000) }],
        });
        let body = Full::new(Bytes::from(body.to_string()));
        let answer = session.send(chat("x").body(body).unwrap()).await.unwrap();
        let mut body = answer.into_body();
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()), "it began");
        drop((body, session));
        let usage = world.hostile.wait_usage(1).await.unwrap().remove(0);
        assert_eq!((usage.source, usage.status_class), (Source::Provider, 2), "{mode:?}");
        assert_eq!(usage.counts[Slot::Output as usize], Some(25_002), "{mode:?}");
    }
}

/// What the provider would go on with for ever is given up.
#[tokio::test(flavor = "multi_thread")]
async fn client_that_gives_up_a_long_answer() {
    for mode in [Mode::Http1, Mode::Http2] {
        let world = World::start().await.unwrap();
        let session = world.user().unwrap().session(mode).await.unwrap();
        let request = chat("x").header("x-mock-behavior", "bytes;n=100000000");
        let answer = session.send(request.body(chat_body("x")).unwrap()).await.unwrap();
        let mut body = answer.into_body();
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()), "it began");
        drop((body, session));
        let usage = world.hostile.wait_usage(1).await.unwrap().remove(0);
        assert_eq!((usage.source, usage.status_class), (Source::Aborted, 2), "{mode:?}");
    }
}

/// Anthropic tells the input at the start of a stream: what was seen is on the books.
#[tokio::test(flavor = "multi_thread")]
async fn stream_that_breaks_after_some_usage_is_partial() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let words = "word ".repeat(20_000);
    let body = serde_json::json!({
        "model": "claude-mock", "max_tokens": 9, "stream": true,
        "messages": [{ "role": "user", "content": words }],
    });
    let request = http::Request::post("https://anthropic.mock.aegis.test/v1/messages")
        .header("aegis-custody", "host")
        .header("x-mock-behavior", "reset;after=60000")
        .body(Full::<Bytes>::from(body.to_string()));
    let outcome = exchange(&session, request.unwrap()).await;
    assert!(outcome.is_err() || outcome.is_ok_and(|answer| !answer.clean));
    let usage = world.hostile.wait_usage(1).await.unwrap().remove(0);
    assert_eq!((usage.source, usage.status_class), (Source::Partial, 2), "{usage:?}");
    assert_eq!(usage.counts[Slot::Input as usize], Some(20_000));
}
