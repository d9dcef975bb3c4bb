//! What comes in the place of an answer to the opening: frames that are none, no evidence, silence.

use aegis_client::Error;
use aegis_client::Mode;
use aegis_rig::hostile;
use aegis_rig::hostile::Impostor;
use aegis_rig::hostile::Session;
use aegis_rig::world::World;
use aegis_wire::session::Evidence;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

/// What the client makes of `answer` to its opening, after which the peer closes.
async fn answered_with(world: &World, answer: Vec<u8>) -> Error {
    world.hostile.on_session(move |session: Session| {
        let answer = answer.clone();
        async move {
            let mut tls = hostile::accept_as(&Impostor::generate()?, session.client).await?;
            hostile::read_opening(&mut tls).await?;
            tls.write_all(&answer).await?;
            tls.shutdown().await?;
            let mut rest = Vec::new();
            tls.read_to_end(&mut rest).await?;
            assert!(rest.is_empty(), "bytes that followed the opening");
            Ok(())
        }
    });
    world.user().unwrap().session(Mode::Http2).await.err().expect("a session without evidence")
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_answers_are_refused_as_evidence() {
    let world = World::start().await.unwrap();
    let good = Evidence { document: vec![0xd2; 300], receipt_key: vec![0x30; 120] };
    let good = good.encode().unwrap();
    let with = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        bad
    };
    // Version, status, and lengths that go beyond what an answer may have.
    for bad in [with(0, 0), with(0, 2), with(1, 2), with(2, 0xff), with(304, 0xff)] {
        let error = answered_with(&world, bad).await;
        assert_eq!(error.step(), Some("evidence"), "{error}");
    }
    // The same frame without a defect is read, and its document refused.
    let error = answered_with(&world, good.clone()).await;
    assert_eq!(error.step(), Some("cose"), "{error}");
    for cut in [0, 1, 3, 100, good.len() - 1] {
        let error = answered_with(&world, good[..cut].to_vec()).await;
        assert!(matches!(error, Error::Ended { .. }), "cut to {cut}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_evidence_is_no_session() {
    let world = World::start().await.unwrap();
    let error = answered_with(&world, Evidence::UNAVAILABLE.to_vec()).await;
    assert!(matches!(error, Error::NoEvidence), "{error}");
}

/// A host that lets the client in and then says nothing: the client's own limit, 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn silent_host_behind_connect() {
    let world = World::start().await.unwrap();
    world.hostile.on_session(|mut session: Session| async move {
        let mut hello = Vec::new();
        session.client.read_to_end(&mut hello).await.map(drop)
    });
    let outcome = world.user().unwrap().session(Mode::Http2).await;
    let error = outcome.err().expect("a session with nobody");
    assert!(matches!(error, Error::Ended { .. }) && error.is_away(), "{error}");
}

/// The client's hello says nothing about the client: two of them differ only in what is random.
#[tokio::test(flavor = "multi_thread")]
async fn every_hello_looks_the_same() {
    let world = World::start().await.unwrap();
    let (send, mut hellos) = tokio::sync::mpsc::unbounded_channel();
    world.hostile.on_session(move |mut session: Session| {
        let send = send.clone();
        async move {
            let mut head = [0; 5];
            session.client.read_exact(&mut head).await?;
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            session.client.read_exact(&mut hello).await?;
            send.send(hello).map_err(std::io::Error::other)
        }
    });
    for mode in [Mode::Http1, Mode::Http2] {
        assert!(world.user().unwrap().session(mode).await.is_err());
    }
    let (one, two) = (hellos.recv().await.unwrap(), hellos.recv().await.unwrap());
    assert_eq!(one.len(), two.len());
    for text in ["enclave.aegis", "127.0.0.1", "localhost"] {
        assert!(!aegis_rig::record::contains(&one, text.as_bytes()), "a server name was sent");
    }
    assert!(aegis_rig::record::contains(&one, b"\x07aegis/1"), "the one ALPN token");
}
