//! A package registry on loopback that has no packages and writes down what it is asked for.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const NOT_FOUND: &[u8] =
    b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The running registry. It ends when dropped.
pub struct Registry {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<String>>>,
    _tasks: JoinSet<()>,
}

impl Registry {
    /// Listens on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, asked) = (listener.local_addr()?, Arc::new(Mutex::default()));
        let (mut tasks, list) = (JoinSet::new(), Arc::clone(&asked));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let list = Arc::clone(&list);
                connections.spawn(async move {
                    // A client that leaves has asked for nothing.
                    let _ = answer(stream, &list).await;
                });
            }
        });
        Ok(Self { address, asked, _tasks: tasks })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The packages that it was asked for since the last call.
    pub fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(stream: TcpStream, asked: &Mutex<BTreeSet<String>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    // pip asks for /simple/NAME/, npm for /NAME.
    let name = path.trim_start_matches("/simple").trim_matches('/');
    if !name.is_empty() {
        asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
    let mut rest = String::new();
    while stream.read_line(&mut rest).await? > 2 {
        rest.clear();
    }
    stream.write_all(NOT_FOUND).await?;
    stream.shutdown().await
}
