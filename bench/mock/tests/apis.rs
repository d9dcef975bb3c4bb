//! The native APIs: shapes, usage, credentials, errors.
#![allow(clippy::unwrap_used)]

mod common;

use aegis_mock::THINKING_TEXT;
use aegis_mock::thinking_signature;
use http::Request;
use http::Version;
use serde_json::Value;
use serde_json::json;

use crate::common::ANTHROPIC;
use crate::common::GEMINI;
use crate::common::OPENAI;
use crate::common::OPENROUTER;
use crate::common::Provider;
use crate::common::behaving;
use crate::common::body;
use crate::common::events;
use crate::common::json_events;
use crate::common::post;
use crate::common::say_hi;

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

fn message() -> Value {
    json!({
        "model": "claude-mock", "max_tokens": 64, "system": "cached: be brief",
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "long part", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": "say hi"}
        ]}]
    })
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "say hi"}]}]})
}

#[tokio::test]
async fn chat_answers_and_counts() {
    let provider = Provider::start().await;
    let request = post(OPENAI, "/v1/chat/completions").body(body(&say_hi())).unwrap();
    let (head, answer) = provider.json(request).await;
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: say hi");
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    assert!(head.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn chat_streams_tell_usage_only_when_asked() {
    let provider = Provider::start().await;
    let asked = with(
        with(say_hi(), "stream", json!(true)),
        "stream_options",
        json!({"include_usage": true}),
    );
    let request = post(OPENAI, "/v1/chat/completions").body(body(&asked)).unwrap();
    let text = provider.text(Version::HTTP_11, request).await;
    assert_eq!(events(&text).last().unwrap(), "[DONE]");
    let chunks = json_events(&text);
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["total_tokens"], 6);
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));

    let silent = with(say_hi(), "stream", json!(true));
    let request = post(OPENAI, "/v1/chat/completions").body(body(&silent)).unwrap();
    let text = provider.text(Version::HTTP_2, request).await;
    assert!(json_events(&text).iter().all(|chunk| chunk.get("usage").is_none()), "{text}");
}

#[tokio::test]
async fn usage_behaviours_change_every_stream() {
    let provider = Provider::start().await;
    let streamed = with(say_hi(), "stream", json!(true));
    let chat = with(streamed.clone(), "stream_options", json!({"include_usage": true}));
    let responses = json!({"model": "gpt-mock", "input": "say hi", "stream": true});
    let messages = with(message(), "stream", json!(true));
    let gemini = "/v1beta/models/gemini-mock:streamGenerateContent?alt=sse";
    // How many events tell usage: as the API does, and with `usage-twice`.
    for (name, path, request, once, twice) in [
        (OPENAI, "/v1/chat/completions", &chat, 1, 2),
        (OPENAI, "/v1/responses", &responses, 1, 2),
        (ANTHROPIC, "/v1/messages", &messages, 2, 3),
        (OPENROUTER, "/api/v1/chat/completions", &streamed, 1, 2),
        (GEMINI, gemini, &contents(), 4, 4),
    ] {
        for (behavior, count) in [("thinking", once), ("usage-twice", twice), ("no-usage", 0)] {
            let request = post(name, path).header("x-mock-behavior", behavior).body(body(request));
            let text = provider.text(Version::HTTP_2, request.unwrap()).await;
            let told = json_events(&text).iter().filter(|event| tells_usage(event)).count();
            let thoughts = usize::from(name == GEMINI && behavior == "thinking");
            assert_eq!(told, count + thoughts, "{path} {behavior}: {text}");
        }
    }
}

fn tells_usage(event: &Value) -> bool {
    let places = ["/usage", "/usageMetadata", "/response/usage", "/message/usage"];
    places.iter().any(|place| event.pointer(place).is_some_and(Value::is_object))
}

#[tokio::test]
async fn responses_events_come_in_order() {
    let provider = Provider::start().await;
    let request = json!({"model": "gpt-mock", "input": "say hi", "stream": true,
        "reasoning": {"effort": "low"}});
    let request = post(OPENAI, "/v1/responses").body(body(&request)).unwrap();
    let events = json_events(&provider.text(Version::HTTP_11, request).await);
    let mut kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds, expected);
    let numbers: Vec<_> = events.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let usage = &events.last().unwrap()["response"]["usage"];
    assert_eq!(usage["output_tokens"], 9);
    assert_eq!(usage["output_tokens_details"]["reasoning_tokens"], 5);
}

#[tokio::test]
async fn messages_stream_merges_to_the_whole_answer() {
    let provider = Provider::start().await;
    let asked = with(
        with(message(), "stream", json!(true)),
        "thinking",
        json!({"type": "enabled", "budget_tokens": 1024}),
    );
    let request = post(ANTHROPIC, "/v1/messages?beta=true").body(body(&asked)).unwrap();
    let events = json_events(&provider.text(Version::HTTP_11, request).await);
    let start = &events[0]["message"]["usage"];
    assert_eq!(start["input_tokens"], 2);
    assert_eq!(start["cache_creation"]["ephemeral_1h_input_tokens"], 2);
    assert_eq!(start["cache_read_input_tokens"], 3);
    let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(delta["usage"]["output_tokens"], 9);
    assert!(events.iter().any(|event| event["type"] == "ping"));
    let signature = events.iter().find(|event| event["delta"]["type"] == "signature_delta");
    assert_eq!(signature.unwrap()["delta"]["signature"], thinking_signature(THINKING_TEXT));
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}

#[tokio::test]
async fn a_changed_thinking_signature_is_refused() {
    let provider = Provider::start().await;
    for (signature, status) in [(thinking_signature("Hm."), 200), ("AAAA".to_owned(), 400)] {
        let block = json!({"type": "thinking", "thinking": "Hm.", "signature": signature});
        let mut request = message();
        let assistant = json!({"role": "assistant", "content": [block]});
        request["messages"].as_array_mut().unwrap().push(assistant);
        let request = post(ANTHROPIC, "/v1/messages").body(body(&request)).unwrap();
        let (head, answer) = provider.json(request).await;
        assert_eq!(head.status, status, "{answer}");
    }
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let provider = Provider::start().await;
    let request = post(ANTHROPIC, "/v1/messages/count_tokens").body(body(&message())).unwrap();
    assert_eq!(provider.json(request).await.1, json!({"input_tokens": 7}));
    let path = "/v1beta/models/gemini-mock:countTokens";
    let request = post(GEMINI, path).body(body(&contents())).unwrap();
    assert_eq!(provider.json(request).await.1["totalTokens"], 2);
}

#[tokio::test]
async fn gemini_streams_as_events_and_as_an_array() {
    let provider = Provider::start().await;
    let path = "/v1beta/models/gemini-mock:streamGenerateContent";
    let request = post(GEMINI, path).body(body(&contents())).unwrap();
    let text = provider.text(Version::HTTP_11, request).await;
    let array: Vec<Value> = serde_json::from_str(&text).unwrap();
    let request = post(GEMINI, &format!("{path}?alt=sse")).body(body(&contents())).unwrap();
    let events = json_events(&provider.text(Version::HTTP_2, request).await);
    assert_eq!(array, events);
    let text = |chunk: &Value| {
        chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(events.iter().map(text).collect::<String>(), "You said: say hi");
    assert_eq!(events.last().unwrap()["usageMetadata"]["totalTokenCount"], 6);
    assert_eq!(events[0]["modelVersion"], "gemini-mock");
}

#[tokio::test]
async fn tools_are_called_and_their_results_repeated() {
    let provider = Provider::start().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}},
        "required": ["city"]});
    let tools = json!([{"functionDeclarations": [{"name": "weather", "parameters": schema}]}]);
    let path = "/v1beta/models/gemini-mock:generateContent";
    let asked = with(contents(), "tools", tools.clone());
    let (_, answer) = provider.json(post(GEMINI, path).body(body(&asked)).unwrap()).await;
    let call = &answer["candidates"][0]["content"]["parts"][0]["functionCall"];
    assert_eq!(call, &json!({"name": "weather", "args": {"city": "say hi"}}));

    let mut second = asked;
    let result = json!({"name": "weather", "response": {"sky": "blue"}});
    let turn = json!({"role": "user", "parts": [{"functionResponse": result}]});
    second["contents"].as_array_mut().unwrap().push(turn);
    let (_, answer) = provider.json(post(GEMINI, path).body(body(&second)).unwrap()).await;
    let text = &answer["candidates"][0]["content"]["parts"][0]["text"];
    assert_eq!(text, "You said: {\"sky\":\"blue\"}");
}

#[tokio::test]
async fn each_provider_refuses_in_its_own_envelope() {
    let provider = Provider::start().await;
    let wrong = "sk-made-up-wrong";
    for (name, path, header, kind) in [
        (OPENAI, "/v1/chat/completions", "authorization", "/error/type"),
        (ANTHROPIC, "/v1/messages", "x-api-key", "/error/type"),
        (GEMINI, "/v1beta/models/m:generateContent", "x-goog-api-key", "/error/status"),
        (OPENROUTER, "/api/v1/chat/completions", "authorization", "/error/code"),
    ] {
        for credential in [None, Some(wrong)] {
            let mut request = Request::post(format!("https://{name}{path}"));
            if let Some(credential) = credential {
                request = request.header(header, credential);
            }
            let (head, answer) = provider.json(request.body(body(&say_hi())).unwrap()).await;
            assert_eq!(head.status, 401, "{name}");
            assert!(answer.pointer(kind).is_some(), "{name}: {answer}");
            assert!(!answer.to_string().contains(wrong), "{name} repeats the key");
        }
    }
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_digest() {
    let provider = Provider::start().await;
    let request = behaving("no-such-thing").body(body(&say_hi())).unwrap();
    let (head, answer) = provider.json(request).await;
    assert_eq!(head.status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("no-such-thing"));
    let request = post(OPENAI, "/v1/chat/completions").body("{\"model\":".into()).unwrap();
    let (head, _) = provider.json(request).await;
    assert_eq!(head.status, 400);
    assert!(head.headers.contains_key("x-mock-request-sha256"));
    let request = post(OPENAI, "/v1/unknown").body(body(&say_hi())).unwrap();
    assert_eq!(provider.json(request).await.0.status, 404);
}
