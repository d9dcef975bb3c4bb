//! Two runs that differ in content only: what the enclave tells the host is the same, byte for byte.
//! Left out are the boot's random number, the two durations of a `Usage`, which are times, and of
//! the requests' numbers, which are a count under a key of the boot, all but which are equal.

use aegis_client::Mode;
use aegis_rig::hostile::Seen;
use aegis_rig::record::Leg;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Frame as _;
use aegis_wire::control::ToHost;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// Texts of the same length, in as many words.
const CONTENT: [[&str; 2]; 2] = [
    ["tell me all about apples now", "gpt-secret-model-one"],
    ["read my own verse poetry too", "gpt-hidden-model-two"],
];

/// What is asked in a run: provider, path, whether the answer is streamed, behaviour.
const ASKED: [(&str, &str, bool, &str); 8] = [
    ("openai", "/v1/chat/completions", false, ""),
    ("openai", "/v1/chat/completions", true, "split;n=7"),
    ("openai", "/v1/responses", true, "crlf"),
    ("anthropic", "/v1/messages", false, ""),
    ("anthropic", "/v1/messages", true, "thinking"),
    ("openai", "/v1/chat/completions", false, "no-usage"),
    ("openai", "/v1/chat/completions", false, "status;code=429;retry-after=3"),
    ("anthropic", "/v1/messages", true, "reset;after=100"),
];

fn body(path: &str, stream: bool, text: &str) -> String {
    let message = serde_json::json!([{ "role": "user", "content": text }]);
    let mut body = serde_json::json!({ "model": "mock-1", "stream": stream });
    match path {
        "/v1/responses" => body["input"] = message,
        _ => body["messages"] = message,
    }
    if path == "/v1/messages" {
        body["max_tokens"] = 99.into();
    }
    if path == "/v1/chat/completions" && stream {
        body["stream_options"] = serde_json::json!({ "include_usage": true });
    }
    body.to_string()
}

/// All frames of a run from enclave to host without what is time or chance, and the egress requests.
async fn told([text, secret]: [&str; 2], mode: Mode) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let world = World::start().await.unwrap();
    for (count, (provider, path, stream, behavior)) in ASKED.into_iter().enumerate() {
        // A stream that breaks takes an HTTP/1.1 session along.
        let session = world.user().unwrap().session(mode).await.unwrap();
        let url = format!("https://{provider}.mock.aegis.test{path}");
        let request = Request::post(url)
            .header("aegis-custody", "host")
            .header("x-secret", secret)
            .header("x-mock-behavior", behavior)
            .body(Full::new(Bytes::from(body(path, stream, text))));
        // Some are broken off on purpose.
        let _ = exchange(&session, request.unwrap()).await;
        world.hostile.wait_usage(count + 1).await.unwrap();
    }
    let mut numbers = Vec::new();
    let frames = world.hostile.seen().into_iter().filter_map(|seen| match seen {
        Seen::Hello(mut hello) => {
            hello.boot = [0; 16];
            Some(ToHost::Hello(hello))
        }
        Seen::Authorize(mut ask) => {
            if !numbers.contains(&ask.request) {
                numbers.push(ask.request);
            }
            ask.request = numbers.iter().position(|number| *number == ask.request)? as u64;
            Some(ToHost::Authorize(ask))
        }
        Seen::Usage(mut usage) => {
            (usage.first_byte_ms, usage.total_ms) = (0, 0);
            Some(ToHost::Usage(usage))
        }
        Seen::Closed | Seen::Egress(_) => None,
    });
    let frames = frames.map(|frame| frame.encode().unwrap()).collect();
    let egress = world.hostile.record().streams(Leg::Egress);
    let heads = egress.iter().map(|bytes| bytes[..bytes.len().min(8)].to_vec()).collect();
    (frames, heads)
}

#[tokio::test(flavor = "multi_thread")]
async fn content_changes_no_byte_of_what_the_host_is_told() {
    for mode in [Mode::Http1, Mode::Http2] {
        let (one, other) = (told(CONTENT[0], mode).await, told(CONTENT[1], mode).await);
        assert!(one.0.len() > 2 * ASKED.len(), "too little happened: {}", one.0.len());
        assert_eq!(one.0, other.0, "{mode:?}: control frames");
        let enclave_s = |heads: &[Vec<u8>]| {
            heads.iter().filter(|head| head.starts_with(b"AEGE")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(enclave_s(&one.1), enclave_s(&other.1), "{mode:?}: egress requests");
        assert!(!enclave_s(&one.1).is_empty());
    }
}
