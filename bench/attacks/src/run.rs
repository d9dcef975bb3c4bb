//! Runs an attack in every variant against the baseline, and in every place on the sealed path.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aegis_rig::memory;
use aegis_rig::record::Leg;
use aegis_rig::record::Record;
use aegis_rig::stack::Stack;
use aegis_rig::user::KEY;
use aegis_rig::world::World;
use tokio::task::JoinSet;

use crate::agent;
use crate::agent::Base;
use crate::agent::Done;
use crate::agent::Failed;
use crate::api;
use crate::api::Variant;
use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::attacker::Direction;
use crate::attacker::Passing;
use crate::baseline::Baseline;
use crate::place;
use crate::place::Place;
use crate::place::Slot;
use crate::place::Trust;
use crate::real;
use crate::real::registry::Registry;
use crate::scenario::Attack;
use crate::scenario::Goal;
use crate::scenario::Step;

/// How one variant of an attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The attacker has what it wanted.
    Success,
    /// The agent did what the provider's model asked for, and nothing else; nothing was taken.
    Unharmed,
    /// The first step was refused: the typed error's code, and the step of verification.
    Refused(String),
    /// The answer broke off; nothing that the provider did not ask for was run.
    Broken,
    /// Something else ran: what.
    Odd(Vec<String>),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Success => f.write_str("succeeds"),
            Self::Unharmed => f.write_str("nothing changed"),
            Self::Refused(what) => f.write_str(what),
            Self::Broken => f.write_str("broken"),
            Self::Odd(ran) => write!(f, "ran {}", ran.join("; ")),
        }
    }
}

/// Who executes the last step of a task. The steps before it, by which somebody tries the router
/// out, are always the small agent's.
#[derive(Clone, Copy)]
pub enum Executor<'a> {
    /// The small agent, in this API.
    Small(Variant),
    /// A coding agent, from this folder of packages, with this registry.
    Real(real::Agent, &'a Path, &'a Registry),
}

impl Executor<'_> {
    /// The small agent in each of these APIs.
    pub fn small(variants: &[Variant]) -> Vec<Executor<'static>> {
        variants.iter().map(|variant| Executor::Small(*variant)).collect()
    }
}

/// Takes a task through `base`.
async fn take(
    attack: &dyn Attack,
    base: &Base,
    executor: Executor<'_>,
    clock: &Clock,
) -> io::Result<Vec<Done>> {
    let (mut all, mut task) = (Vec::new(), attack.task());
    let last = task.pop();
    let variant = match executor {
        Executor::Small(variant) => variant,
        Executor::Real(agent, ..) => agent.variant(),
    };
    for step in task {
        clock.set_hour(step.hour);
        all.push(agent::step(base, variant, &step).await?);
    }
    if let Some(step) = last {
        clock.set_hour(step.hour);
        all.push(match executor {
            Executor::Small(variant) => agent::step(base, variant, &step).await?,
            Executor::Real(agent, packages, registry) => {
                agent.step(packages, base, registry, &step).await?
            }
        });
    }
    Ok(all)
}

fn judge(attack: &dyn Attack, attacker: &dyn Attacker, steps: &[Done]) -> Ending {
    let task = attack.task();
    let asked: Vec<Vec<String>> = task.iter().map(|step| vec![step.command.clone()]).collect();
    let ran: Vec<Vec<String>> = steps.iter().map(|step| step.ran.clone()).collect();
    let won = match attack.goal() {
        Goal::Run(line) => {
            let mut with = steps.iter().map(|step| step.ran.contains(&line));
            with.next_back() == Some(true) && !with.any(|ran| ran)
        }
        Goal::Take(secrets) => secrets.iter().all(|secret| attacker.taken().contains(secret)),
    };
    let some = match attack.goal() {
        Goal::Run(_) => Vec::new(),
        Goal::Take(secrets) => {
            attacker.taken().into_iter().filter(|taken| secrets.contains(taken)).collect()
        }
    };
    let stray = ran
        .iter()
        .zip(&asked)
        .flat_map(|(ran, asked)| ran.iter().filter(|line| !asked.contains(line)).cloned());
    let stray: Vec<String> = stray.chain(some).collect();
    match steps.iter().find_map(|step| step.failed.clone()) {
        _ if won => Ending::Success,
        _ if !stray.is_empty() => Ending::Odd(stray),
        Some(Failed::Refused(code, said)) => Ending::Refused(name_step(&code, &said)),
        Some(Failed::Broken) => Ending::Broken,
        None if ran == asked => Ending::Unharmed,
        None => Ending::Odd(vec!["less than the provider asked for".to_owned()]),
    }
}

/// The code, and the step of verification when the sentence names one.
pub(crate) fn name_step(code: &str, said: &str) -> String {
    let mut words = said.split_whitespace().skip_while(|word| *word != "step").skip(1);
    match words.next().filter(|_| code == "verification_failed") {
        Some(step) => {
            format!("{code}: {}", step.trim_matches(|c: char| !c.is_alphanumeric() && c != '_'))
        }
        None => code.to_owned(),
    }
}

/// Against the plaintext router, with the attacker in it or without.
pub async fn against_baseline(
    attack: &dyn Attack,
    executors: &[Executor<'_>],
    attacker_on: bool,
) -> io::Result<Vec<Ending>> {
    let mut baseline = Baseline::start().await?;
    let mut endings = Vec::new();
    for executor in executors {
        let base = match executor {
            Executor::Small(_) => baseline.base.clone(),
            // A coding agent knows no root of ours: its base URL is a port on its own machine.
            Executor::Real(..) => baseline.listen_in_the_clear().await?,
        };
        let clock = Clock::default();
        let attacker = attack.attacker(&clock);
        baseline.router.set_attacker(attacker_on.then(|| Arc::clone(&attacker)));
        let steps = take(attack, &base, *executor, &clock).await?;
        endings.push(judge(attack, attacker.as_ref(), &steps));
    }
    Ok(endings)
}

/// The commands that reach an agent in the last step, with the attacker in the plaintext router.
pub async fn arrived_at_baseline(
    attack: &dyn Attack,
    executors: &[Executor<'_>],
) -> io::Result<Vec<Vec<String>>> {
    let baseline = Baseline::start().await?;
    let mut arrived = Vec::new();
    for executor in executors {
        let clock = Clock::default();
        baseline.router.set_attacker(Some(attack.attacker(&clock)));
        let steps = take(attack, &baseline.base, *executor, &clock).await?;
        arrived.extend(steps.last().map(|done| done.arrived.clone()));
    }
    Ok(arrived)
}

/// The commands that reach an agent in each step, on the sealed path with a host that behaves.
pub async fn arrived_on_sealed(steps: &[Step]) -> io::Result<Vec<Vec<String>>> {
    let world = World::start().await?;
    let (_agent, address) = world.start_agent().await?;
    let base = Base { address, root: None, key: KEY.to_owned(), patience: agent::PATIENCE };
    let mut arrived = Vec::new();
    for (step, variant) in steps.iter().zip(api::variants().into_iter().cycle()) {
        arrived.push(agent::step(&base, variant, step).await?.arrived);
    }
    Ok(arrived)
}

/// Against the sealed path, from one place in the host's stead.
pub async fn against_sealed(
    attack: &dyn Attack,
    executors: &[Executor<'_>],
    place: Place,
    trust: Trust,
) -> io::Result<Vec<Ending>> {
    let world = World::start().await?;
    let (slot, mut tasks) = (Slot::default(), JoinSet::new());
    place::occupy(&world, place, trust, &slot, &mut tasks).await?;
    let (_agent, address) = world.start_agent().await?;
    let base = Base { address, root: None, key: KEY.to_owned(), patience: agent::PATIENCE };
    let mut endings = Vec::new();
    for executor in executors {
        let clock = Clock::default();
        let attacker = attack.attacker(&clock);
        slot.set(Arc::clone(&attacker));
        let steps = take(attack, &base, *executor, &clock).await?;
        show_all(attacker.as_ref(), world.hostile.record());
        endings.push(judge(attack, attacker.as_ref(), &steps));
    }
    Ok(endings)
}

/// Shows the attacker every byte that the host has carried, each direction of each connection in
/// one piece: a pattern may have been cut by the wire.
fn show_all(attacker: &dyn Attacker, record: &Record) {
    for leg in [Leg::Outer, Leg::Session, Leg::Control, Leg::Egress, Leg::Upstream] {
        for stream in record.streams(leg) {
            for direction in [Direction::Up, Direction::Down] {
                attacker.see(&mut Passing::piece(direction, &stream));
            }
        }
    }
}

/// What a passive attacker finds in the shipped host's memory, files, output and legs.
pub async fn against_memory(
    attack: &dyn Attack,
    executors: &[Executor<'_>],
) -> io::Result<(Vec<Ending>, bool)> {
    let stack = Stack::start().await?;
    stack.ready().await?;
    let (_agent, address) = stack.start_agent().await?;
    let base = Base { address, root: None, key: KEY.to_owned(), patience: agent::PATIENCE };
    let (mut endings, mut alive) = (Vec::new(), true);
    for executor in executors {
        let clock = Clock::default();
        let attacker = attack.attacker(&clock);
        let steps = take(attack, &base, *executor, &clock).await?;
        let host = stack.host.as_ref().ok_or_else(|| io::Error::other("the host is down"))?;
        let mut show = |bytes: &[u8]| {
            for direction in [Direction::Up, Direction::Down] {
                attacker.see(&mut Passing::piece(direction, bytes));
            }
        };
        memory::pieces(host.pid(), 4096, &mut show)?;
        show(host.stdout().as_bytes());
        show(host.stderr().as_bytes());
        for entry in std::fs::read_dir(stack.host_folder())? {
            let path = entry?.path();
            if path.is_file() {
                show(&std::fs::read(path)?);
            }
        }
        show_all(attacker.as_ref(), &stack.record);
        // The operator's own credential is there to be found: an attacker that does not find it
        // has not looked.
        alive &= attacker.taken().contains(aegis_mock::DEFAULT_KEY);
        endings.push(judge(attack, attacker.as_ref(), &steps));
    }
    Ok((endings, alive))
}
