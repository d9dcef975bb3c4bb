//! One request's way from the host's answer to its settling, as a state machine.
//!
//! ```text
//! Asked --Granted--> Sent --Head--> Relaying --End--> Ended
//!   |                  |               |
//!   +-- Denied, lost --+-- unreachable, lost, bad --+-- broken, client gone --> Ended
//! ```
//!
//! A request is sent at most once for a grant, and no state leads back. Every path from `Granted` to
//! `Ended` settles, and only the last step of it does. An event that has no place in a state ends
//! the exchange like a lost connection: failure closes.

use alloc::boxed::Box;
use core::mem;

use aegis_wire::control::{COUNTS, Deny, Label, Slot, Source, Usage};
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
    Unreachable,
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
    /// Answer the client with an error of the enclave's.
    Answer(Refusal),
    /// Relay the provider's head.
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
    /// A usage frame.
    Usage(&'a Usage),
}

/// What of a step the host can observe.
pub fn observable(step: &Step, provider: ProviderIndex) -> [Option<Observation<'_>>; 2] {
    let dial = match step.action {
        Action::Send => Some(Observation::Egress(provider)),
        Action::Answer(_) | Action::RelayHead | Action::RelayChunk => None,
        Action::Finish | Action::Break => None,
    };
    [dial, step.settle.as_ref().map(Observation::Usage)]
}

/// A request on its way.
#[derive(Debug)]
pub struct Exchange {
    rules: Option<table::Meter>,
    show_label: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Asked,
    Sent(Grant),
    Relaying(Grant, Answer),
    Ended,
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

impl Exchange {
    /// A request for which the host is being asked.
    pub fn new(plan: &Plan<'_>) -> Self {
        let (rules, show_label) = (plan.endpoint.meter, plan.show_label);
        Self { rules, show_label, state: State::Asked }
    }

    /// Takes an event at a time of the monotonic clock.
    pub fn step(&mut self, now_ms: u64, event: Event<'_>) -> Step {
        let (state, action, settle) = match (mem::replace(&mut self.state, State::Ended), event) {
            (State::Asked, Event::Granted(number)) => {
                (State::Sent(Grant { number, at_ms: now_ms }), Action::Send, None)
            }
            (State::Asked, event) => (State::Ended, Action::Answer(before_grant(&event)), None),
            (State::Sent(grant), Event::Head { status, content_type, content_encoding }) => {
                let rules = self.rules.filter(|_| status / 100 == 2);
                let meter = |rules| Box::new(Meter::new(rules, content_type, content_encoding));
                let meter = rules.map(meter);
                // Statuses have three digits; a class over 5 is none that HTTP defines.
                let status_class = (status / 100).min(5) as u8;
                let first_byte_ms = since(grant.at_ms, now_ms);
                let answer = Answer { status_class, first_byte_ms, meter };
                (State::Relaying(grant, answer), Action::RelayHead, None)
            }
            (State::Sent(grant), event) => {
                let (refusal, dispatched) = before_head(&event);
                let aborted = || self.usage(&grant, None, false, now_ms);
                let settle = if dispatched { aborted() } else { not_dispatched(grant.number) };
                (State::Ended, Action::Answer(refusal), Some(settle))
            }
            (State::Relaying(grant, mut answer), Event::Chunk(chunk)) => {
                answer.meter.as_mut().into_iter().for_each(|meter| meter.push(chunk));
                (State::Relaying(grant, answer), Action::RelayChunk, None)
            }
            (State::Relaying(grant, answer), event) => {
                let whole = matches!(event, Event::End);
                let settle = Some(self.usage(&grant, Some(answer), whole, now_ms));
                (State::Ended, if whole { Action::Finish } else { Action::Break }, settle)
            }
            (State::Ended, _) => (State::Ended, Action::Break, None),
        };
        self.state = state;
        Step { action, settle }
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
        Event::Unreachable => (Refusal::UpstreamUnreachable, false),
        Event::BadHead => (Refusal::UpstreamHead, true),
        Event::Timeout => (Refusal::UpstreamTimeout, true),
        _ => (Refusal::UpstreamLost, true),
    }
}

fn since(then_ms: u64, now_ms: u64) -> u32 {
    u32::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(u32::MAX)
}
