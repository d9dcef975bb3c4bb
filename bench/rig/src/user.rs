//! The user's side: the shipped client, and answers read to their end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use aegis_client::Client;
use aegis_client::Config;
use aegis_client::Custodies;
use aegis_client::Custody;
use aegis_client::Error;
use aegis_client::Incoming;
use aegis_client::Mode;
use aegis_client::OuterRoots;
use aegis_client::Router;
use aegis_client::Session;
use aegis_client::Trust;
use aegis_client::Tunnel;
use aegis_client::VirtualKey;
use aegis_verifier::UnixTime;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use http_body::Body;
use http_body_util::BodyExt as _;
use http_body_util::Full;

/// A made-up virtual key.
pub const KEY: &str = "aegis-vk-test-rig-1";
/// Another tenant's.
pub const OTHER_KEY: &str = "aegis-vk-test-rig-2";

/// The other tenant's, with the class of files.
pub const FILE_KEY: &str = "aegis-vk-test-rig-files";

/// Everything a client needs to reach a router.
#[derive(Clone)]
pub struct User {
    /// Where the router is.
    pub router: Router,
    /// What is believed.
    pub trust: Trust,
    /// The virtual key.
    pub key: VirtualKey,
}

impl User {
    /// A user of the router at `address`, whose outer certificate is by the root in `root_pem`.
    pub fn new(address: SocketAddr, root_pem: &Path, trust: Trust, key: &str) -> io::Result<Self> {
        let url = format!("https://{address}");
        let router = Router::new(&url, OuterRoots::File(root_pem)).map_err(io::Error::other)?;
        let key = VirtualKey::new(key).map_err(io::Error::other)?;
        Ok(Self { router: router.direct(), trust, key })
    }

    /// The same user who believes something else.
    pub fn trusting(&self, trust: Trust) -> Self {
        Self { trust, ..self.clone() }
    }

    /// The shipped client with its pool, accepting both custodies.
    pub fn client(&self) -> io::Result<Client> {
        let both = [Custody::Client, Custody::Host];
        let custodies = Custodies::new(&both).map_err(io::Error::other)?;
        let (router, trust) = (self.router.clone(), self.trust.clone());
        Ok(Client::new(Config { router, trust, custodies }))
    }

    /// One verified session in this mode.
    pub async fn session(&self, mode: Mode) -> Result<Session, Error> {
        self.session_with(mode, false).await
    }

    /// The same with padding or without.
    pub async fn session_with(&self, mode: Mode, padding: bool) -> Result<Session, Error> {
        let tunnel = Tunnel::open(&self.router, &self.key, &self.trust).await?;
        tunnel.handshake().await?.padded(padding).verify(mode, &self.trust, now).await
    }
}

/// The clock of the machine.
pub fn now() -> UnixTime {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    UnixTime::since_epoch(elapsed)
}

/// The clock in milliseconds, as an attester takes it.
pub fn now_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64
}

/// An answer read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body as far as it came.
    pub body: Bytes,
    /// Whether the stream ended cleanly.
    pub clean: bool,
}

impl Answer {
    /// Reads the body until it ends or breaks.
    pub async fn read(answer: Response<Incoming>) -> Self {
        let (head, mut stream) = answer.into_parts();
        let mut body = BytesMut::new();
        let clean = loop {
            match stream.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        body.extend_from_slice(data);
                    }
                }
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        Self { status: head.status, headers: head.headers, body: body.freeze(), clean }
    }

    /// The one value of a header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok();
        first.filter(|_| values.next().is_none())
    }

    /// The enclave's own error code, if the answer is one.
    pub fn error_code(&self) -> Option<&str> {
        self.header("aegis-error")
    }
}

/// Sends a request on a session and reads the answer to its end.
pub async fn exchange<B>(session: &Session, request: Request<B>) -> Result<Answer, Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Ok(Answer::read(session.send(request).await?).await)
}

/// A chat request to the mock's OpenAI row in host custody, to be changed.
pub fn chat(text: &str) -> http::request::Builder {
    Request::post("https://openai.mock.aegis.test/v1/chat/completions")
        .header("aegis-custody", "host")
        .header("content-type", "application/json")
        .header("x-rig-text", text)
}

/// Body of a chat request.
pub fn chat_body(text: &str) -> Full<Bytes> {
    let message = serde_json::json!({ "role": "user", "content": text });
    let body = serde_json::json!({ "model": "mock-1", "messages": [message] });
    Full::from(body.to_string())
}
