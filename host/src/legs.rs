//! The legs between host and enclave (PROTOCOL.md, section 1): over AF_VSOCK, over Unix sockets in
//! one folder, or through a vsock device that maps ports to Unix sockets. What goes over them is
//! not this module's business.

use std::{
    collections::HashMap,
    io,
    os::unix::{fs::PermissionsExt, net::SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aegis_wire::session::legs;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

use crate::{fleet::EnclaveId, folder};

/// Where an enclave is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A process; the folder of its sockets.
    Unix(PathBuf),
    /// An enclave of that context identifier.
    Vsock(u32),
    /// A vsock device; the path to which `_PORT` is appended.
    Vhost(PathBuf),
}

impl Place {
    /// Whether the host could listen there once no other host does.
    pub fn check(&self) -> Result<(), LegError> {
        for path in [Door::Control, Door::Egress].iter().filter_map(|door| self.socket(*door)) {
            SocketAddr::from_pathname(&path)
                .map(|_| ())
                .and_then(|()| folder::takes_files(&path))
                .map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }

    /// The socket of that door, unless it is a port.
    fn socket(&self, door: Door) -> Option<PathBuf> {
        match self {
            Self::Unix(folder) => Some(folder.join(door.socket())),
            Self::Vhost(prefix) => {
                let mut path = prefix.clone().into_os_string();
                path.push(format!("_{}", door.port()));
                Some(path.into())
            }
            Self::Vsock(_) => None,
        }
    }
}

/// A connected leg.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connected leg of any kind.
pub type Stream = Box<dyn Duplex>;

/// A leg on which the host listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The control leg.
    Control,
    /// The egress leg.
    Egress,
}

/// A leg could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {reason}; {next}")]
pub struct LegError {
    place: String,
    reason: String,
    next: &'static str,
}

/// Opens a session leg.
pub async fn connect_session(place: &Place) -> io::Result<Stream> {
    Ok(match place {
        Place::Unix(folder) => {
            Box::new(UnixStream::connect(folder.join(legs::SESSION_SOCKET)).await?)
        }
        Place::Vsock(cid) => {
            Box::new(VsockStream::connect(VsockAddr::new(*cid, legs::SESSION_PORT)).await?)
        }
        Place::Vhost(prefix) => Box::new(connect_vhost(prefix).await?),
    })
}

/// The device answers `OK n\n` once the enclave has accepted.
async fn connect_vhost(prefix: &Path) -> io::Result<UnixStream> {
    /// Longer than `OK ` with the largest port number.
    const LINE_BYTES: usize = 16;
    let mut stream = UnixStream::connect(prefix).await?;
    let request = format!("CONNECT {}\n", legs::SESSION_PORT);
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::with_capacity(LINE_BYTES);
    while line.last() != Some(&b'\n') && line.len() < LINE_BYTES {
        // One byte at a time: what follows the line belongs to the session.
        line.push(stream.read_u8().await?);
    }
    if line.starts_with(b"OK ") && line.ends_with(b"\n") {
        Ok(stream)
    } else {
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

/// One leg of all enclaves, listening.
#[derive(Debug)]
pub struct Doors {
    door: Door,
    listeners: Vec<Listener>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener, EnclaveId, SocketFile),
    Vsock(VsockListener, HashMap<u32, EnclaveId>),
}

/// A socket's file, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Doors {
    /// Listens for every enclave; places are in the order of [`EnclaveId`].
    pub fn open<'a>(door: Door, places: impl Iterator<Item = &'a Place>) -> Result<Self, LegError> {
        let mut listeners = Vec::new();
        let mut by_cid = HashMap::new();
        for (at, place) in places.enumerate() {
            if let Place::Vsock(cid) = place {
                by_cid.insert(*cid, EnclaveId(at));
            }
            if let Some(path) = place.socket(door) {
                listeners.push(listen_unix(path, EnclaveId(at))?);
            }
        }
        if !by_cid.is_empty() {
            listeners.push(listen_vsock(door, by_cid)?);
        }
        Ok(Self { door, listeners })
    }

    /// Accepts until the returned tasks are dropped; each connection is handed over with the
    /// enclave it comes from.
    pub fn serve(
        self,
        tasks: &mut JoinSet<()>,
        handle: impl Fn(EnclaveId, Stream) + Send + Sync + 'static,
    ) {
        let handle = Arc::new(handle);
        for listener in self.listeners {
            let (door, handle) = (self.door, Arc::clone(&handle));
            tasks.spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok(Some((enclave, stream))) => handle(enclave, stream),
                        Ok(None) => {}
                        Err(error) => pause_after(&error, door.socket()).await,
                    }
                }
            });
        }
    }
}

/// Accepting fails when descriptors run out; trying again at once would only burn the processor.
pub(crate) async fn pause_after(error: &io::Error, listener: &str) {
    tracing::warn!(%error, listener, "accepting failed");
    tokio::time::sleep(Duration::from_millis(50)).await;
}

impl Door {
    fn socket(self) -> &'static str {
        match self {
            Self::Control => legs::CONTROL_SOCKET,
            Self::Egress => legs::EGRESS_SOCKET,
        }
    }

    fn port(self) -> u32 {
        match self {
            Self::Control => legs::CONTROL_PORT,
            Self::Egress => legs::EGRESS_PORT,
        }
    }
}

impl Listener {
    /// The next connection, or none when it came from a stranger.
    async fn accept(&self) -> io::Result<Option<(EnclaveId, Stream)>> {
        match self {
            Self::Unix(listener, enclave, _file) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some((*enclave, Box::new(stream))))
            }
            Self::Vsock(listener, by_cid) => {
                let (stream, peer) = listener.accept().await?;
                let Some(enclave) = by_cid.get(&peer.cid()) else {
                    tracing::warn!(cid = peer.cid(), "vsock connection of an unknown enclave");
                    return Ok(None);
                };
                Ok(Some((*enclave, Box::new(stream))))
            }
        }
    }
}

fn listen_vsock(door: Door, by_cid: HashMap<u32, EnclaveId>) -> Result<Listener, LegError> {
    let listener = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, door.port()));
    let listener = listener.map_err(|error| LegError {
        place: format!("vsock port {}", door.port()),
        reason: error.to_string(),
        next: "load the vhost_vsock or nitro_enclaves module, or stop the other host",
    })?;
    Ok(Listener::Vsock(listener, by_cid))
}

/// Listens at that path for this user alone. A socket file that nobody listens on is a leftover
/// and replaced; one that answers belongs to another host.
fn listen_unix(path: PathBuf, enclave: EnclaveId) -> Result<Listener, LegError> {
    match std::os::unix::net::UnixStream::connect(&path) {
        Ok(_) => {
            return Err(LegError {
                place: path.display().to_string(),
                reason: io::Error::from(io::ErrorKind::AddrInUse).to_string(),
                next: "stop the other host or name another folder",
            });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            drop(std::fs::remove_file(&path));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(&path).and_then(|listener| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    let listener = listener.map_err(|error| unusable(&path, &error))?;
    Ok(Listener::Unix(listener, enclave, SocketFile(path)))
}

fn unusable(path: &Path, error: &io::Error) -> LegError {
    let next = match error.kind() {
        io::ErrorKind::NotFound => "make its folder, for this user alone, or name another",
        _ => "name a folder that this user may write to, with a path under 100 bytes",
    };
    LegError { place: path.display().to_string(), reason: error.to_string(), next }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Door, Doors, Place, UnixListener, connect_session};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn vhost_device(answer: &'static [u8]) -> std::io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("vm.vsock");
        let device = UnixListener::bind(&prefix).unwrap();
        let serve = async {
            let (mut stream, _) = device.accept().await.unwrap();
            let mut request = [0; 13];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"CONNECT 5000\n");
            stream.write_all(answer).await.unwrap();
        };
        let connect = async {
            let mut stream = connect_session(&Place::Vhost(prefix.clone())).await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            Ok(rest)
        };
        tokio::join!(serve, connect).1
    }

    #[tokio::test]
    async fn a_vhost_device_is_asked_for_the_session_port() {
        assert_eq!(vhost_device(b"OK 1073741824\nrest").await.unwrap(), b"rest");
    }

    #[tokio::test]
    async fn a_vhost_device_that_refuses_is_a_refusal() {
        for answer in [&b"NO\n"[..], b"OKAY\n", b"OK 11111111111111111111\n", b""] {
            assert!(vhost_device(answer).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_leftover_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Unix(folder.path().into());
        let open = || Doors::open(Door::Control, std::iter::once(&place));
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("control.sock")).unwrap());
        let live = open().unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("control.sock"), "{error}");
        drop(live);
        assert!(!folder.path().join("control.sock").exists());
    }
}
