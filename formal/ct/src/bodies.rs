//! Answers as providers send them, in every encoding that the meter decodes, and broken ones.

/// An answer's body with the two fields of its head that the meter reads.
pub(crate) struct Body {
    pub(crate) content_type: &'static [u8],
    pub(crate) content_encoding: &'static [u8],
    pub(crate) bytes: Vec<u8>,
}

const TEXT: &[u8] = br#"{"id":"made-up","model":"model-made-up","choices":[{"message":{"content":"caf\u00e9"}}],
"usage":{"prompt_tokens":12,"completion_tokens":34,"total_tokens":46,"prompt_tokens_details":{"cached_tokens":5}}}"#;
const STREAM: &[u8] = b"data: {\"model\":\"model-made-up\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\n\r\n\
: ping\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34}}\n\ndata: [DONE]\n\n";
/// `TEXT` by gzip 1.12, brotli 1.0.9 and zstd 1.5.4.
const GZIP: &[u8] = include_bytes!("../data/text.gz");
const BROTLI: &[u8] = include_bytes!("../data/text.br");
const ZSTD: &[u8] = include_bytes!("../data/text.zst");

const JSON: &[u8] = b"application/json";
const EVENTS: &[u8] = b"text/event-stream; charset=utf-8";

pub(crate) fn all() -> Vec<Body> {
    let body = |content_type, content_encoding, bytes: &[u8]| Body {
        content_type,
        content_encoding,
        bytes: bytes.to_vec(),
    };
    vec![
        body(JSON, b"", TEXT),
        body(EVENTS, b"", STREAM),
        body(JSON, b"gzip", GZIP),
        body(JSON, b"br", BROTLI),
        body(JSON, b"zstd", ZSTD),
        // Not what the head says, cut short, of an encoding that nobody knows, and no JSON at all.
        body(JSON, b"gzip", TEXT),
        body(JSON, b"", &TEXT[..TEXT.len() / 2]),
        body(JSON, b"made-up", TEXT),
        body(EVENTS, b"", &[0xff; 100]),
    ]
}
