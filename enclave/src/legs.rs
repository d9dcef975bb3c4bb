//! The legs to the host: AF_VSOCK in an enclave, Unix sockets for a process.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
};

use aegis_wire::{limits, session::legs as wire};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

/// Where the host is.
#[derive(Debug, Clone)]
pub enum Legs {
    /// The parent of a Nitro enclave.
    Vsock,
    /// A folder of sockets.
    Unix(PathBuf),
}

/// The legs that the enclave dials.
#[derive(Debug, Clone, Copy)]
pub(crate) enum To {
    Control,
    Egress,
}

impl Legs {
    pub(crate) fn listen(&self) -> io::Result<Listener> {
        match self {
            Self::Vsock => {
                let any = VsockAddr::new(VMADDR_CID_ANY, wire::SESSION_PORT);
                VsockListener::bind(any).map(Listener::Vsock)
            }
            Self::Unix(folder) => {
                let path = folder.join(wire::SESSION_SOCKET);
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => UnixListener::bind(path).map(Listener::Unix),
                }
            }
        }
    }

    pub(crate) async fn dial(&self, to: To) -> io::Result<Leg> {
        let (port, name) = match to {
            To::Control => (wire::CONTROL_PORT, wire::CONTROL_SOCKET),
            To::Egress => (wire::EGRESS_PORT, wire::EGRESS_SOCKET),
        };
        Ok(match self {
            Self::Vsock => {
                Leg::new(VsockStream::connect(VsockAddr::new(wire::HOST_CID, port)).await?)
            }
            Self::Unix(folder) => Leg::new(UnixStream::connect(folder.join(name)).await?),
        })
    }
}

/// The session leg.
#[derive(Debug)]
pub enum Listener {
    /// In an enclave.
    Vsock(VsockListener),
    /// As a process.
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Leg> {
        Ok(match self {
            Self::Vsock(listener) => Leg::new(listener.accept().await?.0),
            Self::Unix(listener) => Leg::new(listener.accept().await?.0),
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream to the host that never writes more at once than every vsock device takes.
pub(crate) struct Leg(Box<dyn Stream>);

impl Leg {
    fn new(stream: impl Stream + 'static) -> Self {
        Self(Box::new(stream))
    }
}

impl AsyncRead for Leg {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Leg {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = &bytes[..bytes.len().min(limits::WRITE_BYTES)];
        Pin::new(&mut self.0).poll_write(cx, now)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
