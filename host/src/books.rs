//! The books: an amount is reserved for every grant before it is handed out, and each grant has
//! exactly one outcome, whatever dies in between.
//!
//! | outcome | when | charged |
//! |---|---|---|
//! | `settled` | the enclave reported the end of the exchange | what it cost |
//! | `aborted` | host, enclave or a leg died before the usage was complete | the reservation, or what was seen of the usage if that is more |
//! | `void` | the grant never left this host | nothing |
//!
//! A usage report that comes after its grant was given up as lost replaces `aborted`. The store
//! holds the truth: all that waits is written in one transaction (`writer`), budgets are checked
//! inside it, and nobody gets an answer before the commit.

use std::{collections::BTreeMap, sync::Arc};

use aegis_wire::control::{Class, Custody, Slot, Source, Usage};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    directory::Directory,
    fleet::Boot,
    money::Micro,
    providers::Providers,
    store::{Store, StoreError},
};

mod batch;
mod budget;
mod charge;
mod history;
mod insert;
mod writer;

pub use budget::{Budget, CLOCK_SKEW_MS, Scope, used_since};

/// Counts by the words of [`Slot`]; an absent count was not reported.
pub type Counts = BTreeMap<String, u32>;

/// What a grant is given for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The enclave's boot.
    pub boot: Boot,
    /// Request number within the boot.
    pub request: u64,
    /// Counts from 1.
    pub attempt: u8,
    /// Session number.
    pub session: u64,
    /// Whose key.
    pub tenant: String,
    /// `TENANT/TEAM`, empty for a key of no team.
    pub team: String,
    /// Which key.
    pub key: String,
    /// Name of the enclave.
    pub enclave: String,
    /// Its release.
    pub release: u32,
    /// Name in the provider table.
    pub provider: String,
    /// Kind of endpoint.
    pub class: Class,
    /// Whose credential.
    pub custody: Custody,
    /// Account number, 0 in client custody.
    pub account: u32,
    /// The key's own reservation.
    pub reserve: Option<Micro>,
}

/// How a grant ended, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// A word of [`Source`], or `lost` when the enclave never said.
    pub source: &'static str,
    /// First digit of the status.
    pub status_class: u8,
    /// Reported counts.
    pub counts: Counts,
    /// Model label.
    pub label: String,
    /// From dispatch to the first byte.
    pub first_byte_ms: u32,
    /// From dispatch to the end.
    pub total_ms: u32,
}

/// The source of a grant that was settled without the enclave's word.
pub const LOST: &str = "lost";

/// A grant that was settled without the enclave's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its number.
    pub grant: u64,
    /// `BOOT-REQUEST`.
    pub request: String,
}

/// Some of the grants that are to be given up, settled now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// They.
    pub lost: Vec<Lost>,
    /// There may be more of them; ask again.
    pub more: bool,
}

/// What became of a usage report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is on the books now, for the request `BOOT-REQUEST`.
    Now(String),
    /// The grant was settled before; nothing was written.
    Before,
    /// These books have no such grant of that boot.
    Unknown,
}

/// Why there is no grant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoGrant {
    /// A budget of the key, its team or its tenant is used up.
    #[error("the {scope} budget of {name} is used up")]
    Budget {
        /// `key`, `team` or `tenant`, and the period.
        scope: String,
        /// Whose.
        name: String,
        /// Until the period ends.
        retry_after_s: u32,
    },
    /// This host's clock is behind a period of a budget that has begun.
    #[error(
        "this host's clock is {} s behind the start of a budget's period; set the clocks of all \
         hosts of this store by one source of time", behind_ms / 1000
    )]
    Clock {
        /// By how much.
        behind_ms: i64,
    },
    /// It cannot be written down.
    #[error("{0}")]
    Books(#[from] BooksError),
}

/// Why nothing was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BooksError {
    /// The store refuses.
    #[error("{0}")]
    Store(Arc<StoreError>),
    /// The store does not answer.
    #[error("the store does not answer; see that the database runs")]
    Slow,
    /// The writer has ended: the host stops.
    #[error("the host stops")]
    Stopped,
}

/// Amount reserved for each class, at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floors(pub BTreeMap<Class, Micro>);

impl Default for Floors {
    /// What an ordinary request of that class costs today, rounded up.
    fn default() -> Self {
        let floor = |class: &Class| {
            let micro = match class {
                Class::Generate => 20_000,
                Class::Realtime | Class::Media | Class::Batch => 100_000,
                Class::Embed => 1_000,
                Class::Count | Class::List | Class::File | Class::Stored => 0,
            };
            (*class, Micro(micro))
        };
        Self(Class::ALL.iter().map(floor).collect())
    }
}

/// The way to the one writer of this host.
#[derive(Debug, Clone)]
pub struct Books(mpsc::Sender<Job>);

/// Where an answer is waited for.
type Reply<T> = oneshot::Sender<T>;

/// One thing to write.
enum Job {
    Grant(i64, Box<Terms>, Reply<Result<Written, NoGrant>>),
    Settle(i64, Boot, Box<Usage>, Reply<Result<Settled, BooksError>>),
    Lose(i64, Losing, Reply<Result<GivenUp, BooksError>>),
    Void(i64, u64),
}

/// A grant that is on the books. It must be [sent](Self::sent); one that is dropped before becomes
/// void, because nobody can have used it.
#[derive(Debug)]
pub struct Written {
    number: u64,
    at_ms: i64,
    back: Option<mpsc::WeakSender<Job>>,
}

impl Written {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// It is on its way to the enclave, which may have it from now on.
    pub fn sent(mut self) {
        self.back = None;
    }
}

impl Drop for Written {
    /// Written with the next transaction; when this host dies before, the grant ends as lost.
    fn drop(&mut self) {
        let Some(back) = self.back.take().and_then(|back| back.upgrade()) else { return };
        if back.try_send(Job::Void(self.at_ms, self.number)).is_err() {
            tracing::warn!(grant = self.number, "a grant that was not sent stays open");
        }
    }
}

/// Which open grants are given up.
#[derive(Debug, Clone)]
enum Losing {
    /// Those of this enclave in other boots than the one that runs now.
    Restarted { enclave: String, boot: Boot },
    /// Those granted then or before, on any host.
    Expired { until_ms: i64 },
}

/// Jobs that may wait; a further one waits for its place.
const WAITING: usize = 4096;

impl Books {
    /// Starts the writer; it ends when the last handle is dropped and everything is written.
    pub fn start(
        store: Store,
        host: String,
        floors: Floors,
        providers: &Providers,
        directory: watch::Receiver<Arc<Directory>>,
    ) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let envelopes = providers.envelopes();
        let back = jobs.downgrade();
        let writer = writer::Writer::new(store, host, floors, envelopes, directory, back);
        tokio::spawn(writer.run(waiting));
        Self(jobs)
    }

    /// Puts a grant on the books. It may be sent only after.
    pub async fn grant(&self, at_ms: u64, terms: Terms) -> Result<Written, NoGrant> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Grant(time(at_ms), Box::new(terms), reply)).await?;
        answer.await.map_err(|_| BooksError::Stopped)?
    }

    /// Applies a usage report at most once.
    pub async fn settle(
        &self,
        at_ms: u64,
        boot: Boot,
        usage: &Usage,
    ) -> Result<Settled, BooksError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Settle(time(at_ms), boot, Box::new(usage.clone()), reply)).await?;
        answer.await.map_err(|_| BooksError::Stopped)?
    }

    /// Settles as lost what this enclave was granted in other boots than the one that runs now: some
    /// of it, so that no transaction grows with what there is.
    pub async fn enclave_restarted(
        &self,
        at_ms: u64,
        enclave: &str,
        boot: Boot,
    ) -> Result<GivenUp, BooksError> {
        self.lose(at_ms, Losing::Restarted { enclave: enclave.into(), boot }).await
    }

    /// Settles as lost what was granted at that time or before: some of it.
    pub async fn expire(&self, at_ms: u64, until_ms: u64) -> Result<GivenUp, BooksError> {
        self.lose(at_ms, Losing::Expired { until_ms: time(until_ms) }).await
    }

    async fn lose(&self, at_ms: u64, losing: Losing) -> Result<GivenUp, BooksError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Lose(time(at_ms), losing, reply)).await?;
        answer.await.map_err(|_| BooksError::Stopped)?
    }

    async fn send(&self, job: Job) -> Result<(), BooksError> {
        self.0.send(job).await.map_err(|_| BooksError::Stopped)
    }
}

/// Milliseconds as the store counts them.
fn time(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Terms {
    /// `BOOT-REQUEST`.
    pub fn request_name(&self) -> String {
        format!("{}-{}", self.boot, self.request)
    }
}

impl Outcome {
    /// As the enclave reported it.
    pub fn reported(usage: &Usage) -> Self {
        let Usage { grant: _, status_class, source, counts: _, label, first_byte_ms, total_ms } =
            usage;
        Self {
            source: source.word(),
            status_class: *status_class,
            counts: counts(usage),
            label: label.as_str().into(),
            first_byte_ms: *first_byte_ms,
            total_ms: *total_ms,
        }
    }

    /// Without the enclave's word.
    pub fn lost() -> Self {
        Self {
            source: LOST,
            status_class: 0,
            counts: Counts::new(),
            label: String::new(),
            first_byte_ms: 0,
            total_ms: 0,
        }
    }
}

/// The counts of a report, by name.
fn counts(usage: &Usage) -> Counts {
    let named = |slot: &Slot| Some((slot.word().to_owned(), usage.counts[*slot as usize]?));
    Slot::ALL.iter().filter_map(named).collect()
}

/// Whether the enclave knew the end of the exchange.
fn is_complete(source: Source) -> bool {
    match source {
        Source::Provider | Source::Missing | Source::Unmetered | Source::NotDispatched => true,
        Source::Partial | Source::Aborted => false,
    }
}
