//! The shell around the machines: books, channel and exchanges of one boot.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aegis_core::control::Received;
use aegis_core::exchange::{Observation, not_dispatched, observable};
use aegis_core::head::Field;
use aegis_core::plan::Request;
use aegis_core::{Action, Control, Event, Exchange, Plan, Refusal};
use aegis_wire::control::{Authorize, Custody, Deny, DenyCode, Grant, Secret, ToEnclave, Usage};
use aegis_wire::table::{ProviderIndex, Table};

use crate::line::{Words, event, twin_status};

/// An enclave's decisions without its sockets.
#[derive(Debug, Default)]
pub struct Shell {
    books: Control,
    up: bool,
    slots: BTreeMap<u64, Slot>,
    twin: bool,
}

#[derive(Debug)]
struct Slot {
    session: u64,
    plan: Plan<'static>,
    exchange: Exchange,
    /// The mailbox, while an answer of the host is awaited.
    asking: Option<Option<Mail>>,
}

#[derive(Debug, Clone)]
enum Mail {
    Grant(u64),
    Deny(Deny),
    Lost,
}

/// The plan of a request, by what the model has of it.
pub fn plan(custody: Custody, metered: bool, shown: bool) -> Plan<'static> {
    static TABLE: OnceLock<&Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let text = include_str!("../../../enclave/providers.table");
        aegis_table::parse(text).expect("the shipped table is read at every build of the enclave")
    });
    let (method, path) =
        if metered { ("POST", "/v1/chat/completions") } else { ("GET", "/v1/models") };
    let request = Request {
        method,
        authority: Some("api.openai.com"),
        path_and_query: path,
        fields: fields(custody, shown),
    };
    Plan::new(table, &request).unwrap_or_else(|(refusal, _)| panic!("refused: {}", refusal.code()))
}

fn fields(custody: Custody, shown: bool) -> &'static [Field<'static>] {
    const CLIENT: Field<'_> = ("aegis-custody", b"client");
    const HOST: Field<'_> = ("aegis-custody", b"host");
    const OWN: Field<'_> = ("authorization", b"Bearer sk-made-up");
    const HIDE: Field<'_> = ("aegis-model", b"hide");
    match (custody, shown) {
        (Custody::Client, true) => &[CLIENT, OWN],
        (Custody::Client, false) => &[CLIENT, OWN, HIDE],
        // The model's custody of the host stands for *sealed* too: only the credential's origin differs.
        (Custody::Host | Custody::Sealed, true) => &[HOST],
        (Custody::Host | Custody::Sealed, false) => &[HOST, HIDE],
    }
}

impl Shell {
    /// One to whose providers the same things happen with other content: equal lengths, classes of
    /// status and figures.
    pub fn twin() -> Self {
        Self { twin: true, ..Self::default() }
    }

    /// Takes a line; gives what comes of it, in the words of the model's answers.
    ///
    /// # Panics
    /// On a line that is none of [`crate::line`].
    pub fn step(&mut self, line: &str) -> Vec<String> {
        let mut words = Words::of(line);
        let now = words.number();
        match words.word() {
            "up" => self.open(),
            "down" => self.lost(),
            "grant" => self.receive(grant(&mut words)),
            "deny" => self.receive(deny(&mut words)),
            "ack" => self.receive(ToEnclave::Ack(words.number())),
            "ask" => self.ask(now, &mut words),
            "take" => self.take(now, words.number()),
            "slow" => self.drop_asked(now, words.number(), Event::HostTimeout),
            "gone" => {
                let request = words.number();
                self.drop_asked(now, request, Event::ClientGone)
                    .into_iter()
                    .chain(self.happens(now, request, Event::ClientGone, ""))
                    .collect()
            }
            "happens" => self.happened(now, words),
            word => panic!("no such line: {word}"),
        }
    }

    fn open(&mut self) -> Vec<String> {
        self.up = true;
        let mut out: Vec<_> = self.books.unacknowledged().map(usage).collect();
        out.push("hello".into());
        out.sort();
        out
    }

    fn lost(&mut self) -> Vec<String> {
        self.up = false;
        for (request, _) in self.books.lost() {
            self.mail(request, Mail::Lost);
        }
        Vec::new()
    }

    fn mail(&mut self, request: u64, mail: Mail) {
        if let Some(Slot { asking: Some(mailbox @ None), .. }) = self.slots.get_mut(&request) {
            *mailbox = Some(mail);
        }
    }

    fn receive(&mut self, frame: ToEnclave) -> Vec<String> {
        if !self.up {
            return Vec::new();
        }
        match self.books.receive(frame) {
            Err(_) => {
                self.lost();
                return vec!["closed".into()];
            }
            Ok(Received::Answer((request, _), Ok(grant))) => {
                self.mail(request, Mail::Grant(grant.grant))
            }
            Ok(Received::Answer((request, _), Err(deny))) => self.mail(request, Mail::Deny(deny)),
            Ok(Received::Settle(late)) => return vec![self.settle(&late)],
            Ok(Received::Nothing) => {}
        }
        Vec::new()
    }

    fn settle(&mut self, told: &Usage) -> String {
        self.books.settle(told);
        usage(told)
    }

    fn ask(&mut self, now: u64, words: &mut Words<'_>) -> Vec<String> {
        let session = words.number();
        // Provider and class are told to the model; here the plan finds them.
        let (_, _): (u64, u64) = (words.number(), words.number());
        let custody = custody(words.number());
        let plan = plan(custody, words.number::<u8>() == 1, words.number::<u8>() == 1);
        let request = self.books.number();
        let exchange = Exchange::new(&plan);
        self.slots.insert(request, Slot { session, plan, exchange, asking: None });
        self.question(now, request)
    }

    /// Asks the host about the attempt that the exchange is at.
    fn question(&mut self, now: u64, request: u64) -> Vec<String> {
        let Some(Slot { session, plan, exchange, asking }) = self.slots.get_mut(&request) else {
            return Vec::new();
        };
        let question = (request, exchange.attempt());
        let asked = self.up.then(|| self.books.authorize(plan, *session, question)).flatten();
        *asking = asked.as_ref().map(|_| None);
        match asked {
            None => self.happens(now, request, Event::HostLost, ""),
            Some(Authorize { session, request, attempt, provider, class, custody, owner: _ }) => {
                let (class, custody) = (class as u8, custody as u8);
                vec![format!(
                    "authorize {session} {request} {attempt} {provider} {class} {custody}"
                )]
            }
        }
    }

    fn take(&mut self, now: u64, request: u64) -> Vec<String> {
        let Some(slot) = self.slots.get_mut(&request) else { return Vec::new() };
        let Some(Some(mail)) = slot.asking.clone() else { return Vec::new() };
        slot.asking = None;
        self.books.give_up((request, slot.exchange.attempt()));
        let event = match mail {
            Mail::Grant(grant) => Event::Granted(grant),
            Mail::Deny(deny) => Event::Denied(deny),
            Mail::Lost => Event::HostLost,
        };
        self.happens(now, request, event, "")
    }

    /// The question is dropped with whatever lies in its mailbox; then the exchange hears why.
    fn drop_asked(&mut self, now: u64, request: u64, why: Event<'_>) -> Vec<String> {
        let Some(slot) = self.slots.get_mut(&request) else { return Vec::new() };
        let Some(mailbox) = slot.asking.take() else { return Vec::new() };
        self.books.give_up((request, slot.exchange.attempt()));
        let mut out = Vec::new();
        if let Some(Mail::Grant(grant)) = mailbox {
            out.push(self.settle(&not_dispatched(grant)));
        }
        // In `gone` the exchange hears it in the caller.
        if !matches!(why, Event::ClientGone) {
            out.extend(self.happens(now, request, why, ""));
        }
        out
    }

    fn happened(&mut self, now: u64, mut words: Words<'_>) -> Vec<String> {
        let request = words.number();
        let event = match words.word() {
            "unreachable" => Event::Unreachable { held: words.word() == "held" },
            "stranger" => Event::NotTheProvider,
            "head" => {
                let status: u16 = words.number();
                let status = if self.twin { twin_status(status) } else { status };
                let content_encoding: &[u8] = if words.word() == "-" { b"" } else { b"made-up" };
                let content_type = b"text/event-stream";
                let held = words.word() == "held";
                Event::Head { status, content_type, content_encoding, held }
            }
            "badhead" => Event::BadHead,
            "lost" => Event::Lost,
            "timeout" => Event::Timeout,
            "chunk" => {
                let told: Vec<_> = words.rest().collect();
                let chunk: String = told.iter().map(|byte| event(byte, self.twin)).collect();
                let told: String = told.iter().map(|byte| format!(" {byte}")).collect();
                return self.happens(now, request, Event::Chunk(chunk.as_bytes()), &told);
            }
            "end" => Event::End,
            "granted" => Event::Granted(words.number()),
            "hostlost" => Event::HostLost,
            word => panic!("no such event: {word}"),
        };
        self.happens(now, request, event, "")
    }

    fn happens(&mut self, now: u64, request: u64, event: Event<'_>, bytes: &str) -> Vec<String> {
        let Some(slot) = self.slots.get_mut(&request) else { return Vec::new() };
        if slot.asking.is_some() {
            return Vec::new();
        }
        let granted = match &event {
            Event::Granted(grant) => *grant,
            _ => 0,
        };
        let (session, ProviderIndex(provider)) = (slot.session, slot.plan.index);
        let step = slot.exchange.step(now, event);
        // What the core calls observable is what the model's host sees: dials, questions, usage.
        let seen = match step.action {
            Action::Send => Some(Observation::Egress(ProviderIndex(provider))),
            Action::Retry => Some(Observation::Attempt),
            _ => None,
        };
        let seen = [seen, step.settle.as_ref().map(Observation::Usage)];
        assert_eq!(observable(&step, ProviderIndex(provider)), seen);
        let mut out: Vec<_> = step.settle.iter().map(|told| self.settle(told)).collect();
        out.push(match step.action {
            Action::Retry => {
                out.extend(self.question(now, request));
                return out;
            }
            Action::Send => format!("send {request} {granted} {provider}"),
            Action::Answer(refusal) => format!("client {request} {session} {}", error(refusal)),
            Action::RelayHead => format!("client {request} {session} head"),
            Action::RelayChunk => format!("client {request} {session} chunk{bytes}"),
            Action::Finish => format!("client {request} {session} finish"),
            Action::Break => format!("client {request} {session} break"),
        });
        out
    }
}

fn error(refusal: Refusal) -> String {
    match refusal {
        Refusal::Denied(code, wait) => format!("error denied {} {wait}", code as u8),
        refusal => format!("error {}", refusal.code()),
    }
}

fn usage(told: &Usage) -> String {
    let Usage { grant, status_class, source, counts, label, first_byte_ms, total_ms } = told;
    let shown = |count: &Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
    let counts: Vec<_> = counts.iter().map(shown).collect();
    let (source, label, counts) = (*source as u8, label.as_str(), counts.join(","));
    format!("usage {grant} {status_class} {source} [{counts}] {label} {first_byte_ms} {total_ms}")
}

fn custody(code: u8) -> Custody {
    if code == Custody::Client as u8 { Custody::Client } else { Custody::Host }
}

fn grant(words: &mut Words<'_>) -> ToEnclave {
    let (request, attempt, grant) = (words.number(), words.number(), words.number());
    let custody = custody(words.number());
    let credential = match custody {
        Custody::Client | Custody::Sealed => Secret::default(),
        Custody::Host => Secret(b"sk-made-up".to_vec()),
    };
    ToEnclave::Grant(Grant { request, attempt, grant, account: 1, custody, credential })
}

fn deny(words: &mut Words<'_>) -> ToEnclave {
    let (request, attempt, code) = (words.number(), words.number(), words.number::<usize>());
    let (code, retry_after_s) = (DenyCode::ALL[code - 1], words.number());
    ToEnclave::Deny(Deny { request, attempt, code, retry_after_s })
}
