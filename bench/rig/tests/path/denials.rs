//! What a client sees of the host's denials: the table of PROTOCOL.md section 6, in the envelope
//! of the provider's API, with the enclave's own text.

use aegis_client::Mode;
use aegis_rig::hostile;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::DenyCode;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// Code, its `aegis-error`, status, `x-should-retry`.
const TABLE: [(DenyCode, &str, u16, &str); 7] = [
    (DenyCode::Key, "denied_key", 401, "false"),
    (DenyCode::Budget, "denied_budget", 429, "false"),
    (DenyCode::Rate, "denied_rate", 429, "true"),
    (DenyCode::Account, "denied_account", 503, "true"),
    (DenyCode::Endpoint, "denied_endpoint", 403, "false"),
    (DenyCode::Custody, "denied_custody", 403, "false"),
    (DenyCode::Overload, "denied_overload", 503, "true"),
];

const ADDRESSES: [&str; 4] = [
    "https://openai.mock.aegis.test/v1/responses",
    "https://anthropic.mock.aegis.test/v1/messages",
    "https://gemini.mock.aegis.test/v1beta/models/gemini-mock:generateContent",
    "https://openrouter.mock.aegis.test/api/v1/chat/completions",
];

/// Which field of an error body must be there, and hold text.
fn message_of(address: &str, body: &Bytes) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    if address.contains("anthropic") {
        assert_eq!(body["type"], "error");
        assert!(body["error"]["type"].is_string(), "{body}");
    } else if address.contains("gemini") {
        assert!(body["error"]["code"].is_number() && body["error"]["status"].is_string(), "{body}");
    } else {
        assert!(body["error"]["type"].is_string() && body["error"]["code"].is_string(), "{body}");
    }
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_denial_has_its_row_in_each_envelope() {
    assert_eq!(TABLE.map(|row| row.0).as_slice(), DenyCode::ALL, "a code without a row");
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    for (code, error, status, retry) in TABLE {
        for (address, after_s) in ADDRESSES.into_iter().zip([0, 1, 86_400, 30]) {
            world.hostile.on_authorize(move |ask, _| vec![hostile::deny(ask, code, after_s)]);
            let request = Request::post(address)
                .header("aegis-custody", "host")
                .body(Full::from("{\"canary\":\"denial-canary\"}"));
            let answer = exchange(&session, request.unwrap()).await.unwrap();
            let row = (answer.error_code(), answer.status.as_u16());
            assert_eq!(row, (Some(error), status), "{address}");
            assert_eq!(answer.header("x-should-retry"), Some(retry), "{error}");
            let after = (after_s > 0).then(|| after_s.to_string());
            assert_eq!(answer.header("retry-after"), after.as_deref(), "{error}");
            assert!(answer.header("aegis-request").is_some());
            let text = message_of(address, &answer.body);
            assert!(text.len() > 20 && !text.contains("denial-canary"), "{text}");
        }
    }
    assert!(world.mock.recorded().is_empty());
    assert_eq!(world.mock.connections(), 0);
    assert!(world.hostile.record().find(b"denial-canary").is_empty());
}
