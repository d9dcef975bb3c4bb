//! A hostile host between client and enclave: whatever it puts in the place of the enclave's
//! evidence ends at the client in the step that refuses it, before a byte of a request is sent.

use std::sync::Arc;

use aegis_client::Error;
use aegis_client::Mode;
use aegis_dev_attester::AttestRequest;
use aegis_dev_attester::DevelopmentAttester;
use aegis_dev_attester::PcrBank;
use aegis_rig::enclave::Image;
use aegis_rig::hostile;
use aegis_rig::hostile::Impostor;
use aegis_rig::hostile::Insider;
use aegis_rig::hostile::Session;
use aegis_rig::record::Leg;
use aegis_rig::user::User;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::user::now_ms;
use aegis_rig::world::World;
use aegis_wire::session::Evidence;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

/// What the adversary read inside the inner TLS after it had given its evidence.
type Loot = mpsc::UnboundedReceiver<Vec<u8>>;

/// A session, and what a request on it brings: the step that refused, or `None` when it went out.
async fn attempt(user: &User) -> Result<(), Error> {
    let session = user.session(Mode::Http2).await?;
    exchange(&session, chat("plaintext-canary").body(chat_body("plaintext-canary")).unwrap())
        .await
        .map(drop)
}

async fn refused_at(user: &User) -> &'static str {
    match attempt(user).await {
        Err(error) => error.step().unwrap_or_else(|| panic!("no verification failed: {error}")),
        Ok(()) => panic!("the client sent its request"),
    }
}

/// Answers a client's opening with `evidence`, then keeps whatever the client sends.
async fn present(
    mut tls: tokio_rustls::server::TlsStream<hostile::Client>,
    evidence: &Evidence,
    loot: &mpsc::UnboundedSender<Vec<u8>>,
) -> std::io::Result<()> {
    tls.write_all(&evidence.encode().map_err(std::io::Error::other)?).await?;
    tls.flush().await?;
    let mut taken = Vec::new();
    // A client that refuses may close in any way.
    let _ = tls.read_to_end(&mut taken).await;
    loot.send(taken).map_err(std::io::Error::other)
}

/// Nothing of the request was read by the adversary, on any leg or inside the TLS it terminated.
async fn nothing_was_seen(world: &World, loot: &mut Loot) {
    assert_eq!(loot.recv().await.unwrap(), b"", "bytes that followed the opening");
    assert!(world.hostile.record().find(b"plaintext-canary").is_empty());
    assert!(world.hostile.record().find(b"aegis/1").contains(&Leg::Outer), "the record is empty");
    assert!(world.mock.recorded().is_empty());
}

/// The adversary ends inner TLS with a key of its own and relays what a real enclave answers to
/// the very opening of the client.
fn man_in_the_middle(world: &World) -> Loot {
    let (send, loot) = mpsc::unbounded_channel();
    world.hostile.on_session(move |session: Session| {
        let send = send.clone();
        async move {
            let impostor = Impostor::generate()?;
            let mut client = hostile::accept_as(&impostor, session.client).await?;
            let opening = hostile::read_opening(&mut client).await?;
            let enclave = session.door.open(session.number).await?;
            let evidence = hostile::connect_unverified(enclave).await?.evidence(&opening).await?;
            present(client, &evidence, &send).await
        }
    });
    loot
}

#[tokio::test(flavor = "multi_thread")]
async fn the_honest_path_works() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let answer = exchange(&session, chat("x").body(chat_body("say hi")).unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.clean), (200, true), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer.body).contains("You said: say hi"));
    // The positive controls of every "nothing was seen" in these files.
    assert!(world.hostile.record().find(b"aegis/1").contains(&Leg::Session), "client hello");
    assert!(world.hostile.record().find(b"openai.mock.aegis.test").contains(&Leg::Egress), "SNI");
    assert!(world.hostile.record().find(b"sk-made-up").contains(&Leg::Control), "credential");
    assert!(world.hostile.record().find(b"say hi").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn own_certificate_in_the_middle_with_relayed_evidence() {
    let world = World::start().await.unwrap();
    let mut loot = man_in_the_middle(&world);
    assert_eq!(refused_at(&world.user().unwrap()).await, "nonce");
    nothing_was_seen(&world, &mut loot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enclaves_certificate_without_its_key() {
    let world = World::start().await.unwrap();
    world.hostile.on_session(move |session: Session| async move {
        let enclave = session.door.open(session.number).await?;
        let certificate = hostile::connect_unverified(enclave).await?.certificate()?;
        let impostor = Impostor::with_stolen(certificate)?;
        hostile::accept_as(&impostor, session.client).await.map(drop)
    });
    assert_eq!(refused_at(&world.user().unwrap()).await, "handshake");
    assert!(world.hostile.record().find(b"plaintext-canary").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_replayed_from_an_earlier_session() {
    let world = World::start().await.unwrap();
    // The adversary was a client itself and kept what it got.
    let enclave = world.hostile.door().open(1).await.unwrap();
    let mut peer = hostile::connect_unverified(enclave).await.unwrap();
    let opening = hostile::opening(aegis_wire::session::Mode::Http2, [7; 32]);
    let kept = Arc::new(peer.evidence(&opening).await.unwrap());
    let (send, mut loot) = mpsc::unbounded_channel();
    world.hostile.on_session(move |session: Session| {
        let (send, kept) = (send.clone(), Arc::clone(&kept));
        async move {
            let impostor = Impostor::generate()?;
            let mut client = hostile::accept_as(&impostor, session.client).await?;
            hostile::read_opening(&mut client).await?;
            present(client, &kept, &send).await
        }
    });
    assert_eq!(refused_at(&world.user().unwrap()).await, "nonce");
    nothing_was_seen(&world, &mut loot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_measurement_under_the_same_root() {
    let world = World::start().await.unwrap();
    let image = Image::OtherMeasurement(world.folder());
    let (other, legs) = world.another_enclave(image, "state").await.unwrap();
    assert_eq!(other.root(), world.enclave.root(), "one root signs both");
    assert_ne!(other.measurement(), world.enclave.measurement());
    world.hostile.on_session(move |session: Session| {
        let door = session.door.to(&legs);
        async move { Session { door, ..session }.splice().await }
    });
    assert_eq!(refused_at(&world.user().unwrap()).await, "pcrs");
    assert!(world.hostile.record().find(b"plaintext-canary").is_empty());
    // The same enclave serves whoever accepts its measurement.
    let believer = world.user_trusting(other.trust().unwrap()).unwrap();
    believer.session(Mode::Http2).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_measurement_under_another_root() {
    let world = World::start().await.unwrap();
    let (other, legs) = world.another_enclave(Image::Shipped, "other-state").await.unwrap();
    assert_eq!(other.measurement(), world.enclave.measurement());
    world.hostile.on_session(move |session: Session| {
        let door = session.door.to(&legs);
        async move { Session { door, ..session }.splice().await }
    });
    assert_eq!(refused_at(&world.user().unwrap()).await, "chain");
    assert!(world.hostile.record().find(b"plaintext-canary").is_empty());
}

/// Evidence that is right in everything but what `lie` changes, signed under the accepted root.
async fn insider(
    lie: impl Fn(&mut Insider, &mut PcrBank) + Send + Sync + Clone + 'static,
) -> (Result<(), Error>, Vec<u8>) {
    let world = World::start().await.unwrap();
    let attester = Arc::new(DevelopmentAttester::open_or_create(&world.state()).unwrap());
    let pcrs = world.enclave.pcrs();
    let (send, mut loot) = mpsc::unbounded_channel();
    world.hostile.on_session(move |session: Session| {
        let (send, attester, lie) = (send.clone(), Arc::clone(&attester), lie.clone());
        async move {
            let impostor = Impostor::generate()?;
            let receipt_key = impostor.spki();
            let mut client = hostile::accept_as(&impostor, session.client).await?;
            let mut claims = Insider::honest(&impostor, &mut client, &receipt_key).await?;
            let mut pcrs = pcrs;
            lie(&mut claims, &mut pcrs);
            let request = AttestRequest {
                public_key: Some(&claims.public_key),
                user_data: Some(&claims.user_data),
                nonce: Some(&claims.nonce),
            };
            let document = attester.attest(&pcrs, &request, now_ms());
            let document = document.map_err(std::io::Error::other)?;
            present(client, &Evidence { document, receipt_key }, &send).await
        }
    });
    let outcome = attempt(&world.user().unwrap()).await;
    assert!(world.mock.recorded().is_empty());
    (outcome, loot.recv().await.unwrap())
}

/// The insider's lie is refused at `step`, and nothing followed the opening.
async fn insider_refused(
    step: &str,
    lie: impl Fn(&mut Insider, &mut PcrBank) + Send + Sync + Clone + 'static,
) {
    let (outcome, loot) = insider(lie).await;
    assert_eq!(loot, b"", "bytes that followed the opening");
    assert_eq!(outcome.unwrap_err().step(), Some(step));
}

/// With the signing root in hand nothing else stands in the way: this shows that each of the
/// following tests fails for its lie alone.
#[tokio::test(flavor = "multi_thread")]
async fn insider_without_a_lie_is_believed() {
    let (outcome, loot) = insider(|_, _| {}).await;
    assert!(outcome.is_err_and(|error| error.step().is_none()), "it is no HTTP server");
    assert!(loot.starts_with(b"PRI * HTTP/2.0"), "the client went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_exporter_of_another_session() {
    insider_refused("nonce", |claims, _| {
        claims.exporter.0[0] ^= 1;
        let spki = aegis_wire::binding::Spki(&claims.public_key);
        let opening = claims.opening.encode();
        claims.nonce = aegis_wire::binding::nonce(&opening, spki, &claims.exporter);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_nonce_of_another_opening() {
    insider_refused("nonce", |claims, _| {
        claims.opening.nonce[31] ^= 1;
        let spki = aegis_wire::binding::Spki(&claims.public_key);
        let opening = claims.opening.encode();
        claims.nonce = aegis_wire::binding::nonce(&opening, spki, &claims.exporter);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_nonce_over_another_key() {
    insider_refused("nonce", |claims, _| {
        let other = Impostor::generate().unwrap().spki();
        let spki = aegis_wire::binding::Spki(&other);
        let opening = claims.opening.encode();
        claims.nonce = aegis_wire::binding::nonce(&opening, spki, &claims.exporter);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_public_key_of_another_enclave() {
    insider_refused("public_key", |claims, _| {
        claims.public_key = Impostor::generate().unwrap().spki();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_receipt_key_that_is_not_in_the_document() {
    insider_refused("user_data", |claims, _| claims.user_data[0] ^= 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_debug_enclave() {
    insider_refused("debug", |_, pcrs| pcrs[0] = [0; 48]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn insider_other_program_on_the_same_platform() {
    insider_refused("pcrs", |_, pcrs| pcrs[2][47] ^= 1).await;
}
