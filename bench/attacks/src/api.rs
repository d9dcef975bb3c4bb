//! The native APIs as an agent speaks them: requests with a tool, and the history of a turn.

use serde_json::Value;
use serde_json::json;

use crate::message::Call;

/// A native API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini generateContent.
    Gemini,
}

/// All of them.
pub const APIS: [Api; 4] = [Api::Chat, Api::Responses, Api::Messages, Api::Gemini];

/// One API, streamed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Which API.
    pub api: Api,
    /// Whether answers are streamed.
    pub streamed: bool,
}

/// Every API, streamed and not.
pub fn variants() -> Vec<Variant> {
    let both = |api| [false, true].map(|streamed| Variant { api, streamed });
    APIS.into_iter().flat_map(both).collect()
}

/// One turn of a conversation, finished: what the user said, what was called, what came out.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The user's words.
    pub prompt: String,
    /// The calls that the answer held.
    pub calls: Vec<Call>,
    /// What each call printed.
    pub results: Vec<String>,
}

impl Variant {
    /// Path and query below the router's base URL.
    pub fn path(self) -> &'static str {
        match (self.api, self.streamed) {
            (Api::Chat, _) => "/openai/v1/chat/completions",
            (Api::Responses, _) => "/openai/v1/responses",
            (Api::Messages, _) => "/anthropic/v1/messages",
            (Api::Gemini, false) => "/gemini/v1beta/models/gemini-mock:generateContent",
            (Api::Gemini, true) => {
                "/gemini/v1beta/models/gemini-mock:streamGenerateContent?alt=sse"
            }
        }
    }

    /// The field in which this API's SDKs send a key, and its value.
    pub fn credential(self, key: &str) -> (&'static str, String) {
        match self.api {
            Api::Chat | Api::Responses => ("authorization", format!("Bearer {key}")),
            Api::Messages => ("x-api-key", key.to_owned()),
            Api::Gemini => ("x-goog-api-key", key.to_owned()),
        }
    }

    /// A request that offers `tool`, and after a call brings its results.
    pub fn request(self, system: &str, tool: &str, turn: &Turn) -> Value {
        let schema = json!({
            "type": "object",
            "properties": { "command": { "type": "string" } },
            "required": ["command"],
        });
        let Self { api, streamed } = self;
        match api {
            Api::Chat => json!({
                "model": "gpt-mock", "stream": streamed, "messages": chat(system, turn),
                "tools": [{ "type": "function", "function": { "name": tool, "parameters": schema } }],
            }),
            Api::Responses => json!({
                "model": "gpt-mock", "stream": streamed, "instructions": system,
                "input": responses(turn),
                "tools": [{ "type": "function", "name": tool, "parameters": schema }],
            }),
            Api::Messages => json!({
                "model": "claude-mock", "stream": streamed, "max_tokens": 1024, "system": system,
                "messages": messages(turn),
                "tools": [{ "name": tool, "input_schema": schema }],
            }),
            Api::Gemini => json!({
                "systemInstruction": { "parts": [{ "text": system }] },
                "contents": gemini(turn),
                "tools": [{ "functionDeclarations": [{ "name": tool, "parameters": schema }] }],
            }),
        }
    }
}

fn pairs(turn: &Turn) -> impl Iterator<Item = (&Call, &String)> {
    turn.calls.iter().zip(&turn.results)
}

fn chat(system: &str, turn: &Turn) -> Vec<Value> {
    let mut list = vec![
        json!({ "role": "system", "content": system }),
        json!({ "role": "user", "content": turn.prompt }),
    ];
    for (call, result) in pairs(turn) {
        let function = json!({ "name": call.name, "arguments": call.arguments });
        let calls = json!([{ "id": call.id, "type": "function", "function": function }]);
        list.push(json!({ "role": "assistant", "content": null, "tool_calls": calls }));
        list.push(json!({ "role": "tool", "tool_call_id": call.id, "content": result }));
    }
    list
}

fn responses(turn: &Turn) -> Vec<Value> {
    let mut list = vec![json!({ "role": "user", "content": turn.prompt })];
    for (call, result) in pairs(turn) {
        list.push(json!({
            "type": "function_call", "call_id": call.id, "name": call.name,
            "arguments": call.arguments,
        }));
        list.push(json!({ "type": "function_call_output", "call_id": call.id, "output": result }));
    }
    list
}

fn messages(turn: &Turn) -> Vec<Value> {
    let mut list = vec![json!({ "role": "user", "content": turn.prompt })];
    for (call, result) in pairs(turn) {
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let used = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input });
        let given = json!({ "type": "tool_result", "tool_use_id": call.id, "content": result });
        list.push(json!({ "role": "assistant", "content": [used] }));
        list.push(json!({ "role": "user", "content": [given] }));
    }
    list
}

fn gemini(turn: &Turn) -> Vec<Value> {
    let mut list = vec![json!({ "role": "user", "parts": [{ "text": turn.prompt }] })];
    for (call, result) in pairs(turn) {
        let args: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let used = json!({ "functionCall": { "name": call.name, "args": args } });
        let given = json!({ "name": call.name, "response": { "output": result } });
        list.push(json!({ "role": "model", "parts": [used] }));
        list.push(json!({ "role": "user", "parts": [{ "functionResponse": given }] }));
    }
    list
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api = match self.api {
            Api::Chat => "chat",
            Api::Responses => "responses",
            Api::Messages => "messages",
            Api::Gemini => "gemini",
        };
        write!(f, "{api}{}", if self.streamed { " streamed" } else { "" })
    }
}
