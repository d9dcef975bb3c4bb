//! One request: carries out what `aegis_core::Exchange` says, exhaustively, and decides nothing.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use aegis_core::head::{self, Field};
use aegis_core::{Action, Event, Exchange, Plan, Refusal, plan};
use aegis_wire::session::{ACCOUNT_PATH, Mode, RECEIPT_PATH};
use aegis_wire::{limits, table::Envelope, table::Table};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::time::{self, Sleep};

use crate::outgoing::{Outgoing, Upload};
use crate::receipt::Draft;
use crate::session::Session;
use crate::upstream::Dialer;

/// Start of the monotonic clock that exchanges are told.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) type Answer = Response<Either<Full<Bytes>, Relay>>;

/// Answers one request.
pub(crate) async fn handle(
    session: Arc<Session>,
    request: Request<Incoming>,
) -> Result<Answer, Broken> {
    let name = session.enclave.channel.name();
    let (parts, body) = request.into_parts();
    let fields = fields(&parts.headers);
    let head = plan::Request {
        method: parts.method.as_str(),
        authority: parts.uri.authority().map(|authority| authority.as_str()),
        path_and_query: parts.uri.path_and_query().map_or("", |target| target.as_str()),
        fields: &fields,
    };
    let planned = Plan::new(session.enclave.table, &head);
    let mut answer = match planned.and_then(|plan| session.enclave.choose_owner(plan)) {
        _ if plan::is_for_enclave(&head) => own(&session, &head, body).await,
        Ok(plan) => {
            let draft = plan.receipt.then(|| Draft::new(&session, &name, &head, &plan));
            run(Live::new(&session, &plan, draft), &plan, name.count, body).await?
        }
        Err((refusal, envelope)) => refuse(refusal, envelope, session.enclave.table),
    };
    let name = HeaderValue::try_from(name.text).map_err(|_| Broken)?;
    answer.headers_mut().insert("aegis-request", name);
    Ok(answer)
}

/// What the enclave itself is asked: to take a sealed account, or for a receipt of this session.
async fn own(session: &Session, head: &plan::Request<'_>, body: Incoming) -> Answer {
    if (head.method, head.path_and_query) == ("PUT", ACCOUNT_PATH) {
        return match session.enclave.provision(body).await {
            Ok(()) => Response::new(Either::Left(Full::default())),
            Err(refusal) => refuse(refusal, Envelope::OpenAi, session.enclave.table),
        };
    }
    let name = head.path_and_query.strip_prefix(RECEIPT_PATH).filter(|_| head.method == "GET");
    match name.map(|name| session.receipts.find(name)) {
        Some(Some(receipt)) => {
            let mut answer = Response::new(Either::Left(Full::from(receipt)));
            let kind = HeaderValue::from_static("application/aegis-receipt+cose");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        Some(None) => refuse(Refusal::UnknownReceipt, Envelope::OpenAi, session.enclave.table),
        None => refuse(Refusal::UnknownEndpoint, Envelope::OpenAi, session.enclave.table),
    }
}

/// Follows the exchange up to the head of the answer.
async fn run(
    mut live: Live,
    plan: &Plan<'_>,
    number: u64,
    body: Incoming,
) -> Result<Answer, Broken> {
    let session = live.session.clone();
    let enclave = session.enclave;
    let copies = plan.replayable().then_some(&enclave.copies);
    let body = Outgoing::new(body, copies, live.draft.as_ref().map(Draft::sent));
    let (mut answer, mut missing) = (None, false);
    loop {
        let question = (number, live.exchange.attempt());
        let asked = enclave.channel.ask(plan, session.number, question).await;
        let (event, account, credential) = match asked {
            Ok(grant) => {
                (Event::Granted(grant.grant), grant.account, enclave.credential(plan, grant))
            }
            Err(event) => (event, 0, None),
        };
        let mut action = live.step(event);
        if action == Action::Send {
            missing = credential.is_none();
        }
        if action == Action::Send && missing {
            // The host chose an account that is not here: no byte leaves, as without a connection.
            action = live.step(Event::Unreachable { held: body.held(false) });
        } else if action == Action::Send {
            let credential = credential.unwrap_or_default();
            let dialer = Dialer { enclave, provider: plan.index };
            let request = upstream_request(plan, &credential, body.upload()).ok_or(Broken)?;
            action = match session.upstreams.send(dialer, account, request, &body).await {
                Ok(head) => live.head(answer.insert(head), body.held(true)),
                Err(event) => live.step(event),
            };
        }
        match action {
            Action::Retry => {}
            Action::Answer(Refusal::UpstreamUnreachable) if missing => {
                return Ok(refuse(Refusal::AccountMissing, plan.provider.envelope, enclave.table));
            }
            Action::Answer(refusal) => {
                return Ok(refuse(refusal, plan.provider.envelope, enclave.table));
            }
            Action::RelayHead => return live.relay(answer.ok_or(Broken)?),
            // None of these comes before a head.
            Action::Send | Action::RelayChunk | Action::Finish | Action::Break => {
                return Err(Broken);
            }
        }
    }
}

fn upstream_request(plan: &Plan<'_>, credential: &[u8], body: Upload) -> Option<Request<Upload>> {
    let mut request = Request::new(body);
    *request.method_mut() = plan.endpoint.method.parse().ok()?;
    let target = str::from_utf8(plan.target()).ok()?;
    *request.uri_mut() = format!("https://{}{target}", plan.provider.authority).parse().ok()?;
    fill(request.headers_mut(), plan.fields())?;
    if let Some((name, value)) = plan.credential(credential) {
        fill(request.headers_mut(), &[(name, &value)])?;
    }
    Some(request)
}

/// The fields of a head, names in lower case as `http` keeps them.
fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// Appends fields; every value is marked sensitive, so that HPACK neither indexes nor compares it.
fn fill(headers: &mut HeaderMap, fields: &[Field<'_>]) -> Option<()> {
    for (name, value) in fields {
        let mut value = HeaderValue::from_bytes(value).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(())
}

fn refuse(refusal: Refusal, envelope: Envelope, table: &Table) -> Answer {
    let mut answer = Response::new(Either::Left(Full::from(refusal.body(envelope, table))));
    if let Ok(status) = StatusCode::from_u16(refusal.status()) {
        *answer.status_mut() = status;
    }
    let headers = answer.headers_mut();
    headers.insert("aegis-error", HeaderValue::from_static(refusal.code()));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-should-retry", HeaderValue::from_static(refusal.should_retry()));
    if let Some(seconds) = refusal.retry_after_s() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// An exchange whose end, however it comes, is settled.
struct Live {
    session: Arc<Session>,
    exchange: Exchange,
    /// What a receipt will say, if one is wanted, until it is signed.
    draft: Option<Draft>,
    receipt: Option<Bytes>,
}

impl Live {
    fn new(session: &Arc<Session>, plan: &Plan<'_>, draft: Option<Draft>) -> Self {
        let (session, exchange) = (Arc::clone(session), Exchange::new(plan));
        Self { session, exchange, draft, receipt: None }
    }

    fn step(&mut self, event: Event<'_>) -> Action {
        let now_ms = START.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        let chunk = if let Event::Chunk(chunk) = event { chunk } else { &[] };
        let step = self.exchange.step(now_ms, event);
        if let Some(draft) = self.draft.take_if(|draft| draft.note(&step, chunk)) {
            self.receipt = draft.finish(&self.session);
        }
        if let Some(usage) = step.settle {
            self.session.enclave.channel.settle(usage);
        }
        step.action
    }

    /// Tells of the provider's head.
    fn head(&mut self, answer: &Response<Incoming>, held: bool) -> Action {
        let (status, headers) = (answer.status(), answer.headers());
        if !head::fits(&fields(headers)) || status.is_informational() {
            return self.step(Event::BadHead);
        }
        let value = |name| headers.get(name).map_or(&[][..], HeaderValue::as_bytes);
        let (content_type, content_encoding) = (value(CONTENT_TYPE), value(CONTENT_ENCODING));
        self.step(Event::Head { status: status.as_u16(), content_type, content_encoding, held })
    }

    fn relay(mut self, upstream: Response<Incoming>) -> Result<Answer, Broken> {
        let (parts, body) = upstream.into_parts();
        let fields = fields(&parts.headers);
        if let Some(draft) = &mut self.draft {
            draft.head(parts.status.as_u16(), &fields);
        }
        let idle = Box::pin(time::sleep(limits::IDLE));
        let mut relay = Relay { body, live: self, idle, ended: false };
        relay.end_if_complete();
        let mut answer = Response::new(Either::Right(relay));
        *answer.status_mut() = parts.status;
        fill(answer.headers_mut(), &head::response_fields(&fields)).ok_or(Broken)?;
        Ok(answer)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.step(Event::ClientGone);
    }
}

/// The provider's body on its way to the client: a chunk that arrives is a chunk that leaves.
pub(crate) struct Relay {
    body: Incoming,
    live: Live,
    idle: Pin<Box<Sleep>>,
    ended: bool,
}

impl Relay {
    /// Whoever reads a body of known length may stop at its last byte, so the end is told as soon
    /// as it is known.
    fn end_if_complete(&mut self) {
        if !self.ended && (self.body.is_end_stream() || self.body.size_hint().exact() == Some(0)) {
            self.ended = true;
            self.live.step(Event::End);
        }
    }

    fn end(&mut self, event: Event<'_>) -> Option<Result<Frame<Bytes>, Broken>> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        match self.live.step(event) {
            Action::Finish => None,
            _ => {
                self.live.receipt = None;
                Some(Err(Broken))
            }
        }
    }

    /// After a clean end, the receipt. HTTP/1.1 has trailers only for those who ask; it is fetched.
    fn trailers(&mut self) -> Option<Frame<Bytes>> {
        let receipt = self.live.receipt.take().filter(|_| self.ended && self.is_http2())?;
        let text: String = receipt.iter().map(|byte| format!("{byte:02x}")).collect();
        let trailer = (HeaderName::from_static("aegis-receipt"), HeaderValue::try_from(text).ok()?);
        Some(Frame::trailers(HeaderMap::from_iter([trailer])))
    }

    fn is_http2(&self) -> bool {
        self.live.session.mode == Mode::Http2
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(this.trailers().map(Ok));
            }
            let frame = match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    ready!(this.idle.as_mut().poll(cx));
                    return Poll::Ready(this.end(Event::Timeout));
                }
            };
            let chunk = match frame {
                Some(Ok(frame)) => frame.into_data(),
                Some(Err(_)) => return Poll::Ready(this.end(Event::Lost)),
                None => {
                    let end = this.end(Event::End);
                    return Poll::Ready(end.or_else(|| this.trailers().map(Ok)));
                }
            };
            // Trailers are not relayed (PROTOCOL.md, section 6).
            let Ok(chunk) = chunk else { continue };
            this.idle.as_mut().reset(time::Instant::now() + limits::IDLE);
            let action = this.live.step(Event::Chunk(&chunk));
            if action != Action::RelayChunk {
                return Poll::Ready(this.end(Event::Lost));
            }
            this.end_if_complete();
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended && (self.live.receipt.is_none() || !self.is_http2())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that did not end well; hyper resets or closes it.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken stream")
    }
}

impl std::error::Error for Broken {}
