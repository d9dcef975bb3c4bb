//! The legs of an enclave that runs as a plain process: Unix sockets in one folder.

use std::{
    io,
    path::{Path, PathBuf},
};

use aegis_enclave::legs::{Leg, Legs, Opening};
use aegis_wire::session::legs::{
    CONTROL_PORT, CONTROL_SOCKET, EGRESS_PORT, EGRESS_SOCKET, SESSION_SOCKET,
};
use tokio::net::{UnixListener, UnixStream};

/// A folder of sockets, and the one on which sessions arrive.
pub(crate) struct Unix {
    folder: PathBuf,
    sessions: UnixListener,
}

impl Unix {
    /// Listens for sessions, in place of whoever did before.
    pub(crate) fn listen(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SESSION_SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self { folder: folder.to_owned(), sessions: UnixListener::bind(path)? })
    }
}

impl Legs for Unix {
    fn accept(&self) -> Opening<'_> {
        Box::pin(async { Ok(Leg::new(self.sessions.accept().await?.0)) })
    }

    fn dial(&self, port: u32) -> Opening<'_> {
        Box::pin(async move {
            let socket = match port {
                CONTROL_PORT => CONTROL_SOCKET,
                EGRESS_PORT => EGRESS_SOCKET,
                _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
            };
            Ok(Leg::new(UnixStream::connect(self.folder.join(socket)).await?))
        })
    }
}
