//! Wires between two programs: each connection is passed on as it is, and recorded.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::hostile::copy_both;
use crate::record::Leg;
use crate::record::Record;

/// Where a TCP wire ends now; it can be moved while the wire is in use.
#[derive(Clone, Debug)]
pub struct Target(Arc<Mutex<SocketAddr>>);

impl Target {
    /// A wire's end.
    pub fn new(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    /// Leads connections from now on somewhere else.
    pub fn set(&self, address: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn address(&self) -> SocketAddr {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wire between two Unix sockets; `near` is made here.
pub fn unix(
    tasks: &mut JoinSet<()>,
    record: &Record,
    leg: Leg,
    near: PathBuf,
    far: PathBuf,
) -> io::Result<()> {
    let (listener, record) = (UnixListener::bind(near)?, record.clone());
    tasks.spawn(async move {
        let mut wires = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let far = far.clone();
            let stream = record.tap(leg, stream);
            wires.spawn(join(stream, async move { UnixStream::connect(far).await }));
        }
    });
    Ok(())
}

/// A wire from a new port to `target`.
pub async fn tcp(
    tasks: &mut JoinSet<()>,
    record: &Record,
    leg: Leg,
    target: Target,
) -> io::Result<SocketAddr> {
    let (listener, record) = (TcpListener::bind("127.0.0.1:0").await?, record.clone());
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut wires = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let target = target.clone();
            // Delays would only make tests slow.
            let _ = stream.set_nodelay(true);
            let stream = record.tap(leg, stream);
            wires.spawn(join(stream, async move {
                let far = TcpStream::connect(target.address()).await?;
                far.set_nodelay(true)?;
                Ok(far)
            }));
        }
    });
    Ok(address)
}

async fn join<A, B>(near: A, far: impl Future<Output = io::Result<B>>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    // A far end that is away ends the near one; how a wire ends is between the programs.
    if let Ok(far) = far.await {
        let _ = copy_both(near, far).await;
    }
}
