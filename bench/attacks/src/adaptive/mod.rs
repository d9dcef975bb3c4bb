//! Attacks that only a host on the sealed path has occasion for, one file each.

mod account;
mod credential;
mod deny_text;
mod downgrade;
mod egress;
mod evidence_relay;
mod forked_log;
mod grant;
mod lists;
mod partial;
mod replay;
mod stale_release;
mod swap;
mod tamper;
mod timing;
mod update;

use std::future::Future;
use std::io;
use std::pin::Pin;

use aegis_rig::program::Program;
use aegis_rig::user::KEY;
use aegis_rig::world::World;

use crate::agent;
use crate::agent::Base;
use crate::agent::Done;
use crate::agent::Failed;
use crate::api::Api;
use crate::api::Variant;
use crate::run;
use crate::scenario::Step;

/// What became of an adaptive attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every try was refused with one of these typed errors.
    Refused(Vec<String>),
    /// Tries ended in errors of several kinds; nothing ran but what the provider had asked for.
    NothingElseRan,
    /// It does something, which is within what the host may choose.
    Residual(&'static str),
    /// It got through: what happened.
    Through(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(codes) => f.write_str(&codes.join(", ")),
            Self::NothingElseRan => f.write_str("nothing else ran"),
            Self::Residual(what) => write!(f, "residual: {what}"),
            Self::Through(what) => write!(f, "GOT THROUGH: {what}"),
        }
    }
}

type Running = Pin<Box<dyn Future<Output = io::Result<Verdict>> + Send>>;

/// An adaptive attack.
pub struct Adaptive {
    /// Its name in the ledger.
    pub id: &'static str,
    /// Runs it.
    pub run: fn() -> Running,
}

/// Every adaptive attack. A new one is one file and its line here.
pub fn all() -> Vec<Adaptive> {
    vec![
        Adaptive { id: "record-tampering", run: || Box::pin(tamper::run()) },
        Adaptive { id: "partial-stream", run: || Box::pin(partial::run()) },
        Adaptive { id: "timing-trigger", run: || Box::pin(timing::run()) },
        Adaptive { id: "session-swap", run: || Box::pin(swap::run()) },
        Adaptive { id: "session-replay", run: || Box::pin(replay::run()) },
        Adaptive { id: "evidence-relay", run: || Box::pin(evidence_relay::run()) },
        Adaptive { id: "malicious-update", run: || Box::pin(update::run()) },
        Adaptive { id: "stale-release", run: || Box::pin(stale_release::run()) },
        Adaptive { id: "forked-log", run: || Box::pin(forked_log::run()) },
        Adaptive { id: "plaintext-downgrade", run: || Box::pin(downgrade::run()) },
        Adaptive { id: "egress-lies", run: || Box::pin(egress::run()) },
        Adaptive { id: "account-substitution", run: || Box::pin(account::run()) },
        Adaptive { id: "grant-splicing", run: || Box::pin(grant::run()) },
        Adaptive { id: "credential-injection", run: || Box::pin(credential::run()) },
        Adaptive { id: "deny-text", run: || Box::pin(deny_text::run()) },
    ]
}

/// A world with an agent in front.
pub struct Trial {
    /// Everything behind the agent.
    pub world: World,
    base: Base,
    _agent: Program,
}

/// Chat Completions, not streamed.
const PLAIN: Variant = Variant { api: Api::Chat, streamed: false };

impl Trial {
    /// Starts both; the adversary behaves.
    pub async fn start() -> io::Result<Self> {
        Self::in_world(World::start().await?).await
    }

    /// The same in a world that is there.
    pub async fn in_world(world: World) -> io::Result<Self> {
        let (agent, address) = world.start_agent().await?;
        let base = Base { address, root: None, key: KEY.to_owned(), patience: agent::PATIENCE };
        Ok(Self { world, base, _agent: agent })
    }

    /// Has the agent give up soon: a record that was dropped leaves it without an answer, and how
    /// long it waits for one is of no account.
    fn impatient(&mut self) {
        self.base.patience = std::time::Duration::from_secs(3);
    }

    /// Steps until one does what the provider asks for: what was done to a connection that is kept
    /// may be noticed only when it is used again.
    async fn settle(&self) -> io::Result<()> {
        let mut last = self.honest().await;
        for _ in 0..4 {
            if last.is_ok() {
                break;
            }
            last = self.honest().await;
        }
        last
    }

    /// One step of an agent that is asked to install a package.
    pub async fn step(&self) -> io::Result<Done> {
        agent::step(&self.base, PLAIN, &step()).await
    }

    /// The same with another API.
    pub async fn step_in(&self, variant: Variant) -> io::Result<Done> {
        agent::step(&self.base, variant, &step()).await
    }

    /// A step that the adversary leaves alone; it must do what the provider asks for.
    pub async fn honest(&self) -> io::Result<()> {
        let done = self.step().await?;
        let right = done.failed.is_none() && done.ran == [COMMAND];
        right.then_some(()).ok_or_else(|| io::Error::other(format!("the honest path: {done:?}")))
    }
}

/// What the provider asks for in every trial.
const COMMAND: &str = "pip install requests";

fn step() -> Step {
    Step::new(COMMAND)
}

/// The typed error of a step that must have run nothing.
fn refusal(done: &Done) -> Result<String, Verdict> {
    match &done.failed {
        Some(_) if !done.ran.is_empty() => Err(Verdict::Through(done.ran.join("; "))),
        Some(Failed::Refused(code, said)) => Ok(run::name_step(code, said)),
        Some(Failed::Broken) => Ok("broken".to_owned()),
        None => Err(Verdict::Through("the request was answered".to_owned())),
    }
}

/// The verdict on steps of which each must have been refused.
fn all_refused(steps: &[Done]) -> Verdict {
    let mut codes = Vec::new();
    for done in steps {
        match refusal(done) {
            Ok(code) if codes.contains(&code) => {}
            Ok(code) => codes.push(code),
            Err(through) => return through,
        }
    }
    Verdict::Refused(codes)
}

/// The verdict on steps that may have failed in any way, or gone well.
fn nothing_else(steps: &[Done]) -> Verdict {
    for done in steps {
        let right: &[&str] = match done.failed {
            Some(_) if done.ran.is_empty() => &[],
            // An answer that was cut and taken for a whole one shows here: less ran.
            _ => &[COMMAND],
        };
        if done.ran != right {
            return Verdict::Through(format!("this ran: {:?}", done.ran));
        }
    }
    Verdict::NothingElseRan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_the_providers_word_is_seen() {
        let done = |ran: &[&str], failed: bool| Done {
            ran: ran.iter().map(|line| (*line).to_owned()).collect(),
            arrived: Vec::new(),
            failed: failed.then_some(Failed::Broken),
        };
        for good in [done(&[COMMAND], false), done(&[], true), done(&[COMMAND], true)] {
            assert_eq!(nothing_else(&[good]), Verdict::NothingElseRan);
        }
        for bad in [done(&[], false), done(&["curl x"], true), done(&[COMMAND, COMMAND], false)] {
            assert!(matches!(nothing_else(&[bad]), Verdict::Through(_)));
        }
        let refused = Failed::Refused("host_unavailable".to_owned(), String::new());
        let refused = Done { ran: Vec::new(), arrived: Vec::new(), failed: Some(refused) };
        let words = vec!["host_unavailable".to_owned()];
        assert_eq!(all_refused(std::slice::from_ref(&refused)), Verdict::Refused(words));
        assert!(matches!(all_refused(&[refused, done(&[COMMAND], false)]), Verdict::Through(_)));
    }
}
