//! What happens to an answer whose client is gone: it is read on within bounds, because only its end
//! tells what was spent.

use aegis_wire::control::{Slot, Source, Usage};
use aegis_wire::limits;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::asking;
use crate::world::World;

/// What the provider's answer says that it cost.
fn is_told(usage: &Usage) -> bool {
    let count = |slot: Slot| usage.counts[slot as usize];
    usage.source == Source::Provider
        && (count(Slot::Input), count(Slot::Output)) == (Some(2), Some(4))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_its_client_left_is_booked() {
    let mut world = World::start();
    let mut client = world.client().await;
    let asked = tokio::spawn(client.send_request(asking("/metered/late")));
    world.asked().await;
    asked.abort();
    drop(client);
    assert!(asked.await.is_err(), "the client is gone");
    tokio::time::sleep(limits::DRAIN / 2).await;
    assert!(world.no_usage());
    world.release();
    let usage = world.usage().await;
    assert!(is_told(&usage) && usage.status_class == 2, "{usage:?}");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_says_nothing_is_left_after_a_while() {
    for path in ["/metered/never", "/metered/stalled"] {
        let mut world = World::start();
        let mut client = world.client().await;
        let asked = tokio::spawn(client.send_request(asking(path)));
        world.asked().await;
        let begun = Instant::now();
        if path.ends_with("stalled") {
            let mut answer = asked.await.unwrap().unwrap().into_body();
            answer.frame().await.unwrap().unwrap();
        } else {
            asked.abort();
        }
        drop(client);
        let usage = world.usage().await;
        assert_eq!(usage.source, Source::Aborted, "{path}");
        let held = begun.elapsed();
        assert!(held >= limits::DRAIN && held < 2 * limits::DRAIN, "{path}: held for {held:?}");
    }
}

/// Bytes are bounded as time is: the clock stands still while they flow.
#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let mut world = World::start();
    let mut client = world.client().await;
    let answer = client.send_request(asking("/metered/endless")).await.unwrap();
    let begun = Instant::now();
    drop((answer, client));
    assert_eq!(world.usage().await.source, Source::Aborted);
    assert!(begun.elapsed() < limits::DRAIN);
    let sent = world.sent();
    assert!((limits::DRAIN_BYTES..2 * limits::DRAIN_BYTES).contains(&sent), "{sent} bytes");
}

/// Where an answer tells no cost, nobody waits for it.
#[tokio::test(start_paused = true)]
async fn what_is_not_metered_is_left_at_once() {
    let mut world = World::start();
    for path in ["/unmetered/stalled", "/unmetered/never"] {
        let mut client = world.client().await;
        let asked = tokio::spawn(client.send_request(asking(path)));
        world.asked().await;
        let begun = Instant::now();
        if path.ends_with("stalled") {
            drop(asked.await.unwrap().unwrap());
        } else {
            asked.abort();
        }
        drop(client);
        world.usage().await;
        assert!(begun.elapsed() < limits::DRAIN, "{path}");
    }
}

/// A request that its client took back before it left is not sent.
#[tokio::test(start_paused = true)]
async fn what_has_not_left_is_not_sent() {
    let mut world = World::start();
    world.shut();
    let mut client = world.client().await;
    let asked = tokio::spawn(client.send_request(asking("/metered/at-once")));
    world.dialled().await;
    asked.abort();
    drop(client);
    let usage = world.usage().await;
    assert_eq!((usage.source, usage.status_class), (Source::Aborted, 0));
    world.open();
    tokio::time::sleep(limits::DRAIN).await;
    assert!(!world.is_asked(), "nobody waits for it");
}
