//! Heads that no well-behaved client sends: an attacker with a virtual key speaks HTTP/1.1 to the
//! enclave byte by byte, looking for a head that two readers read differently.

use aegis_rig::hostile;
use aegis_rig::world::World;
use aegis_wire::session::Mode;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

/// Fields that every request needs.
const NEEDED: &str =
    "aegis-custody: host\r\ncontent-type: application/json\r\nconnection: close\r\n";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"say hi"}]}"#;

/// What the enclave answers to these bytes on a session of its own, until it closes or stops.
async fn raw(world: &World, request: &str) -> String {
    let enclave = world.hostile.door().open(1).await.unwrap();
    let mut peer = hostile::connect_unverified(enclave).await.unwrap();
    let opening = hostile::opening(Mode::Http1, [9; 32]);
    peer.evidence(&opening).await.unwrap();
    peer.tls.write_all(request.as_bytes()).await.unwrap();
    peer.tls.flush().await.unwrap();
    let mut answer = Vec::new();
    // An enclave that refuses a head may close in any way.
    let _ = peer.tls.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /v1/chat/completions HTTP/1.1\r\n{NEEDED}{fields}\r\n{body}")
}

/// Every one of these is refused with 400 (or closed without an answer), and nothing goes out.
#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_heads_are_refused() {
    let world = World::start().await.unwrap();
    let host = "host: openai.mock.aegis.test\r\n";
    let length = format!("content-length: {}\r\n", BODY.len());
    let longer = format!("content-length: {}\r\n", BODY.len() + 1);
    let cases = [
        ("two hosts", post(&format!("{host}{host}{length}"), BODY)),
        ("two different hosts", post(&format!("{host}host: evil.example\r\n{length}"), BODY)),
        ("two different lengths", post(&format!("{host}{length}{longer}"), BODY)),
        ("a list of lengths", post(&format!("{host}content-length: 5, 6\r\n"), BODY)),
        ("a signed length", post(&format!("{host}content-length: +5\r\n"), BODY)),
        ("a space in a name", post(&format!("{host}content-length : 5\r\n"), BODY)),
        ("an unknown coding", post(&format!("{host}transfer-encoding: gzip\r\n"), BODY)),
        (
            "a coding after chunked",
            post(&format!("{host}transfer-encoding: chunked, gzip\r\n"), BODY),
        ),
        (
            "another authority in the target",
            format!(
                "POST https://api.openai.com/v1/chat/completions HTTP/1.1\r\n{NEEDED}{host}{length}\r\n{BODY}"
            ),
        ),
        ("a folded field", post(&format!("{host}x-a: b\r\n content-length: 5\r\n{length}"), BODY)),
        ("a bare CR", post(&format!("{host}x-a: b\rx-c: d\r\n{length}"), BODY)),
        ("a NUL", post(&format!("{host}x-a: b\0\r\n{length}"), BODY)),
    ];
    for (name, request) in cases {
        let answer = raw(&world, &request).await;
        let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 400 ");
        assert!(refused, "{name}: {answer}");
        assert!(world.mock.recorded().is_empty(), "{name}: {:?}", world.mock.recorded());
    }
    assert!(world.mock.recorded().is_empty(), "{:?}", world.mock.recorded());
    // The same request without a defect goes through.
    let answer = raw(&world, &post(&format!("{host}{length}"), BODY)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Framing said twice: refused, or read as one request whose body goes out under one framing.
#[tokio::test(flavor = "multi_thread")]
async fn framing_said_twice_never_goes_out_twice() {
    let host = "host: openai.mock.aegis.test\r\n";
    let length = format!("content-length: {}\r\n", BODY.len());
    let chunked = "transfer-encoding: chunked\r\n";
    let chunks = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n", BODY.len());
    let cases = [
        ("two equal lengths", post(&format!("{host}{length}{length}"), BODY)),
        ("length and coding", post(&format!("{host}{length}{chunked}"), &chunks)),
        ("coding and length", post(&format!("{host}{chunked}{length}"), &chunks)),
        (
            "coding and a wrong length",
            post(&format!("{host}{chunked}content-length: 5\r\n"), &chunks),
        ),
    ];
    for http1_only in [false, true] {
        let change = |config| aegis_mock::MockConfig { http1_only, ..config };
        let world = World::with_mock(change).await.unwrap();
        for (name, request) in &cases {
            let before = world.mock.recorded().len();
            let answer = raw(&world, request).await;
            let sent = world.mock.recorded().split_off(before);
            match sent.as_slice() {
                [] => assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}"),
                [one] => {
                    let framings = one.header_values("content-length").len()
                        + one.header_values("transfer-encoding").len();
                    assert!(framings <= 1, "{name}: {one:?}");
                    assert_eq!(one.body.sha256, Some(Sha256::digest(BODY).into()), "{name}");
                }
                more => panic!("{name}: {} requests", more.len()),
            }
        }
    }
}

/// A second request hidden in the body of the first stays body.
#[tokio::test(flavor = "multi_thread")]
async fn smuggled_request_is_not_seen_as_one() {
    let world = World::start().await.unwrap();
    let hidden = post("host: openai.mock.aegis.test\r\ncontent-length: 2\r\n", "{}");
    let fields = format!(
        "host: openai.mock.aegis.test\r\nx-mock-behavior: echo\r\n\
         content-length: {}\r\n",
        hidden.len()
    );
    let answer = raw(&world, &post(&fields, &hidden)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("POST /v1/chat"), "{answer}");
    let recorded = world.mock.recorded();
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0].body.length_bytes, hidden.len() as u64);
}

/// Bytes after a refused head are not taken for another request.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_a_refused_head() {
    let world = World::start().await.unwrap();
    let length = format!("content-length: {}\r\n", BODY.len());
    let good = post(&format!("host: openai.mock.aegis.test\r\n{length}"), BODY);
    let bad = post("host: openai.mock.aegis.test\r\ncontent-length: 5, 6\r\n", "");
    raw(&world, &format!("{bad}{good}")).await;
    assert!(world.mock.recorded().is_empty());
}
