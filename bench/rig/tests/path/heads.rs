//! Heads pass as DESIGN 3.4 says: the multiset of names with exact values, path and query as they
//! are; hop-by-hop and `aegis-*` fields do not.

use std::collections::BTreeMap;

use aegis_client::Mode;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::RecordedRequest;
use aegis_rig::user::chat;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use http::HeaderValue;
use http::Request;
use http::request::Builder;

/// Names with their values in order.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

fn arrived(request: &RecordedRequest) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in &request.headers {
        fields.entry(name.clone()).or_default().push(value.clone());
    }
    // The authority is looked at by itself: HTTP/2 has no such field.
    fields.remove("host");
    fields
}

fn fields(list: &[(&str, &[u8])]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.entry((*name).to_owned()).or_default().push(value.to_vec());
    }
    fields
}

fn with(builder: Builder, list: &[(&str, &[u8])]) -> Builder {
    list.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, HeaderValue::from_bytes(value).unwrap())
    })
}

/// Both kinds of session, over both kinds of upstream connection.
async fn four_ways() -> Vec<(World, Mode)> {
    let mut ways = Vec::new();
    for http1_only in [false, true] {
        for mode in [Mode::Http1, Mode::Http2] {
            let change = |config| aegis_mock::MockConfig { http1_only, ..config };
            ways.push((World::with_mock(change).await.unwrap(), mode));
        }
    }
    ways
}

const VERBATIM: [(&str, &[u8]); 14] = [
    ("content-type", b"application/json; charset=\"utf-8\""),
    ("accept", b"text/event-stream"),
    ("accept-encoding", b"gzip, deflate, br, zstd"),
    ("user-agent", b"OpenAI/Python 3.51.0 (made up)"),
    ("x-stainless-retry-count", b"0"),
    ("openai-organization", b"org-made-up"),
    ("anthropic-beta", b"one-2026-01-01,two-2026-02-02"),
    ("anthropic-beta", b"three-2026-03-03"),
    ("x-codex-turn-metadata", b"{\"a\":[1,2,  3],\"b\":\"\t\"}"),
    ("x-empty", b""),
    ("x-forwarded-for", b"203.0.113.9"),
    ("x-not-utf8", b"caf\xe9 \xff\x80"),
    ("cookie", b"a=b; c=d"),
    ("x-same", b"twice"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_field_arrives_with_its_exact_value_and_none_is_added() {
    for (world, mode) in four_ways().await {
        let session = world.user().unwrap().session(mode).await.unwrap();
        let target = "/v1/chat/completions?z=1&a=%2f%2F&empty=&&flag&sp=+%20&dup=1&dup=2&q='~!*()";
        let uri = format!("https://openai.mock.aegis.test{target}");
        let request = with(Request::post(uri), &VERBATIM)
            .header("x-same", "twice")
            .header("aegis-custody", "host")
            .header("aegis-model", "hide")
            .header("aegis-whatever", "dropped");
        let answer = exchange(&session, request.body(chat_body("say hi")).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let recorded = world.mock.wait_recorded(1).await.remove(0);
        let length = http_body::Body::size_hint(&chat_body("say hi")).exact().unwrap();
        let mut expected = fields(&VERBATIM);
        expected.get_mut("x-same").unwrap().push(b"twice".to_vec());
        expected.insert("content-length".into(), vec![length.to_string().into_bytes()]);
        let credential = format!("Bearer {DEFAULT_KEY}").into_bytes();
        expected.insert("authorization".into(), vec![credential]);
        assert_eq!(arrived(&recorded), expected, "{mode:?}, {:?}", recorded.version);
        assert_eq!(recorded.target, target);
        assert_eq!(recorded.authority, "openai.mock.aegis.test");
        assert_eq!(recorded.server_name.as_deref(), Some("openai.mock.aegis.test"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_request_fields_are_consumed() {
    for (world, mode) in four_ways().await {
        // HTTP/2 has no place for most of them, so its client would not send them.
        if mode != Mode::Http1 {
            continue;
        }
        let session = world.user().unwrap().session(mode).await.unwrap();
        let request = chat("stays")
            .header("connection", "keep-alive, X-Named-Hop ,x-other-hop")
            .header("x-named-hop", "1")
            .header("x-other-hop", "2")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("proxy-authenticate", "Basic")
            .header("te", "trailers")
            .header("trailer", "x-checksum")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")
            .header("expect", "100-continue");
        let answer = exchange(&session, request.body(chat_body("say hi")).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
        let recorded = world.mock.wait_recorded(1).await.remove(0);
        let names: Vec<String> = arrived(&recorded).into_keys().collect();
        let expected = ["authorization", "content-length", "content-type", "x-rig-text"];
        assert_eq!(names, expected, "{:?}", recorded.version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_answer_fields_are_consumed() {
    for (world, mode) in four_ways().await {
        let session = world.user().unwrap().session(mode).await.unwrap();
        let ask = |behavior| chat("x").header("x-mock-behavior", behavior);
        let hop = ask("hop-headers").body(chat_body("say hi")).unwrap();
        let answer = exchange(&session, hop).await.unwrap();
        let hops = ["x-mock-hop", "keep-alive", "proxy-connection", "proxy-authenticate", "te"];
        for name in hops.into_iter().chain(["upgrade"]) {
            assert!(!answer.headers.contains_key(name), "{mode:?} {name}: {:?}", answer.headers);
        }
        assert_eq!(answer.status.as_u16(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aegis_fields_of_a_provider_are_not_believed() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let request = chat("x").header("x-mock-behavior", "aegis-headers");
    let answer = exchange(&session, request.body(chat_body("say hi")).unwrap()).await.unwrap();
    let boot = hex::encode(world.hostile.wait_hello(1).await.unwrap().boot);
    let asked = world.hostile.seen().iter().find_map(|seen| Some(seen.authorize()?.request));
    let name = format!("{boot}-{}", asked.unwrap());
    assert_eq!(answer.header("aegis-request"), Some(name.as_str()));
    let ours = answer.headers.keys().filter(|name| name.as_str().starts_with("aegis-"));
    assert_eq!(ours.collect::<Vec<_>>(), ["aegis-request"], "{:?}", answer.headers);
}

/// A count would tell a tenant how many requests all the others made between two of its own.
#[tokio::test(flavor = "multi_thread")]
async fn request_numbers_do_not_count() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    for _ in 0..20 {
        exchange(&session, chat("x").body(chat_body("say hi")).unwrap()).await.unwrap();
    }
    let seen = world.hostile.seen();
    let numbers: Vec<u64> = seen.iter().filter_map(|s| Some(s.authorize()?.request)).collect();
    assert_eq!(numbers.len(), 20);
    assert!(numbers.iter().all(|number| *number < 1 << 52));
    assert!(numbers.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1 << 16), "{numbers:?}");
    assert!(!numbers.is_sorted(), "{numbers:?}");
}

/// What the provider says when asked without Aegis is what the client gets.
#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_providers_status_and_fields() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let behaviors = [
        "thinking",
        "status;code=429;retry-after=17;should-retry=true",
        "status;code=529",
        "status;code=400;should-retry=false",
        "redirect;location=https://elsewhere.example/v1/x?a=%2f;code=307",
        "redirect;location=/v1/y;code=308",
        "bytes;n=1000;seed=2;length=1",
    ];
    for behavior in behaviors {
        let request = chat("x").header("x-mock-behavior", behavior);
        let request = request.body(chat_body("say hi")).unwrap();
        let relayed = exchange(&session, request).await.unwrap();
        let direct = direct(&world, behavior).await;
        assert_eq!(relayed.status, direct.status, "{behavior}");
        assert_eq!(relayed.body, direct.body, "{behavior}");
        let comparable = |headers: &http::HeaderMap| {
            let named = headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec()));
            let differs = ["aegis-request", "date", "x-request-id"];
            let mut list: Vec<_> = named.filter(|(n, _)| !differs.contains(&&**n)).collect();
            list.sort();
            list
        };
        assert_eq!(comparable(&relayed.headers), comparable(&direct.headers), "{behavior}");
        assert!(relayed.headers.contains_key("x-request-id"), "{behavior}");
    }
}

/// The same chat request, sent to the mock by a client of the mock.
async fn direct(world: &World, behavior: &str) -> aegis_rig::user::Answer {
    let sender = aegis_rig::direct::connect(&world.mock, &world.mock_root).await.unwrap();
    let request = Request::post("https://openai.mock.aegis.test/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {DEFAULT_KEY}"))
        .header("x-mock-behavior", behavior);
    let mut sender = sender;
    let answer = sender.send_request(request.body(chat_body("say hi")).unwrap()).await.unwrap();
    aegis_rig::user::Answer::read(answer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_over_the_limits_are_refused() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let many = (0..256).fold(chat("x"), |b, i| b.header(format!("x-{i}"), "1"));
    let large = chat("x").header("x-large", "v".repeat(64 * 1024));
    for request in [many, large] {
        let answer = exchange(&session, request.body(chat_body("x")).unwrap()).await.unwrap();
        assert_eq!(answer.error_code(), Some("head_too_large"), "{answer:?}");
        assert_eq!((answer.status.as_u16(), answer.header("x-should-retry")), (431, Some("false")));
    }
    // Just under: what remains of 64 KiB when the names and the other fields are counted.
    let fits = chat("x").header("x-large", "v".repeat(60 * 1024));
    let answer = exchange(&session, fits.body(chat_body("say hi")).unwrap()).await.unwrap();
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(world.mock.recorded().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_table_is_refused_before_the_host_is_asked() {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    let chat = "https://openai.mock.aegis.test/v1/chat/completions";
    let cases = [
        ("POST", "https://elsewhere.example/v1/chat/completions", "host", "unknown_provider", 421),
        (
            "POST",
            "https://openai.mock.aegis.test:444/v1/responses",
            "host",
            "unknown_provider",
            421,
        ),
        ("PUT", chat, "host", "unknown_endpoint", 404),
        ("POST", "https://openai.mock.aegis.test/v1/messages", "host", "unknown_endpoint", 404),
        (
            "POST",
            "https://openai.mock.aegis.test/v1/chat/completions/",
            "host",
            "unknown_endpoint",
            404,
        ),
        ("POST", "https://openai.mock.aegis.test/v1//responses", "host", "unknown_endpoint", 404),
        ("POST", "https://openai.mock.aegis.test/v1/%72esponses", "host", "unknown_endpoint", 404),
        ("GET", "https://openai.mock.aegis.test/v1/models/..", "host", "unknown_endpoint", 404),
        ("GET", "https://openai.mock.aegis.test/v1/models/a%2fb", "host", "unknown_endpoint", 404),
        ("POST", chat, "", "custody_missing", 400),
        ("POST", chat, "sealed", "custody_missing", 400),
        ("POST", chat, "Host", "custody_missing", 400),
        ("POST", chat, "client", "credential_missing", 401),
    ];
    for (method, uri, custody, error, status) in cases {
        let mut request = Request::builder().method(method).uri(uri);
        if !custody.is_empty() {
            request = request.header("aegis-custody", custody);
        }
        let answer = exchange(&session, request.body(chat_body("x")).unwrap()).await.unwrap();
        let got = (answer.error_code(), answer.status.as_u16());
        assert_eq!(got, (Some(error), status), "{method} {uri} {custody}");
        assert!(answer.header("aegis-request").is_some());
    }
    let asked = world.hostile.seen().iter().any(|seen| seen.authorize().is_some());
    assert!(!asked && world.mock.connections() == 0);
}
