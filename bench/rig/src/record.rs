//! What an observer on a leg saw, kept whole so that a test can look for a string in it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

/// Where bytes were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Between client and host: what is inside outer TLS, or its ciphertext seen from outside.
    Outer,
    /// Between host and enclave: sessions.
    Session,
    /// Between enclave and host: the control channel.
    Control,
    /// Between enclave and host: egress.
    Egress,
    /// Between host and provider.
    Upstream,
}

/// Every byte seen on every leg, each direction of each connection by itself.
#[derive(Clone, Debug, Default)]
pub struct Record {
    streams: Arc<Mutex<Vec<(Leg, Stream)>>>,
    stopped: Arc<AtomicBool>,
}

/// One direction of one connection.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    stopped: Arc<AtomicBool>,
}

impl Stream {
    fn push(&self, bytes: &[u8]) {
        if !self.stopped.load(Ordering::Relaxed) {
            self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
    }

    /// What has passed until now.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Record {
    /// An empty record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps nothing from now on: for bodies so large that the record would only fill memory.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Notes both directions of `io` under `leg` from now on.
    pub fn tap<S>(&self, leg: Leg, io: S) -> Tap<S> {
        let stream = || Stream { stopped: Arc::clone(&self.stopped), ..Stream::default() };
        let (read, written) = (stream(), stream());
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.push((leg, read.clone()));
        streams.push((leg, written.clone()));
        Tap { io, read, written }
    }

    /// Everything seen on a leg, one item for each direction of each connection.
    pub fn streams(&self, leg: Leg) -> Vec<Vec<u8>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().filter(|(at, _)| *at == leg).map(|(_, stream)| stream.bytes()).collect()
    }

    /// The legs on which `needle` was seen.
    pub fn find(&self, needle: &[u8]) -> Vec<Leg> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = |stream: &Stream| contains(&stream.bytes(), needle);
        streams.iter().filter(|(_, stream)| seen(stream)).map(|(leg, _)| *leg).collect()
    }

    /// How many bytes were seen in all.
    pub fn total_bytes(&self) -> usize {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        streams.iter().map(|(_, stream)| stream.bytes().len()).sum()
    }
}

/// Whether `needle` stands somewhere in `hay`. An empty needle is in nothing, so that a test
/// which forgot its needle fails its positive control.
pub fn contains(hay: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut at = 0;
    while let Some(next) = hay[at..].iter().position(|byte| byte == first) {
        at += next + 1;
        if hay[at..].starts_with(rest) {
            return true;
        }
    }
    false
}

/// A stream whose bytes are noted on their way.
#[derive(Debug)]
pub struct Tap<S> {
    io: S,
    read: Stream,
    written: Stream,
}

impl<S> Tap<S> {
    /// What was read from the stream.
    pub fn read_so_far(&self) -> Vec<u8> {
        self.read.bytes()
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.io).poll_read(context, buffer);
        self.read.push(&buffer.filled()[before..]);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = result {
            self.written.push(&bytes[..count]);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_string_is_found_across_reads() {
        let record = Record::new();
        let (near, mut far) = tokio::io::duplex(3);
        let mut near = record.tap(Leg::Session, near);
        let write = async {
            far.write_all(b"xxneneedlexx").await.unwrap();
            drop(far);
        };
        let mut all = Vec::new();
        let (read, ()) = tokio::join!(near.read_to_end(&mut all), write);
        assert_eq!(read.unwrap(), 12);
        assert_eq!(record.find(b"needle"), [Leg::Session]);
        assert!(record.find(b"noodle").is_empty());
        assert!(record.find(b"").is_empty());
    }
}
