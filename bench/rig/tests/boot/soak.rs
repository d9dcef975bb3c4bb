//! An enclave does not grow with the connections it has had, its kernel as little as its program: older
//! kernels kept some memory of each vsock connection, so that an enclave died after some days.

use std::env;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use aegis_client::Mode;
use aegis_eif::boot;
use aegis_rig::machine::Init;
use aegis_rig::stack::Stack;
use aegis_rig::user::KEY;
use aegis_rig::user::User;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_wire::session::Preface;
use aegis_wire::session::legs::SESSION_PORT;

use crate::programs;

/// Where a development image tells its memory (`enclave/dev/src/memory.rs`).
pub(crate) const MEMORY_PORT: u32 = 5999;
/// Connections, unless `AEGIS_SOAK_CONNECTIONS` says another number.
const CONNECTIONS: usize = 1_000;
/// At once. The numbers of connections are multiples of it.
const BATCH: usize = 50;
/// Of a batch, how many are whole sessions with a request.
const SESSIONS: usize = 1;
/// Held open together, to see what one costs.
const HELD: usize = 200;
/// Growth that counts as none: what the kernel frees later, and caches that settle late.
const NOISE_KIB: u64 = 1_024;
/// How often a figure is read until what was ended is gone; a socket waits 8 s for its peer's word.
const READINGS: usize = 15;
/// Emulated, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// In KiB.
#[derive(Clone, Copy, Debug)]
struct Memory {
    available: u64,
    slab: u64,
    resident: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_does_not_grow_with_its_connections() {
    let connections = env::var("AEGIS_SOAK_CONNECTIONS");
    let connections = connections.map_or(CONNECTIONS, |count| count.parse().unwrap());
    let stack = Stack::on_machine(programs(), Init::Development, false).await.unwrap();
    stack.ready().await.unwrap();
    let machine = stack.enclave.as_ref().unwrap().as_machine().unwrap();
    let user = stack.user(KEY).unwrap();
    // Buffers, slabs and the allocator's arenas take what they need.
    churn(machine, &user, CONNECTIONS / 2).await;
    let before = tokio::task::block_in_place(|| settled(machine, None));
    let held: Vec<_> = (0..HELD).map(|_| machine.connect(SESSION_PORT).unwrap()).collect();
    let during = memory(machine);
    drop(held);
    let cost = before.available.saturating_sub(during.available);
    // Slabs that ended connections have left are taken first, so only the whole tells.
    assert!(cost > HELD as u64, "unseen: {before:?}, then {during:?}");
    churn(machine, &user, connections).await;
    let after = tokio::task::block_in_place(|| settled(machine, Some(before)));
    let each = cost as f64 / HELD as f64;
    println!(
        "soak: {connections} connections; {each:.1} KiB each while open; {before:?} {after:?}"
    );
    // One socket in ten that stays would be seen, and 4 MiB in any case.
    let allowed = NOISE_KIB + (each * connections as f64 / 10.0) as u64;
    assert!(grown(before, after) <= allowed.min(4 * NOISE_KIB), "{before:?}, then {after:?}");
}

/// Makes and ends so many connections: most of them gone early or no sessions at all, some whole.
async fn churn(machine: &boot::Enclave, user: &User, connections: usize) {
    for _ in 0..connections / BATCH {
        tokio::task::block_in_place(|| {
            thread::scope(|scope| {
                let connect = |number| scope.spawn(move || connection(machine, number));
                let all: Vec<_> = (SESSIONS..BATCH).map(connect).collect();
                all.into_iter().for_each(|one| one.join().unwrap());
            });
        });
        for _ in 0..SESSIONS {
            let session = user.session(Mode::Http2).await.unwrap();
            let request = chat("x").body(chat_body("x")).unwrap();
            assert_eq!(exchange(&session, request).await.unwrap().status.as_u16(), 200);
        }
    }
}

/// A connection, once there is room among those that the enclave has not accepted yet.
fn connected(machine: &boot::Enclave) -> UnixStream {
    let begun = Instant::now();
    loop {
        match machine.connect(SESSION_PORT) {
            Ok(leg) => return leg,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// One that goes at once, one that goes after its preface, or one that says what is no handshake and
/// is ended by the enclave.
fn connection(machine: &boot::Enclave, number: usize) {
    let mut leg = connected(machine);
    leg.set_read_timeout(Some(PATIENCE)).unwrap();
    let further = number % 3;
    if further >= 1 {
        leg.write_all(&Preface(number as u64).encode()).unwrap();
    }
    if further == 2 {
        leg.write_all(&[b'x'; 4096]).unwrap();
        let mut answer = Vec::new();
        // Ended with an alert, or reset because not all was read.
        let _ = leg.read_to_end(&mut answer);
        assert!(answer.len() < 64, "an answer to what was no handshake");
    }
}

/// The figures when nothing is freed any more: when they are what they were `before`, or stay.
fn settled(machine: &boot::Enclave, before: Option<Memory>) -> Memory {
    let mut last = memory(machine);
    for _ in 1..READINGS {
        if before.is_some_and(|before| grown(before, last) <= NOISE_KIB / 4) {
            break;
        }
        // Nothing tells when the kernel has given up waiting for a peer.
        thread::sleep(Duration::from_secs(1));
        last = memory(machine);
    }
    last
}

/// What the machine has less and its program more, whichever is more.
fn grown(before: Memory, after: Memory) -> u64 {
    let machine = before.available.saturating_sub(after.available);
    machine
        .max(after.slab.saturating_sub(before.slab))
        .max(after.resident.saturating_sub(before.resident))
}

fn memory(machine: &boot::Enclave) -> Memory {
    let text = String::from_utf8(machine.ask(MEMORY_PORT, "").unwrap()).unwrap();
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        value.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    };
    Memory { available: field("MemAvailable:"), slab: field("Slab:"), resident: field("VmRSS:") }
}
