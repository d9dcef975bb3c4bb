//! OpenAI Chat Completions, and OpenRouter's variant of it.

use serde_json::Value;
use serde_json::json;

use super::CREATED;
use super::Knobs;
use super::Provider;
use super::Refusal;
use super::Reply;
use super::UsageMode;
use super::event;
use super::model_of;
use super::prompt::Output;
use super::prompt::Prompt;
use super::prompt::Turn;
use super::prompt::pieces;

pub(super) fn answer(request: &Value, provider: Provider, knobs: &Knobs) -> Result<Reply, Refusal> {
    let turn = prompt(request)?.into_turn(model_of(request)?, knobs);
    let chat = Chat { turn: &turn, provider, knobs };
    if request["stream"] != json!(true) {
        return Ok(Reply::json(&chat.completion()));
    }
    let include_usage = request["stream_options"]["include_usage"] == json!(true);
    // OpenRouter tells usage in every stream.
    Ok(Reply::events(chat.stream(include_usage || provider == Provider::OpenRouter)))
}

fn prompt(request: &Value) -> Result<Prompt, Refusal> {
    let messages = request["messages"]
        .as_array()
        .ok_or_else(|| Refusal::bad("The field 'messages' is missing or not an array."))?;
    let mut prompt = Prompt::default();
    for message in messages {
        let role = message["role"].as_str().unwrap_or("");
        for text in texts(&message["content"]) {
            match role {
                "user" | "tool" => prompt.foreground(text, None, role == "tool"),
                _ => prompt.background(text, None),
            }
        }
    }
    if request["tool_choice"] != json!("none") {
        for tool in request["tools"].as_array().into_iter().flatten() {
            prompt.offer(tool["function"]["name"].as_str(), &tool["function"]["parameters"]);
        }
    }
    prompt.thinking = request["reasoning_effort"].is_string() || request["reasoning"].is_object();
    Ok(prompt)
}

/// The texts of a `content` field: a string, or an array of parts.
pub(super) fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}

struct Chat<'a> {
    turn: &'a Turn,
    provider: Provider,
    knobs: &'a Knobs,
}

impl Chat<'_> {
    fn completion(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": null, "refusal": null});
        match &self.turn.output {
            Output::Text(text) => message["content"] = json!(text),
            Output::Call { name, arguments } => {
                message["tool_calls"] = json!([{
                    "id": self.call_id(), "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}
                }]);
            }
        }
        if let (Provider::OpenRouter, Some(thinking)) = (self.provider, self.turn.thinking) {
            message["reasoning"] = json!(thinking);
        }
        let mut completion = self.frame(
            "chat.completion",
            json!([{
                "index": 0, "message": message, "logprobs": null, "finish_reason": self.finish()
            }]),
        );
        if self.knobs.usage != UsageMode::Never {
            completion["usage"] = self.usage();
        }
        completion
    }

    fn stream(&self, include_usage: bool) -> Vec<Vec<u8>> {
        let told = include_usage && self.knobs.usage != UsageMode::Never;
        let twice = told && self.knobs.usage == UsageMode::Twice;
        let mut chunks = vec![self.chunk(json!({"role": "assistant", "content": ""}), None)];
        if let (Provider::OpenRouter, Some(thinking)) = (self.provider, self.turn.thinking) {
            chunks.push(self.chunk(json!({"reasoning": thinking}), None));
        }
        let deltas = self.deltas();
        chunks.extend(deltas.into_iter().map(|delta| self.chunk(delta, None)));
        chunks.push(self.chunk(json!({}), Some(self.finish())));
        if told {
            for chunk in &mut chunks {
                chunk["usage"] = Value::Null;
            }
            let mut last = self.frame("chat.completion.chunk", json!([]));
            last["usage"] = self.usage();
            if let (true, Some(finish)) = (twice, chunks.last_mut()) {
                finish["usage"] = self.usage();
            }
            chunks.push(last);
        }
        let mut events: Vec<_> = chunks.iter().map(|chunk| event(None, chunk)).collect();
        if self.provider == Provider::OpenRouter {
            // The comment that OpenRouter sends to keep a connection alive.
            events.insert(0, b": OPENROUTER PROCESSING\n\n".to_vec());
        }
        events.push(b"data: [DONE]\n\n".to_vec());
        events
    }

    fn deltas(&self) -> Vec<Value> {
        match &self.turn.output {
            Output::Text(text) => {
                pieces(text).into_iter().map(|piece| json!({"content": piece})).collect()
            }
            Output::Call { name, arguments } => {
                let mut deltas = vec![json!({"tool_calls": [{
                    "index": 0, "id": self.call_id(), "type": "function",
                    "function": {"name": name, "arguments": ""}
                }]})];
                deltas.extend(pieces(&arguments.to_string()).into_iter().map(
                    |piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
                ));
                deltas
            }
        }
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> Value {
        self.frame(
            "chat.completion.chunk",
            json!([{
                "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish
            }]),
        )
    }

    fn frame(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": format!("chatcmpl-mock{}", self.knobs.id), "object": object, "created": CREATED,
            "model": self.turn.model, "choices": choices, "service_tier": "default",
            "system_fingerprint": "fp_mock"
        })
    }

    fn finish(&self) -> &'static str {
        match self.turn.output {
            Output::Text(_) => "stop",
            Output::Call { .. } => "tool_calls",
        }
    }

    fn call_id(&self) -> String {
        format!("call_mock{}", self.knobs.id)
    }

    fn usage(&self) -> Value {
        let counts = self.turn.counts;
        json!({
            "prompt_tokens": counts.input(),
            "completion_tokens": counts.output_with_thinking(),
            "total_tokens": counts.input() + counts.output_with_thinking(),
            "prompt_tokens_details": {
                "cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write(),
                "audio_tokens": 0
            },
            "completion_tokens_details": {
                "reasoning_tokens": counts.thinking, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
            }
        })
    }
}
