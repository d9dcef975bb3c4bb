//! A small agent: it sends what the official SDKs send, executes the tool calls of the answers,
//! and sends the results back.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::api::Turn;
use crate::api::Variant;
use crate::message::Message;
use crate::scenario::Step;
use crate::shell::Shell;
use crate::tls;

/// A bound on a hang, longer than every limit of the protocol.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A base URL.
#[derive(Clone)]
pub struct Base {
    /// Where it leads.
    pub address: SocketAddr,
    /// The root to trust when it is https.
    pub root: Option<CertificateDer<'static>>,
    /// The key that the SDK sends.
    pub key: String,
    /// How long the agent waits for an answer before it gives up.
    pub patience: Duration,
}

/// Why a step came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// An answer with another status than 200: the typed error and its sentence.
    Refused(String, String),
    /// No answer, or one that broke off.
    Broken,
}

/// Outcome of one step.
#[derive(Clone, Debug)]
pub struct Done {
    /// What ran, each line a program with its arguments.
    pub ran: Vec<String>,
    /// The commands that the answers told it to run, where the agent lets them be seen.
    pub arrived: Vec<String>,
    /// Why it ended early, if it did.
    pub failed: Option<Failed>,
}

/// Takes one step of a task.
pub async fn step(base: &Base, variant: Variant, step: &Step) -> io::Result<Done> {
    let shell = Shell::new()?;
    let mut turn = Turn { prompt: step.command.clone(), calls: Vec::new(), results: Vec::new() };
    let mut arrived = Vec::new();
    // The call and the answer to its result; a model that keeps calling is not what is tested.
    for _ in 0..2 {
        let body = match ask(base, variant, step, &turn).await {
            Ok(body) => body,
            Err(failed) => return Ok(Done { ran: shell.take()?, arrived, failed: Some(failed) }),
        };
        let calls = Message::read(&body).map(|message| message.calls()).unwrap_or_default();
        if calls.is_empty() {
            break;
        }
        for call in &calls {
            let arguments: serde_json::Value =
                serde_json::from_str(&call.arguments).unwrap_or_default();
            let command = arguments["command"].as_str().unwrap_or_default();
            shell.run(command)?;
            arrived.push(command.to_owned());
            turn.results.push(step.result.clone());
        }
        turn.calls.extend(calls);
    }
    Ok(Done { ran: shell.take()?, arrived, failed: None })
}

async fn ask(base: &Base, variant: Variant, step: &Step, turn: &Turn) -> Result<Bytes, Failed> {
    let (name, key) = variant.credential(&base.key);
    let mut request = Request::post(variant.path())
        .header("host", base.address.to_string())
        .header("content-type", "application/json")
        .header(name, key);
    for (name, value) in &step.headers {
        request = request.header(name, value);
    }
    let body = variant.request(&step.system, &step.tool, turn).to_string();
    let request = request.body(Full::from(body)).map_err(|_| Failed::Broken)?;
    let answer = tokio::time::timeout(base.patience, send(base, request)).await;
    let answer = answer.ok().and_then(Result::ok).ok_or(Failed::Broken)?;
    let (head, body) = answer.into_parts();
    let body = tokio::time::timeout(base.patience, body.collect()).await;
    let body = body.ok().and_then(Result::ok).ok_or(Failed::Broken)?.to_bytes();
    if head.status.as_u16() == 200 {
        return Ok(body);
    }
    let code = head.headers.get("aegis-error").and_then(|value| value.to_str().ok());
    let said = String::from_utf8_lossy(&body).into_owned();
    Err(Failed::Refused(code.unwrap_or("provider").to_owned(), said))
}

/// Sends one request on a connection of its own.
pub async fn send(base: &Base, request: Request<Full<Bytes>>) -> io::Result<Response<Incoming>> {
    let tcp = TcpStream::connect(base.address).await?;
    tcp.set_nodelay(true)?;
    match &base.root {
        None => exchange(tcp, request).await,
        Some(root) => {
            let config = tls::client(root, &[b"http/1.1"])?;
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            exchange(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?, request).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> io::Result<Response<Incoming>> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}
