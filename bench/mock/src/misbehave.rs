//! What a provider's server sends beside the answer, and the wrong things it may do below HTTP.

use http::HeaderMap;

use crate::api::Provider;
use crate::service::insert;
use crate::wire::WireHandle;

/// An endless header stops here at the latest: no client may read so far.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;
/// The size of one field of it, and of one CONTINUATION frame.
const ENDLESS_FIELD_BYTES: usize = 1024;

/// The exchange is over without a (further) answer.
#[derive(Debug)]
pub(crate) struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mock ended the exchange")
    }
}

impl std::error::Error for Ended {}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Request number and rate limits as the real servers tell them.
pub(crate) fn provider_headers(headers: &mut HeaderMap, provider: Provider, request_id: &str) {
    match provider {
        Provider::OpenAi => {
            insert(headers, "x-request-id", request_id);
            insert(headers, "openai-version", "2020-10-01");
            insert(headers, "openai-processing-ms", "1");
            insert(headers, "x-ratelimit-limit-requests", "10000");
            insert(headers, "x-ratelimit-remaining-requests", "9999");
        }
        Provider::Anthropic => {
            insert(headers, "request-id", request_id);
            insert(headers, "anthropic-ratelimit-requests-limit", "4000");
            insert(headers, "anthropic-ratelimit-requests-remaining", "3999");
        }
        Provider::Gemini => {
            insert(headers, "x-request-id", request_id);
            insert(headers, "server-timing", "gfet4t7; dur=1");
        }
        Provider::OpenRouter => insert(headers, "x-request-id", request_id),
    }
}

/// Fields that concern one hop only and must not be relayed.
pub(crate) fn hop_headers(headers: &mut HeaderMap) {
    insert(headers, "connection", "keep-alive, x-mock-hop");
    insert(headers, "x-mock-hop", "for one hop");
    insert(headers, "keep-alive", "timeout=5, max=100");
    insert(headers, "proxy-connection", "keep-alive");
    insert(headers, "proxy-authenticate", "Basic realm=\"mock\"");
    insert(headers, "upgrade", "mock/1");
    insert(headers, "te", "trailers");
}

/// Ends the connection before any byte of a head.
pub(crate) fn early_close(wire: &WireHandle) -> Ended {
    wire.close_without_notify();
    Ended
}

/// Writes header fields until the client leaves.
pub(crate) async fn endless_header_http1(wire: &WireHandle) -> Ended {
    let field = format!("x-endless: {}\r\n", "e".repeat(ENDLESS_FIELD_BYTES));
    let mut next = "HTTP/1.1 200 OK\r\n";
    for _ in 0..ENDLESS_BYTES / ENDLESS_FIELD_BYTES {
        if wire.write_raw(next.as_bytes()).await.is_err() {
            break;
        }
        next = &field;
    }
    wire.close_without_notify();
    Ended
}

/// The same as HEADERS and CONTINUATION frames none of which ends the header block.
pub(crate) async fn endless_header_http2(wire: &WireHandle, stream_id: u32) -> Ended {
    let field = hpack_literal("x-endless", &"e".repeat(100)).repeat(ENDLESS_FIELD_BYTES / 100);
    // Index 8 of the static table is `:status: 200`.
    let mut next = http2_frame(HEADERS, 0, stream_id, &[0x88]);
    let continuation = http2_frame(CONTINUATION, 0, stream_id, &field);
    for _ in 0..ENDLESS_BYTES / ENDLESS_FIELD_BYTES {
        if wire.write_raw(&next).await.is_err() {
            break;
        }
        next.clone_from(&continuation);
    }
    wire.close_without_notify();
    Ended
}

/// Sends `100 Continue` and `103 Early Hints`; `http2` is the number of the stream.
pub(crate) async fn interim_responses(wire: &WireHandle, http2: Option<u32>) -> Result<(), Ended> {
    let hint = "</mock.css>; rel=preload";
    let Some(stream_id) = http2 else {
        let text = format!(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: {hint}\r\n\r\n"
        );
        return Ok(wire.write_raw(text.as_bytes()).await?);
    };
    let first = hpack_status("100");
    let second = [hpack_status("103"), hpack_literal("link", hint)].concat();
    let frames = [
        http2_frame(HEADERS, END_HEADERS, stream_id, &first),
        http2_frame(HEADERS, END_HEADERS, stream_id, &second),
    ];
    Ok(wire.write_raw(&frames.concat()).await?)
}

/// A body that only the end of the connection ends, and that end without TLS's close_notify: a
/// client cannot tell it from an attacker's cut. On HTTP/2 the DATA frame lacks END_STREAM.
pub(crate) async fn unfinished_body(
    wire: &WireHandle,
    http2: Option<u32>,
    content_type: &str,
    pieces: &[Vec<u8>],
) -> Ended {
    let body = pieces.concat();
    let bytes = match http2 {
        None => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"
            );
            [head.into_bytes(), body].concat()
        }
        Some(stream_id) => {
            let head = [vec![0x88], hpack_literal("content-type", content_type)].concat();
            let mut frames = http2_frame(HEADERS, END_HEADERS, stream_id, &head);
            for part in body.chunks(HTTP2_FRAME_BYTES) {
                frames.extend(http2_frame(DATA, 0, stream_id, part));
            }
            frames
        }
    };
    // When the client has left already there is nobody to mislead.
    let _ = wire.write_raw(&bytes).await;
    wire.close_without_notify();
    Ended
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// The frame size that every HTTP/2 peer accepts (RFC 9113, section 4.2).
const HTTP2_FRAME_BYTES: usize = 16_384;

fn http2_frame(kind: u8, flags: u8, stream_id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream_id.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field without indexing and without Huffman code (RFC 7541, section 6.2.2), so that hyper's
/// own compression state stays as it is. Name and value are under 127 bytes.
fn hpack_literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0, name.len() as u8];
    field.extend(name.as_bytes());
    field.push(value.len() as u8);
    field.extend(value.as_bytes());
    field
}

/// `:status` by its index 8 in the static table, the value as a literal.
fn hpack_status(code: &str) -> Vec<u8> {
    [&[8, code.len() as u8], code.as_bytes()].concat()
}
