//! Accepting connections: TLS with ALPN, or plain HTTP/1.1, each served by hyper.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::MockConfig;
use crate::MockError;
use crate::RecordedRequest;
use crate::record::Recorder;
use crate::service::Connection;
use crate::service::handle;
use crate::wire::Transport;
use crate::wire::wire;

/// More than any relay's own limit, so that the relay's is what a test meets.
const MAX_HEADERS: usize = 1024;
const MAX_HEAD_BYTES: u32 = 1024 * 1024;

/// The mock provider.
#[derive(Debug)]
pub struct Mock;

/// A running mock; dropping it ends it.
#[derive(Debug)]
pub struct MockHandle {
    addr: SocketAddr,
    state: Arc<MockState>,
    accepting: JoinHandle<()>,
}

/// What all connections of a mock share.
#[derive(Debug)]
pub(crate) struct MockState {
    pub(crate) config: MockConfig,
    pub(crate) recorder: Recorder,
    connections: AtomicU64,
    failed_handshakes: AtomicU64,
}

impl Mock {
    /// Binds the address and serves on the current tokio runtime.
    pub async fn start(config: MockConfig) -> Result<MockHandle, MockError> {
        let tls = match &config.root {
            Some(root) => Some(root.server_config(&config.certificate_names(), config.alpn())?),
            None => None,
        };
        let address = config.listen;
        let failed = |source| MockError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let state = Arc::new(MockState {
            config,
            recorder: Recorder::default(),
            connections: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
        });
        let acceptor = tls.map(TlsAcceptor::from);
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&state)));
        Ok(MockHandle { addr, state, accepting })
    }
}

impl MockHandle {
    /// Where the mock listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Everything received so far, in the order in which the heads arrived.
    pub fn recorded(&self) -> Vec<RecordedRequest> {
        self.state.recorder.snapshot()
    }

    /// Waits until `count` requests have arrived completely, and gives everything received.
    pub async fn wait_recorded(&self, count: usize) -> Vec<RecordedRequest> {
        self.state.recorder.wait_complete(count).await
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many of them ended in a failed TLS handshake.
    pub fn failed_handshakes(&self) -> u64 {
        self.state.failed_handshakes.load(Ordering::SeqCst)
    }

    /// Stops accepting and cuts every connection off.
    pub async fn shutdown(mut self) {
        self.accepting.abort();
        // The task ends as cancelled; there is nothing else to learn from it.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for MockHandle {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, state: Arc<MockState>) {
    // The set belongs to this task: when it is aborted, every connection is.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that died in the queue is no reason to stop.
                let Ok((tcp, _)) = accepted else { continue };
                let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
                connections.spawn(connection(tcp, acceptor.clone(), number, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    number: u64,
    state: Arc<MockState>,
) {
    // Without it a flushed event could wait for the answer to an earlier one.
    let _ = tcp.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return serve(Transport::Plain(tcp), Protocol::default(), number, state).await;
    };
    match acceptor.accept(tcp).await {
        Ok(tls) => {
            let session = tls.get_ref().1;
            let protocol = Protocol {
                is_http2: session.alpn_protocol() == Some(b"h2"),
                server_name: session.server_name().map(str::to_owned),
            };
            serve(Transport::Tls(Box::new(tls)), protocol, number, state).await;
        }
        Err(_) => {
            state.failed_handshakes.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What the handshake settled.
#[derive(Default)]
struct Protocol {
    is_http2: bool,
    server_name: Option<String>,
}

async fn serve(transport: Transport, protocol: Protocol, number: u64, state: Arc<MockState>) {
    let Protocol { is_http2, server_name } = protocol;
    let (io, wire) = wire(transport);
    let connection =
        Connection { state, number, server_name, is_http2, wire, requests: AtomicU64::new(0) };
    let connection = Arc::new(connection);
    let service = service_fn(move |request| handle(Arc::clone(&connection), request));
    // How a connection ends is the client's to judge; behaviours end it in error on purpose.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(MAX_HEAD_BYTES);
        let _ = builder.serve_connection(TokioIo::new(io), service).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES as usize);
        let _ = builder.serve_connection(TokioIo::new(io), service).await;
    }
}
