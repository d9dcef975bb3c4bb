//! Hosts killed at any instant, enclaves that start anew, channels that break, all under load: when
//! everything is back, the books say of each grant that an enclave had what the enclave knows.
//!
//! AEGIS_KILLS sets how many there are on each store; 30 without it.

use std::{collections::BTreeMap, time::Duration};

use aegis_wire::control::{ToEnclave, ToHost};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::client::TlsStream;

use crate::{
    postgres,
    program::Program,
    rig::{Control, Enclave, KEY, Setup, authorize, connect_head, entries, read_head, soon, usage},
};

/// What the enclave knows of a grant that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Under way.
    Open,
    /// It cost so much; not acknowledged yet.
    Told(u32),
    /// The host has said that it is booked.
    Booked(u32),
    /// Its boot died under way.
    Dead,
    /// Its boot died before the report was acknowledged.
    DeadTold(u32),
}

struct World {
    setup: Setup,
    enclave: Enclave,
    boot: u8,
    request: u64,
    grants: BTreeMap<u64, Known>,
    random: u64,
}

/// What the enclave needs of a host that runs.
struct Up {
    program: Program,
    control: Control,
    session: u64,
    _ends: (TlsStream<TcpStream>, tokio::net::UnixStream),
}

impl World {
    /// The next of a fixed sequence of numbers below `most`.
    fn below(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % most
    }

    async fn start(&mut self) -> Up {
        let program = Program::start(&self.setup).await;
        let control = self.enclave.control(self.boot).await;
        let mut up = self.tunnel(program, control).await;
        self.tell_again(&mut up.control).await;
        up
    }

    async fn tunnel(&self, program: Program, control: Control) -> Up {
        let mut tls = self.setup.tls(program.address).await;
        tls.write_all(connect_head(KEY, "7").as_bytes()).await.unwrap();
        let head = read_head(&mut tls).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let (inner, session) = self.enclave.session().await;
        Up { program, control, session, _ends: (tls, inner) }
    }

    /// As an enclave does on a new channel.
    async fn tell_again(&mut self, control: &mut Control) {
        for (grant, known) in self.grants.clone() {
            if let Known::Told(cost) = known {
                control.try_send(report(grant, cost)).await;
            }
        }
    }

    /// Takes what the host said; whether it said anything.
    async fn hear(&mut self, control: &mut Control) -> bool {
        match control.next().await {
            Some(ToEnclave::Grant(grant)) => {
                assert!(self.grants.insert(grant.grant, Known::Open).is_none(), "a number twice");
                if self.below(8) > 0 {
                    let cost = 1 + self.below(50_000) as u32;
                    self.grants.insert(grant.grant, Known::Told(cost));
                    control.try_send(report(grant.grant, cost)).await;
                }
            }
            Some(ToEnclave::Ack(grant)) => match self.grants.get(&grant) {
                Some(Known::Told(cost)) => drop(self.grants.insert(grant, Known::Booked(*cost))),
                other => panic!("an acknowledgement of {other:?}"),
            },
            Some(ToEnclave::Deny(deny)) => panic!("{deny:?}"),
            None => return false,
        }
        true
    }

    async fn load(&mut self, up: &mut Up) {
        for _ in 0..self.below(40) {
            self.request += 1;
            up.control.try_send(ToHost::Authorize(authorize(up.session, self.request))).await;
        }
        for _ in 0..self.below(60) {
            // Nothing may be left to be said; then the instant has come too.
            let heard =
                tokio::time::timeout(Duration::from_millis(200), self.hear(&mut up.control));
            if !heard.await.unwrap_or(false) {
                return;
            }
        }
    }

    /// The enclave is dead and another boot begins.
    fn die(&mut self) {
        self.boot += 1;
        for known in self.grants.values_mut() {
            match *known {
                Known::Open => *known = Known::Dead,
                Known::Told(cost) => *known = Known::DeadTold(cost),
                Known::Booked(_) | Known::Dead | Known::DeadTold(_) => {}
            }
        }
    }

    /// Kills the host; what it had sent by then the enclave still gets.
    async fn kill(&mut self, mut up: Up) -> Up {
        soon(up.program.child.kill()).await.unwrap();
        while self.hear(&mut up.control).await {}
        self.start().await
    }

    /// The enclave dials anew, as the same boot or as another one.
    async fn redial(&mut self, mut up: Up, is_dead: bool) -> Up {
        if is_dead {
            self.die();
        } else {
            // What is on its way arrives; what is not goes down with the channel.
            let _ = tokio::time::timeout(Duration::ZERO, self.hear(&mut up.control)).await;
        }
        drop(up.control);
        let control = self.enclave.control(self.boot).await;
        let mut up = self.tunnel(up.program, control).await;
        self.tell_again(&mut up.control).await;
        up
    }
}

fn report(grant: u64, cost: u32) -> ToHost {
    let mut report = usage(grant);
    report.counts[0] = Some(cost);
    ToHost::Usage(report)
}

async fn survives(mut setup: Setup) {
    setup.head = "name = \"host\"\n[reserve]\ngenerate = \"0.000123\"\n".into();
    for line in entries().iter().map(String::as_str).chain([
        "price set * --from 2026-01-01 input=1 output=1",
        "budget set tenant acme --month 1000000",
    ]) {
        setup.host(&line.split(' ').collect::<Vec<_>>());
    }
    let kills = std::env::var("AEGIS_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let enclave = Enclave::listen(&setup.path("blue"));
    let grants = BTreeMap::new();
    let mut world = World { setup, enclave, boot: 1, request: 0, grants, random: 7 };
    let mut up = world.start().await;
    for _ in 0..kills {
        world.load(&mut up).await;
        up = match world.below(5) {
            0 => world.redial(up, true).await,
            1 => world.redial(up, false).await,
            _ => world.kill(up).await,
        };
    }
    // The enclave tells all it knows, then a last boot ends what nobody will tell of.
    let told = |known: &Known| matches!(known, Known::Told(_));
    while world.grants.values().any(told) {
        assert!(soon(world.hear(&mut up.control)).await);
    }
    world.die();
    drop(up.control);
    let _last = world.enclave.control(world.boot).await;
    judge(&world);
}

fn judge(world: &World) {
    let rows = world.setup.ledger();
    let (mut settled, mut aborted) = (0, 0);
    let mut books: BTreeMap<u64, &Value> = BTreeMap::new();
    for row in &rows {
        let grant = row["grant_id"].as_u64().unwrap();
        assert!(books.insert(grant, row).is_none());
        match row["outcome"].as_str() {
            Some("settled") => settled += 1,
            Some("aborted") => aborted += 1,
            Some("void") => assert!(!world.grants.contains_key(&grant), "one was handed out"),
            other => panic!("{other:?}: {row}"),
        }
    }
    for (grant, known) in &world.grants {
        let row = books.get(grant).unwrap_or_else(|| panic!("grant {grant} is on no books"));
        let is_settled = row["outcome"] == "settled";
        let charged = row["charged"].as_u64().unwrap();
        match known {
            Known::Booked(cost) => assert_eq!((is_settled, charged), (true, u64::from(*cost))),
            Known::Dead => assert!(!is_settled && row["charged"] == row["reserved"], "{row}"),
            Known::DeadTold(cost) if is_settled => assert_eq!(charged, u64::from(*cost)),
            Known::DeadTold(_) => assert_eq!(row["charged"], row["reserved"]),
            Known::Open | Known::Told(_) => panic!("{grant}: {known:?}"),
        }
    }
    let sum: u64 = rows.iter().map(|row| row["charged"].as_u64().unwrap()).sum();
    let listed = world.setup.host(&["budget", "list"]);
    let shown = aegis_host::money::Micro(sum as i64).to_string();
    assert!(listed.contains(&format!(" {shown} ")), "{shown} is not in {listed}");
    eprintln!("{settled} settled, {aborted} aborted, {} grants handed out", world.grants.len());
    // All aborted would be books too, and worth nothing.
    assert!(settled > aborted && settled > 50, "{settled} settled, {aborted} aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn books_outlive_every_kill_on_sqlite() {
    survives(Setup::bare()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn books_outlive_every_kill_on_postgresql() {
    let mut setup = Setup::bare();
    setup.store = postgres::database().await;
    survives(setup).await;
}
