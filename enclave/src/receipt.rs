//! Receipts (DESIGN 3.13): what goes through a request is written down as it passes, and signed
//! when it has ended. A request that asks for none costs nothing here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aegis_core::head::{self, Field};
use aegis_core::{Action, Plan, exchange::Step, plan};
use aegis_wire::control::Custody;
use aegis_wire::limits;
use aegis_wire::receipt::{ANSWER_CUT, Content, NO_ANSWER, REQUEST_CUT, Statement};
use aws_lc_rs::digest;
use bytes::Bytes;
use tokio::sync::SemaphorePermit;

use crate::{channel::Name, session::Session};

/// What is known so far.
pub(crate) struct Draft {
    /// The value of `aegis-request`.
    name: String,
    statement: Statement,
    sent: Passing,
    received: Hashed,
    /// What the client missed by leaving, which what follows does not make up for.
    missed: u64,
}

/// A body as far as it has passed.
pub(crate) struct Hashed {
    digest: digest::Context,
    bytes: u64,
    whole: bool,
}

/// A body that somebody else passes on.
#[derive(Clone, Default)]
pub(crate) struct Passing(Arc<Mutex<Hashed>>);

impl Passing {
    /// Notes a chunk, and whether it was the last.
    pub(crate) fn note(&self, chunk: &[u8], whole: bool) {
        let mut body = lock(&self.0);
        body.update(chunk);
        body.whole = whole;
    }
}

impl Draft {
    pub(crate) fn new(
        session: &Session,
        name: &Name,
        request: &plan::Request<'_>,
        plan: &Plan<'_>,
    ) -> Self {
        let (kind, encoding) = content(request.fields);
        let statement = Statement {
            session: session.nonce.to_vec(),
            boot: session.enclave.channel.boot().to_vec(),
            request: name.shown,
            provider: plan.provider.authority.to_owned(),
            method: plan.endpoint.method.to_owned(),
            // No credential of any form, the provider's own neither.
            target: String::from_utf8(head::target(request.path_and_query, &[]))
                .unwrap_or_default(),
            sent: Content { kind, encoding, ..Content::default() },
            custody: plan.custody,
            owner: (plan.custody == Custody::Sealed).then(|| plan.owner.to_vec()),
            ..Statement::default()
        };
        let (sent, received) = (Passing::default(), Hashed::default());
        Self { name: name.text.clone(), statement, sent, received, missed: 0 }
    }

    /// The client is gone; what comes now was not relayed.
    pub(crate) fn left(&mut self, missed: u64) {
        self.missed = missed;
    }

    /// Where the request's body is noted as it passes.
    pub(crate) fn sent(&self) -> Passing {
        self.sent.clone()
    }

    /// The provider's head, which is relayed.
    pub(crate) fn head(&mut self, status: u16, fields: &[Field<'_>]) {
        if self.missed != 0 {
            return;
        }
        let (kind, encoding) = content(fields);
        self.statement.received = Content { kind, encoding, ..Content::default() };
        self.statement.status = status.into();
        self.statement.provider_id = head::provider_id(fields).map(<[u8]>::to_vec);
    }

    /// Notes a step and the chunk that it was about; true when it was the last.
    pub(crate) fn note(&mut self, step: &Step, chunk: &[u8]) -> bool {
        if let Some(usage) = &step.settle {
            self.statement.attempts += 1;
            (self.statement.source, self.statement.counts) = (usage.source, usage.counts);
            let label = usage.label.as_str();
            self.statement.label = (!label.is_empty()).then(|| label.to_owned());
        }
        self.statement.incomplete = match step.action {
            Action::RelayChunk if self.missed == 0 => {
                self.received.update(chunk);
                return false;
            }
            Action::RelayChunk => return false,
            Action::Send | Action::Retry | Action::RelayHead => return false,
            _ if self.missed != 0 => self.missed,
            Action::Finish => 0,
            Action::Break => ANSWER_CUT,
            Action::Answer(_) => NO_ANSWER,
        };
        true
    }

    /// The receipt, kept on its session. A request that the host denied was never dispatched: there
    /// is nothing to state.
    pub(crate) fn finish(self, session: &Session) -> Option<Bytes> {
        let Self { name, mut statement, sent, received, .. } = self;
        if statement.attempts == 0 {
            return None;
        }
        let sent = lock(&sent.0);
        statement.incomplete |= if sent.whole { 0 } else { REQUEST_CUT };
        (statement.sent.digest, statement.sent.bytes) = sent.finish();
        (statement.received.digest, statement.received.bytes) = received.finish();
        let receipt = Bytes::from(session.enclave.identity.sign(&mut statement)?);
        session.receipts.keep(session, name, receipt.clone());
        Some(receipt)
    }
}

/// `content-type` and `content-encoding` of a head.
fn content(fields: &[Field<'_>]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let first = |name| head::values(fields, name).next().map(<[u8]>::to_vec);
    (first("content-type"), first("content-encoding"))
}

impl Hashed {
    fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn finish(&self) -> (Vec<u8>, u64) {
        (self.digest.clone().finish().as_ref().to_vec(), self.bytes)
    }
}

impl Default for Hashed {
    fn default() -> Self {
        Self { digest: digest::Context::new(&digest::SHA256), bytes: 0, whole: false }
    }
}

/// Nothing panics under the lock of a body or of the receipts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The receipts that a session can ask for again, the oldest first.
#[derive(Default)]
pub(crate) struct Receipts(Mutex<VecDeque<Kept>>);

struct Kept {
    name: String,
    at: Instant,
    receipt: Bytes,
    /// Its part of what all sessions may hold.
    _permit: SemaphorePermit<'static>,
}

impl Receipts {
    fn keep(&self, session: &Session, name: String, receipt: Bytes) {
        let mut kept = lock(&self.0);
        kept.retain(is_young);
        if kept.len() == limits::RECEIPTS {
            kept.pop_front();
        }
        // A statement is bounded by the limits of heads, far below 4 GiB.
        let room = session.enclave.receipts.try_acquire_many(receipt.len() as u32);
        if let Ok(permit) = room {
            kept.push_back(Kept { name, at: Instant::now(), receipt, _permit: permit });
        }
    }

    /// The receipt of a request of this session.
    pub(crate) fn find(&self, name: &str) -> Option<Bytes> {
        let mut kept = lock(&self.0);
        kept.retain(is_young);
        kept.iter().find(|kept| kept.name == name).map(|kept| kept.receipt.clone())
    }
}

fn is_young(kept: &Kept) -> bool {
    kept.at.elapsed() < limits::RECEIPT_AGE
}
