//! The legs to the host. In an enclave they are AF_VSOCK; how a plain process reaches its host is
//! the development program's business.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use aegis_wire::{limits, session::legs as wire};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::SemaphorePermit;
use tokio_rustls::client::TlsStream;
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

/// A stream to the host, or why there is none.
pub type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Leg>> + Send + 'a>>;

/// Where the host is.
pub trait Legs: Send + Sync {
    /// The next session.
    fn accept(&self) -> Opening<'_>;
    /// A leg that the enclave opens, by its port.
    fn dial(&self, port: u32) -> Opening<'_>;
}

/// The parent of a Nitro enclave.
pub struct Vsock(VsockListener);

impl Vsock {
    /// Listens for sessions.
    pub fn listen() -> io::Result<Self> {
        VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, wire::SESSION_PORT)).map(Self)
    }
}

impl Legs for Vsock {
    fn accept(&self) -> Opening<'_> {
        Box::pin(async { Ok(Leg::new(self.0.accept().await?.0)) })
    }

    fn dial(&self, port: u32) -> Opening<'_> {
        let host = VsockAddr::new(wire::HOST_CID, port);
        Box::pin(async move { Ok(Leg::new(VsockStream::connect(host).await?)) })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream to the host, or one inside it, that never writes more at once than every vsock device
/// takes.
pub struct Leg {
    stream: Box<dyn Stream>,
    http2: bool,
    _permit: Option<SemaphorePermit<'static>>,
}

impl Leg {
    /// Bounds the writes of a stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), http2: false, _permit: None }
    }

    /// A provider's stream, which chose HTTP/2 or did not, and counts while it lives.
    pub(crate) fn upstream(
        stream: TlsStream<Leg>,
        http2: bool,
        permit: SemaphorePermit<'static>,
    ) -> Self {
        Self { stream: Box::new(stream), http2, _permit: Some(permit) }
    }
}

impl Connection for Leg {
    fn connected(&self) -> Connected {
        if self.http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

impl AsyncRead for Leg {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Leg {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(limits::WRITE_BYTES)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
