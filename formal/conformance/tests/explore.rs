//! Every order of events within bounds, on the shipped machines: an honest ledger behind a control
//! leg that loses, repeats and reorders frames, and providers and clients that go away at any point.
//!
//! Requests are made again as often as the machines allow.
//!
//! Held at every step: a grant is dispatched at most once, and only for the request it was given
//! for; whatever is told of a grant is always the same. Held from every state, when all clients then
//! go away: each grant that the enclave took is told, and told again until acknowledged.
#![allow(clippy::unwrap_used)]

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use aegis_conformance::Shell;

/// What may still happen: that bounds the exploration, nothing else does.
#[derive(Clone, Hash, Debug)]
struct Budget {
    asks: u8,
    losses: u8,
    repeats: u8,
    retries: u8,
}

#[derive(Clone, Hash, Debug)]
struct World {
    /// The enclave, as what it was told: the shipped machines cannot be copied, but replayed.
    told: Vec<String>,
    /// Frames on their way to the enclave and to the host.
    down: BTreeSet<String>,
    up: BTreeSet<String>,
    ledger: Ledger,
    budget: Budget,
}

#[derive(Clone, Default, Hash, Debug)]
struct Ledger {
    /// Grant by request and attempt.
    granted: BTreeMap<(u64, u64), u64>,
    /// Of these, what the enclave took; what it dispatched; what it told; what was acknowledged.
    taken: BTreeSet<u64>,
    sent: BTreeSet<u64>,
    settled: BTreeMap<u64, String>,
    acknowledged: BTreeSet<u64>,
}

/// The words of an output as numbers from the second on.
fn number(output: &str, at: usize) -> u64 {
    output.split(' ').nth(at).unwrap().parse().unwrap()
}

impl World {
    fn new(budget: Budget) -> Self {
        let (told, ledger) = (vec!["0 up".into()], Ledger::default());
        Self { told, down: BTreeSet::new(), up: BTreeSet::new(), ledger, budget }
    }

    fn enclave(&self) -> Shell {
        let mut shell = Shell::default();
        for line in &self.told {
            shell.step(line);
        }
        shell
    }

    /// Two worlds with one key go on alike. The machines show all they hold in `Debug`.
    fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.enclave()).hash(&mut hasher);
        (&self.down, &self.up, &self.ledger, &self.budget).hash(&mut hasher);
        hasher.finish()
    }

    /// Tells the enclave a line, and holds what comes of it against the ledger.
    fn tell(mut self, words: &str) -> Self {
        let line = format!("0 {words}");
        let outputs = self.enclave().step(&line);
        self.told.push(line);
        let refused = outputs.iter().any(|output| output == "closed");
        if words.starts_with("grant") && !refused {
            assert!(self.ledger.taken.insert(number(words, 3)), "taken twice: {:?}", self.told);
        }
        if words.starts_with("ack") && !refused {
            self.ledger.acknowledged.insert(number(words, 1));
        }
        for output in outputs {
            self.check(&output);
        }
        // A channel that ends takes the frames on it along.
        if refused || words == "down" {
            self.down.clear();
            self.up.clear();
            self.told.push("0 up".into());
            let mut before = Shell::default();
            let mut again = Vec::new();
            for line in &self.told {
                again = before.step(line);
            }
            again.iter().for_each(|output| self.check(output));
        }
        self
    }

    fn check(&mut self, output: &str) {
        let World { told, ledger, up, .. } = self;
        match output.split(' ').next().unwrap() {
            "send" => {
                let (request, grant) = (number(output, 1), number(output, 2));
                let given = ledger.granted.iter().find(|given| *given.1 == grant);
                assert_eq!(given.map(|given| given.0.0), Some(request), "not its grant: {told:?}");
                assert!(ledger.taken.contains(&grant), "sent without a grant: {told:?}");
                assert!(ledger.sent.insert(grant), "sent twice for a grant: {told:?}");
            }
            "usage" => {
                let grant = number(output, 1);
                assert!(ledger.taken.contains(&grant), "told of no grant: {told:?}");
                let before = ledger.settled.entry(grant).or_insert_with(|| output.into());
                assert_eq!(before, output, "settled twice: {told:?}");
                up.insert(output.into());
            }
            "authorize" => {
                up.insert(output.into());
            }
            _ => {}
        }
    }

    /// All that can happen next.
    fn next(&self) -> Vec<World> {
        let mut next = Vec::new();
        let mut plan = self.clone();
        if self.budget.asks > 0 {
            plan.budget.asks -= 1;
            next.push(plan.tell("ask 7 0 1 2 1 1"));
        }
        if self.budget.losses > 0 {
            let mut lossy = self.clone();
            lossy.budget.losses -= 1;
            next.push(lossy.tell("down"));
        }
        for frame in &self.down {
            let mut rest = self.clone();
            rest.down.remove(frame);
            next.push(rest.tell(frame));
            if self.budget.repeats > 0 {
                let mut repeat = self.clone();
                repeat.budget.repeats -= 1;
                next.push(repeat.tell(frame));
            }
        }
        for frame in &self.up {
            next.push(self.clone().host(frame));
        }
        let asked = self.told.iter().filter(|line| line.contains("ask")).count();
        for request in 1..=asked {
            for words in ["take R", "slow R", "gone R", "happens R head 200 -", "happens R end"] {
                next.push(self.clone().tell(&words.replace('R', &request.to_string())));
            }
            next.push(self.clone().tell(&format!("happens {request} unreachable")));
            if self.budget.retries > 0 {
                let mut again = self.clone();
                again.budget.retries -= 1;
                next.push(again.clone().tell(&format!("happens {request} head 429 - held")));
                next.push(again.tell(&format!("happens {request} unreachable held")));
            }
        }
        next
    }

    /// The host takes a frame: it grants a question once, and acknowledges usage as often as told.
    fn host(mut self, frame: &str) -> Self {
        self.up.remove(frame);
        if frame.starts_with("usage") {
            self.down.insert(format!("ack {}", number(frame, 1)));
        } else {
            let (request, attempt) = (number(frame, 2), number(frame, 3));
            let grant = self.ledger.granted.len() as u64 + 11;
            if self.ledger.granted.insert((request, attempt), grant).is_none() {
                self.down.insert(format!("grant {request} {attempt} {grant} 2"));
            }
        }
        self
    }

    /// All clients go away: nothing that was granted stays untold, nothing told is forgotten.
    fn drained(mut self) {
        for request in 1..=2 {
            self = self.tell(&format!("gone {request}"));
        }
        let Ledger { taken, settled, .. } = &self.ledger;
        assert!(settled.keys().eq(taken), "granted and not settled: {:?}", self.told);
        self.up.clear();
        self = self.tell("down");
        let again: BTreeSet<_> = self.up.iter().map(|output| number(output, 1)).collect();
        let owed = &self.ledger.taken - &self.ledger.acknowledged;
        assert_eq!(again, owed, "owed and not told again: {:?}", self.told);
    }
}

/// Visits every world within the budget; gives how many.
fn explore(budget: Budget) -> usize {
    let (mut seen, mut open) = (HashSet::new(), VecDeque::from([World::new(budget)]));
    while let Some(world) = open.pop_front() {
        world.clone().drained();
        open.extend(world.next().into_iter().filter(|world| seen.insert(world.key())));
    }
    seen.len()
}

#[test]
fn one_request_with_losses_and_repeats() {
    let worlds = explore(Budget { asks: 1, losses: 2, repeats: 2, retries: 0 });
    println!("{worlds} worlds");
    assert!(worlds > 100);
}

#[test]
fn one_request_with_every_attempt_and_a_loss() {
    let worlds = explore(Budget { asks: 1, losses: 1, repeats: 0, retries: 3 });
    println!("{worlds} worlds");
    assert!(worlds > 1_000);
}

#[test]
fn two_requests_with_losses_and_a_repeat() {
    let worlds = explore(Budget { asks: 2, losses: 2, repeats: 1, retries: 0 });
    println!("{worlds} worlds");
    assert!(worlds > 1_000);
}
