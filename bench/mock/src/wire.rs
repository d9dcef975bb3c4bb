//! A connection that can misbehave below HTTP.
//!
//! hyper owns a [`WireIo`] and speaks correct HTTP through it. A [`WireHandle`] on the same
//! connection lets a behaviour write bytes of its own, end the connection in one of the wrong
//! ways, or wait until hyper's bytes have left.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

/// The two kinds of connection the mock accepts.
#[derive(Debug)]
pub(crate) enum Transport {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tls(tls) => tls.get_ref().0,
            Self::Plain(tcp) => tcp,
        }
    }
}

macro_rules! each {
    ($transport:expr, $io:ident => $call:expr) => {
        match $transport {
            Transport::Tls(tls) => {
                let $io = Pin::new(&mut **tls);
                $call
            }
            Transport::Plain(tcp) => {
                let $io = Pin::new(tcp);
                $call
            }
        }
    };
}

#[derive(Debug)]
struct Shared {
    /// `None` once a behaviour has ended the connection.
    transport: Mutex<Option<Transport>>,
    written: Mutex<Written>,
    flushed: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Written {
    accepted_bytes: u64,
    flushed_bytes: u64,
}

/// The end that hyper reads and writes.
#[derive(Debug)]
pub(crate) struct WireIo(Arc<Shared>);

/// The end that a behaviour holds.
#[derive(Clone, Debug)]
pub(crate) struct WireHandle(Arc<Shared>);

/// Makes both ends of a connection.
pub(crate) fn wire(transport: Transport) -> (WireIo, WireHandle) {
    let shared = Arc::new(Shared {
        transport: Mutex::new(Some(transport)),
        written: Mutex::default(),
        flushed: Notify::new(),
    });
    (WireIo(Arc::clone(&shared)), WireHandle(shared))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the mock ended this connection")
}

impl WireHandle {
    /// Writes bytes of the behaviour's own between those of hyper.
    pub(crate) async fn write_raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut io = WireIo(Arc::clone(&self.0));
        io.write_all(bytes).await?;
        io.flush().await
    }

    /// Ends the connection with a TCP reset.
    pub(crate) fn reset(&self) {
        if let Some(transport) = lock(&self.0.transport).take() {
            // With a linger time of zero the kernel answers the close with RST. When the option
            // cannot be set the peer is gone already.
            let _ = transport.tcp().set_zero_linger();
        }
    }

    /// Ends the connection with a TCP FIN and without the close_notify of TLS.
    pub(crate) fn close_without_notify(&self) {
        drop(lock(&self.0.transport).take());
    }

    /// A mark of how many bytes hyper has handed over until now.
    pub(crate) fn mark(&self) -> u64 {
        lock(&self.0.written).accepted_bytes
    }

    /// Waits until `bytes` bytes after `mark` have been passed to the kernel.
    pub(crate) async fn flushed_past(&self, mark: u64, bytes: u64) {
        loop {
            let flushed = self.0.flushed.notified();
            tokio::pin!(flushed);
            flushed.as_mut().enable();
            if lock(&self.0.written).flushed_bytes >= mark + bytes {
                return;
            }
            flushed.await;
        }
    }
}

impl AsyncRead for WireIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match lock(&self.0.transport).as_mut() {
            Some(transport) => each!(transport, io => io.poll_read(context, buffer)),
            None => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for WireIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut transport = lock(&self.0.transport);
        let Some(transport) = transport.as_mut() else {
            return Poll::Ready(Err(gone()));
        };
        let result = each!(transport, io => io.poll_write(context, bytes));
        if let Poll::Ready(Ok(count)) = result {
            lock(&self.0.written).accepted_bytes += count as u64;
        }
        result
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut transport = lock(&self.0.transport);
        let Some(transport) = transport.as_mut() else {
            return Poll::Ready(Err(gone()));
        };
        let result = each!(transport, io => io.poll_flush(context));
        if matches!(result, Poll::Ready(Ok(()))) {
            let mut written = lock(&self.0.written);
            written.flushed_bytes = written.accepted_bytes;
            drop(written);
            self.0.flushed.notify_waiters();
        }
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match lock(&self.0.transport).as_mut() {
            Some(transport) => each!(transport, io => io.poll_shutdown(context)),
            None => Poll::Ready(Ok(())),
        }
    }
}
