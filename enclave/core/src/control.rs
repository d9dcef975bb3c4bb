//! The books of one boot: which requests wait for an answer, which grants are not settled, which
//! usage the host has not acknowledged (PROTOCOL.md, section 4).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use aegis_wire::Malformed;
use aegis_wire::control::{Authorize, Custody, Deny, Grant, ToEnclave, Usage};

use crate::{exchange, plan::Plan};

/// Most requests that wait, and most grants whose usage the host has not acknowledged. Beyond,
/// requests are refused: an enclave must not forget what it owes the ledger.
const OPEN: usize = 65_536;

/// The state of a boot's control leg.
#[derive(Debug, Default)]
pub struct Control {
    requests: u64,
    waiting: BTreeMap<Question, Waiting>,
    granted: BTreeSet<u64>,
    unacknowledged: BTreeMap<u64, Usage>,
}

/// A request and its attempt: what the host is asked about, once.
pub type Question = (u64, u8);

#[derive(Debug)]
struct Waiting {
    custody: Custody,
    given_up: bool,
}

/// What a frame from the host means.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The answer to that question.
    Answer(Question, Result<Grant, Deny>),
    /// A grant came too late: this settles it.
    Settle(Usage),
    /// Nothing is to be done.
    Nothing,
}

impl Control {
    /// Numbers a new request.
    pub fn number(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// What asks for an attempt of a request, or `None` when too much is open.
    pub fn authorize(
        &mut self,
        plan: &Plan<'_>,
        session: u64,
        (request, attempt): Question,
    ) -> Option<Authorize> {
        if self.waiting.len() + self.granted.len() + self.unacknowledged.len() >= OPEN {
            return None;
        }
        let asked = plan.authorize(session, request, attempt);
        let waiting = Waiting { custody: asked.custody, given_up: false };
        self.waiting.insert((request, attempt), waiting);
        Some(asked)
    }

    /// The client went away, or the host took too long: a late grant will be settled at once.
    pub fn give_up(&mut self, question: Question) {
        if let Some(waiting) = self.waiting.get_mut(&question) {
            waiting.given_up = true;
        }
    }

    /// Takes a frame; an error ends the channel.
    pub fn receive(&mut self, frame: ToEnclave) -> Result<Received, Malformed> {
        match frame {
            ToEnclave::Grant(grant) => {
                let question = (grant.request, grant.attempt);
                let waiting = self.open(question)?;
                if grant.custody != waiting.custody {
                    return Err(Malformed("grant of another custody"));
                }
                let given_up = waiting.given_up;
                let used = self.unacknowledged.contains_key(&grant.grant);
                if used || !self.granted.insert(grant.grant) {
                    return Err(Malformed("grant number used before"));
                }
                self.waiting.remove(&question);
                if given_up {
                    return Ok(Received::Settle(exchange::not_dispatched(grant.grant)));
                }
                Ok(Received::Answer(question, Ok(grant)))
            }
            ToEnclave::Deny(deny) => {
                let question = (deny.request, deny.attempt);
                let given_up = self.open(question)?.given_up;
                self.waiting.remove(&question);
                let answer = Received::Answer(question, Err(deny));
                Ok(if given_up { Received::Nothing } else { answer })
            }
            ToEnclave::Ack(grant) => {
                let usage = self.unacknowledged.remove(&grant);
                usage.map(|_| Received::Nothing).ok_or(Malformed("ack of nothing"))
            }
        }
    }

    /// Puts a finished grant on the list of what the host must acknowledge.
    pub fn settle(&mut self, usage: &Usage) {
        if self.granted.remove(&usage.grant) {
            self.unacknowledged.insert(usage.grant, usage.clone());
        }
    }

    /// The channel is gone: these questions will get no answer.
    pub fn lost(&mut self) -> Vec<Question> {
        core::mem::take(&mut self.waiting).into_keys().collect()
    }

    /// What must be sent again on a new channel.
    pub fn unacknowledged(&self) -> impl Iterator<Item = &Usage> {
        self.unacknowledged.values()
    }

    /// The open question that an answer names. It stays open until the whole answer is found valid,
    /// so that a channel closed over a bad answer still fails the request.
    fn open(&self, question: Question) -> Result<&Waiting, Malformed> {
        self.waiting.get(&question).ok_or(Malformed("answer to no open request"))
    }
}
