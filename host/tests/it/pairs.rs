//! How many authorise-to-settle pairs go through the control channel and the durable store in a
//! second: `AEGIS_PAIRS_SECONDS=60 cargo test -p aegis-host --test it pairs -- --nocapture` prints
//! it. Without the variable a few hundred pairs show that a full pipeline loses none.

use std::time::{Duration, Instant};

use aegis_wire::control::{ToEnclave, ToHost};

use crate::{
    postgres,
    rig::{Setup, authorize, entries, usage},
};

/// Requests under way at one time.
const DEEP: u64 = 256;

async fn flows(setup: Setup, store: &str) {
    let seconds = std::env::var("AEGIS_PAIRS_SECONDS").map(|s| s.parse().unwrap());
    let mut rig = setup.start().await;
    let mut control = rig.enclave.control(1).await;
    let (_tls, _inner, session) = rig.session().await;
    let start = Instant::now();
    let goes_on = |asked: u64| match &seconds {
        Ok(seconds) => start.elapsed() < Duration::from_secs(*seconds),
        Err(_) => asked < 600,
    };
    let (mut asked, mut settled) = (0, 0);
    loop {
        while asked - settled < DEEP && goes_on(asked) {
            asked += 1;
            control.send(ToHost::Authorize(authorize(session, asked))).await;
        }
        if asked == settled {
            break;
        }
        match control.next().await {
            Some(ToEnclave::Grant(grant)) => control.send(ToHost::Usage(usage(grant.grant))).await,
            Some(ToEnclave::Ack(_)) => settled += 1,
            other => panic!("{other:?}"),
        }
    }
    let per_second = settled as f64 / start.elapsed().as_secs_f64();
    println!("{store}: {settled} pairs, {per_second:.0} per second");
    let rows = rig.setup.ledger();
    assert_eq!(rows.len() as u64, asked);
    assert!(rows.iter().all(|row| row["outcome"] == "settled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_on_sqlite() {
    flows(Setup::new(), "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_on_postgresql() {
    let mut setup = Setup::bare();
    setup.head = "name = \"host\"".into();
    setup.store = postgres::database().await;
    for line in entries() {
        setup.host(&line.split(' ').collect::<Vec<_>>());
    }
    flows(setup, "PostgreSQL").await;
}
