//! The native APIs: which one a request means, its credential form, its errors, its answers.

mod anthropic;
mod gemini;
mod openai_chat;
mod openai_other;
mod openai_responses;
mod prompt;
mod route;

use http::StatusCode;
use serde_json::Value;
use serde_json::json;

pub use self::anthropic::thinking_signature;
pub(crate) use self::prompt::Scripted;
pub use self::prompt::THINKING_TEXT;
pub(crate) use self::prompt::UsageMode;
pub use self::prompt::count_tokens;
pub(crate) use self::route::Operation;
pub(crate) use self::route::check_credential;
pub(crate) use self::route::has_credential;
pub(crate) use self::route::route;

/// Whose API a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `/v1/chat/completions`, `/v1/responses`, ...
    OpenAi,
    /// `/v1/messages`, ...
    Anthropic,
    /// `/v1beta/models/...`
    Gemini,
    /// `/api/v1/chat/completions`, ...
    OpenRouter,
}

/// What the behaviours change in an API's answer, and what makes its ids.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) usage: UsageMode,
    pub(crate) thinking: bool,
    /// The only tool call that the answer may hold.
    pub(crate) call: Option<Scripted>,
    /// Twelve hexadecimal digits from the request's digest: equal requests, equal answers.
    pub(crate) id: String,
}

/// An answer before any behaviour touches it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) payload: Payload,
}

/// A body in one piece, or in the pieces in which the provider would send it.
#[derive(Debug)]
pub(crate) enum Payload {
    Whole(Vec<u8>),
    Pieces(Vec<Vec<u8>>),
}

impl Reply {
    fn json(value: &Value) -> Self {
        Self::whole(StatusCode::OK, value.to_string().into_bytes())
    }

    fn whole(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, content_type: "application/json", payload: Payload::Whole(body) }
    }

    fn events(events: Vec<Vec<u8>>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/event-stream; charset=utf-8",
            payload: Payload::Pieces(events),
        }
    }
}

/// Why an API refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// Carries out `operation` on a request body.
pub(crate) fn answer(operation: &Operation, body: &[u8], knobs: &Knobs) -> Result<Reply, Refusal> {
    match operation {
        Operation::ChatCompletions { provider } => {
            openai_chat::answer(&parse(body)?, *provider, knobs)
        }
        Operation::Responses => openai_responses::answer(&parse(body)?, knobs),
        Operation::Embeddings => openai_other::embeddings(&parse(body)?),
        Operation::Models { provider, id } => openai_other::models(*provider, id.as_deref()),
        Operation::Messages => anthropic::messages(&parse(body)?, knobs),
        Operation::CountMessageTokens => anthropic::count(&parse(body)?),
        Operation::Generate { model } => gemini::generate(&parse(body)?, model, knobs),
        Operation::StreamGenerate { model, sse } => {
            gemini::stream(&parse(body)?, model, *sse, knobs)
        }
        Operation::Stored { method, path } => Ok(Reply::json(&json!({
            "object": "mock.stored", "method": method.as_str(), "path": path, "bytes": body.len(),
        }))),
        Operation::StartUpload => Ok(Reply::json(&json!({}))),
        Operation::CountContentTokens => gemini::count(&parse(body)?),
        Operation::Root => Ok(Reply::whole(StatusCode::OK, Vec::new())),
    }
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("The body is not valid JSON: {error}.")))?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Refusal::bad("The body must be a JSON object."))
}

/// A refusal in the provider's own envelope.
pub(crate) fn refusal(provider: Provider, refusal: &Refusal, request_id: &str) -> Reply {
    let Refusal { status, message } = refusal;
    let kind = error_kind(provider, *status);
    let envelope = match provider {
        Provider::OpenAi => json!({
            "error": {"message": message, "type": kind, "param": null, "code": openai_code(*status)}
        }),
        Provider::Anthropic => json!({
            "type": "error",
            "error": {"type": kind, "message": message},
            "request_id": request_id
        }),
        Provider::Gemini => json!({
            "error": {"code": status.as_u16(), "message": message, "status": kind}
        }),
        Provider::OpenRouter => json!({
            "error": {"code": status.as_u16(), "message": message}
        }),
    };
    Reply::whole(*status, envelope.to_string().into_bytes())
}

fn openai_code(status: StatusCode) -> Value {
    match status.as_u16() {
        401 => json!("invalid_api_key"),
        404 => json!("not_found"),
        429 => json!("rate_limit_exceeded"),
        _ => Value::Null,
    }
}

fn error_kind(provider: Provider, status: StatusCode) -> &'static str {
    match (provider, status.as_u16()) {
        (Provider::Anthropic, 401) => "authentication_error",
        (Provider::Anthropic, 403) => "permission_error",
        (Provider::Anthropic, 404) => "not_found_error",
        (Provider::Anthropic, 413) => "request_too_large",
        (Provider::Anthropic, 429) => "rate_limit_error",
        (Provider::Anthropic, 529) => "overloaded_error",
        (Provider::Anthropic, 500..) => "api_error",
        (Provider::Anthropic, _) => "invalid_request_error",
        (Provider::Gemini, 401) => "UNAUTHENTICATED",
        (Provider::Gemini, 403) => "PERMISSION_DENIED",
        (Provider::Gemini, 404) => "NOT_FOUND",
        (Provider::Gemini, 429) => "RESOURCE_EXHAUSTED",
        (Provider::Gemini, 503) => "UNAVAILABLE",
        (Provider::Gemini, 500..) => "INTERNAL",
        (Provider::Gemini, _) => "INVALID_ARGUMENT",
        (_, 429) => "rate_limit_error",
        (_, 500..) => "server_error",
        (_, _) => "invalid_request_error",
    }
}

/// One server-sent event; the name line is left out when the API has none.
fn event(name: Option<&str>, data: &Value) -> Vec<u8> {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n").into_bytes(),
        None => format!("data: {data}\n\n").into_bytes(),
    }
}

/// Reads the text of a `model` field.
fn model_of(request: &Value) -> Result<String, Refusal> {
    request["model"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Refusal::bad("The field 'model' is missing or not a string."))
}

/// `created` and its like: a fixed time, so that equal requests have equal answers.
const CREATED: u64 = 1_790_000_000;
