//! What a path must do to pass bodies as they are. The sealed path is held to it, and whatever is
//! put beside it for comparison.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use aegis_mock::MockHandle;
use aegis_mock::PseudoRandom;
use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::prop_oneof;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::runtime::Runtime;

use crate::user::Answer;
use crate::user::chat;

/// What translating routers break: each must be echoed by the provider as it arrived.
pub const BODIES: [&[u8]; 12] = [
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

/// A way from a client to the mock.
pub trait Way {
    /// Where it leads.
    fn mock(&self) -> &MockHandle;

    /// Sends a request on it, and reads the answer to its end.
    fn send(&self, request: Request<Pieces>) -> impl Future<Output = Answer>;
}

/// A body in the pieces given, whose length is announced or not.
#[derive(Debug)]
pub struct Pieces {
    rest: Bytes,
    cuts: Vec<usize>,
    announced: bool,
}

impl Pieces {
    /// A body cut from its beginning at the lengths in `cuts`, the last first.
    pub fn new(rest: Bytes, cuts: Vec<usize>, announced: bool) -> Self {
        Self { rest, cuts, announced }
    }
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

/// Sends a body, has it echoed, and compares on all three places.
///
/// # Panics
/// When anything differs: it is an assertion of tests.
pub async fn echoes(way: &impl Way, body: Bytes, cuts: Vec<usize>, announced: bool) {
    let count = way.mock().recorded().len();
    let pieces = Pieces::new(body.clone(), cuts, announced);
    let request = chat("x").header("x-mock-behavior", "echo").body(pieces);
    // All its fields are constants and valid.
    let answer = way.send(request.expect("a valid request")).await;
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true));
    assert!(answer.body == body, "{} bytes came back changed", body.len());
    let recorded = way.mock().wait_recorded(count + 1).await.remove(count);
    assert_eq!(recorded.body.length_bytes, body.len() as u64);
    assert_eq!(recorded.body.sha256, Some(Sha256::digest(&body).into()), "changed on the way up");
    // The client's own HTTP library decides whether no bytes at all have a length.
    let lengths = recorded.header_values("content-length").len();
    let kept = lengths == usize::from(announced) || body.is_empty();
    assert!(kept, "{lengths} content-length where {announced} was sent");
}

/// 24 bodies of up to 300 KB, every way of cutting them, each on one of two ways.
///
/// # Panics
/// When anything differs: it is an assertion of tests.
pub fn any_body_in_any_pieces(runtime: &Runtime, one: &impl Way, other: &impl Way) {
    let edges = vec![0, 1, 2, 100, 16_383, 16_384, 16_385, 65_536, 300_000];
    let length = prop_oneof![prop::sample::select(edges), 1..300_000_usize];
    let cuts = prop::collection::vec(1..40_000_usize, 0..40);
    let case = (length, any::<u64>(), cuts, any::<bool>(), any::<bool>());
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&case, |(length, seed, cuts, announced, first)| {
        let body = Bytes::from(PseudoRandom::new(seed).take(length));
        match first {
            true => runtime.block_on(echoes(one, body, cuts, announced)),
            false => runtime.block_on(echoes(other, body, cuts, announced)),
        }
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}
