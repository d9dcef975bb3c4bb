//! Bytes in padded frames (PROTOCOL.md, section 3.3), over any stream: enclave and client put it
//! between TLS and HTTP, so that records show classes and no lengths.
//!
//! What is written is gathered until a flush or a full frame, and then leaves at once: HTTP flushes
//! when it has nothing more to write, so nothing waits for a clock. Before a frame is handed over,
//! the stream below is flushed; TLS then has room for a whole one, and makes one record of it.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aegis_wire::padding::{HEAD, TOP, carries, class, fill, opened};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that carries another one's bytes in frames.
pub struct Padded<S> {
    stream: S,
    /// A frame on its way in, as far as it came.
    coming: Vec<u8>,
    /// What of it is yet to be read, once it is whole.
    unread: Range<usize>,
    /// What is to leave with the next frame, behind room for its head; a whole frame once it leaves.
    leaving: Vec<u8>,
    /// How much of that frame has left.
    sent: Option<usize>,
}

impl<S> Padded<S> {
    /// Frames from here on, both ways.
    pub fn new(stream: S) -> Self {
        let leaving = vec![0; HEAD];
        Self { stream, coming: Vec::new(), unread: 0..0, leaving, sent: None }
    }
}

impl<S: AsyncWrite + Unpin> Padded<S> {
    /// Sends what was gathered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.sent.is_none() && self.leaving.len() > HEAD {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            fill(&mut self.leaving);
            self.sent = Some(0);
        }
        while let Some(sent) = self.sent {
            let more = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.leaving[sent..]))?;
            self.sent = Some(sent + more).filter(|sent| *sent < self.leaving.len());
            if more == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            if self.sent.is_none() {
                self.leaving.truncate(HEAD);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Padded<S> {
    /// Reads to the end of a frame; nothing is unread then only at the end of the stream.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let held = self.coming.len();
            let size = match self.coming.first_chunk() {
                Some(head) => class(carries(*head).map_err(io::Error::other)?),
                None => HEAD,
            };
            self.coming.resize(size, 0);
            let mut part = ReadBuf::new(&mut self.coming[held..]);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
            let more = part.filled().len();
            self.coming.truncate(held + more);
            ready!(read)?;
            match more {
                0 if held == 0 => break,
                0 => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                _ if size > HEAD && held + more == size => {
                    let bytes = opened(&self.coming).map_err(io::Error::other)?;
                    self.unread = HEAD..HEAD + bytes.len();
                }
                _ => {}
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Padded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_frame(cx))?;
        let Range { start, end } = self.unread;
        let end = end.min(start + buf.remaining());
        buf.put_slice(&self.coming[start..end]);
        self.unread.start = end;
        if self.unread.is_empty() {
            self.unread = 0..0;
            self.coming.clear();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Padded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.sent.is_some() || self.leaving.len() == HEAD + TOP {
            ready!(self.poll_send(cx))?;
        }
        let taken = bytes.len().min(HEAD + TOP - self.leaving.len());
        self.leaving.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
