//! The limits that no program of the rig can wait for or fill, on the shipped enclave in this
//! process: its host, its client and its provider are tasks here, and the clock is a test's.
#![allow(clippy::unwrap_used)]

mod drain;
mod world;

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use aegis_wire::control::Source;
use aegis_wire::limits;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use crate::world::{World, ask};

/// The enclave's own error.
fn code<B>(answer: &Response<B>) -> &str {
    answer.headers().get("aegis-error").map_or("none", |code| code.to_str().unwrap())
}

pub(crate) fn asking(path: &str) -> hyper::Request<Full<Bytes>> {
    ask(path, Full::from("{}"))
}

/// The client took the head and reads no more: the grant is settled when the answer has not moved for
/// as long as a stream may be idle, and not at the end of the session.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_holds_no_grant() {
    let mut world = World::start();
    let mut client = world.client().await;
    let answer = client.send_request(asking("/metered/endless")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let begun = Instant::now();
    let usage = world.usage().await;
    assert_eq!((usage.source, usage.status_class), (Source::Aborted, 2));
    let held = begun.elapsed();
    let slack = Duration::from_secs(60);
    assert!(held >= limits::IDLE && held < limits::IDLE + slack, "held for {held:?}");
    assert!(limits::IDLE + slack < limits::SESSION, "or it would be the session's end");
    let mut body = answer.into_body();
    let broken = loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "what was given up must not end cleanly");
}

/// A stream that moves is never idle, however long it takes.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_keeps_its_stream() {
    let mut world = World::start();
    let mut client = world.client().await;
    let mut body = client.send_request(asking("/metered/endless")).await.unwrap().into_body();
    for _ in 0..6 {
        tokio::time::sleep(limits::IDLE - Duration::from_secs(1)).await;
        // More than any window, so that the enclave has to fetch more from the provider.
        let mut read = 0;
        while read < 2_000_000 {
            read += body.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    }
    assert!(world.no_usage(), "it is still being read");
    drop((body, client));
    assert_eq!(world.usage().await.source, Source::Aborted);
}

/// So is a body on its way to the provider.
#[tokio::test(start_paused = true)]
async fn a_client_that_sends_slowly_is_answered() {
    let mut world = World::start();
    let mut client = world.client().await;
    let parts = stream::iter(0..4).then(|_| async {
        tokio::time::sleep(limits::IDLE - Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"part")))
    });
    let body = StreamBody::new(Box::pin(parts));
    let answer = client.send_request(ask("/metered/at-once", body)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(world.usage().await.source, Source::Provider);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_is_given_up() {
    let world = World::start();
    let begun = Instant::now();
    let mut client = world.client().await;
    let answer = client.send_request(asking("/metered/never")).await.unwrap();
    assert_eq!((answer.status().as_u16(), code(&answer)), (504, "upstream_timeout"));
    assert!(begun.elapsed() >= limits::IDLE);
}

#[tokio::test(start_paused = true)]
async fn sessions_beyond_the_limit_are_closed_at_once() {
    let world = World::start();
    let mut held = Vec::new();
    for _ in 0..limits::SESSIONS {
        held.push(world.session());
    }
    // In order of arrival, so once this one is answered all before have their place.
    let mut over = world.session();
    assert_eq!(over.read(&mut [0; 1]).await.unwrap(), 0, "closed, not left to wait");
    // One goes, another comes.
    let mut first = held.swap_remove(0);
    first.write_all(&[0; 16]).await.unwrap();
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "no preface, no session");
    let mut next = world.session();
    next.write_all(&[0; 15]).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(200), next.read(&mut [0; 1])).await;
    assert!(waits.is_err(), "it has a place: the enclave reads its preface");
}

/// Every place for a connection to a provider is taken: told so at once, and told when to come back.
#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_are_refused_at_once() {
    // Fewer than an HTTP/2 client opens at once by itself.
    const IN_ONE: usize = 64;
    let mut world = World::start();
    // Whoever waits for the provider has a place already.
    world.shut();
    let mut clients = Vec::new();
    for _ in 0..limits::SESSIONS / IN_ONE {
        let mut client = world.client().await;
        for _ in 0..IN_ONE {
            tokio::spawn(client.send_request(asking("/metered/never")));
        }
        for _ in 0..IN_ONE {
            world.dialled().await;
        }
        clients.push(client);
    }
    let mut client = world.client().await;
    let answer = client.send_request(asking("/replayable/at-once")).await.unwrap();
    assert_eq!((answer.status().as_u16(), code(&answer)), (503, "overloaded"));
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_eq!(world.usage().await.source, Source::NotDispatched);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_says_nothing_is_closed() {
    let world = World::start();
    let begun = Instant::now();
    assert_eq!(world.session().read(&mut [0; 1]).await.unwrap(), 0);
    assert!(begun.elapsed() >= limits::HANDSHAKE);
}

#[tokio::test(start_paused = true)]
async fn the_accept_loop_outlives_errors() {
    let world = World::start();
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::OutOfMemory] {
        for _ in 0..50 {
            world.fail_accept(kind);
        }
    }
    let mut client = world.client().await;
    assert_eq!(client.send_request(asking("/metered/at-once")).await.unwrap().status(), 200);
}
