//! One request: record it, check its credential, answer it, or do what its behaviour says.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::api;
use crate::api::Knobs;
use crate::api::Operation;
use crate::api::Payload;
use crate::api::Provider;
use crate::api::Refusal;
use crate::api::Reply;
use crate::behavior::Answer;
use crate::behavior::Plan;
use crate::body;
use crate::body::Cut;
use crate::body::MockBody;
use crate::body::Pieces;
use crate::body::Trailers;
use crate::misbehave;
use crate::misbehave::Ended;
use crate::record::BodyRecorder;
use crate::record::HeadRecord;
use crate::record::authority;
use crate::server::MockState;
use crate::wire::WireHandle;

/// The response header (for `echo` the trailer) with the SHA-256 of the request body.
pub const REQUEST_DIGEST_HEADER: &str = "x-mock-request-sha256";

/// The largest body that an API reads; `echo` takes any size.
const MAX_API_BODY_BYTES: usize = 512 * 1024 * 1024;

/// What a request knows of the connection it came on.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: Arc<MockState>,
    pub(crate) number: u64,
    pub(crate) server_name: Option<String>,
    pub(crate) is_http2: bool,
    pub(crate) wire: WireHandle,
    pub(crate) requests: AtomicU64,
}

/// One request on its way through the mock.
struct Exchange {
    connection: Arc<Connection>,
    head: Parts,
    plan: Plan,
    provider: Provider,
    /// The stream's number on HTTP/2, where clients count 1, 3, 5, ...
    stream_id: u32,
    request_id: String,
}

/// Serves one request; an error ends its connection (HTTP/1.1) or stream (HTTP/2).
pub(crate) async fn handle(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<MockBody>, Ended> {
    let (head, incoming) = request.into_parts();
    let index = connection.requests.fetch_add(1, Ordering::SeqCst);
    let state = &connection.state;
    let record = HeadRecord {
        connection: connection.number,
        server_name: connection.server_name.as_deref(),
        head: &head,
    };
    let recorder = if state.config.record {
        state.recorder.begin(record, state.config.keep_body_bytes)
    } else {
        BodyRecorder::digest_only()
    };
    let prefixed = state.config.root.is_none();
    let routed = api::route(&head, &authority(&head), prefixed);
    let planned = Plan::of(&head.headers).map(|plan| match &plan.for_key {
        Some(key) if !api::has_credential(routed.provider, &head, key) => Plan::default(),
        _ => plan,
    });
    let exchange = Exchange {
        plan: planned.clone().unwrap_or_default(),
        provider: routed.provider,
        stream_id: u32::try_from(index * 2 + 1).unwrap_or(u32::MAX),
        request_id: format!("req_mock{}x{index}", connection.number),
        connection: Arc::clone(&connection),
        head,
    };
    exchange.run(incoming, recorder, planned.and(routed.operation)).await
}

impl Exchange {
    async fn run(
        self,
        incoming: Incoming,
        recorder: BodyRecorder,
        operation: Result<Operation, Refusal>,
    ) -> Result<Response<MockBody>, Ended> {
        let wire = &self.connection.wire;
        let keys = &self.connection.state.config.keys;
        let operation = operation.and_then(|operation| {
            // The probe of the root is the one request that needs no key.
            if operation != Operation::Root {
                api::check_credential(self.provider, &self.head, keys)?;
            }
            Ok(operation)
        });
        if operation.is_ok() {
            match self.plan.answer {
                Answer::EarlyClose => return Err(misbehave::early_close(wire)),
                Answer::EndlessHeader if self.connection.is_http2 => {
                    return Err(misbehave::endless_header_http2(wire, self.stream_id).await);
                }
                Answer::EndlessHeader => return Err(misbehave::endless_header_http1(wire).await),
                Answer::Echo => return Ok(self.echo(incoming, recorder)),
                _ => {}
            }
        }
        let body = read(incoming, recorder).await?;
        if operation.is_ok() && self.plan.answer == Answer::Silent {
            std::future::pending::<()>().await;
        }
        if self.plan.interim {
            misbehave::interim_responses(wire, self.http2_stream()).await?;
        }
        let operation = match (operation, body.bytes.len() > MAX_API_BODY_BYTES) {
            (Ok(_), true) => {
                Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large."))
            }
            (operation, _) => operation,
        };
        self.answer(operation, &body).await
    }

    async fn answer(
        self,
        operation: Result<Operation, Refusal>,
        body: &Body,
    ) -> Result<Response<MockBody>, Ended> {
        let mut extra = HeaderMap::new();
        insert(&mut extra, REQUEST_DIGEST_HEADER, &hex::encode(body.digest));
        if operation == Ok(Operation::StartUpload) {
            let url =
                format!("https://{}/upload/v1beta/files?upload_id=mock-1", authority(&self.head));
            insert(&mut extra, "x-goog-upload-url", &url);
            insert(&mut extra, "x-goog-upload-status", "active");
        }
        let knobs = Knobs {
            usage: self.plan.usage,
            thinking: self.plan.thinking,
            call: self.plan.call.clone(),
            id: hex::encode(&body.digest[..6]),
        };
        let reply = match (operation, &self.plan.answer) {
            (Err(refusal), _) => Err(refusal),
            (Ok(_), Answer::Bytes { length_bytes, chunk_bytes, seed, content_length }) => {
                if *content_length {
                    insert(&mut extra, "content-length", &length_bytes.to_string());
                }
                let pieces = body::pseudo_random(*seed, *length_bytes, *chunk_bytes);
                return Ok(self.respond_streamed(pieces, extra, Trailers::default()));
            }
            (Ok(_), Answer::Status { code, retry_after, should_retry }) => {
                for (name, value) in
                    [("retry-after", retry_after), ("x-should-retry", should_retry)]
                {
                    if let Some(value) = value {
                        insert(&mut extra, name, value);
                    }
                }
                Err(Refusal::new(*code, format!("The mock answers {} on demand.", code.as_u16())))
            }
            (Ok(_), Answer::Redirect { code, location }) => {
                insert(&mut extra, "location", location);
                Err(Refusal::new(*code, "The mock redirects on demand."))
            }
            (Ok(operation), _) => api::answer(&operation, &body.bytes, &knobs),
        };
        let reply =
            reply.unwrap_or_else(|refusal| api::refusal(self.provider, &refusal, &self.request_id));
        self.send(reply, extra).await
    }

    async fn send(self, reply: Reply, extra: HeaderMap) -> Result<Response<MockBody>, Ended> {
        let Reply { status, content_type, payload } = reply;
        let config = &self.connection.state.config;
        let mut headers = self.headers(content_type, extra);
        let (pieces, length_bytes) = match payload {
            Payload::Whole(bytes) => {
                let length_bytes = bytes.len();
                (vec![bytes], Some(length_bytes))
            }
            Payload::Pieces(pieces) if self.plan.crlf => (body::with_crlf(pieces), None),
            Payload::Pieces(pieces) => (pieces, None),
        };
        if self.plan.answer == Answer::EofWithoutCloseNotify {
            let wire = &self.connection.wire;
            let http2 = self.http2_stream();
            return Err(misbehave::unfinished_body(wire, http2, content_type, &pieces).await);
        }
        let gzip = config.gzip && accepts_gzip(&self.head.headers);
        if let (Some(length_bytes), false) = (length_bytes, gzip) {
            insert(&mut headers, "content-length", &length_bytes.to_string());
        }
        let mut pieces = body::paced(pieces, config.pace);
        if gzip {
            insert(&mut headers, "content-encoding", "gzip");
            pieces = body::gzip(pieces);
        }
        Ok(self.respond(status, headers, pieces, Trailers::default()))
    }

    fn echo(self, incoming: Incoming, recorder: BodyRecorder) -> Response<MockBody> {
        let trailers = Trailers::default();
        let late = trailers.clone();
        let pieces = body::echo(incoming, recorder, move |digest| {
            let mut map = HeaderMap::new();
            insert(&mut map, REQUEST_DIGEST_HEADER, &hex::encode(digest));
            late.set(map);
        });
        let mut extra = HeaderMap::new();
        insert(&mut extra, "trailer", REQUEST_DIGEST_HEADER);
        if let Some(length) = self.head.headers.get(header::CONTENT_LENGTH) {
            extra.insert("x-mock-content-length", length.clone());
        }
        self.respond_streamed(pieces, extra, trailers)
    }

    fn respond_streamed(
        self,
        pieces: Pieces,
        extra: HeaderMap,
        trailers: Trailers,
    ) -> Response<MockBody> {
        let headers = self.headers("application/octet-stream", extra);
        self.respond(StatusCode::OK, headers, pieces, trailers)
    }

    fn respond(
        self,
        status: StatusCode,
        mut headers: HeaderMap,
        mut pieces: Pieces,
        trailers: Trailers,
    ) -> Response<MockBody> {
        if let Some(size_bytes) = self.plan.split_bytes {
            pieces = body::split(pieces, size_bytes);
        }
        if let Some(ending) = self.plan.ending {
            let Connection { wire, is_http2, .. } = &*self.connection;
            let cut = Cut { ending, wire: wire.clone(), is_http2: *is_http2 };
            pieces = body::cut(pieces, cut);
        }
        if self.plan.trailers {
            // HTTP/1.1 has trailers after chunks only.
            headers.remove(header::CONTENT_LENGTH);
            headers.append(header::TRAILER, HeaderValue::from_static("x-mock-trailer"));
            let mut map = HeaderMap::new();
            insert(&mut map, "x-mock-trailer", "last");
            trailers.set(map);
        }
        let mut response = Response::new(body::streamed(pieces.boxed(), trailers));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn http2_stream(&self) -> Option<u32> {
        self.connection.is_http2.then_some(self.stream_id)
    }

    fn headers(&self, content_type: &str, mut headers: HeaderMap) -> HeaderMap {
        insert(&mut headers, "content-type", content_type);
        misbehave::provider_headers(&mut headers, self.provider, &self.request_id);
        if self.plan.hop_headers && !self.connection.is_http2 {
            misbehave::hop_headers(&mut headers);
        }
        if self.plan.aegis_headers {
            insert(&mut headers, "aegis-foo", "from-the-mock");
            insert(&mut headers, "aegis-request", "18446744073709551615");
        }
        if let Some(size_bytes) = self.plan.huge_header_bytes {
            insert(&mut headers, "x-mock-huge", &"h".repeat(size_bytes));
        }
        headers
    }
}

/// A request body that was read to its end.
struct Body {
    bytes: Vec<u8>,
    digest: [u8; 32],
}

/// Reads and records the whole body, keeping a little more than an API would read.
async fn read(mut incoming: Incoming, mut recorder: BodyRecorder) -> Result<Body, Ended> {
    let mut bytes = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Ended)?;
        if let Some(data) = frame.data_ref() {
            recorder.chunk(data);
            let room = (MAX_API_BODY_BYTES + 1).saturating_sub(bytes.len());
            bytes.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(Body { bytes, digest: recorder.finish() })
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::ACCEPT_ENCODING);
    let mut codings = fields.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| {
        value.split(',').map(|coding| coding.split(';').next().unwrap_or("").trim())
    });
    codings.any(|coding| coding.eq_ignore_ascii_case("gzip"))
}

/// Adds a field whose value the mock made itself or took from a request header, so that it is
/// always valid.
pub(crate) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
