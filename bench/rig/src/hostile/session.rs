//! The adversary's ingress: outer TLS of its own, CONNECT, and the way into the enclave.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use aegis_wire::session::Preface;
use aegis_wire::session::legs;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use crate::record::Leg;
use crate::record::Record;
use crate::record::Tap;

pub(super) const CONTROL_SOCKET: &str = legs::CONTROL_SOCKET;
pub(super) const EGRESS_SOCKET: &str = legs::EGRESS_SOCKET;
/// The name in the outer certificate.
pub const OUTER_NAME: &str = "router.aegis.test";
/// Largest CONNECT head read; PROTOCOL.md section 2 needs a few hundred bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Root and certificate of an outer TLS endpoint for [`OUTER_NAME`] and 127.0.0.1.
pub struct OuterTls {
    /// Root certificate, PEM.
    pub root_pem: String,
    /// Root certificate, DER.
    pub root_der: CertificateDer<'static>,
    /// Certificate chain, PEM.
    pub chain_pem: String,
    /// Private key, PEM.
    pub key_pem: String,
    acceptor: TlsAcceptor,
}

impl OuterTls {
    /// A new root and a certificate by it.
    pub fn generate() -> io::Result<Self> {
        let make = || -> Result<_, rcgen::Error> {
            let root_key = KeyPair::generate()?;
            let mut root = CertificateParams::new(Vec::new())?;
            root.distinguished_name.push(rcgen::DnType::CommonName, "Aegis rig outer root");
            root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let root_certificate = root.self_signed(&root_key)?;
            let issuer = Issuer::new(root, root_key);
            let key = KeyPair::generate()?;
            let names = vec![OUTER_NAME.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
            let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
            Ok((root_certificate, leaf, key))
        };
        let (root, leaf, key) = make().map_err(io::Error::other)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            root_pem: root.pem(),
            root_der: root.der().clone(),
            chain_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

/// A client's stream inside the outer TLS, behind its CONNECT.
pub type Client = Tap<TlsStream<TcpStream>>;

/// A client that was let in: its CONNECT is answered with 200.
pub struct Session {
    /// The number the adversary gave it.
    pub number: u64,
    /// The CONNECT request.
    pub connect: String,
    /// The client.
    pub client: Client,
    /// The way into the enclave.
    pub door: Door,
}

impl Session {
    /// What an honest host does from here.
    pub async fn splice(self) -> io::Result<()> {
        let enclave = self.door.open(self.number).await?;
        copy_both(self.client, enclave).await
    }
}

/// The way into the enclave's session socket.
#[derive(Clone, Debug)]
pub struct Door {
    socket: PathBuf,
    record: Record,
}

impl Door {
    pub(super) fn new(folder: &Path, record: &Record) -> Self {
        Self { socket: folder.join(legs::SESSION_SOCKET), record: record.clone() }
    }

    /// A door to another enclave, whose sockets are in `folder`.
    pub fn to(&self, folder: &Path) -> Self {
        Self::new(folder, &self.record)
    }

    /// Opens a session leg and sends the preface.
    pub async fn open(&self, number: u64) -> io::Result<Tap<UnixStream>> {
        let mut stream = self.open_without_preface().await?;
        stream.write_all(&Preface(number).encode()).await?;
        Ok(stream)
    }

    /// Opens a session leg and sends nothing.
    pub async fn open_without_preface(&self) -> io::Result<Tap<UnixStream>> {
        Ok(self.record.tap(Leg::Session, UnixStream::connect(&self.socket).await?))
    }
}

pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let numbers = Arc::new(AtomicU64::new(1));
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (shared, number) = (Arc::clone(&shared), numbers.fetch_add(1, Ordering::Relaxed));
        sessions.spawn(async move {
            // What the client makes of the end of a session is what tests look at.
            let _ = session(&shared, stream, number).await;
        });
    }
}

async fn session(shared: &Shared, stream: TcpStream, number: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let client = shared.outer.acceptor.accept(stream).await?;
    let mut client = shared.record.tap(Leg::Outer, client);
    let connect = read_head(&mut client).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\nAegis-Release: 0\r\n\r\n").await?;
    client.flush().await?;
    let door = Door::new(&shared.legs, &shared.record);
    let hook = shared.plan().session;
    hook(Session { number, connect, client, door }).await
}

/// Reads up to the empty line, byte by byte: what follows belongs to the client's inner TLS.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > HEAD_BYTES {
            return Err(io::Error::other("the client's CONNECT head does not end"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Copies both ways until both have ended; an end is passed on.
pub async fn copy_both<A, B>(mut one: A, mut other: B) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    tokio::io::copy_bidirectional(&mut one, &mut other).await.map(drop)
}
