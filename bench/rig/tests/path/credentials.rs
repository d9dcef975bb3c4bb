//! Credentials: every form of any provider is recognised, the caller's never reaches a provider
//! that it is not for, and a virtual key never reaches anybody.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::MockConfig;
use aegis_mock::RecordedRequest;
use aegis_rig::hostile;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::control::Grant;
use aegis_wire::control::Secret;
use http::Request;
use http::request::Builder;

/// What a caller should not have sent: found nowhere behind the enclave.
const FOREIGN: &str = "sk-made-up-foreign";

/// Base address of each provider and the header in which the table adds a credential.
const PROVIDERS: [(&str, &str); 4] = [
    ("https://openai.mock.aegis.test/v1/chat/completions", "authorization"),
    ("https://anthropic.mock.aegis.test/v1/messages", "x-api-key"),
    ("https://gemini.mock.aegis.test/v1beta/models/m:generateContent", "x-goog-api-key"),
    ("https://openrouter.mock.aegis.test/api/v1/chat/completions", "authorization"),
];

/// Each header form of a credential.
const HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];

fn valued(header: &str, credential: &str) -> String {
    match header {
        "authorization" | "proxy-authorization" => format!("Bearer {credential}"),
        _ => credential.to_owned(),
    }
}

/// A request with a foreign credential in every form but those named.
fn with_every_form(uri: &str, custody: &str, but: &[&str]) -> Builder {
    let forms = HEADERS.iter().filter(|header| !but.contains(header));
    let key =
        if but.contains(&"key") { "" } else { "key=sk-made-up-foreign&%6Bey=sk-made-up-foreign&" };
    let uri = format!(
        "{uri}?keep=1&{key}api-key=sk-made-up-foreign&api%2dkey=sk-made-up-foreign\
         &access_token=sk-made-up-foreign&access%5Ftoken=sk-made-up-foreign&keys=a%2Fb\
         &oauth_token=sk-made-up-foreign"
    );
    forms
        .fold(Request::post(uri), |request, header| {
            request.header(*header, valued(header, FOREIGN))
        })
        .header("aegis-custody", custody)
        .header("sec-websocket-protocol", format!("realtime, openai-insecure-api-key.{FOREIGN}"))
}

fn values<'a>(recorded: &'a RecordedRequest, name: &str) -> Vec<&'a [u8]> {
    recorded.header_values(name)
}

/// Nothing foreign is in what arrived; of all credential headers only these are there.
fn only(recorded: &RecordedRequest, own: &[(&str, &str)]) {
    for header in HEADERS {
        let expected = own.iter().filter(|(name, _)| *name == header);
        let expected: Vec<_> = expected.map(|(_, value)| value.as_bytes()).collect();
        assert_eq!(values(recorded, header), expected, "{header} at {}", recorded.authority);
    }
    let all = format!("{recorded:?}");
    let bytes = recorded.headers.iter().map(|(_, value)| String::from_utf8_lossy(value));
    let text = bytes.collect::<Vec<_>>().join("\n") + &recorded.target + &all;
    assert!(!text.contains(FOREIGN), "a foreign credential arrived: {text}");
}

async fn start() -> (World, Session) {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    (world, session)
}

async fn send(session: &Session, request: Builder) -> Answer {
    exchange(session, request.body(chat_body("say hi")).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn host_custody_removes_every_form_and_adds_the_tables() {
    let (world, session) = start().await;
    for (count, (uri, form)) in PROVIDERS.into_iter().enumerate() {
        send(&session, with_every_form(uri, "host", &[])).await;
        let recorded = world.mock.wait_recorded(count + 1).await.remove(count);
        only(&recorded, &[(form, &valued(form, DEFAULT_KEY))]);
        let query = recorded.target.split_once('?').unwrap().1;
        assert_eq!(query, "keep=1&keys=a%2Fb");
        assert!(values(&recorded, "sec-websocket-protocol").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_custody_keeps_only_the_providers_own_forms() {
    let (world, session) = start().await;
    let own: [&[&str]; 4] = [
        &["authorization"],
        &["x-api-key", "authorization"],
        &["x-goog-api-key", "key"],
        &["authorization"],
    ];
    for (count, ((uri, _), own)) in PROVIDERS.into_iter().zip(own).enumerate() {
        let headers = own.iter().filter(|form| **form != "key");
        let pairs: Vec<_> = headers.map(|form| (*form, valued(form, DEFAULT_KEY))).collect();
        let request = with_every_form(uri, "client", own);
        let request = pairs.iter().fold(request, |r, (name, value)| r.header(*name, value));
        assert_eq!(send(&session, request).await.error_code(), None);
        let recorded = world.mock.wait_recorded(count + 1).await.remove(count);
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        only(&recorded, &pairs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_custody_keeps_geminis_query_key_where_it_stands() {
    let (world, session) = start().await;
    let uri = format!("{}?a=1&key={DEFAULT_KEY}&b=%20", PROVIDERS[2].0);
    let request = Request::post(&uri).header("aegis-custody", "client");
    send(&session, request).await;
    let recorded = world.mock.wait_recorded(1).await.remove(0);
    assert!(uri.ends_with(&recorded.target), "{}", recorded.target);
    only(&recorded, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_providers_form_is_no_credential_in_client_custody() {
    let (world, session) = start().await;
    let foreign = [
        (PROVIDERS[0].0, "x-api-key"),
        (PROVIDERS[1].0, "x-goog-api-key"),
        (PROVIDERS[2].0, "authorization"),
        (PROVIDERS[3].0, "api-key"),
    ];
    for (uri, form) in foreign {
        let request = Request::post(uri).header("aegis-custody", "client");
        let answer = send(&session, request.header(form, valued(form, DEFAULT_KEY))).await;
        assert_eq!(answer.error_code(), Some("credential_missing"), "{uri} {form}");
    }
    assert!(world.mock.recorded().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_keys_are_never_forwarded() {
    let (world, session) = start().await;
    for (count, (uri, _)) in PROVIDERS.into_iter().enumerate() {
        let query = format!("a=1&token={KEY}&b=%61egis-vk-test-rig-1&key={KEY}&c=2");
        let request = Request::post(format!("{uri}?{query}")).header("aegis-custody", "host");
        let request =
            HEADERS.iter().fold(request, |r, header| r.header(*header, valued(header, KEY)));
        send(&session, request.header("x-custom", KEY).header("x-inside", format!("a {KEY} b")))
            .await;
        let recorded = world.mock.wait_recorded(count + 1).await.remove(count);
        let all = recorded.headers.iter().map(|(_, value)| String::from_utf8_lossy(value));
        let all = all.collect::<Vec<_>>().join("\n") + &recorded.target;
        assert!(!all.contains("egis-vk-"), "{all}");
        assert!(recorded.target.ends_with("?a=1&c=2"), "{}", recorded.target);
    }
    // As the only credential in client custody it is none.
    for (uri, form) in PROVIDERS {
        let request = Request::post(uri).header("aegis-custody", "client");
        let answer = send(&session, request.header(form, valued(form, KEY))).await;
        assert_eq!(answer.error_code(), Some("credential_missing"), "{uri}");
    }
    assert_eq!(world.mock.recorded().len(), PROVIDERS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn client_custody_grants_carry_no_credential_and_requests_keep_their_own() {
    let (world, session) = start().await;
    world.hostile.desk().set_credential(b"sk-made-up-hosts");
    let request = Request::post(PROVIDERS[0].0)
        .header("aegis-custody", "client")
        .header("authorization", format!("Bearer {DEFAULT_KEY}"));
    assert_eq!(send(&session, request).await.status.as_u16(), 200);
    let recorded = world.mock.wait_recorded(1).await.remove(0);
    assert_eq!(values(&recorded, "authorization"), [format!("Bearer {DEFAULT_KEY}").as_bytes()]);
    assert!(world.hostile.record().find(DEFAULT_KEY.as_bytes()).is_empty(), "the host saw the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_get_their_own_accounts_and_connections() {
    let keys = vec!["sk-made-up-account-1".to_owned(), "sk-made-up-account-2".to_owned()];
    let change = |config| MockConfig { keys, ..config };
    let world = World::with_mock(change).await.unwrap();
    world.hostile.on_authorize(|ask, desk| {
        let account = 1 + (ask.session % 2) as u32;
        let credential = Secret(format!("sk-made-up-account-{account}").into_bytes());
        vec![hostile::grant_bytes(&Grant { account, credential, ..desk.honest(ask) })]
    });
    let user = world.user().unwrap();
    let one = user.session(Mode::Http2).await.unwrap();
    let two = user.session(Mode::Http2).await.unwrap();
    for session in [&one, &two, &one, &two] {
        let request = Request::post(PROVIDERS[0].0).header("aegis-custody", "host");
        assert_eq!(send(session, request).await.status.as_u16(), 200);
    }
    let recorded = world.mock.recorded();
    let used = recorded.iter().map(|r| (r.connection, values(r, "authorization")[0].to_vec()));
    let used: Vec<_> = used.collect();
    assert_eq!((&used[0], &used[1]), (&used[2], &used[3]), "each tenant keeps its own");
    assert_ne!(used[0].0, used[1].0, "a connection was shared");
    assert_ne!(used[0].1, used[1].1, "an account was shared");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_in_one_session_never_share_a_connection() {
    let keys = vec!["sk-made-up-account-1".to_owned(), "sk-made-up-account-2".to_owned()];
    let change = |config| MockConfig { keys, ..config };
    let world = World::with_mock(change).await.unwrap();
    let asked = AtomicU32::new(0);
    world.hostile.on_authorize(move |ask, desk| {
        let account = 1 + (asked.fetch_add(1, Ordering::Relaxed) % 2);
        let credential = Secret(format!("sk-made-up-account-{account}").into_bytes());
        vec![hostile::grant_bytes(&Grant { account, credential, ..desk.honest(ask) })]
    });
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    for _ in 0..4 {
        let request = Request::post(PROVIDERS[0].0).header("aegis-custody", "host");
        assert_eq!(send(&session, request).await.status.as_u16(), 200);
    }
    let recorded = world.mock.recorded();
    let used = recorded.iter().map(|r| (r.connection, values(r, "authorization")[0].to_vec()));
    let used: Vec<_> = used.collect();
    assert_eq!((&used[0], &used[1]), (&used[2], &used[3]), "each account keeps its own");
    assert_ne!(used[0].0, used[1].0, "a connection was shared");
}
