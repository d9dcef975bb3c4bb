//! The outer tunnel (PROTOCOL.md, section 2): from here to the host, and through it to an enclave
//! that nothing is known of yet.

use std::{io, sync::Arc, time::Duration};

use aegis_wire::{limits, session::CONNECT_AUTHORITY};
use http::{HeaderMap, HeaderValue, Uri, header, response};
use rustls_pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Error, Refusal, Router, Trust, VirtualKey,
    connect::{Connected, connect},
    error::{Stage, tls_or_io},
    inner, trust,
    unverified::Unverified,
};

/// Time to reach an address: longer than a lost SYN and its repetition.
const DIAL: Duration = Duration::from_secs(5);

/// Bytes to and from an enclave, as the host passes them on.
pub(crate) type Outer = TlsStream<TcpStream>;

/// A tunnel to an enclave. Nothing is known about its far end.
pub struct Tunnel {
    stream: Outer,
    place: String,
}

impl Tunnel {
    /// Opens a tunnel for this key, to an enclave that the host says is of an accepted release.
    pub async fn open(router: &Router, key: &VirtualKey, trust: &Trust) -> Result<Self, Error> {
        Self::open_to(router, key, trust.numbers()).await
    }

    /// The same, by release numbers alone: for whoever only asks for evidence.
    pub async fn open_to(
        router: &Router,
        key: &VirtualKey,
        releases: &[u32],
    ) -> Result<Self, Error> {
        let tcp = dial(router).await?;
        let stream = outer_tls(router, tcp).await?;
        let mut headers = HeaderMap::new();
        headers.insert(header::PROXY_AUTHORIZATION, key.authorization());
        headers.insert("aegis-releases", trust::header(releases));
        let asked = timeout(limits::HANDSHAKE, connect(stream, CONNECT_AUTHORITY, headers)).await;
        match asked {
            Ok(Ok(Connected::Open(stream))) => Ok(Self { stream, place: router.place() }),
            Ok(Ok(Connected::Refused(head))) => Err(refusal(&head).into()),
            Ok(Err(_)) | Err(_) => Err(ended(router.place(), Stage::Connect)),
        }
    }

    /// Inner TLS: after it somebody has proved to hold the key of the certificate it showed.
    pub async fn handshake(self) -> Result<Unverified, Error> {
        let Self { stream, place } = self;
        let connector = TlsConnector::from(Arc::new(inner::config().map_err(Error::Handshake)?));
        // Not sent (`enable_sni` is off) and not looked at by the certificate verifier.
        let name = ServerName::try_from("enclave.aegis").expect("a constant name");
        match timeout(limits::HANDSHAKE, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Unverified::new(stream, place),
            Ok(Err(error)) => Err(match tls_or_io(error) {
                Ok(tls) => Error::Handshake(tls),
                Err(_) => ended(place, Stage::InnerTls),
            }),
            Err(_) => Err(ended(place, Stage::InnerTls)),
        }
    }
}

pub(crate) fn ended(place: String, stage: Stage) -> Error {
    Error::Ended { place, stage }
}

pub(crate) async fn dial(router: &Router) -> Result<TcpStream, Error> {
    let Some(proxy) = router.proxies.intercept(&router.uri) else {
        return tcp(&router.host, router.port).await;
    };
    let refused = |reason: String| Error::Proxy { proxy: place(proxy.uri()), reason };
    if proxy.uri().scheme_str() != Some("http") {
        return Err(refused("only http:// proxies are supported".to_owned()));
    }
    let host = proxy.uri().host().unwrap_or_default();
    let stream = match tcp(host.trim_matches(['[', ']']), port(proxy.uri())).await {
        Ok(stream) => stream,
        Err(Error::Unreachable { source, .. }) => return Err(refused(source.to_string())),
        Err(error) => return Err(error),
    };
    let auth = proxy.basic_auth().cloned();
    let headers = auth.map(|auth| (header::PROXY_AUTHORIZATION, auth));
    let target = authority(router);
    match timeout(limits::HANDSHAKE, connect(stream, &target, headers.into_iter().collect())).await
    {
        Ok(Ok(Connected::Open(stream))) => Ok(stream),
        Ok(Ok(Connected::Refused(head))) => Err(refused(format!("it answered {}", head.status))),
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => Err(refused("it did not answer in time".to_owned())),
    }
}

/// `Router::new` parsed host and port from a URL; brackets make an IPv6 address an authority again.
fn authority(router: &Router) -> String {
    if router.host.contains(':') {
        format!("[{}]:{}", router.host, router.port)
    } else {
        router.place()
    }
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(80)
}

fn place(uri: &Uri) -> String {
    format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, Error> {
    let dialled = timeout(DIAL, TcpStream::connect((host, port)))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    dialled.map_err(|source| Error::Unreachable {
        place: format!("{host}:{port}"),
        source: Arc::new(source),
    })
}

pub(crate) async fn outer_tls(router: &Router, tcp: TcpStream) -> Result<Outer, Error> {
    let connector = TlsConnector::from(Arc::clone(&router.tls));
    match timeout(limits::HANDSHAKE, connector.connect(router.name.clone(), tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(match tls_or_io(error) {
            Ok(source) => Error::OuterTls { place: router.place(), source },
            Err(_) => ended(router.place(), Stage::OuterTls),
        }),
        Err(_) => Err(ended(router.place(), Stage::OuterTls)),
    }
}

fn refusal(head: &response::Parts) -> Refusal {
    let text = |name| head.headers.get(name).map(HeaderValue::as_bytes);
    let retry_after = || text("retry-after").and_then(seconds);
    match (head.status.as_u16(), text("aegis-error")) {
        (400, Some(b"bad_request")) => Refusal::BadRequest,
        (407, Some(b"unknown_key")) => Refusal::UnknownKey,
        (412, Some(b"no_release")) => Refusal::NoRelease,
        (429, Some(b"too_many_sessions")) => {
            Refusal::TooManySessions { retry_after: retry_after() }
        }
        (503, Some(b"no_enclave")) => Refusal::NoEnclave { retry_after: retry_after() },
        (status, _) => Refusal::Other(status),
    }
}

/// The bound keeps a host from putting a client to sleep for ever.
fn seconds(text: &[u8]) -> Option<Duration> {
    let seconds: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(limits::RETRY_AFTER_S).into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hyper_util::client::proxy::matcher::Matcher;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::OuterRoots;

    /// A router that is reached by this proxy, unless `no` names it.
    fn router(proxy: &str, no: &str) -> Router {
        let mut router = Router::new("https://router.example:8443", OuterRoots::Web).unwrap();
        router.proxies = Arc::new(Matcher::builder().https(proxy).no(no).build());
        router
    }

    /// Dials by a proxy that gives this answer; what the proxy read, and the stream.
    async fn dialled(user: &str, answer: &str) -> (String, Result<TcpStream, Error>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{user}{}", listener.local_addr().unwrap());
        let router = router(&proxy, "");
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        };
        tokio::join!(serve, dial(&router))
    }

    #[tokio::test]
    async fn a_proxy_is_asked_for_the_router() {
        let (head, stream) = dialled("me:secret@", "HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(stream.is_ok());
        assert!(head.starts_with("CONNECT router.example:8443 HTTP/1.1\r\n"), "{head}");
        let basic = "proxy-authorization: basic bwu6c2vjcmv0\r\n";
        assert!(head.to_ascii_lowercase().contains(basic), "{head}");
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_is_named() {
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        let (_, refused) = dialled("", answer).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Proxy { .. }) && error.to_string().contains("403"));
        let error = dial(&router("https://127.0.0.1:1", "")).await.unwrap_err();
        assert!(error.to_string().contains("only http:// proxies"), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_that_is_not_there_is_named_as_the_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = dial(&router(&format!("http://{address}"), "")).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&format!("the proxy {address}")), "{text}");
        assert!(text.contains("check HTTPS_PROXY"), "{text}");
    }

    #[tokio::test]
    async fn no_proxy_goes_around_it() {
        let router = router("http://127.0.0.1:1", "router.example");
        assert!(router.proxies.intercept(&router.uri).is_none());
    }
}
