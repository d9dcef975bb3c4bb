//! Wires between two programs: each connection is passed on as it is, and recorded.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

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
            wires.spawn(async move {
                // As for TCP below.
                let Ok(far) = UnixStream::connect(far).await else { return };
                let _ = copy_both(stream, far).await;
            });
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
    let record = record.clone();
    tcp_by(tasks, target, move |near, far| copy_both(record.tap(leg, near), far)).await
}

/// The same, where `carry` passes on what comes on each connection.
pub async fn tcp_by<F>(
    tasks: &mut JoinSet<()>,
    target: Target,
    carry: impl Fn(TcpStream, TcpStream) -> F + Clone + Send + 'static,
) -> io::Result<SocketAddr>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tasks.spawn(async move {
        let mut wires = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let (target, carry) = (target.clone(), carry.clone());
            wires.spawn(async move {
                // A far end that is away ends the near one.
                let Ok(far) = TcpStream::connect(target.address()).await else { return };
                // Delays would only make tests slow.
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                // How a wire ends is between the programs.
                let _ = carry(near, far).await;
            });
        }
    });
    Ok(address)
}
