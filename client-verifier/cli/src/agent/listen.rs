//! Where the agent listens: a loopback address, or a Unix socket that only its owner can open.
//! Requests travel in the clear up to here, so there is no flag for anything wider.

use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::door::Door;
use crate::failure::Failure;

/// Longest path of a Unix socket: `sun_path` has 108 bytes and ends in a zero (unix(7)).
const SOCKET_PATH_BYTES: usize = 107;

/// An address the agent may listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Loopback.
    Loopback(SocketAddr),
    /// A Unix socket.
    Socket(PathBuf),
}

/// An address the agent may not listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither form.
    #[error("{0:?} is no address to listen on; write 127.0.0.1:PORT, [::1]:PORT or unix:/PATH")]
    Malformed(String),
    /// Longer than the system takes.
    #[error(
        "the socket path {path} has {bytes} bytes, and a socket's path may have 107; choose a shorter one"
    )]
    TooLong {
        /// As given.
        path: String,
        /// Its length.
        bytes: usize,
    },
    /// Others could reach it.
    #[error(
        "{0} is not a loopback address, and requests reach the agent unencrypted; listen on 127.0.0.1:PORT or unix:/PATH"
    )]
    NotLoopback(IpAddr),
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let bytes = path.len();
            if bytes > SOCKET_PATH_BYTES {
                return Err(BadAddress::TooLong { path: path.to_owned(), bytes });
            }
            let path = PathBuf::from(path);
            return match path.is_absolute() && path.file_name().is_some() {
                true => Ok(Self::Socket(path)),
                false => Err(BadAddress::Malformed(text.to_owned())),
            };
        }
        let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
        let address: SocketAddr =
            numeric.parse().map_err(|_| BadAddress::Malformed(text.to_owned()))?;
        match address.ip().is_loopback() {
            true => Ok(Self::Loopback(address)),
            false => Err(BadAddress::NotLoopback(address.ip())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An open listener.
pub enum Listener {
    /// Loopback, with the port that was given.
    Tcp(TcpListener, SocketAddr),
    /// A socket file, removed when this is dropped.
    Unix(UnixListener, SocketFile),
}

/// A connection.
pub enum Stream {
    /// From a loopback port.
    Tcp(TcpStream),
    /// From a socket.
    Unix(UnixStream),
}

/// Removes the socket it names.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Opens the address.
    pub async fn bind(address: &Address) -> Result<Self, Failure> {
        let opened = match address {
            Address::Loopback(address) => tcp(*address).await,
            Address::Socket(path) => unix(path).await,
        };
        opened.map_err(|error| {
            let next = match error.kind() {
                io::ErrorKind::AddrInUse => "end what listens there or choose another --listen",
                _ => "choose another --listen",
            };
            Failure::environment(format!("cannot listen on {address}: {error}; {next}"))
        })
    }

    /// The names under which clients may address this listener.
    pub fn door(&self) -> Door {
        match self {
            Self::Tcp(_, address) => Door::Port(address.port()),
            Self::Unix(..) => Door::Socket,
        }
    }

    /// What base URLs begin with; over a socket the name is a formality.
    pub fn origin(&self) -> String {
        match self {
            Self::Tcp(_, address) => format!("http://{address}"),
            Self::Unix(..) => "http://localhost".to_owned(),
        }
    }

    /// What curl needs besides the URL to reach this agent, with a space behind it.
    pub fn curl_option(&self) -> String {
        match self {
            Self::Tcp(..) => String::new(),
            Self::Unix(_, SocketFile(path)) => format!("--unix-socket {} ", path.display()),
        }
    }

    /// Where a client has to connect, if its base URL does not tell.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Tcp(..) => None,
            Self::Unix(_, SocketFile(path)) => {
                let path = path.display();
                Some(format!(
                    "Only over the socket {path}: have the client connect there, whatever its URL's host (curl --unix-socket {path})."
                ))
            }
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

async fn tcp(address: SocketAddr) -> io::Result<Listener> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok(Listener::Tcp(listener, address))
}

/// The socket is made in a folder of its own and moved into its place when nobody but its owner
/// can open it, so that there is no moment at which somebody else could.
async fn unix(path: &Path) -> io::Result<Listener> {
    if let Ok(meta) = fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(io::Error::other("there is a file of that name that is no socket"));
        }
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let private = tempfile::Builder::new().prefix(".aegis-").tempdir_in(parent)?;
    let made = private.path().join("socket");
    let listener = UnixListener::bind(&made)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    fs::rename(&made, path)?;
    Ok(Listener::Unix(listener, SocketFile(path.to_owned())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn loopback_and_sockets_are_addresses() {
        for text in ["127.0.0.1:4180", "127.8.8.8:1", "[::1]:4180", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let local: Address = "localhost:4180".parse().unwrap();
        assert_eq!(local.to_string(), "127.0.0.1:4180");
    }

    #[test]
    fn a_socket_s_path_has_107_bytes_at_most() {
        let path = |bytes: usize| format!("unix:/{}", "a".repeat(bytes - 1));
        assert!(path(107).parse::<Address>().is_ok());
        let error = path(108).parse::<Address>().unwrap_err();
        assert!(error.to_string().contains("has 108 bytes, and a socket's path may have 107"));
    }

    #[test]
    fn anything_wider_is_refused() {
        for text in ["0.0.0.0:4180", "192.168.1.2:4180", "[::]:4180", "[::ffff:127.0.0.1]:1"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, BadAddress::NotLoopback(_)), "{text}");
        }
        for text in ["", "4180", "localhost", "example.org:4180", "unix:", "unix:a.sock"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(matches!(error, BadAddress::Malformed(_)), "{text}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_with_the_next_step() {
        let first = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let taken = first.origin().replace("http://", "");
        let failure = Listener::bind(&taken.parse().unwrap()).await.err().unwrap();
        assert_eq!(failure.exit, crate::failure::Exit::Environment);
        assert!(failure.message.contains("--listen"), "{failure}");
    }

    #[tokio::test]
    async fn a_socket_is_private_from_its_first_moment_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let address = Address::Socket(path.clone());
        let listener = Listener::bind(&address).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Listener::bind(&address).await.is_err(), "in use");
        let (client, accepted) = tokio::join!(UnixStream::connect(&path), listener.accept());
        assert!(client.is_ok() && accepted.is_ok());
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_plain_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Listener::bind(&Address::Socket(path.clone())).await.is_ok());
        fs::write(&path, "mine").unwrap();
        assert!(Listener::bind(&Address::Socket(path.clone())).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
