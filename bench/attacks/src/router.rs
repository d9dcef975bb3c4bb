//! The plaintext baseline: a router as they are built today. TLS ends in it and begins anew, so it
//! holds every message in the clear.
//!
//! Switched off, its attacker leaves everything alone: heads but for hop-by-hop fields and the
//! credential, bodies byte by byte as they come (`tests/baseline.rs` holds it to the tests that the
//! sealed path passes). Switched on, it is shown each message whole before it goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_mock::MockRoot;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::server;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::TlsConnector;

use crate::attacker::Attacker;
use crate::attacker::Direction;
use crate::attacker::Passing;
use crate::tls;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// The prefixes of a base URL and the providers behind them, as at the agent.
const ROUTES: [(&str, &str); 3] = [
    ("/openai", "openai.mock.aegis.test"),
    ("/anthropic", "anthropic.mock.aegis.test"),
    ("/gemini", "gemini.mock.aegis.test"),
];

/// Fields that belong to one connection (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The field in which each provider takes a key, with what comes before it.
const CREDENTIALS: [(&str, &str, &str); 3] = [
    ("openai", "authorization", "Bearer "),
    ("anthropic", "x-api-key", ""),
    ("gemini", "x-goog-api-key", ""),
];

/// A plaintext router: where providers are, and who looks at what passes.
pub struct Router {
    upstream: SocketAddr,
    root: CertificateDer<'static>,
    /// The key that callers send, and the one that goes to the provider.
    keys: (String, String),
    attacker: Mutex<Option<Arc<dyn Attacker>>>,
}

/// How a connection speaks HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1
    One,
    /// HTTP/2
    Two,
}

impl Router {
    /// A router whose providers are all at `upstream`, under `root`. It takes callers with
    /// `caller` as their key and sends them on with `provider`.
    pub fn new(
        upstream: SocketAddr,
        root: CertificateDer<'static>,
        caller: &str,
        provider: &str,
    ) -> Arc<Self> {
        let keys = (caller.to_owned(), provider.to_owned());
        Arc::new(Self { upstream, root, keys, attacker: Mutex::new(None) })
    }

    /// Puts an attacker in, or takes it out.
    pub fn set_attacker(&self, attacker: Option<Arc<dyn Attacker>>) {
        *self.attacker.lock().unwrap_or_else(PoisonError::into_inner) = attacker;
    }

    fn attacker(&self) -> Option<Arc<dyn Attacker>> {
        self.attacker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Listens on a free port with a certificate for `names` by `root`. It ends with the set of
    /// tasks.
    pub async fn listen(
        self: &Arc<Self>,
        root: &MockRoot,
        names: &[&str],
        tasks: &mut JoinSet<()>,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = root.server_config(&names, alpn).map_err(io::Error::other)?;
        let (router, acceptor) = (Arc::clone(self), TlsAcceptor::from(config));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (router, acceptor) = (Arc::clone(&router), acceptor.clone());
                connections.spawn(async move {
                    // A caller that does not trust the certificate ends here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    router.serve(stream, if two { Http::Two } else { Http::One }).await;
                });
            }
        });
        Ok(address)
    }

    /// Serves one connection in the clear.
    pub async fn serve<S>(self: Arc<Self>, stream: S, http: Http)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        let service = service_fn(move |request| Arc::clone(&self).handle(request));
        // How a caller leaves is its own business.
        let _ = match http {
            Http::One => server::conn::http1::Builder::new().serve_connection(io, service).await,
            Http::Two => {
                let builder = server::conn::http2::Builder::new(TokioExecutor::new());
                builder.serve_connection(io, service).await
            }
        };
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let attacker = self.attacker();
        let (mut head, body) = request.into_parts();
        let (authority, path) = route(&head.uri, &head.headers)?;
        strip(&mut head.headers);
        self.change_credential(&authority, &mut head.headers)?;
        let body = shown(attacker.as_deref(), Direction::Up, &mut head.headers, body).await?;
        let answer = self.forward(&authority, &path, head, body).await?;
        let (mut head, body) = answer.into_parts();
        strip(&mut head.headers);
        let body = shown(attacker.as_deref(), Direction::Down, &mut head.headers, body).await?;
        Ok(Response::from_parts(head, body))
    }

    /// Takes the caller's key out and puts the provider's in, in the provider's own form.
    fn change_credential(&self, authority: &str, headers: &mut HeaderMap) -> io::Result<()> {
        let (caller, provider) = &self.keys;
        for (_, name, before) in CREDENTIALS {
            if headers.get(name).is_some_and(|value| *value == *format!("{before}{caller}")) {
                headers.remove(name);
            }
        }
        let given = CREDENTIALS.iter().any(|(_, name, _)| headers.contains_key(*name));
        let form = CREDENTIALS.iter().find(|(row, ..)| authority.starts_with(row));
        if let (false, Some((_, name, before))) = (given, form) {
            let value = HeaderValue::try_from(format!("{before}{provider}"));
            headers.insert(*name, value.map_err(io::Error::other)?);
        }
        Ok(())
    }

    async fn forward(
        &self,
        authority: &str,
        path: &str,
        mut head: http::request::Parts,
        body: Body,
    ) -> io::Result<Response<Incoming>> {
        let tcp = TcpStream::connect(self.upstream).await?;
        tcp.set_nodelay(true)?;
        let config = tls::client(&self.root, &[b"h2", b"http/1.1"])?;
        let name = ServerName::try_from(authority.to_owned()).map_err(io::Error::other)?;
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let two = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(tls);
        if two {
            let uri = format!("https://{authority}{path}");
            head.uri = uri.parse().map_err(io::Error::other)?;
            head.headers.remove(header::HOST);
            head.version = http::Version::HTTP_2;
            let handshake = conn::http2::handshake(TokioExecutor::new(), io).await;
            let (mut sender, connection) = handshake.map_err(io::Error::other)?;
            tokio::spawn(connection);
            let request = Request::from_parts(head, body);
            return sender.send_request(request).await.map_err(io::Error::other);
        }
        head.uri = path.parse().map_err(io::Error::other)?;
        let host = HeaderValue::try_from(authority).map_err(io::Error::other)?;
        head.headers.insert(header::HOST, host);
        head.version = http::Version::HTTP_11;
        let handshake = conn::http1::handshake(io).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(connection);
        sender.send_request(Request::from_parts(head, body)).await.map_err(io::Error::other)
    }
}

/// Where a request goes: by the prefix of a base URL, or by the authority that it names.
fn route(uri: &Uri, headers: &HeaderMap) -> io::Result<(String, String)> {
    let whole = uri.path_and_query().map_or("/", |path| path.as_str());
    for (prefix, authority) in ROUTES {
        if let Some(rest) = whole.strip_prefix(prefix).filter(|rest| rest.starts_with('/')) {
            return Ok((authority.to_owned(), rest.to_owned()));
        }
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = uri.authority().map(|name| name.as_str()).or(host).unwrap_or_default();
    let known = ROUTES.iter().any(|(_, authority)| *authority == named);
    known
        .then(|| (named.to_owned(), whole.to_owned()))
        .ok_or_else(|| io::Error::other(format!("nobody is called {named:?}")))
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Shows a message to the attacker; without one, the body goes on as it comes.
async fn shown(
    attacker: Option<&dyn Attacker>,
    direction: Direction,
    headers: &mut HeaderMap,
    body: Incoming,
) -> io::Result<Body> {
    let Some(attacker) = attacker else { return Ok(body.boxed_unsync()) };
    let before = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let fields =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let mut passing = Passing { direction, head: fields.collect(), body: before.to_vec() };
    attacker.see(&mut passing);
    let changed = passing.body != before;
    if changed && headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(passing.body.len()));
    }
    Ok(Full::from(passing.body).map_err(|never| match never {}).boxed_unsync())
}
