//! Bodies pass as they are, both ways, whatever they hold and however they are cut.

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::MockHandle;
use aegis_mock::PseudoRandom;
use aegis_rig::user::Answer;
use aegis_rig::user::User;
use aegis_rig::user::chat;
use aegis_rig::user::exchange;
use aegis_rig::verbatim;
use aegis_rig::verbatim::Pieces;
use aegis_rig::verbatim::Way;
use aegis_rig::world::World;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sha2::Digest as _;
use sha2::Sha256;

const MIB: usize = 1 << 20;

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

    fn on(&self, mode: Mode) -> On<'_> {
        On { ways: self, mode }
    }

    async fn echoes(&self, mode: Mode, body: Bytes, cuts: Vec<usize>, announced: bool) {
        verbatim::echoes(&self.on(mode), body, cuts, announced).await;
    }
}

/// One of the two ways.
struct On<'a> {
    ways: &'a Ways,
    mode: Mode,
}

impl Way for On<'_> {
    fn mock(&self) -> &MockHandle {
        &self.ways.world.mock
    }

    async fn send(&self, request: Request<Pieces>) -> Answer {
        match self.mode {
            Mode::Http1 => {
                let session = self.ways.user.session(self.mode).await.unwrap();
                exchange(&session, request).await.unwrap()
            }
            Mode::Http2 => exchange(&self.ways.http2, request).await.unwrap(),
        }
    }
}

/// 48 bodies of up to 300 KB, every way of cutting them, on both kinds of session; the provider
/// speaks HTTP/2 for the first half and HTTP/1.1 for the second.
#[test]
fn any_body_in_any_pieces() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for http1_only in [false, true] {
        let ways = runtime.block_on(Ways::start(http1_only));
        let (one, other) = (ways.on(Mode::Http1), ways.on(Mode::Http2));
        verbatim::any_body_in_any_pieces(&runtime, &one, &other);
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
    for body in verbatim::BODIES {
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
