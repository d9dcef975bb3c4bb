//! Google Gemini generateContent.

use serde_json::Value;
use serde_json::json;

use super::Knobs;
use super::Payload;
use super::Refusal;
use super::Reply;
use super::UsageMode;
use super::prompt::Counts;
use super::prompt::Output;
use super::prompt::Prompt;
use super::prompt::Turn;
use super::prompt::pieces;

pub(super) fn generate(request: &Value, model: &str, knobs: &Knobs) -> Result<Reply, Refusal> {
    let turn = prompt(request)?.into_turn(model.to_owned(), knobs);
    let parts = thought(&turn).into_iter().chain([output_part(&turn.output)]).collect();
    let whole = response(&turn, knobs, parts, true);
    // The real API indents its whole answers.
    Ok(Reply::whole(http::StatusCode::OK, format!("{whole:#}\n").into_bytes()))
}

/// A stream is server-sent events with `alt=sse`, else one JSON array.
pub(super) fn stream(
    request: &Value,
    model: &str,
    sse: bool,
    knobs: &Knobs,
) -> Result<Reply, Refusal> {
    let turn = prompt(request)?.into_turn(model.to_owned(), knobs);
    let chunks = chunks(&turn, knobs);
    if sse {
        // The real API ends the lines of its events with CR LF.
        let event = |chunk: &Value| format!("data: {chunk}\r\n\r\n").into_bytes();
        let mut reply = Reply::events(chunks.iter().map(event).collect());
        reply.content_type = "text/event-stream";
        return Ok(reply);
    }
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        let before = if index == 0 { "[" } else { ",\r\n" };
        pieces.push(format!("{before}{chunk:#}").into_bytes());
    }
    pieces.push(b"]".to_vec());
    let mut reply = Reply::events(Vec::new());
    reply.content_type = "application/json; charset=UTF-8";
    reply.payload = Payload::Pieces(pieces);
    Ok(reply)
}

pub(super) fn count(request: &Value) -> Result<Reply, Refusal> {
    let request = match field(request, "generateContentRequest") {
        Value::Null => request,
        inner => inner,
    };
    let tokens = prompt(request)?.counts().input();
    Ok(Reply::json(&json!({
        "totalTokens": tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]
    })))
}

fn prompt(request: &Value) -> Result<Prompt, Refusal> {
    let contents =
        request["contents"].as_array().ok_or_else(|| Refusal::bad("contents is not specified"))?;
    let mut prompt = Prompt::default();
    for part in field(request, "systemInstruction")["parts"].as_array().into_iter().flatten() {
        prompt.background(part["text"].as_str().unwrap_or(""), None);
    }
    for content in contents {
        let model = content["role"] == json!("model");
        for part in content["parts"].as_array().into_iter().flatten() {
            add_part(&mut prompt, part, model);
        }
    }
    let calling = field(field(request, "toolConfig"), "functionCallingConfig");
    if calling["mode"] != json!("NONE") {
        offer_tools(&mut prompt, request);
    }
    let thinking = field(field(request, "generationConfig"), "thinkingConfig");
    prompt.thinking = field(thinking, "includeThoughts") == &json!(true);
    Ok(prompt)
}

/// A field by its name, or by the same in snake case: the real API takes both, and its clients
/// send both.
fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    if !object[name].is_null() {
        return &object[name];
    }
    let snake = name.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    });
    &object[snake.as_str()]
}

fn add_part(prompt: &mut Prompt, part: &Value, model: bool) {
    let response = field(part, "functionResponse");
    if response.is_object() {
        let text = response["response"].to_string();
        return prompt.foreground(&text, None, true);
    }
    match part["text"].as_str() {
        Some(text) if model => prompt.background(text, None),
        Some(text) => prompt.foreground(text, None, false),
        None => {}
    }
}

fn offer_tools(prompt: &mut Prompt, request: &Value) {
    for tool in request["tools"].as_array().into_iter().flatten() {
        for function in field(tool, "functionDeclarations").as_array().into_iter().flatten() {
            let parameters = match field(function, "parametersJsonSchema") {
                Value::Null => &function["parameters"],
                schema => schema,
            };
            prompt.offer(function["name"].as_str(), parameters);
        }
    }
}

fn thought(turn: &Turn) -> Option<Value> {
    turn.thinking.map(|text| json!({"text": text, "thought": true}))
}

fn output_part(output: &Output) -> Value {
    match output {
        Output::Text(text) => json!({"text": text}),
        Output::Call { name, arguments } => {
            json!({"functionCall": {"name": name, "args": arguments}})
        }
    }
}

fn chunks(turn: &Turn, knobs: &Knobs) -> Vec<Value> {
    let mut parts: Vec<Value> = thought(turn).into_iter().collect();
    match &turn.output {
        Output::Text(text) => {
            parts.extend(pieces(text).into_iter().map(|piece| json!({"text": piece})));
        }
        call @ Output::Call { .. } => parts.push(output_part(call)),
    }
    let last = parts.len() - 1;
    let chunk = |(index, part)| response(turn, knobs, vec![part], index == last);
    parts.into_iter().enumerate().map(chunk).collect()
}

fn response(turn: &Turn, knobs: &Knobs, parts: Vec<Value>, last: bool) -> Value {
    let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
    if last {
        candidate["finishReason"] = json!("STOP");
    }
    let mut response = json!({
        "candidates": [candidate], "modelVersion": turn.model,
        "responseId": format!("mock{}", knobs.id)
    });
    if knobs.usage != UsageMode::Never {
        response["usageMetadata"] = usage(turn.counts, last);
    }
    response
}

/// Every chunk tells usage; only the last one knows the output.
fn usage(counts: Counts, last: bool) -> Value {
    let output = if last { counts.output } else { 0 };
    let mut usage = json!({
        "promptTokenCount": counts.input(),
        "totalTokenCount": counts.input() + output + counts.thinking,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": counts.input()}]
    });
    if last {
        usage["candidatesTokenCount"] = json!(output);
    }
    if counts.thinking > 0 {
        usage["thoughtsTokenCount"] = json!(counts.thinking);
    }
    if counts.cache_read > 0 {
        usage["cachedContentTokenCount"] = json!(counts.cache_read);
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_by_either_spelling() {
        let object = json!({"includeThoughts": 1, "thinking_config": 2});
        assert_eq!(field(&object, "includeThoughts"), &json!(1));
        assert_eq!(field(&object, "thinkingConfig"), &json!(2));
        assert_eq!(field(&object, "toolConfig"), &Value::Null);
    }
}
