//! A hostile host on the control channel: whatever it says in the place of an answer ends the
//! channel, the request fails as `host_unavailable`, nothing reaches the provider, and the enclave
//! dials again and works.

use aegis_client::Mode;
use aegis_client::Session;
use aegis_rig::hostile;
use aegis_rig::hostile::Desk;
use aegis_rig::hostile::Seen;
use aegis_rig::user::Answer;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Authorize;
use aegis_wire::control::Custody;
use aegis_wire::control::DenyCode;
use aegis_wire::control::Grant;
use aegis_wire::control::Secret;
use aegis_wire::control::Source;
use http::Request;

async fn start() -> (World, Session) {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    (world, session)
}

async fn ask(session: &Session) -> Answer {
    exchange(session, chat("x").body(chat_body("control-canary")).unwrap()).await.unwrap()
}

async fn ask_in_client_custody(session: &Session) -> Answer {
    let request = Request::post("https://openai.mock.aegis.test/v1/chat/completions")
        .header("aegis-custody", "client")
        .header("authorization", format!("Bearer {}", aegis_mock::DEFAULT_KEY));
    exchange(session, request.body(chat_body("control-canary")).unwrap()).await.unwrap()
}

fn is_host_unavailable(answer: &Answer) {
    let retry = (answer.header("x-should-retry"), answer.header("retry-after"));
    assert_eq!(answer.error_code(), Some("host_unavailable"), "{answer:?}");
    assert_eq!((answer.status.as_u16(), retry), (503, (Some("true"), Some("1"))));
}

/// After `channels` ended channels the enclave is there again and serves.
async fn works_again(world: &World, session: &Session, channels: usize) {
    world.hostile.wait_hello(channels + 1).await.unwrap();
    world.hostile.on_authorize(|ask, desk| vec![desk.grant(ask)]);
    assert_eq!(ask(session).await.status.as_u16(), 200);
}

/// The answer that an adversary gives with `reply` ends the channel and the request.
async fn ends_the_channel(reply: fn(&Authorize, &Desk) -> Vec<Vec<u8>>) {
    let (world, session) = start().await;
    world.hostile.on_authorize(reply);
    is_host_unavailable(&ask(&session).await);
    assert!(world.mock.recorded().is_empty(), "something reached the provider");
    assert_eq!(world.mock.connections(), 0, "a connection was made without a grant");
    works_again(&world, &session, 1).await;
    assert!(world.hostile.record().find(b"control-canary").is_empty());
}

fn refused_vectors() -> Vec<(&'static str, Vec<u8>)> {
    let text = include_str!("../../../../enclave/wire/vectors/refused.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name, hex::decode(hex).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_vector_closes_the_channel() {
    let (world, session) = start().await;
    let vectors = refused_vectors();
    assert!(vectors.len() >= 30);
    for (count, (name, frame)) in vectors.iter().enumerate() {
        let frame = frame.clone();
        world.hostile.on_authorize(move |ask, _| {
            let mut frame = frame.clone();
            // Only the named defect is left: the answer is to the question that is open.
            if matches!(frame[0], 0x81 | 0x82) {
                frame[3..11].copy_from_slice(&ask.request.to_be_bytes());
            }
            vec![frame]
        });
        let answer = ask(&session).await;
        assert_eq!(answer.error_code(), Some("host_unavailable"), "{name}: {answer:?}");
        world.hostile.wait_hello(count + 2).await.unwrap();
    }
    assert!(world.mock.recorded().is_empty());
    works_again(&world, &session, vectors.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credential_with_a_line_end_for_the_open_request() {
    ends_the_channel(|ask, desk| {
        let credential = Secret(b"sk-made-up\r\nx-injected: 1".to_vec());
        vec![hostile::grant_bytes(&Grant { credential, ..desk.honest(ask) })]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_for_another_request() {
    ends_the_channel(|ask, desk| {
        vec![hostile::grant_bytes(&Grant { request: ask.request + 1, ..desk.honest(ask) })]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_for_another_attempt() {
    ends_the_channel(|ask, desk| {
        vec![hostile::grant_bytes(&Grant { attempt: 2, ..desk.honest(ask) })]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_of_another_request() {
    ends_the_channel(|ask, _| {
        let other = Authorize { request: ask.request + 1, ..ask.clone() };
        vec![hostile::deny(&other, DenyCode::Rate, 0)]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_in_client_custody_for_a_request_in_host_custody() {
    ends_the_channel(|ask, desk| {
        let (custody, credential) = (Custody::Client, Secret(Vec::new()));
        vec![hostile::grant_bytes(&Grant { custody, credential, ..desk.honest(ask) })]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_in_host_custody_for_a_request_in_client_custody() {
    let (world, session) = start().await;
    world.hostile.on_authorize(|ask, desk| {
        let (custody, credential) = (Custody::Host, Secret(b"sk-made-up-hosts-own".to_vec()));
        vec![hostile::grant_bytes(&Grant { custody, credential, ..desk.honest(ask) })]
    });
    is_host_unavailable(&ask_in_client_custody(&session).await);
    assert!(world.mock.recorded().is_empty());
    works_again(&world, &session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frame_longer_than_any_frame() {
    ends_the_channel(|_, _| vec![vec![0x81, 0xff, 0xff]]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_and_an_end() {
    let (world, session) = start().await;
    world.hostile.on_authorize(|ask, desk| vec![desk.grant(ask)[..20].to_vec()]);
    let request = tokio::spawn(async move { (ask(&session).await, session) });
    world.hostile.wait(|seen| seen.iter().find_map(Seen::authorize).cloned()).await.unwrap();
    world.hostile.drop_control().await.unwrap();
    let (answer, session) = request.await.unwrap();
    is_host_unavailable(&answer);
    assert!(world.mock.recorded().is_empty());
    works_again(&world, &session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_given_twice_is_used_once() {
    let (world, session) = start().await;
    world.hostile.on_authorize(|ask, desk| {
        let grant = desk.grant(ask);
        vec![grant.clone(), grant]
    });
    // The first is good; the second finds no open question and ends the channel.
    assert_eq!(ask(&session).await.status.as_u16(), 200);
    world.hostile.wait_hello(2).await.unwrap();
    assert_eq!(world.mock.wait_recorded(1).await.len(), 1);
    let usages = world.hostile.wait_usage(1).await.unwrap();
    assert!(usages.iter().all(|usage| usage.grant == usages[0].grant), "{usages:?}");
    works_again(&world, &session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denial_after_a_grant() {
    let (world, session) = start().await;
    world
        .hostile
        .on_authorize(|ask, desk| vec![desk.grant(ask), hostile::deny(ask, DenyCode::Budget, 0)]);
    assert_eq!(ask(&session).await.status.as_u16(), 200);
    works_again(&world, &session, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_number_of_a_request_that_still_runs() {
    let (world, session) = start().await;
    world.hostile.on_authorize(|ask, desk| {
        vec![hostile::grant_bytes(&Grant { grant: 77, ..desk.honest(ask) })]
    });
    let stalled = chat("x").header("x-mock-behavior", "bytes;n=100000, stall;after=1000");
    let first = session.send(stalled.body(chat_body("x")).unwrap()).await.unwrap();
    assert_eq!(first.status().as_u16(), 200);
    is_host_unavailable(&ask(&session).await);
    assert_eq!(world.mock.recorded().len(), 1, "a second request went out under grant 77");
    works_again(&world, &session, 1).await;
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn grant_number_of_a_request_whose_usage_is_not_acknowledged() {
    let (world, session) = start().await;
    world.hostile.on_usage(|_| vec![]);
    world.hostile.on_authorize(|ask, desk| {
        vec![hostile::grant_bytes(&Grant { grant: 78, ..desk.honest(ask) })]
    });
    assert_eq!(ask(&session).await.status.as_u16(), 200);
    world.hostile.wait_usage(1).await.unwrap();
    is_host_unavailable(&ask(&session).await);
    // The usage that nobody acknowledged is told again on the next channel, the same in every
    // figure.
    let usages = world.hostile.wait_usage(2).await.unwrap();
    assert_eq!(usages[0], usages[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unasked_frames_end_the_channel() {
    let (world, session) = start().await;
    let (_, twice) = (ask(&session).await, world.hostile.wait_usage(1).await.unwrap()[0].grant);
    let grant = Grant {
        request: 1,
        attempt: 1,
        grant: 4242,
        account: 1,
        custody: Custody::Host,
        credential: Secret(b"sk-made-up".to_vec()),
    };
    let frames = [
        ("an acknowledgement of nothing", hostile::ack(999)),
        ("an acknowledgement given twice", hostile::ack(twice)),
        ("a grant for a request that is over", hostile::grant_bytes(&grant)),
        ("a grant for a request to come", hostile::grant_bytes(&Grant { request: 2, ..grant })),
    ];
    for (count, (name, frame)) in frames.iter().enumerate() {
        world.hostile.wait_hello(count + 1).await.unwrap();
        world.hostile.inject(frame).await.unwrap();
        world.hostile.wait_hello(count + 2).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    works_again(&world, &session, frames.len()).await;
    assert_eq!(world.mock.recorded().len(), 2, "a frame nobody asked for sent a request");
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_lost_while_an_answer_streams() {
    let (world, session) = start().await;
    let paced = chat("x").header("x-mock-behavior", "bytes;n=300000;chunk=1000;seed=3");
    let answer = session.send(paced.body(chat_body("x")).unwrap()).await.unwrap();
    world.hostile.drop_control().await.unwrap();
    world.hostile.wait_hello(2).await.unwrap();
    let answer = Answer::read(answer).await;
    assert!(answer.clean, "the stream needs no control channel");
    assert_eq!(answer.body, aegis_mock::PseudoRandom::new(3).take(300_000));
    let usage = world.hostile.wait_usage(1).await.unwrap();
    assert_eq!(usage[0].source, Source::Missing, "a complete answer without usage");
}

/// Asking and going away again and again must not fill the leg that all clients share.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_few_questions_open_also_when_it_gives_them_up() {
    let (world, session) = start().await;
    let asked = |world: &World| {
        let seen = world.hostile.seen();
        seen.iter().filter_map(Seen::authorize).cloned().collect::<Vec<_>>()
    };
    world.hostile.on_authorize(|_, _| vec![]);
    for number in 1..=256 {
        let answer = ask(&session);
        let arrived = world
            .hostile
            .wait(|seen| (seen.iter().filter_map(Seen::authorize).count() == number).then_some(()));
        tokio::select! {
            answer = answer => panic!("answered by nobody: {answer:?}"),
            arrived = arrived => arrived.unwrap(),
        }
    }
    let first = asked(&world)[0].session;
    world.hostile.on_authorize(move |ask, desk| match ask.session == first {
        true => vec![],
        false => vec![desk.grant(ask)],
    });
    let other = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let mut late = std::pin::pin!(ask(&session));
    tokio::select! {
        answer = &mut late => panic!("answered by nobody: {answer:?}"),
        other = ask(&other) => assert_eq!(other.status.as_u16(), 200),
    }
    let open = asked(&world);
    assert_eq!(open.iter().filter(|ask| ask.session == first).count(), 256);
    world.hostile.on_authorize(|ask, desk| vec![desk.grant(ask)]);
    world.hostile.inject(&hostile::deny(&open[0], DenyCode::Overload, 0)).await.unwrap();
    assert_eq!(late.await.status.as_u16(), 200);
}

/// The one test here that runs into a limit of the protocol: 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn silent_host_and_a_late_grant() {
    let (world, session) = start().await;
    world.hostile.on_authorize(|_, _| vec![]);
    let answer = ask(&session).await;
    let retry = (answer.header("x-should-retry"), answer.header("retry-after"));
    assert_eq!(answer.error_code(), Some("host_timeout"));
    assert_eq!((answer.status.as_u16(), retry), (503, (Some("true"), Some("1"))));
    let asked = world.hostile.wait(|seen| seen.iter().find_map(Seen::authorize).cloned()).await;
    let late = world.hostile.desk().grant(&asked.unwrap());
    world.hostile.inject(&late).await.unwrap();
    let usage = world.hostile.wait_usage(1).await.unwrap();
    assert_eq!((usage[0].source, usage[0].status_class), (Source::NotDispatched, 0));
    assert!(world.mock.recorded().is_empty());
    works_again(&world, &session, 0).await;
}
