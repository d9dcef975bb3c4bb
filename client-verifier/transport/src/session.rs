//! A verified session: the one place from which a request can be sent.
//!
//! A [`Session`] holds the [`VerifiedEnclave`] it was made from. Its fields are private, its only
//! constructor is called by [`Unverified::verify`](crate::Unverified::verify), and it has no
//! `Default`, no `From` and no parts (`tests/compile_fail`).

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use aegis_verifier::VerifiedEnclave;
use aegis_wire::{
    limits,
    session::{ACCOUNT_PATH, ENCLAVE, Mode, RECEIPT_PATH},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
};

use crate::{
    Error, Receipt, ReceiptError, Transcript,
    gate::{Executor, Gate},
    once::OnceBody,
    receipt,
};

/// Age at which a session takes no further request: the enclave's own limit less five minutes, so
/// that none is caught by it on the way.
const AGE: Duration = limits::SESSION.saturating_sub(Duration::from_secs(5 * 60));
/// What one answer may have on the way: a 10 ms round trip at 100 MB/s.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// As much as the protocol admits, so that answers nobody reads do not hold up the others.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// How often a quiet session is asked whether it lives: notebooks sleep, NAT tables forget.
const PING: Duration = Duration::from_secs(20);
/// How long it may take to say so.
const PONG: Duration = Duration::from_secs(10);

/// An HTTP session with a verified enclave.
pub struct Session {
    sender: Sender,
    attested: Attested,
    gate: Gate,
    begun: Instant,
}

/// What is known of a session's far end.
#[derive(Debug, Clone)]
pub struct Attested {
    enclave: VerifiedEnclave,
    release: u32,
    transcript: Transcript,
}

/// What HTTP is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

enum Sender {
    Http1(Mutex<http1::SendRequest<OnceBody>>),
    Http2(http2::SendRequest<OnceBody>),
}

/// A request that got no answer.
pub(crate) struct Unanswered {
    pub(crate) error: Error,
    /// The request itself, if it was provably not dispatched.
    pub(crate) request: Option<Request<OnceBody>>,
}

impl Attested {
    pub(crate) fn new(enclave: VerifiedEnclave, release: u32, transcript: Transcript) -> Self {
        Self { enclave, release, transcript }
    }

    /// The evidence that was verified.
    pub fn enclave(&self) -> &VerifiedEnclave {
        &self.enclave
    }

    /// The accepted release that it runs.
    pub fn release(&self) -> u32 {
        self.release
    }

    /// What the evidence is bound to, for whoever verifies a receipt later.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }
}

impl Session {
    pub(crate) async fn start(
        stream: impl Stream,
        mode: Mode,
        attested: Attested,
    ) -> hyper::Result<Self> {
        let gate = Gate::default();
        let sender = match mode {
            Mode::Http1 => Sender::Http1(Mutex::new(http1(stream, gate.executor()).await?)),
            Mode::Http2 => Sender::Http2(http2(stream, gate.executor()).await?),
        };
        Ok(Self { sender, attested, gate, begun: Instant::now() })
    }

    /// What ends it from outside.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What was verified.
    pub fn attested(&self) -> &Attested {
        &self.attested
    }

    /// Whether it takes further requests.
    pub fn is_open(&self) -> bool {
        let closed = match &self.sender {
            Sender::Http1(sender) => sender.try_lock().is_ok_and(|sender| sender.is_closed()),
            Sender::Http2(sender) => sender.is_closed(),
        };
        !closed && self.gate.is_open() && self.begun.elapsed() < AGE
    }

    /// Sends a request for `https://AUTHORITY/PATH` of a provider. The body of the answer ends
    /// cleanly only if the provider's did.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.dispatch(request.map(OnceBody::new)).await.map_err(|unanswered| unanswered.error)
    }

    /// Verifies a receipt of a request of this session, as a trailer (`aegis-receipt`, in hex) or
    /// [`fetch_receipt`](Self::fetch_receipt) gave it.
    pub fn verify_receipt(&self, receipt: &[u8]) -> Result<Receipt, ReceiptError> {
        receipt::verify_on(self, receipt)
    }

    /// Asks for the receipt of a request of this session that was sent with `aegis-receipt: 1`, by the
    /// value of `aegis-request` of its answer. `None` when the enclave holds none: the request is not
    /// over, was denied, or ended more than 10 minutes ago. What comes is not verified yet.
    pub async fn fetch_receipt(&self, request: &str) -> Result<Option<Bytes>, Error> {
        let uri = format!("https://{ENCLAVE}{RECEIPT_PATH}{request}");
        let request = Request::get(uri).body(Empty::new()).map_err(|_| Error::Address)?;
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Ok(None);
        }
        let body = Limited::new(answer.into_body(), receipt::RECEIPT_BYTES).collect().await;
        Ok(body.ok().map(|body| body.to_bytes()))
    }

    /// Gives a sealed account to the enclave of this session (PROTOCOL.md, section 8).
    pub async fn provision(&self, sealed: Vec<u8>) -> Result<(), Error> {
        let uri = format!("https://{ENCLAVE}{ACCOUNT_PATH}");
        let request = Request::put(uri).body(Full::new(Bytes::from(sealed)));
        let answer = self.send(request.map_err(|_| Error::Address)?).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let code = answer.headers().get("aegis-error").and_then(|code| code.to_str().ok());
        Err(Error::Account(code.unwrap_or("no reason given").to_owned()))
    }

    pub(crate) async fn dispatch(
        &self,
        mut request: Request<OnceBody>,
    ) -> Result<Response<Incoming>, Unanswered> {
        if let Err(error) = self.address(&mut request) {
            return Err(Unanswered { error, request: None });
        }
        if !self.gate.is_open() {
            return Err(Unanswered { error: Error::NotSent, request: Some(request) });
        }
        let untouched = request.body().untouched();
        let mut again = Request::new(());
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        let sent = match &self.sender {
            Sender::Http1(sender) => {
                let mut sender = sender.lock().await;
                // One answer at a time: the connection is free when the last one is read to its end.
                if sender.ready().await.is_err() {
                    return Err(Unanswered { error: Error::NotSent, request: Some(request) });
                }
                sender.try_send_request(request).await
            }
            Sender::Http2(sender) => sender.clone().try_send_request(request).await,
        };
        sent.map_err(|mut failed| match failed.take_message() {
            Some(request) => Unanswered { error: Error::NotSent, request: Some(request) },
            None => Unanswered {
                request: refused_unread(&failed)
                    .then(|| untouched.into_body())
                    .flatten()
                    .map(|body| again.map(|()| body)),
                error: Error::Lost(failed.into_error().into()),
            },
        })
    }

    /// Puts the provider's name where the session's mode has it.
    fn address(&self, request: &mut Request<OnceBody>) -> Result<(), Error> {
        let (Some("https"), Some(authority), Some(path)) =
            (request.uri().scheme_str(), request.uri().authority(), request.uri().path_and_query())
        else {
            return Err(Error::Address);
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Error::Address)?;
        let path = Uri::from(path.clone());
        match &self.sender {
            Sender::Http1(_) => {
                *request.uri_mut() = path;
                *request.version_mut() = Version::HTTP_11;
                request.headers_mut().insert(header::HOST, host);
            }
            Sender::Http2(_) => {
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(header::HOST);
            }
        }
        Ok(())
    }
}

/// Whether the enclave said that it did not look at the request: a stream refused (RFC 9113, 8.7),
/// or one above the last that a GOAWAY without an error names (6.8).
fn refused_unread<T>(failed: &TrySendError<T>) -> bool {
    let Some(error) = failed.error().source().and_then(|e| e.downcast_ref::<h2::Error>()) else {
        return false;
    };
    let reason = error.reason();
    error.is_remote()
        && ((error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
            || (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)))
}

async fn http1(
    stream: impl Stream,
    executor: Executor,
) -> hyper::Result<http1::SendRequest<OnceBody>> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(2 * limits::HEAD_BYTES)
        .max_headers(limits::HEAD_FIELDS)
        .handshake(TokioIo::new(stream))
        .await?;
    executor.spawn(connection.with_upgrades());
    Ok(sender)
}

async fn http2(
    stream: impl Stream,
    executor: Executor,
) -> hyper::Result<http2::SendRequest<OnceBody>> {
    let (sender, connection) = http2::Builder::new(executor.clone())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(2 * limits::HEAD_BYTES as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream))
        .await?;
    executor.spawn(connection);
    Ok(sender)
}
