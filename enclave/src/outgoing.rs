//! A request's body on its way to the provider, with a copy for as long as another attempt may need
//! it (DESIGN 3.9). Copies are bounded for each request and for all together; where one does not
//! fit, the request is simply made once.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use aegis_wire::limits;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::receipt::Passing;

/// The body of one request.
pub(crate) struct Outgoing(Arc<Mutex<State>>);

struct State {
    source: Incoming,
    /// Where room for the copy comes from; `None` where there is no copy.
    room: Option<&'static Semaphore>,
    copy: Copy,
    /// The whole body, once an attempt was made again.
    whole: Bytes,
    /// Where it is noted for a receipt.
    noted: Option<Passing>,
    /// When an attempt began, or the last of the body was sent on.
    moved: Instant,
}

#[derive(Default)]
struct Copy {
    bytes: Vec<u8>,
    room: Option<SemaphorePermit<'static>>,
}

impl Outgoing {
    /// A body, copied as it passes if there is room.
    pub(crate) fn new(
        source: Incoming,
        room: Option<&'static Semaphore>,
        noted: Option<Passing>,
    ) -> Self {
        let (copy, whole, moved) = (Copy::default(), Bytes::new(), Instant::now());
        let state = State { source, room, copy, whole, noted, moved };
        state.note(&[], false);
        Self(Arc::new(Mutex::new(state)))
    }

    /// The body for the next attempt, from its first byte.
    pub(crate) fn upload(&self) -> Upload {
        let mut state = lock(&self.0);
        if !state.copy.bytes.is_empty() {
            // The room is given back with the last of these bytes.
            state.whole = Bytes::from_owner(std::mem::take(&mut state.copy));
        }
        state.moved = Instant::now();
        Upload { again: state.whole.clone(), state: self.0.clone() }
    }

    /// When an attempt began, or the last of the body was sent on.
    pub(crate) fn moved(&self) -> Instant {
        lock(&self.0).moved
    }

    /// There will be no other attempt.
    pub(crate) fn forget(&self) {
        lock(&self.0).forget();
    }

    /// Whether all of it was handed to a connection.
    pub(crate) fn is_sent(&self) -> bool {
        lock(&self.0).source.is_end_stream()
    }

    /// Whether all of it can be sent again; before dispatch also a body of which nothing was taken.
    pub(crate) fn held(&self, dispatched: bool) -> bool {
        let state = lock(&self.0);
        let untouched = state.copy.bytes.is_empty() && state.whole.is_empty();
        state.room.is_some() && (state.source.is_end_stream() || untouched && !dispatched)
    }
}

/// The answer has begun or there will be none: the copy is not needed any more.
impl Drop for Outgoing {
    fn drop(&mut self) {
        self.forget();
    }
}

impl State {
    /// Whoever sends a body of known length may stop at its last byte.
    fn note(&self, chunk: &[u8], ended: bool) {
        let known = self.source.is_end_stream() || self.source.size_hint().exact() == Some(0);
        self.noted.iter().for_each(|noted| noted.note(chunk, ended || known));
    }

    fn keep(&mut self, chunk: &[u8]) {
        let fits = self.copy.bytes.len() + chunk.len() <= limits::REPLAY_BYTES;
        let Some(room) = self.room.filter(|_| fits) else { return self.forget() };
        // The bound keeps a chunk's length within 32 bits.
        let Ok(more) = room.try_acquire_many(chunk.len() as u32) else { return self.forget() };
        self.copy.bytes.extend_from_slice(chunk);
        match &mut self.copy.room {
            Some(all) => all.merge(more),
            none => *none = Some(more),
        }
    }

    fn forget(&mut self) {
        (self.room, self.copy, self.whole) = (None, Copy::default(), Bytes::new());
    }
}

impl AsRef<[u8]> for Copy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// One attempt's reading of the body: data frames pass as they are, trailers become nothing.
pub(crate) struct Upload {
    /// What an earlier attempt took off the source.
    again: Bytes,
    state: Arc<Mutex<State>>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        if !self.again.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.again)))));
        }
        let mut state = lock(&self.state);
        let frame = ready!(Pin::new(&mut state.source).poll_frame(cx));
        let chunk = frame.transpose()?.map(|frame| frame.into_data().unwrap_or_default());
        state.moved = Instant::now();
        state.note(chunk.as_deref().unwrap_or_default(), chunk.is_none());
        Poll::Ready(chunk.map(|chunk| {
            state.keep(&chunk);
            Ok(Frame::data(chunk))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.again.is_empty() && lock(&self.state).source.is_end_stream()
    }

    /// Nothing is said of a body sent again, so that its head is like the first.
    fn size_hint(&self) -> SizeHint {
        if self.again.is_empty() { lock(&self.state).source.size_hint() } else { SizeHint::new() }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
