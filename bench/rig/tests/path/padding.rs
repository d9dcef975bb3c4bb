//! Padding through the whole path: what the client gets is the same, and what the host sees of it is
//! records of a few sizes, whatever is asked and answered.

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::PseudoRandom;
use aegis_rig::hostile;
use aegis_rig::record::Leg;
use aegis_rig::stack::Stack;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::padding;
use aegis_wire::session::Opening;
use aegis_wire::session::Preface;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

/// What TLS 1.3 adds to the plaintext of a record: its type and the tag.
const SEALED: usize = 17;
/// An alert, which ends a session.
const ALERT: usize = 2 + SEALED;

/// The lengths of the encrypted records of one direction.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [kind, 3, 3 | 1, a, b, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*a, *b]));
        if *kind == 0x17 {
            lengths.push(length);
        }
        bytes = rest.get(length..).unwrap_or_default();
    }
    lengths
}

/// What the host saw behind the handshake of a session: records of the client and of the enclave.
struct Seen {
    client: Vec<usize>,
    enclave: Vec<usize>,
}

/// The sessions that the host saw, in order; their evidence was this long.
fn seen(streams: &[Vec<u8>], evidence: usize) -> Vec<Seen> {
    let after = |bytes: &[u8], last: usize| {
        let records = records(bytes);
        let at = records.iter().position(|length| *length == last + SEALED).unwrap();
        records[at + 1..].iter().copied().filter(|length| *length != ALERT).collect()
    };
    let sessions = streams.chunks(2);
    sessions
        .map(|both| Seen {
            enclave: after(&both[0], evidence),
            client: after(&both[1][Preface::LEN..], Opening::LEN),
        })
        .collect()
}

fn evidence(session: &Session) -> usize {
    let transcript = session.attested().transcript();
    6 + transcript.document.len() + transcript.receipt_key.len()
}

fn is_class(length: &usize) -> bool {
    padding::CLASSES.contains(&(length - SEALED))
}

/// Bodies of many lengths, both ways, in both modes: equal to what passes without padding.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_and_their_lengths_do_not_show() {
    for mode in [Mode::Http1, Mode::Http2] {
        let world = World::start().await.unwrap();
        let session = world.user().unwrap().session_with(mode, true).await.unwrap();
        for length in [0, 1, 400, 511, 2_000, 8_190, 16_382, 16_383, 100_000, 1_000_000] {
            let body = Bytes::from(PseudoRandom::new(5).take(length));
            let request = chat("x").header("x-mock-behavior", "echo").body(Full::new(body.clone()));
            let answer = exchange(&session, request.unwrap()).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.clean), (200, true), "{mode:?} {length}");
            assert!(answer.body == body, "{mode:?}: {length} bytes came back changed");
        }
        let evidence = evidence(&session);
        drop(session);
        let seen = seen(&world.hostile.record().streams(Leg::Session), evidence).remove(0);
        for records in [seen.client, seen.enclave] {
            assert!(records.len() > 70, "{mode:?}: {} records", records.len());
            assert!(records.iter().all(is_class), "{mode:?}: {records:?}");
        }
    }
}

/// Questions of different lengths that fill a frame of one class look alike; without padding they
/// do not.
#[tokio::test(flavor = "multi_thread")]
async fn what_fills_one_class_looks_alike() {
    for (padded, alike) in [(true, true), (false, false)] {
        let world = World::start().await.unwrap();
        let mut questions = Vec::new();
        for text in ["yes", "a question that is longer by some words"] {
            let user = world.user().unwrap();
            let session = user.session_with(Mode::Http1, padded).await.unwrap();
            let before = world.hostile.record().streams(Leg::Session).len() - 2;
            let answer =
                exchange(&session, chat("x").body(chat_body(text)).unwrap()).await.unwrap();
            assert!(answer.clean && answer.status.is_success());
            let streams = world.hostile.record().streams(Leg::Session);
            questions.push(seen(&streams[before..], evidence(&session)).remove(0).client);
        }
        assert_eq!(questions[0] == questions[1], alike, "padding {padded}: {questions:?}");
        if padded {
            assert_eq!(questions[0], [padding::CLASSES[0] + SEALED], "one frame for one request");
        }
    }
}

/// An event passes although nothing follows it: no frame waits to be filled.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_wait_for_the_next() {
    for mode in [Mode::Http1, Mode::Http2] {
        let world = World::start().await.unwrap();
        let session = world.user().unwrap().session_with(mode, true).await.unwrap();
        let request = chat("x").header("x-mock-behavior", "bytes;n=90000, stall;after=7");
        let answer = session.send(request.body(chat_body("x")).unwrap()).await.unwrap();
        let mut body = answer.into_body();
        let mut held = 0;
        while held < 7 {
            held += body.frame().await.unwrap().unwrap().data_ref().unwrap().len();
        }
        assert_eq!(held, 7, "{mode:?}");
    }
}

/// A client that does not keep to frames is closed, and nothing of it is dispatched.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_the_session() {
    let world = World::start().await.unwrap();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"say hi"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: openai.mock.aegis.test\r\naegis-custody: host\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut good = [&[0; padding::HEAD], request.as_bytes()].concat();
    padding::fill(&mut good);
    let mut dirty = good.clone();
    *dirty.last_mut().unwrap() = 1;
    let cases = [
        ("no frames at all", request.clone().into_bytes(), false),
        ("padding that is not zero", dirty, false),
        ("a frame of nothing", vec![0; 512], false),
        ("a frame", good, true),
    ];
    for (name, bytes, served) in cases {
        let mut peer =
            hostile::connect_unverified(world.hostile.door().open(1).await.unwrap()).await.unwrap();
        let opening = Opening { padding: true, ..hostile::opening(Mode::Http1, [4; 32]) };
        peer.evidence(&opening).await.unwrap();
        peer.tls.write_all(&bytes).await.unwrap();
        peer.tls.flush().await.unwrap();
        let mut answer = Vec::new();
        let _ = peer.tls.read_to_end(&mut answer).await;
        let head = answer.first_chunk().and_then(|head| padding::carries(*head).ok());
        let frame = head.and_then(|carried| answer.get(..padding::class(carried)));
        let answered = frame.is_some_and(|frame| padding::opened(frame).is_ok());
        assert_eq!(answered, served, "{name}: {} bytes", answer.len());
        assert_eq!(world.mock.recorded().len(), usize::from(served), "{name}");
    }
}

/// The agent's flag.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_pads_when_told() {
    let stack = Stack::start().await.unwrap();
    let (agent, address) = stack.start_agent_with(&["--padding".as_ref()]).await.unwrap();
    let answer = crate::agent::asked(&agent, address).await;
    assert!(answer.clean);
    let streams = stack.record.streams(Leg::Session);
    let opening = Opening::LEN + SEALED;
    let sent = streams.iter().filter_map(|bytes| bytes.strip_prefix(b"AEGS"));
    let sent: Vec<usize> = sent.flat_map(|bytes| records(&bytes[Preface::LEN - 4..])).collect();
    let at = sent.iter().position(|length| *length == opening).unwrap();
    let frames: Vec<_> = sent[at + 1..].iter().filter(|length| **length != ALERT).collect();
    assert!(!frames.is_empty() && frames.iter().all(|length| is_class(length)), "{frames:?}");
}
