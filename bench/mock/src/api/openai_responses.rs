//! OpenAI Responses.

use serde_json::Value;
use serde_json::json;

use super::CREATED;
use super::Knobs;
use super::Refusal;
use super::Reply;
use super::UsageMode;
use super::event;
use super::model_of;
use super::openai_chat::texts;
use super::prompt::Output;
use super::prompt::Prompt;
use super::prompt::Turn;
use super::prompt::pieces;

pub(super) fn answer(request: &Value, knobs: &Knobs) -> Result<Reply, Refusal> {
    let turn = prompt(request)?.into_turn(model_of(request)?, knobs);
    let answer = Answer { turn: &turn, request, knobs };
    if request["stream"] == json!(true) {
        return Ok(Reply::events(answer.stream()));
    }
    Ok(Reply::json(&answer.response("completed")))
}

fn prompt(request: &Value) -> Result<Prompt, Refusal> {
    let mut prompt = Prompt::default();
    if let Some(instructions) = request["instructions"].as_str() {
        prompt.background(instructions, None);
    }
    match &request["input"] {
        Value::String(text) => prompt.foreground(text, None, false),
        Value::Array(items) => items.iter().for_each(|item| add_item(&mut prompt, item)),
        _ => {
            return Err(Refusal::bad("The field 'input' is missing or of a wrong type."));
        }
    }
    if request["tool_choice"] != json!("none") {
        for tool in request["tools"].as_array().into_iter().flatten() {
            if tool["type"] == json!("function") {
                prompt.offer(tool["name"].as_str(), &tool["parameters"]);
            }
        }
    }
    prompt.thinking = request["reasoning"]["effort"].is_string();
    Ok(prompt)
}

fn add_item(prompt: &mut Prompt, item: &Value) {
    if item["type"] == json!("function_call_output") {
        for text in texts(&item["output"]) {
            prompt.foreground(text, None, true);
        }
        return;
    }
    for text in texts(&item["content"]) {
        match item["role"].as_str() {
            Some("user") => prompt.foreground(text, None, false),
            _ => prompt.background(text, None),
        }
    }
}

struct Answer<'a> {
    turn: &'a Turn,
    request: &'a Value,
    knobs: &'a Knobs,
}

impl Answer<'_> {
    fn response(&self, status: &str) -> Value {
        let done = status == "completed";
        let or = |name: &str, default: Value| match &self.request[name] {
            Value::Null => default,
            given => given.clone(),
        };
        let told = done && self.knobs.usage != UsageMode::Never;
        json!({
            "id": format!("resp_mock{}", self.knobs.id), "object": "response",
            "created_at": CREATED, "status": status, "background": false, "error": null,
            "incomplete_details": null, "instructions": self.request["instructions"],
            "max_output_tokens": self.request["max_output_tokens"], "model": self.turn.model,
            "output": if done { self.items("completed") } else { Vec::new() },
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": self.request["reasoning"]["effort"], "summary": null},
            "service_tier": "default", "store": or("store", json!(true)), "temperature": 1.0,
            "text": or("text", json!({"format": {"type": "text"}})),
            "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
            "top_p": 1.0, "truncation": "disabled", "user": null,
            "metadata": or("metadata", json!({})),
            "usage": if told { self.usage() } else { Value::Null }
        })
    }

    fn items(&self, status: &str) -> Vec<Value> {
        let thinking = self.turn.thinking.map(|text| self.reasoning_item(text));
        thinking.into_iter().chain([self.output_item(status)]).collect()
    }

    fn reasoning_item(&self, text: &str) -> Value {
        json!({
            "id": format!("rs_mock{}", self.knobs.id), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}]
        })
    }

    /// The message or the call: complete, or empty as it is when it is added.
    fn output_item(&self, status: &str) -> Value {
        let done = status == "completed";
        match &self.turn.output {
            Output::Text(text) => json!({
                "id": self.item_id(), "type": "message", "status": status, "role": "assistant",
                "content": if done { vec![part(text)] } else { Vec::new() }
            }),
            Output::Call { name, arguments } => json!({
                "id": self.item_id(), "type": "function_call", "status": status, "name": name,
                "call_id": format!("call_mock{}", self.knobs.id),
                "arguments": if done { arguments.to_string() } else { String::new() }
            }),
        }
    }

    fn item_id(&self) -> String {
        let kind = if matches!(self.turn.output, Output::Text(_)) { "msg" } else { "fc" };
        format!("{kind}_mock{}", self.knobs.id)
    }

    fn stream(&self) -> Vec<Vec<u8>> {
        let mut events = Events::default();
        events.push("response.created", json!({"response": self.response("in_progress")}));
        events.push("response.in_progress", json!({"response": self.response("in_progress")}));
        let mut index = 0;
        if let Some(text) = self.turn.thinking {
            let item = self.reasoning_item(text);
            let mut empty = item.clone();
            empty["summary"] = json!([]);
            events.item("response.output_item.added", index, empty);
            events.item("response.output_item.done", index, item);
            index += 1;
        }
        events.item("response.output_item.added", index, self.output_item("in_progress"));
        match &self.turn.output {
            Output::Text(text) => self.text_events(&mut events, index, text),
            Output::Call { arguments, .. } => {
                self.call_events(&mut events, index, &arguments.to_string());
            }
        }
        events.item("response.output_item.done", index, self.output_item("completed"));
        let repeats = if self.knobs.usage == UsageMode::Twice { 2 } else { 1 };
        for _ in 0..repeats {
            events.push("response.completed", json!({"response": self.response("completed")}));
        }
        events.0
    }

    fn text_events(&self, events: &mut Events, index: u64, text: &str) {
        let place = |mut extra: Value| {
            extra["item_id"] = json!(self.item_id());
            extra["output_index"] = json!(index);
            extra["content_index"] = json!(0);
            extra
        };
        events.push("response.content_part.added", place(json!({"part": part("")})));
        for piece in pieces(text) {
            let delta = json!({"delta": piece, "logprobs": []});
            events.push("response.output_text.delta", place(delta));
        }
        events.push("response.output_text.done", place(json!({"text": text, "logprobs": []})));
        events.push("response.content_part.done", place(json!({"part": part(text)})));
    }

    fn call_events(&self, events: &mut Events, index: u64, arguments: &str) {
        let id = self.item_id();
        for piece in pieces(arguments) {
            events.push(
                "response.function_call_arguments.delta",
                json!({"item_id": id, "output_index": index, "delta": piece}),
            );
        }
        events.push(
            "response.function_call_arguments.done",
            json!({"item_id": id, "output_index": index, "arguments": arguments}),
        );
    }

    fn usage(&self) -> Value {
        let counts = self.turn.counts;
        json!({
            "input_tokens": counts.input(),
            "input_tokens_details": {
                "cached_tokens": counts.cache_read, "cache_write_tokens": counts.cache_write()
            },
            "output_tokens": counts.output_with_thinking(),
            "output_tokens_details": {"reasoning_tokens": counts.thinking},
            "total_tokens": counts.input() + counts.output_with_thinking()
        })
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Events with their type and their number.
#[derive(Default)]
struct Events(Vec<Vec<u8>>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value) {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.0.len());
        self.0.push(event(Some(kind), &data));
    }

    fn item(&mut self, kind: &str, index: u64, item: Value) {
        self.push(kind, json!({"output_index": index, "item": item}));
    }
}
