//! The one task that writes. What has gathered while the last transaction was under way goes into
//! the next, so the number of commits does not grow with the load.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use aegis_wire::table::Envelope;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    BooksError, Floors, GivenUp, Job, NoGrant, Reply, Settled, Written,
    batch::{Batch, Done, Rules, Work},
    history::History,
};
use crate::{directory::Directory, store::Store};

/// Most jobs in one transaction.
const AT_ONCE: usize = 256;
/// Most voids in one transaction: a statement has a place for each, and databases bound those.
const VOIDS: usize = 1024;
/// Grant numbers that a host takes from the store at once.
const BLOCK: i64 = 4096;
/// Time for a transaction: an enclave waits 10 s for its answer.
const PATIENCE: Duration = Duration::from_secs(6);

pub(super) struct Writer {
    store: Store,
    host: String,
    floors: Floors,
    envelopes: BTreeMap<String, Envelope>,
    directory: watch::Receiver<Arc<Directory>>,
    history: History,
    /// Grant numbers that are this host's own.
    numbers: Range<u64>,
    /// Numbers are above every one that was ever given, even by a store that was lost since.
    floor: i64,
    /// What is to become void: grants that nobody took, and those of transactions whose end is
    /// unknown (nobody was told, so nobody may be charged). By number, with the time.
    unsure: BTreeMap<u64, i64>,
    /// The way back for grants that nobody takes.
    back: mpsc::WeakSender<Job>,
}

#[derive(Default)]
struct Replies {
    grants: Vec<(i64, Reply<Result<Written, NoGrant>>)>,
    settles: Vec<Reply<Result<Settled, BooksError>>>,
    lost: Vec<Reply<Result<GivenUp, BooksError>>>,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        host: String,
        floors: Floors,
        envelopes: BTreeMap<String, Envelope>,
        directory: watch::Receiver<Arc<Directory>>,
        back: mpsc::WeakSender<Job>,
    ) -> Self {
        let floor = crate::number_floor(crate::now_ms());
        let (history, numbers, unsure) = (History::default(), 0..0, BTreeMap::new());
        Self { store, host, floors, envelopes, directory, history, numbers, floor, unsure, back }
    }

    /// Writes until no handle is left.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.recv_many(&mut waiting, AT_ONCE).await > 0 {
            let (work, replies) = self.sort(waiting.drain(..));
            let done = match self.attempt(&work).await {
                // A deadlock or a connection that was lost: once more, with other numbers.
                Err(BooksError::Store(error)) => {
                    tracing::warn!(%error, "the books are written once more");
                    self.attempt(&work).await
                }
                done => done,
            };
            if let Err(error) = &done {
                tracing::error!(%error, "nothing can be written to the books");
                self.unsure.extend(work.voids.iter().map(|(at_ms, grant)| (*grant, *at_ms)));
            }
            replies.send(done, &self.back);
        }
    }

    fn sort(&mut self, jobs: impl Iterator<Item = Job>) -> (Work, Replies) {
        let mut work = Work::default();
        let mut replies = Replies::default();
        for job in jobs {
            match job {
                Job::Grant(at_ms, terms, reply) => {
                    work.grants.push((at_ms, *terms));
                    replies.grants.push((at_ms, reply));
                }
                Job::Settle(at_ms, boot, usage, reply) => {
                    work.settles.push((at_ms, boot, *usage));
                    replies.settles.push(reply);
                }
                Job::Lose(at_ms, losing, reply) => {
                    work.losing.push((at_ms, losing));
                    replies.lost.push(reply);
                }
                Job::Void(at_ms, grant) => drop(self.unsure.insert(grant, at_ms)),
            }
        }
        let oldest = std::iter::from_fn(|| self.unsure.pop_first()).take(VOIDS);
        work.voids.extend(oldest.map(|(grant, at_ms)| (at_ms, grant)));
        (work, replies)
    }

    async fn attempt(&mut self, work: &Work) -> Result<Done, BooksError> {
        let mut numbers = Vec::new();
        let written = timeout(PATIENCE, self.write(work, &mut numbers)).await;
        let failed = match written {
            Ok(Ok(done)) => {
                let costs = done.costs.iter();
                self.history.done(costs.map(|(key, class, cost)| (&**key, class.word(), *cost)));
                return Ok(done);
            }
            Ok(Err(error)) => error,
            Err(_) => BooksError::Slow,
        };
        self.history.failed();
        let given = work.grants.iter().zip(numbers).map(|((at_ms, _), number)| (number, *at_ms));
        self.unsure.extend(given);
        Err(failed)
    }

    async fn write(&mut self, work: &Work, numbers: &mut Vec<u64>) -> Result<Done, BooksError> {
        let failed = |error| BooksError::Store(Arc::new(error));
        while numbers.len() < work.grants.len() {
            match self.numbers.next() {
                Some(number) => numbers.push(number),
                None => {
                    let taken = self.store.take("grant", self.floor, BLOCK).await;
                    let first = taken.map_err(failed)?.unsigned_abs();
                    self.floor = 0;
                    self.numbers = first..first + BLOCK.unsigned_abs();
                }
            }
        }
        let directory = Arc::clone(&self.directory.borrow());
        let rules = Rules {
            host: &self.host,
            floors: &self.floors,
            envelopes: &self.envelopes,
            prices: &directory.prices,
        };
        let batch = Batch::begin(&self.store, rules).await.map_err(failed)?;
        batch.run(work, numbers, &mut self.history).await.map_err(failed)
    }
}

impl Replies {
    /// Whoever does not wait any more is answered in vain, and learns it from the store; a grant
    /// that nobody takes is void.
    fn send(self, done: Result<Done, BooksError>, back: &mpsc::WeakSender<Job>) {
        match done {
            Ok(done) => {
                for ((at_ms, reply), answer) in self.grants.into_iter().zip(done.grants) {
                    let written = |number| Written { number, at_ms, back: Some(back.clone()) };
                    let _ = reply.send(answer.map(written));
                }
                for (reply, answer) in self.settles.into_iter().zip(done.settles) {
                    let _ = reply.send(Ok(answer));
                }
                for (reply, answer) in self.lost.into_iter().zip(done.lost) {
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error) => {
                for (_, reply) in self.grants {
                    let _ = reply.send(Err(error.clone().into()));
                }
                for reply in self.settles {
                    let _ = reply.send(Err(error.clone()));
                }
                for reply in self.lost {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}
