//! The ways from a client to the provider, each warm or cold, with one request at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use aegis_client::Mode;
use aegis_client::Session;
use aegis_client::Tunnel;
use aegis_verifier::UnixTime;
use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::site::NAME;
use crate::site::PROVIDER_KEY;
use crate::site::Site;

/// A way from the client to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// TLS to the provider.
    Direct,
    /// TLS to nginx, TLS to the provider.
    Nginx,
    /// The attested session through host and enclave.
    Sealed,
}

/// What is sent and what must come back.
#[derive(Clone)]
pub struct Workload {
    /// The request's body.
    pub body: Bytes,
    /// What the mock is told beside it.
    pub behavior: Option<&'static str>,
}

/// One exchange as the client sees it, from the first byte sent.
#[derive(Clone, Debug)]
pub struct Timing {
    /// To the first byte of the answer's body.
    pub first: Duration,
    /// To its end.
    pub whole: Duration,
    /// Between two pieces of the body.
    pub gaps: Vec<Duration>,
    /// The body.
    pub body: Bytes,
}

/// An open connection.
pub enum Connection {
    /// HTTP/1.1 over TLS 1.3.
    Plain(SendRequest<Full<Bytes>>),
    /// HTTP/2 in the attested session.
    Sealed(Box<Session>),
}

/// What connections are made from.
pub struct Connector<'a> {
    site: &'a Site,
    tls: TlsConnector,
}

impl<'a> Connector<'a> {
    /// With the roots of this run, and TLS 1.3 without resumption, as our client has it.
    pub fn new(site: &'a Site) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for file in &site.roots {
            for root in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
                roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { site, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// The arms that can be had.
    pub fn arms(&self) -> Vec<Arm> {
        let arms = [Arm::Direct, Arm::Nginx, Arm::Sealed];
        arms.into_iter().filter(|arm| *arm != Arm::Nginx || self.site.nginx.is_some()).collect()
    }

    /// A new connection: TLS, and for the sealed arm evidence verified.
    pub async fn connect(&self, arm: Arm) -> io::Result<Connection> {
        let address = match (arm, &self.site.nginx) {
            (Arm::Sealed, _) => return self.seal().await,
            (Arm::Nginx, Some((_, address))) => *address,
            (Arm::Nginx, None) => return Err(io::ErrorKind::NotFound.into()),
            (Arm::Direct, _) => self.site.mock,
        };
        self.plain(address).await.map(Connection::Plain)
    }

    async fn plain(&self, address: SocketAddr) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        let stream = TokioIo::new(self.tls.connect(name, stream).await?);
        let (sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn seal(&self) -> io::Result<Connection> {
        let Site { router, trust, key, .. } = self.site;
        let tunnel = Tunnel::open(router, key, trust).await.map_err(io::Error::other)?;
        let unverified = tunnel.handshake().await.map_err(io::Error::other)?;
        let now = || UnixTime::since_epoch(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        let session = unverified.verify(Mode::Http2, trust, now).await;
        Ok(Connection::Sealed(Box::new(session.map_err(io::Error::other)?)))
    }
}

impl Connection {
    /// Sends the workload once and reads the whole answer.
    pub async fn exchange(&mut self, workload: &Workload) -> io::Result<Timing> {
        let begun = Instant::now();
        read(self.send(workload).await?, begun).await
    }

    /// Sends the workload and reads the first piece of the answer's body; the rest stays open.
    pub async fn begin(&mut self, workload: &Workload) -> io::Result<Incoming> {
        let mut stream = self.send(workload).await?.into_body();
        match stream.frame().await {
            Some(Ok(_)) => Ok(stream),
            Some(Err(error)) => Err(io::Error::other(error)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn send(&mut self, workload: &Workload) -> io::Result<Response<Incoming>> {
        match self {
            Self::Plain(sender) => {
                sender.ready().await.map_err(io::Error::other)?;
                let request = workload.request("/v1/chat/completions");
                let request = request.header("host", NAME).header("authorization", bearer());
                let request = request.body(Full::new(workload.body.clone()));
                let sent = sender.send_request(request.map_err(io::Error::other)?).await;
                sent.map_err(io::Error::other)
            }
            Self::Sealed(session) => {
                let request = workload.request(&format!("https://{NAME}/v1/chat/completions"));
                let request = request.header("aegis-custody", "host");
                let request = request.body(Full::new(workload.body.clone()));
                let sent = session.send(request.map_err(io::Error::other)?).await;
                sent.map_err(io::Error::other)
            }
        }
    }
}

impl Workload {
    fn request(&self, uri: &str) -> http::request::Builder {
        let request = Request::post(uri).header("content-type", "application/json");
        match self.behavior {
            Some(behavior) => request.header("x-mock-behavior", behavior),
            None => request,
        }
    }
}

fn bearer() -> String {
    format!("Bearer {PROVIDER_KEY}")
}

async fn read(response: Response<Incoming>, begun: Instant) -> io::Result<Timing> {
    let (head, mut stream) = response.into_parts();
    let (mut body, mut gaps) = (Vec::new(), Vec::new());
    let (mut first, mut last) = (None, None);
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
            let now = Instant::now();
            first.get_or_insert(now);
            gaps.extend(last.replace(now).map(|last| now - last));
            body.extend_from_slice(data);
        }
    }
    let whole = begun.elapsed();
    if !head.status.is_success() {
        let text = String::from_utf8_lossy(&body);
        return Err(io::Error::other(format!("answered {}: {text}", head.status)));
    }
    let first = first.map_or(whole, |first| first - begun);
    Ok(Timing { first, whole, gaps, body: body.into() })
}
