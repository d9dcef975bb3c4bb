//! One request: carries out what `aegis_core::Exchange` says, exhaustively, and decides nothing.

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use aegis_core::head::{self, Field};
use aegis_core::{Action, Event, Exchange, Plan, Refusal, plan};
use aegis_wire::control::Grant;
use aegis_wire::receipt::{ANSWER_CUT, NO_ANSWER};
use aegis_wire::session::{ACCOUNT_PATH, Mode, RECEIPT_PATH};
use aegis_wire::{limits, table::Envelope, table::Table};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time;

use crate::outgoing::{Outgoing, Upload};
use crate::receipt::Draft;
use crate::session::Session;
use crate::upstream::{Dialer, Failure};

/// Start of the monotonic clock that exchanges are told.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) type Answer = Response<Either<Full<Bytes>, Relay>>;

/// Answers one request, on a task of its own: what was sent is followed to its end when the client,
/// and this future with it, is gone.
pub(crate) async fn handle(
    session: Arc<Session>,
    request: Request<Incoming>,
) -> Result<Answer, Broken> {
    let (gone, _here) = mpsc::channel(1);
    tokio::spawn(answer(session, request, gone)).await.unwrap_or(Err(Broken))
}

async fn answer(
    session: Arc<Session>,
    request: Request<Incoming>,
    gone: Sender<Infallible>,
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
            run(Live::new(&session, &plan, draft), &plan, name.count, body, gone).await?
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
    gone: Sender<Infallible>,
) -> Result<Answer, Broken> {
    let session = live.session.clone();
    let enclave = session.enclave;
    let copies = plan.replayable().then_some(&enclave.copies);
    let body = Outgoing::new(body, copies, live.draft.as_ref().map(Draft::sent));
    let (mut answer, mut instead) = (None, None);
    loop {
        let question = (number, live.exchange.attempt());
        let asked = tokio::select! {
            asked = enclave.channel.ask(plan, &session, question) => asked,
            () = gone.closed() => return Err(Broken),
        };
        let (event, grant) = match asked {
            Ok(grant) => (Event::Granted(grant.grant), Some(grant)),
            Err(event) => (event, None),
        };
        let mut action = live.step(event);
        if let Some(grant) = grant.filter(|_| action == Action::Send) {
            let head = live.send(plan, grant, &body, &gone).await?;
            action = match head {
                Ok(head) => live.head(answer.insert(head), body.held(true)),
                Err(failure) => {
                    instead = failure.refusal;
                    live.step(failure.event)
                }
            };
        }
        match action {
            Action::Retry => {}
            Action::Answer(refusal) => {
                let refusal = match instead {
                    Some(instead) if refusal == Refusal::UpstreamUnreachable => instead,
                    _ => refusal,
                };
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
    /// Whether the books gain from an answer that nobody waits for.
    metered: bool,
    /// What a receipt will say, if one is wanted, until it is signed.
    draft: Option<Draft>,
    receipt: Option<Bytes>,
}

impl Live {
    fn new(session: &Arc<Session>, plan: &Plan<'_>, draft: Option<Draft>) -> Self {
        let (session, exchange) = (Arc::clone(session), Exchange::new(plan));
        let metered = plan.endpoint.meter.is_some();
        Self { session, exchange, metered, draft, receipt: None }
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

    /// Sends the request under a grant and waits for a head; for a while also when the client is
    /// gone, once all of a metered request has left.
    async fn send(
        &mut self,
        plan: &Plan<'_>,
        grant: Grant,
        body: &Outgoing,
        gone: &Sender<Infallible>,
    ) -> Result<Result<Response<Incoming>, Failure>, Broken> {
        let session = self.session.clone();
        let account = (plan.custody, plan.owner, grant.account);
        let Some(credential) = session.enclave.credential(plan, grant) else {
            // The host chose an account that is not here: no byte leaves, as without a connection.
            return Ok(Err(Failure::unreachable(body.held(false), Refusal::AccountMissing)));
        };
        let dialer = Dialer { enclave: session.enclave, provider: plan.index };
        let request = upstream_request(plan, &credential, body.upload()).ok_or(Broken)?;
        let mut head = pin!(session.upstreams.send(dialer, account, request, body));
        tokio::select! {
            head = &mut head => return Ok(head),
            () = gone.closed() => {}
        }
        body.forget();
        self.draft.iter_mut().for_each(|draft| draft.left(NO_ANSWER));
        if !self.metered || !body.is_sent() {
            return Err(Broken);
        }
        time::timeout(limits::DRAIN, head).await.map_err(|_| Broken)
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
        self.metered &= parts.status.is_success();
        let trailers = self.draft.is_some() && self.session.mode == Mode::Http2;
        let left = if is_over(&body) { Some(0) } else { body.size_hint().exact() };
        let (client, chunks) = mpsc::channel(1);
        if is_over(&body) {
            // Known before the head leaves, and so is the receipt.
            self.step(Event::End);
            client.try_send(self.trailers()).map_err(|_| Broken)?;
        } else {
            tokio::spawn(self.follow(body, client));
        }
        let mut answer =
            Response::new(Either::Right(Relay { chunks, left, trailers, ended: false }));
        *answer.status_mut() = parts.status;
        fill(answer.headers_mut(), &head::response_fields(&fields)).ok_or(Broken)?;
        Ok(answer)
    }

    /// Passes the body on: a chunk that arrives is a chunk that leaves, and the next is read when
    /// the client took it. Whoever holds it up for too long, the client or the provider, ends it.
    async fn follow(mut self, mut body: Incoming, client: Sender<Frame<Bytes>>) {
        let event = loop {
            let next = async {
                let place = client.reserve().await.ok()?;
                tokio::select! {
                    frame = body.frame() => Some((place, frame)),
                    () = client.closed() => None,
                }
            };
            let (place, frame) = match time::timeout(limits::IDLE, next).await {
                Ok(Some(next)) => next,
                Ok(None) => break self.drain(&mut body).await,
                Err(_) => break Event::Timeout,
            };
            // Trailers are not relayed (PROTOCOL.md, section 6).
            let chunk = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => chunk,
                Some(Ok(Err(_))) => continue,
                Some(Err(_)) => break Event::Lost,
                None => break Event::End,
            };
            if self.step(Event::Chunk(&chunk)) != Action::RelayChunk {
                break Event::Lost;
            }
            // Whoever reads a body of known length may stop at its last byte, so the end is told
            // before that leaves.
            let over = is_over(&body) && self.step(Event::End) == Action::Finish;
            place.send(Frame::data(chunk));
            if over {
                let _ = client.send(self.trailers()).await;
                return;
            }
        };
        if self.step(event) == Action::Finish {
            let _ = client.send(self.trailers()).await;
        }
    }

    /// Reads on, within bounds, what the client left: it tells what was spent.
    async fn drain(&mut self, body: &mut Incoming) -> Event<'static> {
        self.draft.iter_mut().for_each(|draft| draft.left(ANSWER_CUT));
        if !self.metered {
            return Event::ClientGone;
        }
        let rest = async {
            let mut room = limits::DRAIN_BYTES;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return Event::Lost };
                let chunk = frame.into_data().unwrap_or_default();
                self.step(Event::Chunk(&chunk));
                match room.checked_sub(chunk.len()) {
                    Some(less) if !is_over(body) => room = less,
                    Some(_) => return Event::End,
                    None => return Event::ClientGone,
                }
            }
            Event::End
        };
        time::timeout(limits::DRAIN, rest).await.unwrap_or(Event::ClientGone)
    }

    /// What says that the end was clean: a receipt, or nothing. HTTP/1.1 has trailers only for those
    /// who ask; there it is fetched.
    fn trailers(&mut self) -> Frame<Bytes> {
        let receipt = self.receipt.take().filter(|_| self.session.mode == Mode::Http2);
        let text =
            receipt.map(|receipt| receipt.iter().map(|byte| format!("{byte:02x}")).collect());
        let value = text.and_then(|text: String| HeaderValue::try_from(text).ok());
        let trailer = value.map(|value| (HeaderName::from_static("aegis-receipt"), value));
        Frame::trailers(HeaderMap::from_iter(trailer))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.step(Event::ClientGone);
    }
}

/// Whether nothing of a body is to come.
fn is_over(body: &Incoming) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// The provider's body on its way to the client. It ends cleanly only where trailers say so, which
/// may be empty: a channel that just closes is a broken stream.
pub(crate) struct Relay {
    chunks: Receiver<Frame<Bytes>>,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    /// Whether a receipt comes behind them.
    trailers: bool,
    ended: bool,
}

impl Body for Relay {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.chunks.poll_recv(cx));
        if let Some(chunk) = frame.as_ref().and_then(Frame::data_ref) {
            let bytes = chunk.len() as u64;
            self.left = self.left.map(|left| left.saturating_sub(bytes));
            return Poll::Ready(frame.map(Ok));
        }
        self.ended = true;
        let trailers = frame.ok_or(Broken);
        let empty = |frame: &Frame<_>| frame.trailers_ref().is_none_or(HeaderMap::is_empty);
        Poll::Ready(Some(trailers).filter(|end| !end.as_ref().is_ok_and(empty)))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.left == Some(0) && !self.trailers
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
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
