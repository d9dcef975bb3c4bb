//! The rows about the path: the whole sealed way beside nginx and the direct one.
//!
//! One request at a time goes to every arm in turn, in an order that rotates, on warm connections;
//! *added* is an arm's median minus the direct one's. Bodies are compared in every arm.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::arms::Arm;
use crate::arms::Connector;
use crate::arms::Timing;
use crate::arms::Workload;
use crate::child::Running;
use crate::row::Bar;
use crate::row::Row;
use crate::site::Site;
use crate::stats::median;

/// How many exchanges of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Small requests on a warm connection.
    pub small: usize,
    /// Large ones with a streamed answer, and paced streams.
    pub large: usize,
    /// New connections.
    pub cold: usize,
    /// Streams held open.
    pub streams: usize,
}

impl Rounds {
    /// Half a minute in all.
    pub const QUICK: Self = Self { small: 1000, large: 100, cold: 60, streams: 100 };
}

/// Milliseconds between two pieces of a paced stream.
const PACE_MS: u32 = 3;
/// Words, and so tokens and events, of a streamed answer.
const TOKENS: usize = 256;

/// Medians of one workload by arm.
struct Medians {
    whole: f64,
    first: f64,
    gap: f64,
}

/// Measures all rows that can be measured, and prints a table on the way.
pub async fn run(rounds: Rounds) -> io::Result<Vec<Row>> {
    let mut changed = 0;
    let quick = Site::start(0)?;
    let connector = Connector::new(&quick)?;
    println!(
        "\n| workload | arm | median | first byte | CPU of the proxy |\n|---|---|---|---|---|"
    );
    let small = measure(&connector, &small(), rounds.small, &mut changed).await?;
    let cpu = cpu(&quick, &connector, rounds.small, &mut changed).await?;
    print("1 KB JSON", &small, Some(&cpu));
    let large = measure(&connector, &large(), rounds.large, &mut changed).await?;
    print("118 KB, streamed", &large, None);
    let cold = cold(&connector, rounds.cold).await?;
    print("1 KB JSON, cold", &cold, None);
    let memory = stream_memory(&quick, &connector, rounds.streams).await?;
    drop(connector);
    drop(quick);

    let paced = Site::start(PACE_MS)?;
    let connector = Connector::new(&paced)?;
    let stream = measure(&connector, &streamed(), rounds.large.min(20), &mut changed).await?;
    print("256 tokens, one in 3 ms", &stream, None);
    for (arm, medians) in &stream {
        println!("gaps of {arm}: {:.3} ms", medians.gap * 1000.0);
    }
    println!();

    let ratio = |medians: &BTreeMap<String, Medians>| {
        let added = |arm| Some(medians.get(arm)?.whole - medians.get("Direct")?.whole);
        let nginx = added("Nginx").ok_or("nginx; run setup")?;
        // A ratio to nothing, or to less, would say anything.
        match nginx > 0.0 {
            true => Ok(added("Sealed").ok_or("the sealed path")? / nginx),
            false => Err("a quieter machine: here nginx is as fast as the direct way".to_owned()),
        }
    };
    let added_ms = |medians: &BTreeMap<String, Medians>| {
        (medians["Sealed"].first - medians["Direct"].first) * 1000.0
    };
    let gap = (stream["Sealed"].gap / stream["Direct"].gap - 1.0).abs() * 100.0;
    let cpu = match (cpu.get("Sealed"), cpu.get("Nginx")) {
        (Some(sealed), Some(nginx)) => Ok(sealed / nginx),
        _ => Err("nginx; run setup".to_owned()),
    };
    let missing = |name, unit, bar, what: &str| Row { name, value: Err(what.into()), unit, bar };
    let row = |name, value, unit, bar| Row { name, value, unit, bar };
    Ok(vec![
        missing("relay-small", "x", Bar::AtMost(1.5), "the relay as a plain process"),
        row("sealed-small", ratio(&small), "x", Bar::AtMost(5.0)),
        missing("sealed-small-gateways", "x", Bar::AtMost(1.0), "LiteLLM and Portkey"),
        row("sealed-100k", ratio(&large), "x", Bar::AtMost(3.0)),
        row("first-byte", Ok(added_ms(&stream)), "ms", Bar::AtMost(1.0)),
        row("gaps", Ok(gap), "%", Bar::AtMost(5.0)),
        missing("throughput-1m", "%", Bar::AtLeast(40.0), "the measurement"),
        row("cpu-small", cpu, "x", Bar::AtMost(6.0)),
        row("stream-memory", Ok(memory), "KB", Bar::AtMost(64.0)),
        missing("streams", "streams", Bar::AtLeast(10_000.0), "the measurement"),
        row("cold", Ok(added_ms(&cold)), "ms", Bar::AtMost(15.0)),
        row("bytes-changed", Ok(f64::from(changed)), "bodies", Bar::AtMost(0.0)),
    ])
}

/// A chat request of about a kilobyte; the answer has the last text again.
fn small() -> Workload {
    chat(&"aegis ".repeat(150), 0, false)
}

/// A coding agent's request: much context, a streamed answer.
fn large() -> Workload {
    chat(&"token ".repeat(TOKENS), 116 * 1024, true)
}

fn streamed() -> Workload {
    chat(&"token ".repeat(TOKENS), 0, true)
}

fn chat(text: &str, context_bytes: usize, stream: bool) -> Workload {
    let context = "context ".repeat(context_bytes / 8);
    let messages = json!([
        { "role": "system", "content": context },
        { "role": "user", "content": text.trim() },
    ]);
    let body = json!({ "model": "mock-1", "messages": messages, "stream": stream });
    Workload { body: Bytes::from(body.to_string()), behavior: None }
}

async fn measure(
    connector: &Connector<'_>,
    workload: &Workload,
    rounds: usize,
    changed: &mut u32,
) -> io::Result<BTreeMap<String, Medians>> {
    let arms = connector.arms();
    let mut connections = Vec::new();
    for arm in &arms {
        let mut connection = connector.connect(*arm).await?;
        // Upstream connections are opened by the first request.
        connection.exchange(workload).await?;
        connections.push(connection);
    }
    let expected = connections[0].exchange(workload).await?.body;
    let mut timings: Vec<Vec<Timing>> = arms.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for step in 0..arms.len() {
            let index = (round + step) % arms.len();
            let mut timing = connections[index].exchange(workload).await?;
            *changed += u32::from(timing.body != expected);
            timing.body = Bytes::new();
            timings[index].push(timing);
        }
    }
    Ok(arms.iter().zip(timings).map(|(arm, all)| (format!("{arm:?}"), medians(&all))).collect())
}

fn medians(timings: &[Timing]) -> Medians {
    let of = |part: fn(&Timing) -> Duration| {
        median(&mut timings.iter().map(|timing| part(timing).as_secs_f64()).collect::<Vec<_>>())
    };
    let gaps = timings.iter().flat_map(|timing| &timing.gaps).map(Duration::as_secs_f64);
    let mut gaps: Vec<f64> = gaps.collect();
    let gap = if gaps.is_empty() { 0.0 } else { median(&mut gaps) };
    Medians { whole: of(|timing| timing.whole), first: of(|timing| timing.first), gap }
}

/// Seconds of processor time for one small request in what stands between client and provider.
async fn cpu(
    site: &Site,
    connector: &Connector<'_>,
    rounds: usize,
    changed: &mut u32,
) -> io::Result<BTreeMap<String, f64>> {
    let used = || -> io::Result<[f64; 2]> {
        let of = |program: &Running| program.processor_time().map(|time| time.as_secs_f64());
        let nginx = site.nginx.as_ref().map_or(Ok(0.0), |(nginx, _)| of(nginx))?;
        Ok([nginx, of(&site.host)? + of(&site.enclave)?])
    };
    let before = used()?;
    measure(connector, &small(), rounds, changed).await?;
    let after = used()?;
    // Each arm also sent one or two requests before the first round.
    let each = |index: usize| (after[index] - before[index]) / (rounds + 1) as f64;
    let nginx = site.nginx.is_some().then(|| ("Nginx".to_owned(), each(0)));
    Ok(nginx.into_iter().chain([("Sealed".to_owned(), each(1))]).collect())
}

/// A new connection for every request, from TCP to the first byte.
async fn cold(connector: &Connector<'_>, rounds: usize) -> io::Result<BTreeMap<String, Medians>> {
    let (arms, workload) = (connector.arms(), small());
    let mut timings: Vec<Vec<Timing>> = arms.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for step in 0..arms.len() {
            let index = (round + step) % arms.len();
            let begun = std::time::Instant::now();
            let mut connection = connector.connect(arms[index]).await?;
            let connected = begun.elapsed();
            let mut timing = connection.exchange(&workload).await?;
            timing.first += connected;
            timing.whole += connected;
            timings[index].push(timing);
        }
    }
    Ok(arms.iter().zip(timings).map(|(arm, all)| (format!("{arm:?}"), medians(&all))).collect())
}

/// Kilobytes of host and enclave for each open stream, each on a session of its own.
async fn stream_memory(site: &Site, connector: &Connector<'_>, streams: usize) -> io::Result<f64> {
    let used = || io::Result::Ok(site.host.memory()? + site.enclave.memory()?);
    let workload = Workload { behavior: Some("stall;after=300"), ..streamed() };
    // The first ones bring what is there once.
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(hold(connector, &workload).await?);
    }
    let before = used()?;
    for _ in 0..streams {
        open.push(hold(connector, &workload).await?);
    }
    Ok((used()?.saturating_sub(before)) as f64 / streams as f64 / 1024.0)
}

/// A session with a stream that has begun and does not end.
async fn hold(connector: &Connector<'_>, workload: &Workload) -> io::Result<impl Sized + use<>> {
    let mut connection = connector.connect(Arm::Sealed).await?;
    let answer = connection.begin(workload).await?;
    Ok((connection, answer))
}

fn print(name: &str, medians: &BTreeMap<String, Medians>, cpu: Option<&BTreeMap<String, f64>>) {
    for (arm, Medians { whole, first, .. }) in medians {
        let cpu = cpu.and_then(|cpu| cpu.get(arm));
        let cpu = cpu.map_or(String::new(), |seconds| format!("{:.0} us", seconds * 1e6));
        println!("| {name} | {arm} | {:.3} ms | {:.3} ms | {cpu} |", whole * 1e3, first * 1e3);
    }
}
