//! What a request head becomes: provider, endpoint, custody, and the head that leaves.
#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use aegis_core::{
    Plan, Refusal,
    head::{Field, response_fields},
    plan::Request,
};
use aegis_wire::{
    control::{Class, Custody},
    limits,
    table::Table,
};
use proptest::prelude::*;

const OPENAI: &str = "api.openai.com";
const CHAT: &str = "/v1/chat/completions";
const GEMINI: &str = "generativelanguage.googleapis.com";
const GENERATE: &str = "/v1beta/models/g:generateContent";
const HOST: Field<'_> = ("aegis-custody", b"host");
const CLIENT: Field<'_> = ("aegis-custody", b"client");

fn table() -> &'static Table {
    static READ: OnceLock<&Table> = OnceLock::new();
    READ.get_or_init(|| aegis_table::parse(include_str!("../../providers.table")).unwrap())
}

fn plan<'a>(
    authority: &'a str,
    target: &'a str,
    fields: &'a [Field<'a>],
) -> Result<Plan<'a>, Refusal> {
    let request =
        Request { method: "POST", authority: Some(authority), path_and_query: target, fields };
    Plan::new(table(), &request).map_err(|(refusal, _)| refusal)
}

/// The head that leaves, as lines.
fn leaves(authority: &str, target: &str, fields: &[Field<'_>], credential: &[u8]) -> Vec<String> {
    let plan = plan(authority, target, fields).unwrap();
    let mut lines = vec![format!("{} {}", plan.provider.authority, text(plan.target()))];
    lines.extend(plan.fields().iter().map(|(name, value)| format!("{name}: {}", text(value))));
    let added = plan.credential(credential);
    lines.extend(added.iter().map(|(name, value)| format!("+{name}: {}", text(value))));
    lines
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn refusals_by_cause() {
    use Refusal as R;
    let good: &[Field<'_>] = &[HOST];
    let cases: &[(&str, &str, &[Field<'_>], R)] = &[
        ("evil.test", CHAT, good, R::UnknownProvider),
        ("api.openai.com.evil.test", CHAT, good, R::UnknownProvider),
        ("api.openai.com:8443", CHAT, good, R::UnknownProvider),
        (OPENAI, "/v1/chat/completions/", good, R::UnknownEndpoint),
        (OPENAI, "/v1/chat%2fcompletions", good, R::UnknownEndpoint),
        (OPENAI, "/v1/fine_tuning/jobs", good, R::UnknownEndpoint),
        (OPENAI, "*", good, R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("host", b"api.anthropic.com")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("host", b"api.openai.com"), ("host", b"x")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("host", b"\xff")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("content-length", b"1"), ("content-length", b"1")], R::BadRequest),
        (
            OPENAI,
            CHAT,
            &[HOST, ("content-length", b"1"), ("transfer-encoding", b"chunked")],
            R::BadRequest,
        ),
        (OPENAI, CHAT, &[HOST, ("x-http-method-override", b"GET")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("x-http-method", b"GET")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("x-method-override", b"GET")], R::BadRequest),
        (GEMINI, "/v1beta/models/g:countTokens?$httpMethod=GET", good, R::BadRequest),
        (GEMINI, "/v1beta/models/g:countTokens?a&%24HTTPheaders=x", good, R::BadRequest),
        (GEMINI, "/v1beta/models/aegis-vk-1:countTokens", good, R::BadRequest),
        (OPENAI, CHAT, &[], R::CustodyMissing),
        (OPENAI, CHAT, &[("aegis-custody", b"sealed")], R::CustodyMissing),
        (OPENAI, CHAT, &[HOST, HOST], R::CustodyMissing),
        (OPENAI, CHAT, &[HOST, CLIENT], R::CustodyMissing),
        (OPENAI, CHAT, &[HOST, ("aegis-model", b"Hide")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("aegis-model", b"hide"), ("aegis-model", b"x")], R::BadRequest),
        (OPENAI, CHAT, &[HOST, ("aegis-receipt", b"true")], R::BadRequest),
        (OPENAI, CHAT, &[CLIENT], R::CredentialMissing),
        (OPENAI, CHAT, &[CLIENT, ("x-api-key", b"sk-made-up")], R::CredentialMissing),
        (OPENAI, CHAT, &[CLIENT, ("authorization", b"Basic c2s=")], R::CredentialMissing),
        (
            OPENAI,
            CHAT,
            &[CLIENT, ("authorization", b"Bearer aegis-vk-made-up")],
            R::CredentialMissing,
        ),
        (GEMINI, "/v1beta/models/g:generateContent?keys=1", &[CLIENT], R::CredentialMissing),
    ];
    for (authority, target, fields, refusal) in cases {
        let given = plan(authority, target, fields).err();
        assert_eq!(given, Some(*refusal), "{authority} {target} {fields:?}");
    }
}

/// Whoever may use a sealed account could reach what others left there, and the host says who may.
#[test]
fn a_sealed_account_reaches_nothing_that_stays_in_it() {
    let owner = "ab".repeat(32);
    let custody = format!("sealed {owner}");
    let sealed: &[Field<'_>] = &[("aegis-custody", custody.as_bytes())];
    for path in ["/v1/files", "/v1/batches", "/v1/conversations"] {
        assert!(plan(OPENAI, path, &[HOST]).is_ok(), "{path}");
        assert_eq!(plan(OPENAI, path, sealed).err(), Some(Refusal::SealedScope), "{path}");
    }
    assert!(plan(OPENAI, CHAT, sealed).is_ok());
}

/// Somebody else pays, by figures that must then be in the answer.
#[test]
fn forms_of_an_answer_without_its_usage_are_the_callers_own() {
    let own = [CLIENT, ("x-goog-api-key", b"k")];
    for form in [
        "fields=candidates",
        "%24fields=a",
        "alt=proto",
        "$alt=proto",
        "Alt=sse",
        "alt=sse&alt=media",
        "callback=f",
        "$callback=f",
        "alt",
    ] {
        let target = format!("{GENERATE}?{form}");
        assert_eq!(plan(GEMINI, &target, &[HOST]).err(), Some(Refusal::UsageHidden), "{form}");
        assert!(plan(GEMINI, &target, &own).is_ok(), "{form}");
    }
    let mask = [HOST, ("x-goog-fieldmask", b"candidates")];
    assert_eq!(plan(GEMINI, GENERATE, &mask).err(), Some(Refusal::UsageHidden));
    for whole in ["alt=sse", "%24alt=json", "prettyPrint=false", "x=alt"] {
        assert!(plan(GEMINI, &format!("{GENERATE}?{whole}"), &[HOST]).is_ok(), "{whole}");
    }
}

#[test]
fn head_limits() {
    let target = format!("{CHAT}?{}", "a".repeat(limits::TARGET_BYTES - CHAT.len() - 1));
    assert!(plan(OPENAI, &target, &[HOST]).is_ok());
    let longer = format!("{target}a");
    assert_eq!(plan(OPENAI, &longer, &[HOST]).err(), Some(Refusal::HeadTooLarge));
    let long = vec![b'a'; limits::HEAD_BYTES];
    let fields = [HOST, ("x-long", &long[..])];
    assert_eq!(plan(OPENAI, CHAT, &fields).err(), Some(Refusal::HeadTooLarge));
    let mut many: Vec<Field<'_>> = vec![("x-many", b"1"); limits::HEAD_FIELDS - 1];
    many.push(HOST);
    assert!(plan(OPENAI, CHAT, &many).is_ok());
    many.push(("x-many", b"1"));
    assert_eq!(plan(OPENAI, CHAT, &many).err(), Some(Refusal::HeadTooLarge));
}

/// Every credential form of any provider, in the order of the fields and parameters below.
const ALL_FORMS: &[Field<'_>] = &[
    ("authorization", b"Bearer caller"),
    ("proxy-authorization", b"Bearer caller"),
    ("x-api-key", b"caller"),
    ("api-key", b"caller"),
    ("x-goog-api-key", b"caller"),
    ("sec-websocket-protocol", b"realtime, openai-insecure-api-key.caller"),
];
const ALL_PARAMETERS: &str =
    "a=1&key=caller&api-key=caller&access_token=caller&oauth_token=caller&%6bey=caller&b=%20";

#[test]
fn host_custody_removes_every_credential_and_adds_one() {
    let fields = [ALL_FORMS, &[HOST, ("x-kept", b"1")]].concat();
    for (authority, path, own) in [
        (OPENAI, CHAT, "+authorization: Bearer sk-account"),
        ("api.anthropic.com", "/v1/messages", "+x-api-key: sk-account"),
        (GEMINI, GENERATE, "+x-goog-api-key: sk-account"),
    ] {
        let target = format!("{path}?{ALL_PARAMETERS}");
        let lines = leaves(authority, &target, &fields, b"sk-account");
        let first = format!("{authority} {path}?a=1&b=%20");
        assert_eq!(lines, [&first, "x-kept: 1", own], "{authority}");
    }
}

#[test]
fn client_custody_keeps_the_providers_own_forms_only() {
    let fields = [ALL_FORMS, &[CLIENT]].concat();
    let target = |path: &str| format!("{path}?{ALL_PARAMETERS}");
    for (authority, path, kept) in [
        (OPENAI, CHAT, &["authorization: Bearer caller"][..]),
        (
            "api.anthropic.com",
            "/v1/messages",
            &["authorization: Bearer caller", "x-api-key: caller"],
        ),
        (GEMINI, GENERATE, &["x-goog-api-key: caller"]),
    ] {
        let lines = leaves(authority, &target(path), &fields, b"");
        let query = match authority {
            GEMINI => "a=1&key=caller&%6bey=caller&b=%20",
            _ => "a=1&b=%20",
        };
        assert_eq!(lines[0], format!("{authority} {path}?{query}"));
        assert_eq!(lines[1..], *kept, "{authority}");
    }
    let lines = leaves(GEMINI, "/v1beta/models/g:generateContent?key=k", &[CLIENT], b"");
    assert_eq!(lines, [format!("{GEMINI} {GENERATE}?key=k")], "a key in the query alone");
}

#[test]
fn virtual_keys_never_leave() {
    let fields = [
        CLIENT,
        ("authorization", b"Bearer sk-made-up"),
        ("x-api-key", b"aegis-vk-made-up"),
        ("x-anything", b"token aegis-vk-made-up"),
    ];
    let target = format!("{CHAT}?x=aegis-vk-1&y=aegis%2Dvk%2D1&aegis-vk-1&aegis-vk-1=x&z=1");
    let lines = leaves(OPENAI, &target, &fields, b"");
    assert_eq!(lines, [format!("{OPENAI} {CHAT}?z=1"), "authorization: Bearer sk-made-up".into()]);
}

#[test]
fn hop_by_hop_and_aegis_fields_are_consumed() {
    let fields = [
        HOST,
        ("connection", b"close, X-Mine"),
        ("x-mine", b"1"),
        ("keep-alive", b"5"),
        ("te", b"trailers"),
        ("trailer", b"x"),
        ("upgrade", b"websocket"),
        ("expect", b"100-continue"),
        ("transfer-encoding", b"chunked"),
        ("host", b"API.openai.com"),
        ("aegis-model", b"hide"),
        ("aegis-anything", b"1"),
        ("accept", b"*/*"),
        ("x-two", b"b"),
        ("x-two", b"a"),
        ("empty", b""),
    ];
    let plan = plan(OPENAI, CHAT, &fields).unwrap();
    assert!(!plan.show_label);
    let kept = plan.fields();
    let expected: [Field<'_>; 4] =
        [("accept", b"*/*"), ("x-two", b"b"), ("x-two", b"a"), ("empty", b"")];
    assert_eq!(kept, expected);
    let answer = [("aegis-error", &b"forged"[..]), ("connection", b"x-mine"), ("x-mine", b"1")];
    assert!(response_fields(&answer).is_empty());
}

#[test]
fn the_authority_may_come_as_host_field() {
    let fields = [HOST, ("host", b"api.openai.com:443")];
    let request =
        Request { method: "POST", authority: None, path_and_query: CHAT, fields: &fields };
    let plan = Plan::new(table(), &request).unwrap();
    assert_eq!(plan.provider.authority, "api.openai.com");
    assert_eq!((plan.custody, plan.show_label), (Custody::Host, true));
}

/// What stays in the provider's account is asked for under its own class, which a host grants by name.
#[test]
fn the_host_is_told_what_stays_in_an_account() {
    for (path, class) in [
        ("/v1/files", Class::File),
        ("/v1/batches/b_1", Class::Batch),
        ("/v1/responses/resp_1/input_items", Class::Stored),
        ("/v1/chat/completions", Class::Stored),
        ("/v1/models", Class::List),
    ] {
        let authority = Some(OPENAI);
        let request = Request { method: "GET", authority, path_and_query: path, fields: &[HOST] };
        let plan = Plan::new(table(), &request).unwrap();
        let asked = plan.authorize(1, 2, 1);
        assert_eq!((asked.class, asked.custody), (class, Custody::Host), "{path}");
        assert!(!plan.replayable(), "{path}");
    }
}

#[test]
fn every_refusal_has_a_text_and_stands_in_the_contract() {
    let contract = include_str!("../../wire/PROTOCOL.md");
    for refusal in Refusal::ALL {
        let (code, status) = (refusal.code(), refusal.status());
        let row = format!("| `{code}` | {status} | {} |", refusal.should_retry());
        assert!(contract.contains(&row), "PROTOCOL.md lacks {row}");
        let texts = table().refusals.iter().filter(|(known, _)| *known == code);
        assert_eq!(texts.count(), 1, "providers.table lacks a text for {code}");
        for provider in table().providers {
            let body: serde_json::Value =
                serde_json::from_str(&refusal.body(provider.envelope, table())).unwrap();
            assert!(body["error"]["message"].as_str().unwrap().len() > 20, "{code}");
        }
    }
    assert_eq!(table().refusals.len(), Refusal::ALL.len());
}

proptest! {
    /// Whatever else a head carries passes with its exact bytes, in its order.
    #[test]
    fn other_fields_pass_as_they_are(
        names in proptest::collection::vec("x-[a-z]{1,8}", 0..20),
        values in proptest::collection::vec("[ -~]{0,40}", 20),
        query in "[a-z]{1,3}(=[!-%'-~]{0,10})?(&[a-z]{1,3}(=[!-%'-~]{0,10})?){0,5}",
    ) {
        let given: Vec<Field<'_>> =
            names.iter().zip(&values).map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        prop_assume!(!values.iter().any(|value| value.contains("aegis-vk-")));
        prop_assume!(!query.split('&').any(|pair| pair.split('=').next() == Some("key")));
        let mut fields = given.clone();
        fields.push(HOST);
        let target = format!("{CHAT}?{query}");
        let plan = plan(OPENAI, &target, &fields).unwrap();
        prop_assert_eq!(plan.fields(), &given[..]);
        prop_assert_eq!(text(plan.target()), &target);
    }
}
