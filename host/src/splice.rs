//! Copying bytes both ways between two streams: half-close is passed on, an error on either side
//! ends both, and a stream that waits holds no buffer.

use std::{
    future::poll_fn,
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use aegis_wire::limits;
use bytes::Bytes;
use tokio::io::ReadBuf;

use crate::legs::Duplex;

/// Time without a byte in either direction after which a pair of streams is given up: the enclave
/// ends what is idle first, and says so to the client.
pub const IDLE: Duration = limits::IDLE.saturating_add(Duration::from_secs(60));

/// How many buffers are moved before other tasks get their turn.
const ROUNDS: usize = 16;

/// Bytes moved each way, readable at any time.
#[derive(Debug, Default)]
pub struct Moved {
    /// From the first stream to the second.
    pub forth: AtomicU64,
    /// From the second stream to the first.
    pub back: AtomicU64,
}

impl Moved {
    fn total(&self) -> u64 {
        self.forth.load(Ordering::Relaxed) + self.back.load(Ordering::Relaxed)
    }
}

/// Copies until both directions have ended; `ahead` was read from `a` already.
pub async fn splice(
    a: &mut impl Duplex,
    ahead: Bytes,
    b: &mut impl Duplex,
    moved: &Moved,
) -> io::Result<()> {
    let (mut forth, mut back) = (Pipe::new(ahead), Pipe::new(Bytes::new()));
    let mut both = pin!(poll_fn(|cx| {
        let one = forth.poll(cx, a, b, &moved.forth)?;
        let other = back.poll(cx, b, a, &moved.back)?;
        match (one, other) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }));
    loop {
        let before = moved.total();
        match tokio::time::timeout(IDLE, &mut both).await {
            Ok(ended) => return ended,
            Err(_) if moved.total() == before => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

/// One direction.
struct Pipe {
    /// Read, but not yet written.
    held: Bytes,
    state: State,
    unflushed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Copying,
    /// The reader has ended; the writer is to be told.
    Ending,
    Done,
}

impl Pipe {
    fn new(held: Bytes) -> Self {
        let (state, unflushed) = (State::Copying, false);
        Self { held, state, unflushed }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        for _ in 0..ROUNDS {
            while !self.held.is_empty() {
                let upto = self.held.len().min(limits::WRITE_BYTES);
                let written = ready!(self.write(cx, to, &self.held.slice(..upto), moved))?;
                drop(self.held.split_to(written));
            }
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Done;
                }
                State::Copying => ready!(self.copy(cx, from, to, moved))?,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once into a buffer on the stack and writes it at once; only what is left is held.
    fn copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Duplex,
        to: &mut impl Duplex,
        moved: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); limits::WRITE_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        if Pin::new(from).poll_read(cx, &mut buffer)?.is_pending() {
            if self.unflushed {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.unflushed = false;
            }
            return Poll::Pending;
        }
        let read = buffer.filled();
        if read.is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(()));
        }
        let written = match self.write(cx, to, read, moved)? {
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        self.held = Bytes::copy_from_slice(&read[written..]);
        Poll::Ready(Ok(()))
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut impl Duplex,
        bytes: &[u8],
        moved: &AtomicU64,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(to).poll_write(cx, bytes))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        moved.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::Ordering;

    use super::{Bytes, IDLE, Moved, splice};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::Instant,
    };

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[tokio::test]
    async fn both_directions_arrive_whole_through_small_windows() {
        let ((mut client, mut a), (mut b, mut server)) = (duplex(1000), duplex(70_000));
        let moved = Moved::default();
        let (sent, answered) = (pattern(1 << 20), pattern(300_001));
        let left = async {
            let (mut read, mut write) = tokio::io::split(&mut client);
            let send = async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let receive = read.read_to_end(&mut got);
            tokio::join!(send, receive).1.unwrap();
            got
        };
        let right = async {
            // The answer begins only after the request's end: half-close is passed on.
            let mut got = Vec::new();
            server.read_to_end(&mut got).await.unwrap();
            server.write_all(&answered).await.unwrap();
            server.shutdown().await.unwrap();
            got
        };
        let ahead = Bytes::from_static(b"ahead");
        let (done, back, forth) = tokio::join!(splice(&mut a, ahead, &mut b, &moved), left, right);
        done.unwrap();
        assert!(back == answered && forth == [&b"ahead"[..], &sent].concat());
        assert_eq!(moved.forth.load(Ordering::Relaxed), forth.len() as u64);
        assert_eq!(moved.back.load(Ordering::Relaxed), back.len() as u64);
    }

    #[tokio::test]
    async fn a_side_that_vanishes_ends_both() {
        let ((client, mut a), (mut b, mut server)) = (duplex(64), duplex(64));
        let moved = Moved::default();
        drop(client);
        server.write_all(b"nobody reads this").await.unwrap();
        assert!(splice(&mut a, Bytes::new(), &mut b, &moved).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_and_a_byte_in_time_prolongs() {
        let ((mut client, mut a), (mut b, _server)) = (duplex(64), duplex(64));
        let (moved, start) = (Moved::default(), Instant::now());
        let speak = async {
            tokio::time::sleep(IDLE / 2).await;
            client.write_all(b"x").await.unwrap();
        };
        let (ended, ()) = tokio::join!(splice(&mut a, Bytes::new(), &mut b, &moved), speak);
        assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert!(start.elapsed() > IDLE, "cut before it was silent for long enough");
    }
}
