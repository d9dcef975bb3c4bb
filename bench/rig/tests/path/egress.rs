//! A hostile host on the egress leg: it may connect the enclave to whomever it likes, and only the
//! provider of the table gets a request.

use std::net::SocketAddr;
use std::sync::Arc;

use aegis_client::Error;
use aegis_client::Mode;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use aegis_rig::hostile::Dial;
use aegis_rig::record::Leg;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::MOCK_NAMES;
use aegis_rig::world::World;
use aegis_wire::control::Source;
use tokio::io::AsyncReadExt as _;

/// What a client gets when egress leads to `dial`; nothing of the request may be seen anywhere.
async fn answer_over(world: &World, dial: Dial) -> Answer {
    world.hostile.on_egress(move |_| dial.clone());
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let request = chat("egress-canary").body(chat_body("egress-canary")).unwrap();
    let answer = exchange(&session, request).await.unwrap();
    assert!(world.mock.recorded().is_empty());
    assert!(world.hostile.record().find(b"egress-canary").is_empty());
    assert!(!world.hostile.record().streams(Leg::Egress).is_empty(), "egress was not asked");
    answer
}

/// The answer is this error, and the grant is settled as not dispatched.
async fn ends_in(world: &World, dial: Dial, error: &str, retry: &str) {
    let answer = answer_over(world, dial).await;
    let got = (answer.error_code(), answer.status.as_u16(), answer.header("x-should-retry"));
    assert_eq!(got, (Some(error), 502, Some(retry)), "{answer:?}");
    let usage = world.hostile.wait_usage(1).await.unwrap();
    assert_eq!((usage[0].source, usage[0].status_class), (Source::NotDispatched, 0));
}

async fn provider(root: Arc<MockRoot>, names: &[&str]) -> MockHandle {
    Mock::start(MockConfig::tls(root, names)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dialled_to_another_provider_of_the_table() {
    let world = World::start().await.unwrap();
    let other = provider(Arc::clone(&world.mock_root), &MOCK_NAMES[1..]).await;
    ends_in(&world, Dial::To(other.addr()), "upstream_tls", "false").await;
    assert!(other.recorded().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dialled_to_the_right_name_under_a_root_of_the_adversarys() {
    let world = World::start().await.unwrap();
    let root = Arc::new(MockRoot::generate().unwrap());
    let other = provider(root, &MOCK_NAMES).await;
    ends_in(&world, Dial::To(other.addr()), "upstream_tls", "false").await;
    assert!(other.recorded().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn dialled_to_something_that_speaks_no_tls() {
    let world = World::start().await.unwrap();
    let plain = Mock::start(MockConfig::plain_http()).await.unwrap();
    ends_in(&world, Dial::To(plain.addr()), "upstream_tls", "false").await;
    assert!(plain.recorded().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_place_of_the_providers_hello() {
    let world = World::start().await.unwrap();
    let garbage = Dial::Answer([&[0][..], &[0x41; 64]].concat());
    ends_in(&world, garbage, "upstream_tls", "false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_but_connected_is_a_failure() {
    let world = World::start().await.unwrap();
    for byte in [1, 2, 3, 4, 5, 6, 7, 0x16, 0x80, 0xff] {
        let answer = answer_over(&world, Dial::Answer(vec![byte])).await;
        assert_eq!(answer.error_code(), Some("upstream_unreachable"), "byte {byte}");
    }
    let usages = world.hostile.wait_usage(10).await.unwrap();
    assert!(usages.iter().all(|usage| usage.source == Source::NotDispatched));
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_closed_before_the_answer() {
    let world = World::start().await.unwrap();
    ends_in(&world, Dial::AnswerAndClose(vec![]), "upstream_unreachable", "true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn egress_closed_in_the_place_of_the_providers_hello() {
    let world = World::start().await.unwrap();
    ends_in(&world, Dial::AnswerAndClose(vec![0]), "upstream_unreachable", "true").await;
}

/// The one test here that runs into a limit of the protocol: 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn silent_egress() {
    let world = World::start().await.unwrap();
    ends_in(&world, Dial::Silent, "upstream_unreachable", "true").await;
}

/// A relay in front of the provider that spoils the `at`th byte it passes on towards the enclave
/// (or cuts there), behind the handshake.
async fn spoiler(upstream: SocketAddr, at: usize, cut: bool) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (enclave, _) = listener.accept().await.unwrap();
        let provider = tokio::net::TcpStream::connect(upstream).await.unwrap();
        let (mut from_enclave, mut to_enclave) = enclave.into_split();
        let (mut from_provider, mut to_provider) = provider.into_split();
        let up = tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_enclave, &mut to_provider).await;
        });
        let mut passed = 0;
        let mut piece = vec![0; 4096];
        while let Ok(count @ 1..) = from_provider.read(&mut piece).await {
            let hit = (passed..passed + count).contains(&at);
            if hit && !cut {
                piece[at - passed] ^= 0x80;
            }
            let whole = if hit && cut { at - passed } else { count };
            if tokio::io::AsyncWriteExt::write_all(&mut to_enclave, &piece[..whole]).await.is_err()
                || whole < count
            {
                break;
            }
            passed += count;
        }
        up.abort();
    });
    address
}

/// A stream that broke: no clean end, no byte that was not the provider's. A reset may overtake
/// the head (RFC 9113 lets an endpoint drop what it has queued); then there is no answer at all.
pub(crate) fn is_broken(outcome: &Result<Answer, Error>, right: &[u8]) {
    match outcome {
        Ok(answer) => {
            assert_eq!((answer.status.as_u16(), answer.clean), (200, false), "{answer:?}");
            assert!(right.starts_with(&answer.body), "bytes that the provider did not send");
        }
        Err(error) => assert!(matches!(error, Error::Lost(_)), "{error}"),
    }
}

async fn breaks_mid_answer(cut: bool) {
    let world = World::start().await.unwrap();
    let address = spoiler(world.mock.addr(), 150_000, cut).await;
    world.hostile.on_egress(move |_| Dial::To(address));
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let request = chat("x").header("x-mock-behavior", "bytes;n=400000;seed=9");
    let outcome = exchange(&session, request.body(chat_body("x")).unwrap()).await;
    let right = aegis_mock::PseudoRandom::new(9).take(400_000);
    is_broken(&outcome, &right);
    let usage = world.hostile.wait_usage(1).await.unwrap();
    assert_eq!((usage[0].source, usage[0].status_class), (Source::Aborted, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn flipped_bit_in_the_providers_answer() {
    breaks_mid_answer(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_answer_cut_short() {
    breaks_mid_answer(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_never_share_an_upstream_connection() {
    let world = World::start().await.unwrap();
    let user = world.user().unwrap();
    for _ in 0..2 {
        let session = user.session(Mode::Http2).await.unwrap();
        for _ in 0..2 {
            let request = chat("x").body(chat_body("x")).unwrap();
            assert_eq!(exchange(&session, request).await.unwrap().status.as_u16(), 200);
        }
    }
    let connections = world.mock.recorded().iter().map(|r| r.connection).collect::<Vec<_>>();
    assert_eq!(connections, [1, 1, 2, 2], "one connection for each session, used again within it");
}
