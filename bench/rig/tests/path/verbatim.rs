//! Bodies pass as they are, both ways, whatever they hold and however they are cut.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::PseudoRandom;
use aegis_rig::user::Answer;
use aegis_rig::user::User;
use aegis_rig::user::chat;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::Full;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prop_oneof;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;
use sha2::Digest as _;
use sha2::Sha256;

const MIB: usize = 1 << 20;

/// A body in the pieces given, whose length is announced or not.
struct Pieces {
    rest: Bytes,
    cuts: Vec<usize>,
    announced: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let next = this.cuts.pop().unwrap_or(usize::MAX).clamp(1, this.rest.len());
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(next)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced { SizeHint::with_exact(self.rest.len() as u64) } else { SizeHint::new() }
    }
}

/// The two ways into an enclave: one HTTP/2 session, and a new HTTP/1.1 session for each request.
struct Ways {
    world: World,
    user: User,
    http2: Session,
}

impl Ways {
    async fn start(http1_only: bool) -> Self {
        let change = |config| aegis_mock::MockConfig { http1_only, ..config };
        let world = World::with_mock(change).await.unwrap();
        let user = world.user().unwrap();
        let http2 = user.session(Mode::Http2).await.unwrap();
        Self { world, user, http2 }
    }

    async fn echoes(&self, mode: Mode, body: Bytes, cuts: Vec<usize>, announced: bool) {
        match mode {
            Mode::Http1 => {
                let session = self.user.session(mode).await.unwrap();
                echoes(&self.world, &session, body, cuts, announced).await;
            }
            Mode::Http2 => echoes(&self.world, &self.http2, body, cuts, announced).await,
        }
    }
}

/// Sends a body, has it echoed, and compares on all three places.
async fn echoes(world: &World, session: &Session, body: Bytes, cuts: Vec<usize>, announced: bool) {
    let count = world.mock.recorded().len();
    let pieces = Pieces { rest: body.clone(), cuts, announced };
    let request = chat("x").header("x-mock-behavior", "echo").body(pieces).unwrap();
    let answer = exchange(session, request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true));
    assert!(answer.body == body, "{} bytes came back changed", body.len());
    let recorded = world.mock.wait_recorded(count + 1).await.remove(count);
    assert_eq!(recorded.body.length_bytes, body.len() as u64);
    assert_eq!(recorded.body.sha256, Some(Sha256::digest(&body).into()), "changed on the way up");
    // The client's own HTTP library decides whether no bytes at all have a length.
    let lengths = recorded.header_values("content-length").len();
    let kept = lengths == usize::from(announced) || body.is_empty();
    assert!(kept, "{lengths} content-length where {announced} was sent");
}

/// 48 bodies of up to 300 KB, every way of cutting them, on both kinds of session; the provider
/// speaks HTTP/2 for the first half and HTTP/1.1 for the second.
#[test]
fn any_body_in_any_pieces() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for http1_only in [false, true] {
        let ways = runtime.block_on(Ways::start(http1_only));
        let edges = vec![0, 1, 2, 100, 16_383, 16_384, 16_385, 65_536, 300_000];
        let length = prop_oneof![prop::sample::select(edges), 1..300_000_usize];
        let cuts = prop::collection::vec(1..40_000_usize, 0..40);
        let case = (length, any::<u64>(), cuts, any::<bool>(), any::<bool>());
        let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
        let run = TestRunner::new(config).run(&case, |(length, seed, cuts, announced, first)| {
            let body = Bytes::from(PseudoRandom::new(seed).take(length));
            let mode = if first { Mode::Http1 } else { Mode::Http2 };
            runtime.block_on(ways.echoes(mode, body, cuts, announced));
            Ok(())
        });
        run.unwrap();
    }
}

/// The largest bodies: 64 MiB up and down at once, announced and not, then 64 MiB each way alone.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_64_mib() {
    let ways = Ways::start(false).await;
    // What the adversary would keep of these is of no use to it or to this test.
    ways.world.hostile.record().stop();
    let body = Bytes::from(PseudoRandom::new(64).take(64 * MIB));
    ways.echoes(Mode::Http2, body.clone(), vec![], true).await;
    ways.echoes(Mode::Http1, body.clone(), vec![1_000_003; 32], false).await;
    let request = chat("x").header("x-mock-behavior", "bytes;n=67108864;seed=64;chunk=70001");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let answer = exchange(&ways.http2, request).await.unwrap();
    assert!(answer.clean && answer.body == body, "changed on the way down");
    let request = chat("x").body(Full::from(body.clone())).unwrap();
    let answer = exchange(&ways.http2, request).await.unwrap();
    assert_eq!(answer.error_code(), None, "the mock's own refusal of a body that is no JSON");
    let recorded = ways.world.mock.wait_recorded(4).await.remove(3);
    assert_eq!(recorded.body.sha256, Some(Sha256::digest(&body).into()));
}

/// What translating routers break: each is echoed by the provider as it arrived.
#[tokio::test(flavor = "multi_thread")]
async fn json_that_a_parser_would_change() {
    let ways = Ways::start(true).await;
    let bodies: [&[u8]; 12] = [
        br#"{"zeta":1,"alpha":2,"model":"m","unknown_field":{"nested":[1,2,{"x":null}]}}"#,
        br#"{"a":1,"a":2,"a":3}"#,
        br#"{ "spaced" :	1 ,"tail":true }  "#,
        b"{\"text\":\"invalid \xff\xfe\x80 utf-8\"}",
        b"\xef\xbb\xbf{\"bom\":1}",
        br#"{"n":1.0,"e":1e400,"big":12345678901234567890123456789,"neg":-0}"#,
        br#"{"s":"\u0041\/\ud83d\ude00\ud800","raw":"A/"}"#,
        br#"{"content":[{"type":"text","cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
        br#"{"type":"thinking","thinking":"...","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdj=="}"#,
        b"{\"a\":1}\r\n\r\n",
        b"not json at all \x00\x01\x02",
        b"",
    ];
    for body in bodies {
        let body = Bytes::copy_from_slice(body);
        ways.echoes(Mode::Http1, body.clone(), vec![3; 100], true).await;
        ways.echoes(Mode::Http2, body, vec![], false).await;
    }
}

/// Streams as the APIs send them are what the provider sent, event by event, cut anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn event_streams_are_the_providers_bytes() {
    let ways = Ways::start(false).await;
    let body = serde_json::json!({
        "model": "claude-mock", "max_tokens": 9, "stream": true,
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "messages": [{ "role": "user", "content": "say hi" }],
    });
    let body = body.to_string();
    let ask = |behavior: &str| {
        http::Request::post("https://anthropic.mock.aegis.test/v1/messages")
            .header("aegis-custody", "host")
            .header("x-mock-behavior", behavior)
            .body(Full::from(body.clone()))
            .unwrap()
    };
    let whole: Answer = exchange(&ways.http2, ask("thinking")).await.unwrap();
    let text = String::from_utf8_lossy(&whole.body).into_owned();
    assert!(text.contains("signature_delta") && text.contains("message_stop"), "{text}");
    let split: Answer = exchange(&ways.http2, ask("thinking, split;n=7")).await.unwrap();
    assert_eq!(split.body, whole.body);
    let crlf: Answer = exchange(&ways.http2, ask("thinking, crlf")).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&crlf.body).replace("\r\n", "\n"), text);
    assert_ne!(crlf.body, whole.body, "CRLF was normalised");
}
