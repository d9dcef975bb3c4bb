//! What the operator sees: one JSON object per line, with the fields that DESIGN section 7 lists
//! and no others. Writing happens on a thread of its own; when its reader does not keep up, events
//! are dropped and counted, because the ledger, not this stream, keeps the books.

use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use serde::Serialize;

use crate::books::Outcome;

/// Events that may wait for the reader.
const WAITING: usize = 8192;

/// One event. Every field is one of DESIGN section 7's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// All sockets are open.
    Ready {
        /// Where clients connect.
        listen: SocketAddr,
    },
    /// A client has a tunnel to an enclave, or had one.
    Session {
        /// Begun or over.
        state: State,
        /// Number in the preface.
        session: u64,
        /// Whose key.
        tenant: String,
        /// Which key.
        key: String,
        /// Name of the enclave.
        enclave: String,
        /// Its release.
        release: u32,
        /// Ciphertext so far, client to enclave.
        bytes_from_client: u64,
        /// Ciphertext so far, enclave to client.
        bytes_to_client: u64,
    },
    /// An enclave asks for permission.
    Authorize {
        /// `BOOT-REQUEST`, as the client sees it in `aegis-request`.
        request: String,
        /// Counts from 1.
        attempt: u8,
        /// The session it comes from.
        session: u64,
        /// Whose key; none when the session is not open here.
        tenant: Option<String>,
        /// Which key.
        key: Option<String>,
        /// Name in the provider table.
        provider: String,
        /// Kind of endpoint.
        class: &'static str,
        /// Whose credential.
        custody: &'static str,
    },
    /// It was given.
    Grant {
        /// As in `authorize`.
        request: String,
        /// As in `authorize`.
        attempt: u8,
        /// Number in the ledger.
        grant: u64,
        /// Account chosen, 0 in client custody.
        account: u32,
    },
    /// It was refused.
    Deny {
        /// As in `authorize`.
        request: String,
        /// As in `authorize`.
        attempt: u8,
        /// Why.
        code: &'static str,
        /// Seconds to wait, 0 when nothing is said.
        retry_after_s: u32,
    },
    /// A connection to a provider is over, or was not to be had.
    Egress {
        /// Name in the provider table.
        provider: String,
        /// `connected`, or why not.
        outcome: &'static str,
        /// Ciphertext to the provider.
        bytes_to_provider: u64,
        /// Ciphertext from the provider.
        bytes_from_provider: u64,
    },
    /// A grant is settled.
    Usage {
        /// As in `authorize`.
        request: String,
        /// Number in the ledger.
        grant: u64,
        /// What the enclave reported, or that it is lost.
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// State of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It began.
    Opened,
    /// It is over.
    Closed,
}

#[derive(Serialize)]
struct Line<'a> {
    at_ms: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// The stream of events.
#[derive(Debug)]
pub struct Events {
    lines: Mutex<Option<SyncSender<String>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    dropped: AtomicU64,
}

impl Events {
    /// Writes events to `out`, one line and one write each.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let writer = std::thread::spawn(move || write_all(out, &waiting));
        Self {
            lines: Mutex::new(Some(lines)),
            writer: Mutex::new(Some(writer)),
            dropped: AtomicU64::new(0),
        }
    }

    /// Shows one event; never waits.
    pub fn show(&self, event: &Event) {
        let at_ms = crate::now_ms();
        // Every field is a number or a string: there is nothing that JSON cannot say.
        let Ok(mut line) = serde_json::to_string(&Line { at_ms, event }) else {
            return;
        };
        line.push('\n');
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = lines.as_ref().map(|lines| lines.try_send(line));
        if !matches!(sent, Some(Ok(()))) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(dropped, "nobody reads the events; some are dropped");
            }
        }
    }

    /// Waits until everything shown is written; later events are dropped.
    pub fn finish(&self) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

fn write_all(mut out: impl Write, waiting: &Receiver<String>) {
    for line in waiting {
        if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "events cannot be written and are no longer shown");
            return;
        }
    }
}
