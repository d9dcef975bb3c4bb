//! What the mock received, for tests to compare with what was sent.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use http::Version;
use http::request::Parts;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::Notify;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Which connection it came on, counted from 1 in the order of acceptance.
    pub connection: u64,
    /// The server name of the connection's TLS handshake.
    pub server_name: Option<String>,
    /// HTTP version.
    pub version: Version,
    /// Method.
    pub method: String,
    /// `:authority` on HTTP/2, the `host` field on HTTP/1.1; empty when there was none.
    pub authority: String,
    /// Path and query, the bytes of the request line or of `:path`.
    pub target: String,
    /// All header fields with exact values: names in lower case, in the order in which each name
    /// came first, fields of one name in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body so far.
    pub body: RecordedBody,
}

impl RecordedRequest {
    /// The values of the fields called `name`, in their order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        self.headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    }
}

/// What is known of a request's body.
#[derive(Clone, Debug, Default)]
pub struct RecordedBody {
    /// Bytes that have arrived.
    pub length_bytes: u64,
    /// SHA-256 of the whole body; `None` until it is complete (for ever, if it broke off).
    pub sha256: Option<[u8; 32]>,
    /// The first bytes, as many as `MockConfig::keep_body_bytes` allows.
    pub first_bytes: Vec<u8>,
}

/// All requests of one mock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<State>);

#[derive(Debug, Default)]
struct State {
    requests: Mutex<Vec<RecordedRequest>>,
    changed: Notify,
}

impl Recorder {
    /// Notes a request head and gives the writer for its body.
    pub(crate) fn begin(&self, head: HeadRecord<'_>, keep_body_bytes: usize) -> BodyRecorder {
        let mut requests = self.lock();
        requests.push(head.into_request());
        let entry = Some((self.clone(), requests.len() - 1));
        drop(requests);
        self.0.changed.notify_waiters();
        BodyRecorder { entry, keep_body_bytes, ..BodyRecorder::digest_only() }
    }

    pub(crate) fn snapshot(&self) -> Vec<RecordedRequest> {
        self.lock().clone()
    }

    /// Waits until `count` requests have arrived completely.
    pub(crate) async fn wait_complete(&self, count: usize) -> Vec<RecordedRequest> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let requests = self.snapshot();
            if requests.iter().filter(|request| request.body.sha256.is_some()).count() >= count {
                return requests;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RecordedRequest>> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request head and the connection it came on.
pub(crate) struct HeadRecord<'a> {
    pub(crate) connection: u64,
    pub(crate) server_name: Option<&'a str>,
    pub(crate) head: &'a Parts,
}

impl HeadRecord<'_> {
    fn into_request(self) -> RecordedRequest {
        let Self { connection, server_name, head } = self;
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        RecordedRequest {
            connection,
            server_name: server_name.map(str::to_owned),
            version: head.version,
            method: head.method.to_string(),
            authority: authority(head),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            headers,
            body: RecordedBody::default(),
        }
    }
}

/// The authority a request names.
pub(crate) fn authority(head: &Parts) -> String {
    if let Some(authority) = head.uri.authority() {
        return authority.to_string();
    }
    let host = head.headers.get(http::header::HOST);
    host.map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Writes one request's body into the record as it arrives.
pub(crate) struct BodyRecorder {
    /// The record and the place in it; `None` when nothing is recorded.
    entry: Option<(Recorder, usize)>,
    hash: Sha256,
    keep_body_bytes: usize,
}

impl BodyRecorder {
    /// For a mock that keeps no record.
    pub(crate) fn digest_only() -> Self {
        Self { entry: None, hash: Sha256::new(), keep_body_bytes: 0 }
    }

    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let keep_body_bytes = self.keep_body_bytes;
        self.change(|body| {
            body.length_bytes += bytes.len() as u64;
            let room = keep_body_bytes.saturating_sub(body.first_bytes.len());
            body.first_bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
    }

    /// Marks the body complete and gives its digest.
    pub(crate) fn finish(mut self) -> [u8; 32] {
        let digest: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        self.change(|body| body.sha256 = Some(digest));
        if let Some((recorder, _)) = &self.entry {
            recorder.0.changed.notify_waiters();
        }
        digest
    }

    fn change(&self, change: impl FnOnce(&mut RecordedBody)) {
        if let Some((recorder, index)) = &self.entry {
            change(&mut recorder.lock()[*index].body);
        }
    }
}
