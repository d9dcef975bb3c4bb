//! A hostile host on the session leg: it may cut, drop, repeat, exchange and flip what it carries,
//! and cross sessions over. The shipped ends notice, and nothing it does is taken for the other
//! end's word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use aegis_client::Error;
use aegis_client::Mode;
use aegis_rig::hostile;
use aegis_rig::hostile::Crossing;
use aegis_rig::hostile::Session;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::session::Preface;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// What is done to the stream of TLS records, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tamper {
    Nothing,
    /// The next record is passed on twice.
    Duplicate,
    /// The next record is left out.
    Drop,
    /// The next two change places.
    Reorder,
    /// A bit of the next is flipped.
    Flip,
    /// Half of the next is passed on, then the stream ends.
    Truncate,
    /// The stream ends between two records.
    End,
}

const ALL: [Tamper; 6] =
    [Tamper::Duplicate, Tamper::Drop, Tamper::Reorder, Tamper::Flip, Tamper::Truncate, Tamper::End];

/// Arms one act of tampering from a test.
#[derive(Clone, Default)]
struct Armed(Arc<AtomicU8>);

impl Armed {
    fn arm(&self, tamper: Tamper) {
        self.0.store(tamper as u8, Ordering::SeqCst);
    }

    fn take(&self) -> Tamper {
        let code = self.0.swap(0, Ordering::SeqCst);
        ALL.into_iter().find(|tamper| *tamper as u8 == code).unwrap_or(Tamper::Nothing)
    }
}

async fn record(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut record = vec![0; 5];
    from.read_exact(&mut record).await?;
    let len = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + len, 0);
    from.read_exact(&mut record[5..]).await?;
    Ok(record)
}

/// Passes records on until the stream ends or tampering ends it.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    armed: Armed,
) -> io::Result<()> {
    loop {
        let mut now = record(&mut from).await?;
        match armed.take() {
            Tamper::Nothing => to.write_all(&now).await?,
            Tamper::Duplicate => to.write_all(&[&now[..], &now].concat()).await?,
            Tamper::Drop => {}
            Tamper::Reorder => {
                let next = record(&mut from).await?;
                to.write_all(&[next, now].concat()).await?;
            }
            Tamper::Flip => {
                *now.last_mut().unwrap() ^= 1;
                to.write_all(&now).await?;
            }
            Tamper::Truncate => {
                to.write_all(&now[..now.len() / 2]).await?;
                return to.flush().await;
            }
            Tamper::End => return Ok(()),
        }
        to.flush().await?;
    }
}

/// Splices sessions through a tamperer for each direction; when one direction ends, both do.
fn tamper_sessions(world: &World) -> (Armed, Armed) {
    let (up, down) = (Armed::default(), Armed::default());
    let armed = (up.clone(), down.clone());
    world.hostile.on_session(move |session: Session| {
        let (up, down) = (up.clone(), down.clone());
        async move {
            let enclave = session.door.open(session.number).await?;
            let (from_enclave, to_enclave) = tokio::io::split(enclave);
            let (from_client, to_client) = tokio::io::split(session.client);
            tokio::select! {
                ended = pump(from_client, to_enclave, up) => ended,
                ended = pump(from_enclave, to_client, down) => ended,
            }
        }
    });
    armed
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_requests_never_reach_the_provider_whole() {
    let world = World::start().await.unwrap();
    let (up, _) = tamper_sessions(&world);
    let user = world.user().unwrap();
    for tamper in ALL {
        let session = user.session(Mode::Http2).await.unwrap();
        up.arm(tamper);
        // Several records, so that there is something to exchange.
        let body = chat_body(&"tamper-canary ".repeat(10_000));
        let outcome = exchange(&session, chat("x").body(body).unwrap()).await;
        assert!(matches!(outcome, Err(Error::Lost(_) | Error::NotSent)), "{tamper:?}: {outcome:?}");
    }
    let whole = world.mock.recorded().iter().any(|request| request.body.sha256.is_some());
    assert!(!whole, "a tampered request arrived complete");
    assert!(world.hostile.record().find(b"tamper-canary").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tampered_answers_break_the_stream() {
    let world = World::start().await.unwrap();
    let (_, down) = tamper_sessions(&world);
    let user = world.user().unwrap();
    let right = aegis_mock::PseudoRandom::new(5).take(32_000_000);
    for (mode, tamper) in [Mode::Http1, Mode::Http2].into_iter().flat_map(|m| ALL.map(|t| (m, t))) {
        let session = user.session(mode).await.unwrap();
        let request = chat("x").header("x-mock-behavior", "bytes;n=32000000;seed=5");
        let head = session.send(request.body(chat_body("x")).unwrap()).await.unwrap();
        down.arm(tamper);
        let answer = Answer::read(head).await;
        assert!(!answer.clean, "{mode:?} {tamper:?}: a tampered answer ended cleanly");
        assert!(right.starts_with(&answer.body), "{mode:?} {tamper:?}: changed bytes were taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_two_clients_swapped_after_evidence() {
    let world = World::start().await.unwrap();
    let mut crossing = Crossing::of(&world.hostile);
    let user = world.user().unwrap();
    let one = user.session(Mode::Http2).await.unwrap();
    let two = user.session(Mode::Http2).await.unwrap();
    crossing.cross().await.unwrap();
    for session in [one, two] {
        let request = chat("x").body(chat_body("swap-canary")).unwrap();
        let outcome = exchange(&session, request).await;
        assert!(matches!(outcome, Err(Error::Lost(_) | Error::NotSent)), "{outcome:?}");
    }
    assert!(world.mock.recorded().is_empty(), "a request went out on the wrong session");
    assert!(world.hostile.record().find(b"swap-canary").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_session_played_to_the_enclave_again() {
    let world = World::start().await.unwrap();
    let (send, mut recorded) = mpsc::unbounded_channel();
    world.hostile.on_session(move |session: Session| {
        let send = send.clone();
        async move {
            let mut enclave = session.door.open(session.number).await?;
            let mut client = session.client;
            let ended = tokio::io::copy_bidirectional(&mut client, &mut enclave).await;
            send.send(client.read_so_far()).map_err(io::Error::other)?;
            ended.map(drop)
        }
    });
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let request = chat("x").body(chat_body("x")).unwrap();
    assert_eq!(exchange(&session, request).await.unwrap().status.as_u16(), 200);
    drop(session);
    let bytes = recorded.recv().await.unwrap();
    // The record begins with the CONNECT that the adversary answered itself.
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut again = world.hostile.door().open(9).await.unwrap();
    again.write_all(&bytes[head..]).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as good as any.
    let _ = again.read_to_end(&mut answer).await;
    assert_eq!(world.mock.recorded().len(), 1, "the request was sent again");
}

/// What the enclave says to `bytes` after its handshake with somebody who is no client.
async fn after_handshake(world: &World, bytes: &[u8]) -> Vec<u8> {
    let enclave = world.hostile.door().open(1).await.unwrap();
    let mut peer = hostile::connect_unverified(enclave).await.unwrap();
    peer.tls.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // The enclave closes without a word; how TLS tells it is no matter. One read is enough to see
    // that it says something.
    let _ = peer.tls.read_buf(&mut answer).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_before_evidence() {
    let world = World::start().await.unwrap();
    let http1 = b"POST /v1/chat/completions HTTP/1.1\r\nhost: openai.mock.aegis.test\r\n\
        aegis-custody: host\r\ncontent-length: 0\r\n\r\n";
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0 and as much again to fill an opening";
    for http in [&http1[..], http2] {
        assert_eq!(after_handshake(&world, http).await, b"");
    }
    assert_eq!(world.mock.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_openings_are_closed_without_a_word() {
    let world = World::start().await.unwrap();
    let good = hostile::opening(aegis_wire::session::Mode::Http1, [3; 32]).encode();
    for (at, value) in [(0, 0), (0, 2), (1, 0), (1, 3), (2, 2), (3, 1), (31, 0x80)] {
        let mut bad = good;
        bad[at] = value;
        assert_eq!(after_handshake(&world, &bad).await, b"", "byte {at} = {value}");
    }
    let enclave = world.hostile.door().open(1).await.unwrap();
    let mut peer = hostile::connect_unverified(enclave).await.unwrap();
    let opening = hostile::opening(aegis_wire::session::Mode::Http1, [3; 32]);
    assert!(!peer.evidence(&opening).await.unwrap().document.is_empty(), "the good one works");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_prefaces_are_closed_without_a_word() {
    let world = World::start().await.unwrap();
    let good = Preface(5).encode();
    for (at, value) in [(0, 0x61), (3, 0), (4, 1), (5, 0), (5, 2), (6, 1), (7, 1)] {
        let mut bad = good;
        bad[at] = value;
        let mut enclave = world.hostile.door().open_without_preface().await.unwrap();
        enclave.write_all(&bad).await.unwrap();
        let refused = hostile::connect_unverified(enclave).await.is_err();
        assert!(refused, "byte {at} = {value}");
    }
}
