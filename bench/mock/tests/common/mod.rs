//! A client for the mock: hyper over rustls, one connection at a time, HTTP/1.1 or HTTP/2.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::Arc;

use aegis_mock::BEHAVIOR_HEADER;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_mock::MockHandle;
use aegis_mock::MockRoot;
use bytes::Bytes;
use http::Request;
use http::Response;
use http::Version;
use http::request::Builder;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The certificate name that tests use; its first label names the provider.
pub(crate) const OPENAI: &str = "openai.mock.aegis.test";
pub(crate) const ANTHROPIC: &str = "anthropic.mock.aegis.test";
pub(crate) const GEMINI: &str = "gemini.mock.aegis.test";
pub(crate) const OPENROUTER: &str = "openrouter.mock.aegis.test";

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A mock and its root.
pub(crate) struct Provider {
    pub(crate) mock: MockHandle,
    root: Arc<MockRoot>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut MockConfig)) -> Self {
        let root = Arc::new(MockRoot::generate().unwrap());
        let names = [OPENAI, ANTHROPIC, GEMINI, OPENROUTER];
        let mut config = MockConfig::tls(Arc::clone(&root), &names);
        change(&mut config);
        Self { mock: Mock::start(config).await.unwrap(), root }
    }

    /// A TLS connection that offers one protocol.
    pub(crate) async fn tls(
        &self,
        name: &str,
        version: Version,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let token: &[u8] = if version == Version::HTTP_2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![token.to_vec()];
        let tcp = TcpStream::connect(self.mock.addr()).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(token));
        Ok(tls)
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(
        &self,
        version: Version,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        let name = request.uri().host().unwrap().to_owned();
        let io = TokioIo::new(self.tls(&name, version).await.unwrap());
        if version == Version::HTTP_2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.max_header_list_size(1024 * 1024);
            let (mut sender, connection) = builder.handshake(io).await?;
            tokio::spawn(connection);
            return sender.send_request(request).await;
        }
        let (mut parts, body) = request.into_parts();
        parts.headers.insert("host", name.parse().unwrap());
        parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        sender.send_request(Request::from_parts(parts, body)).await
    }

    /// Sends one request and gives head and JSON body of the answer.
    pub(crate) async fn json(
        &self,
        request: Request<Full<Bytes>>,
    ) -> (http::response::Parts, Value) {
        let (head, body) = self.send(Version::HTTP_2, request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head, serde_json::from_slice(&bytes).unwrap())
    }

    /// Sends one request and gives the answer's body as text.
    pub(crate) async fn text(&self, version: Version, request: Request<Full<Bytes>>) -> String {
        let response = self.send(version, request).await.unwrap();
        assert_eq!(response.status(), 200);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }
}

/// A POST to `https://name/path` with the right credential of that provider.
pub(crate) fn post(name: &str, path: &str) -> Builder {
    let request = Request::post(format!("https://{name}{path}"));
    match name {
        ANTHROPIC => request.header("x-api-key", DEFAULT_KEY),
        GEMINI => request.header("x-goog-api-key", DEFAULT_KEY),
        _ => request.header("authorization", format!("Bearer {DEFAULT_KEY}")),
    }
}

/// A chat request with a behaviour.
pub(crate) fn behaving(behavior: &str) -> Builder {
    post(OPENAI, "/v1/chat/completions").header(BEHAVIOR_HEADER, behavior)
}

pub(crate) fn body(value: &Value) -> Full<Bytes> {
    Full::new(Bytes::from(value.to_string()))
}

/// The chat request whose answer is `You said: say hi`.
pub(crate) fn say_hi() -> Value {
    serde_json::json!({
        "model": "gpt-mock", "messages": [{"role": "user", "content": "say hi"}]
    })
}

/// The data of all server-sent events, by any line end.
pub(crate) fn events(text: &str) -> Vec<String> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(str::to_owned).collect()
}

/// The same as JSON, without `[DONE]`.
pub(crate) fn json_events(text: &str) -> Vec<Value> {
    let data = events(text).into_iter().filter(|data| data != "[DONE]");
    data.map(|data| serde_json::from_str(&data).unwrap()).collect()
}
