//! Embeddings, and the model listings of all providers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::CREATED;
use super::Provider;
use super::Refusal;
use super::Reply;
use super::model_of;
use super::prompt::count_tokens;

/// Every embedding has this many numbers.
const DIMENSIONS: usize = 8;

pub(super) fn embeddings(request: &Value) -> Result<Reply, Refusal> {
    let model = model_of(request)?;
    let texts: Vec<&str> = match &request["input"] {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Refusal::bad("The field 'input' is missing or not a text.")),
    };
    let as_base64 = request["encoding_format"] == json!("base64");
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            json!({"object": "embedding", "index": index, "embedding": embed(text, as_base64)})
        })
        .collect();
    let tokens: u64 = texts.iter().map(|text| count_tokens(text)).sum();
    Ok(Reply::json(&json!({
        "object": "list", "data": data, "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens}
    })))
}

/// The first number is the count of tokens, the second of bytes, the others are one half.
fn embed(text: &str, as_base64: bool) -> Value {
    let mut vector = [0.5_f32; DIMENSIONS];
    vector[0] = count_tokens(text) as f32;
    vector[1] = text.len() as f32;
    if !as_base64 {
        return json!(vector);
    }
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

/// The listing of a provider, or one entry of it.
pub(super) fn models(provider: Provider, id: Option<&str>) -> Result<Reply, Refusal> {
    let names: &[&str] = match provider {
        Provider::OpenAi => &["gpt-mock", "gpt-mock-mini"],
        Provider::Anthropic => &["claude-mock", "claude-mock-mini"],
        Provider::Gemini => &["gemini-mock", "gemini-mock-mini"],
        Provider::OpenRouter => &["mock/gpt-mock", "mock/claude-mock"],
    };
    match id {
        None => Ok(Reply::json(&listing(provider, names))),
        Some(id) if names.contains(&id) => Ok(Reply::json(&model(provider, id))),
        Some(id) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, format!("The model '{id}' does not exist.")))
        }
    }
}

fn listing(provider: Provider, names: &[&str]) -> Value {
    let all: Vec<Value> = names.iter().map(|name| model(provider, name)).collect();
    match provider {
        Provider::OpenAi => json!({"object": "list", "data": all}),
        Provider::Anthropic => json!({
            "data": all, "has_more": false, "first_id": names.first(), "last_id": names.last()
        }),
        Provider::Gemini => json!({"models": all}),
        Provider::OpenRouter => json!({"data": all}),
    }
}

fn model(provider: Provider, id: &str) -> Value {
    match provider {
        Provider::OpenAi => {
            json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock"})
        }
        Provider::Anthropic => json!({
            "type": "model", "id": id, "display_name": id, "created_at": "2026-10-21T00:00:00Z",
            "lifecycle": "active"
        }),
        Provider::Gemini => json!({
            "name": format!("models/{id}"), "version": "001", "displayName": id,
            "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"]
        }),
        Provider::OpenRouter => json!({
            "id": id, "name": id, "created": CREATED, "context_length": 1_048_576,
            "pricing": {"prompt": "0", "completion": "0"}
        }),
    }
}
