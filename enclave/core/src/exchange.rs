//! One request's way from the host's answer to its settling, as a state machine.
//!
//! ```text
//! Asked --Granted--> Sent --Head--> Relaying --End--> Ended
//!   |  ^               |               |
//!   |  +--- Retry -----+               |
//!   +-- Denied, lost --+-- unreachable, lost, bad --+-- broken, client gone --> Ended
//! ```
//!
//! A request is sent at most once for a grant. Every way from `Granted` settles once: where the
//! request ends, or where [`Action::Retry`] leads back to the host for another grant (DESIGN 3.9).
//! When that is refused, the client gets what the attempt before came to: the provider's answer,
//! already settled, or its refusal. An event that has no place in a state ends the exchange like a
//! lost connection: failure closes.

use alloc::boxed::Box;
use core::mem;

use aegis_wire::control::{COUNTS, Deny, Label, Slot, Source, Usage};
use aegis_wire::limits::ATTEMPTS;
use aegis_wire::table::{self, ProviderIndex};

use crate::{meter::Meter, plan::Plan, refusal::Refusal};

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The host allows the request under that grant number.
    Granted(u64),
    /// The host refuses.
    Denied(Deny),
    /// The control channel is gone or full.
    HostLost,
    /// The host did not answer in time.
    HostTimeout,
    /// No connection took a byte of the request.
    Unreachable {
        /// The shell can send the whole body again.
        held: bool,
    },
    /// The peer did not prove to be the provider.
    NotTheProvider,
    /// The provider's head.
    Head {
        /// HTTP status.
        status: u16,
        /// `content-type`, empty without one.
        content_type: &'a [u8],
        /// `content-encoding`, empty without one.
        content_encoding: &'a [u8],
        /// The shell can send the whole body again.
        held: bool,
    },
    /// The provider's head is malformed or too large.
    BadHead,
    /// The connection was lost after dispatch.
    Lost,
    /// The provider sent nothing for too long.
    Timeout,
    /// Bytes of the provider's body.
    Chunk(&'a [u8]),
    /// The body is complete.
    End,
    /// The client went away.
    ClientGone,
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the request to the provider, over a connection of this session and account.
    Send,
    /// Ask the host for the next attempt, and keep the provider's answer, if there is one.
    Retry,
    /// Answer the client with an error of the enclave's.
    Answer(Refusal),
    /// Relay the provider's head: the one just told of, or the one that was kept.
    RelayHead,
    /// Relay the chunk just told of, as it is.
    RelayChunk,
    /// End the client's stream cleanly.
    Finish,
    /// Break the client's stream.
    Break,
}

/// The answer to an event.
#[derive(Debug)]
pub struct Step {
    /// What is to be done.
    pub action: Action,
    /// What the grant came to, when this step ended it.
    pub settle: Option<Usage>,
}

/// What the host learns from a step, apart from sizes and times of ciphertext (DESIGN 7).
#[derive(Debug, PartialEq, Eq)]
pub enum Observation<'a> {
    /// An egress request for that provider, unless a connection was there.
    Egress(ProviderIndex),
    /// A question for another attempt.
    Attempt,
    /// A usage frame.
    Usage(&'a Usage),
}

/// What of a step the host can observe.
pub fn observable(step: &Step, provider: ProviderIndex) -> [Option<Observation<'_>>; 2] {
    let seen = match step.action {
        Action::Send => Some(Observation::Egress(provider)),
        Action::Retry => Some(Observation::Attempt),
        Action::Answer(_) | Action::RelayHead | Action::RelayChunk => None,
        Action::Finish | Action::Break => None,
    };
    [seen, step.settle.as_ref().map(Observation::Usage)]
}

/// A request on its way.
#[derive(Debug)]
pub struct Exchange {
    rules: Option<table::Meter>,
    show_label: bool,
    replayable: bool,
    attempt: u8,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What the attempt before came to, if there was one.
    Asked(Option<Kept>),
    Sent(Grant),
    Relaying(Grant, Answer),
    /// The kept answer is relayed; its grant is settled.
    Passing,
    Ended,
}

/// What the client gets when there is no further attempt.
#[derive(Debug)]
enum Kept {
    Answer,
    Refusal(Refusal),
}

/// A grant in use since then.
#[derive(Debug)]
struct Grant {
    number: u64,
    at_ms: u64,
}

/// The part of an answer that the books are about.
#[derive(Debug)]
struct Answer {
    status_class: u8,
    first_byte_ms: u32,
    meter: Option<Box<Meter>>,
}

/// The new state, what is to be done, and what is settled.
type Next = (State, Action, Option<Usage>);

impl Exchange {
    /// A request for which the host is being asked.
    pub fn new(plan: &Plan<'_>) -> Self {
        let (rules, show_label) = (plan.endpoint.meter, plan.show_label);
        let (replayable, state) = (plan.replayable(), State::Asked(None));
        Self { rules, show_label, replayable, attempt: 1, state }
    }

    /// The attempt under way, from 1.
    pub fn attempt(&self) -> u8 {
        self.attempt
    }

    /// Takes an event at a time of the monotonic clock.
    pub fn step(&mut self, now_ms: u64, event: Event<'_>) -> Step {
        let (state, action, settle) = match (mem::replace(&mut self.state, State::Ended), event) {
            (State::Asked(_), Event::Granted(number)) => {
                (State::Sent(Grant { number, at_ms: now_ms }), Action::Send, None)
            }
            (State::Asked(Some(Kept::Answer)), _) => (State::Passing, Action::RelayHead, None),
            (State::Asked(Some(Kept::Refusal(refusal))), _) => {
                (State::Ended, Action::Answer(refusal), None)
            }
            (State::Asked(None), event) => {
                (State::Ended, Action::Answer(before_grant(&event)), None)
            }
            (State::Sent(grant), event) => self.sent(grant, now_ms, event),
            (State::Relaying(grant, mut answer), Event::Chunk(chunk)) => {
                answer.meter.as_mut().into_iter().for_each(|meter| meter.push(chunk));
                (State::Relaying(grant, answer), Action::RelayChunk, None)
            }
            (State::Relaying(grant, answer), event) => {
                let whole = matches!(event, Event::End);
                let settle = Some(self.usage(&grant, Some(answer), whole, now_ms));
                (State::Ended, if whole { Action::Finish } else { Action::Break }, settle)
            }
            (State::Passing, Event::Chunk(_)) => (State::Passing, Action::RelayChunk, None),
            (State::Passing, Event::End) => (State::Ended, Action::Finish, None),
            (State::Passing | State::Ended, _) => (State::Ended, Action::Break, None),
        };
        self.state = state;
        Step { action, settle }
    }

    /// What ends an attempt before its head, or the head.
    fn sent(&mut self, grant: Grant, now_ms: u64, event: Event<'_>) -> Next {
        let again = self.replayable && self.attempt < ATTEMPTS;
        match event {
            Event::Head { status, content_type, content_encoding, held } => {
                let rules = self.rules.filter(|_| status / 100 == 2);
                let meter = |rules| Box::new(Meter::new(rules, content_type, content_encoding));
                let meter = rules.map(meter);
                // Statuses have three digits; a class over 5 is none that HTTP defines.
                let status_class = (status / 100).min(5) as u8;
                let first_byte_ms = since(grant.at_ms, now_ms);
                let answer = Answer { status_class, first_byte_ms, meter };
                if again && held && is_transient(status) {
                    let settle = self.usage(&grant, Some(answer), true, now_ms);
                    return self.retry(Kept::Answer, settle);
                }
                (State::Relaying(grant, answer), Action::RelayHead, None)
            }
            Event::Unreachable { held: true } if again => {
                let kept = Kept::Refusal(Refusal::UpstreamUnreachable);
                self.retry(kept, not_dispatched(grant.number))
            }
            event => {
                let (refusal, dispatched) = before_head(&event);
                let aborted = || self.usage(&grant, None, false, now_ms);
                let settle = if dispatched { aborted() } else { not_dispatched(grant.number) };
                (State::Ended, Action::Answer(refusal), Some(settle))
            }
        }
    }

    fn retry(&mut self, kept: Kept, settle: Usage) -> Next {
        self.attempt += 1;
        (State::Asked(Some(kept)), Action::Retry, Some(settle))
    }

    fn usage(&self, grant: &Grant, answer: Option<Answer>, whole: bool, now_ms: u64) -> Usage {
        let mut usage = not_dispatched(grant.number);
        usage.source = Source::Aborted;
        usage.total_ms = since(grant.at_ms, now_ms);
        let Some(Answer { status_class, first_byte_ms, meter }) = answer else {
            return usage;
        };
        (usage.status_class, usage.first_byte_ms) = (status_class, first_byte_ms);
        let Some(meter) = meter else {
            usage.source = Source::Unmetered;
            return usage;
        };
        let metered = meter.finish();
        let seen = metered.counts[Slot::Input as usize].is_some()
            || metered.counts[Slot::Output as usize].is_some();
        usage.source = match (whole && !metered.broken, seen, whole) {
            (true, true, _) => Source::Provider,
            (false, true, _) => Source::Partial,
            (_, false, true) => Source::Missing,
            (_, false, false) => Source::Aborted,
        };
        usage.counts = metered.counts;
        usage.label = metered.label.filter(|_| self.show_label).unwrap_or_default();
        usage
    }
}

/// Whether a status says that another attempt may fare better: the provider did not take the work.
const fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 529)
}

/// The settling of a grant under which no byte left.
pub fn not_dispatched(grant: u64) -> Usage {
    Usage {
        grant,
        status_class: 0,
        source: Source::NotDispatched,
        counts: [None; COUNTS],
        label: Label::default(),
        first_byte_ms: 0,
        total_ms: 0,
    }
}

const fn before_grant(event: &Event<'_>) -> Refusal {
    match event {
        Event::Denied(deny) => Refusal::Denied(deny.code, deny.retry_after_s),
        Event::HostTimeout => Refusal::HostTimeout,
        _ => Refusal::HostUnavailable,
    }
}

/// The error, and whether the request may have reached the provider.
const fn before_head(event: &Event<'_>) -> (Refusal, bool) {
    match event {
        Event::NotTheProvider => (Refusal::UpstreamTls, false),
        Event::Unreachable { .. } => (Refusal::UpstreamUnreachable, false),
        Event::BadHead => (Refusal::UpstreamHead, true),
        Event::Timeout => (Refusal::UpstreamTimeout, true),
        _ => (Refusal::UpstreamLost, true),
    }
}

fn since(then_ms: u64, now_ms: u64) -> u32 {
    u32::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(u32::MAX)
}
