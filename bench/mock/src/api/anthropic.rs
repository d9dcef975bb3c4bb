//! Anthropic Messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use super::Knobs;
use super::Refusal;
use super::Reply;
use super::UsageMode;
use super::event;
use super::model_of;
use super::prompt::Cache;
use super::prompt::Output;
use super::prompt::Prompt;
use super::prompt::Turn;
use super::prompt::pieces;

/// The signature of a thinking block. A block that comes back in a later request must carry it
/// unchanged, as with the real API.
pub fn thinking_signature(thinking: &str) -> String {
    let digest = Sha256::new().chain_update("aegis-mock thinking").chain_update(thinking);
    STANDARD.encode(digest.finalize())
}

pub(super) fn messages(request: &Value, knobs: &Knobs) -> Result<Reply, Refusal> {
    if !request["max_tokens"].is_u64() {
        return Err(Refusal::bad("max_tokens: Field required"));
    }
    let turn = prompt(request)?.into_turn(model_of(request)?, knobs);
    let message = Message { turn: &turn, knobs };
    if request["stream"] == json!(true) {
        return Ok(Reply::events(message.stream()));
    }
    Ok(Reply::json(&message.whole()))
}

/// Counts all input, in the cache or not.
pub(super) fn count(request: &Value) -> Result<Reply, Refusal> {
    model_of(request)?;
    Ok(Reply::json(&json!({"input_tokens": prompt(request)?.counts().input()})))
}

fn prompt(request: &Value) -> Result<Prompt, Refusal> {
    let messages =
        request["messages"].as_array().ok_or_else(|| Refusal::bad("messages: Field required"))?;
    let mut prompt = Prompt::default();
    for block in blocks(&request["system"]) {
        prompt.background(block.text, block.cache);
    }
    for message in messages {
        add_message(&mut prompt, message)?;
    }
    if request["tool_choice"]["type"] != json!("none") {
        for tool in request["tools"].as_array().into_iter().flatten() {
            prompt.offer(tool["name"].as_str(), &tool["input_schema"]);
        }
    }
    let thinking = request["thinking"]["type"].as_str();
    prompt.thinking = matches!(thinking, Some("enabled" | "adaptive"));
    Ok(prompt)
}

fn add_message(prompt: &mut Prompt, message: &Value) -> Result<(), Refusal> {
    for part in message["content"].as_array().into_iter().flatten() {
        if part["type"] == json!("thinking") {
            check_signature(part)?;
        }
        if part["type"] == json!("tool_result") {
            for block in blocks(&part["content"]) {
                prompt.foreground(block.text, block.cache, true);
            }
        }
    }
    for block in blocks(&message["content"]) {
        match message["role"].as_str() {
            Some("user") => prompt.foreground(block.text, block.cache, false),
            _ => prompt.background(block.text, block.cache),
        }
    }
    Ok(())
}

fn check_signature(block: &Value) -> Result<(), Refusal> {
    let thinking = block["thinking"].as_str().unwrap_or("");
    if block["signature"].as_str() == Some(&thinking_signature(thinking)) {
        return Ok(());
    }
    Err(Refusal::bad("Invalid `signature` in `thinking` block"))
}

struct Block<'a> {
    text: &'a str,
    cache: Option<Cache>,
}

/// The text blocks of a `content` or `system` field.
fn blocks(content: &Value) -> Vec<Block<'_>> {
    match content {
        Value::String(text) => vec![Block { text, cache: None }],
        Value::Array(parts) => parts
            .iter()
            .filter(|part| part["type"] == json!("text"))
            .filter_map(|part| Some(Block { text: part["text"].as_str()?, cache: cache(part) }))
            .collect(),
        _ => Vec::new(),
    }
}

fn cache(part: &Value) -> Option<Cache> {
    part["cache_control"].as_object()?;
    let hour = part["cache_control"]["ttl"] == json!("1h");
    Some(if hour { Cache::Write1Hour } else { Cache::Write5Minutes })
}

struct Message<'a> {
    turn: &'a Turn,
    knobs: &'a Knobs,
}

impl Message<'_> {
    fn whole(&self) -> Value {
        let mut message = self.frame(self.content());
        message["stop_reason"] = json!(self.stop_reason());
        if self.knobs.usage != UsageMode::Never {
            message["usage"] = self.usage(self.turn.counts.output_with_thinking());
        }
        message
    }

    fn frame(&self, content: Vec<Value>) -> Value {
        json!({
            "id": format!("msg_mock{}", self.knobs.id), "type": "message", "role": "assistant",
            "model": self.turn.model, "content": content, "stop_reason": null,
            "stop_sequence": null
        })
    }

    fn content(&self) -> Vec<Value> {
        let thinking = self.turn.thinking.map(|text| {
            json!({"type": "thinking", "thinking": text, "signature": thinking_signature(text)})
        });
        let output = match &self.turn.output {
            Output::Text(text) => json!({"type": "text", "text": text}),
            Output::Call { name, arguments } => json!({
                "type": "tool_use", "id": self.call_id(), "name": name, "input": arguments
            }),
        };
        thinking.into_iter().chain([output]).collect()
    }

    fn stream(&self) -> Vec<Vec<u8>> {
        let mut start = self.frame(Vec::new());
        if self.knobs.usage != UsageMode::Never {
            start["usage"] = self.usage(1);
        }
        let mut events = Events(Vec::new());
        events.push("message_start", json!({"message": start}));
        let mut index = 0;
        if let Some(text) = self.turn.thinking {
            events.thinking_block(index, text);
            index += 1;
        }
        self.output_block(&mut events, index);
        if self.knobs.usage == UsageMode::Twice {
            events.push("message_delta", self.delta(Value::Null, 1));
        }
        let stop = json!(self.stop_reason());
        events.push("message_delta", self.delta(stop, self.turn.counts.output_with_thinking()));
        events.push("message_stop", json!({}));
        events.0
    }

    fn output_block(&self, events: &mut Events, index: u64) {
        let (empty, kind, field, text) = match &self.turn.output {
            Output::Text(text) => {
                (json!({"type": "text", "text": ""}), "text_delta", "text", text.clone())
            }
            Output::Call { name, arguments } => (
                json!({"type": "tool_use", "id": self.call_id(), "name": name, "input": {}}),
                "input_json_delta",
                "partial_json",
                arguments.to_string(),
            ),
        };
        events.push("content_block_start", json!({"index": index, "content_block": empty}));
        events.push("ping", json!({}));
        for piece in pieces(&text) {
            events.delta(index, json!({"type": kind, field: piece}));
        }
        events.push("content_block_stop", json!({"index": index}));
    }

    fn delta(&self, stop_reason: Value, output_tokens: u64) -> Value {
        let mut delta = json!({"delta": {"stop_reason": stop_reason, "stop_sequence": null}});
        if self.knobs.usage != UsageMode::Never {
            delta["usage"] = json!({"output_tokens": output_tokens});
        }
        delta
    }

    fn stop_reason(&self) -> &'static str {
        match self.turn.output {
            Output::Text(_) => "end_turn",
            Output::Call { .. } => "tool_use",
        }
    }

    fn call_id(&self) -> String {
        format!("toolu_mock{}", self.knobs.id)
    }

    fn usage(&self, output_tokens: u64) -> Value {
        let counts = self.turn.counts;
        json!({
            "input_tokens": counts.input_outside_cache,
            "cache_creation_input_tokens": counts.cache_write(),
            "cache_read_input_tokens": counts.cache_read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": counts.cache_write_5_minutes,
                "ephemeral_1h_input_tokens": counts.cache_write_1_hour
            },
            "output_tokens": output_tokens,
            "service_tier": "standard"
        })
    }
}

struct Events(Vec<Vec<u8>>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value) {
        data["type"] = json!(kind);
        self.0.push(event(Some(kind), &data));
    }

    fn delta(&mut self, index: u64, delta: Value) {
        self.push("content_block_delta", json!({"index": index, "delta": delta}));
    }

    fn thinking_block(&mut self, index: u64, text: &str) {
        let empty = json!({"type": "thinking", "thinking": "", "signature": ""});
        self.push("content_block_start", json!({"index": index, "content_block": empty}));
        for piece in pieces(text) {
            self.delta(index, json!({"type": "thinking_delta", "thinking": piece}));
        }
        let signature = thinking_signature(text);
        self.delta(index, json!({"type": "signature_delta", "signature": signature}));
        self.push("content_block_stop", json!({"index": index}));
    }
}
