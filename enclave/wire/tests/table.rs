//! The provider tables that ship, and the rules of the format.
#![allow(clippy::unwrap_used)]

use aegis_wire::table::{Credential, Envelope, ProviderIndex, Table};

const PRODUCTION: &str = include_str!("../../providers.table");
const MOCK: &str = include_str!("../../dev/mock.table");

#[test]
fn shipped_tables_parse() {
    let table = Table::parse(PRODUCTION).unwrap();
    assert_eq!(table.providers.len(), 4);
    let both = format!("{PRODUCTION}{MOCK}");
    let table = Table::parse(&both).unwrap();
    assert_eq!(table.providers.len(), 8);
    let (index, anthropic) = table.by_authority("api.anthropic.com:443").unwrap();
    assert_eq!(
        (index, anthropic.api.envelope),
        (ProviderIndex(1), Envelope::Anthropic)
    );
    let forms = [Credential::Header("x-api-key"), Credential::Bearer];
    assert_eq!(anthropic.api.credentials, forms);
}

#[test]
fn endpoints_match_exactly() {
    let table = Table::parse(PRODUCTION).unwrap();
    let gemini = table
        .by_authority("generativelanguage.googleapis.com")
        .unwrap()
        .1;
    let stream = "/v1beta/models/gemini-3.0-pro:streamGenerateContent";
    assert!(gemini.endpoint("POST", stream).is_some());
    for path in [
        "/v1beta/models/:streamGenerateContent",
        "/v1beta/models/a/b:streamGenerateContent",
        "/v1beta/models/a%2fb:streamGenerateContent",
        "/v1beta/models/..",
        "/v1beta/models/a:deleteEverything/x",
        "/v1beta/models/a:streamGenerateContent/",
        "//v1beta/models/a:streamGenerateContent",
        "/V1beta/models/a:streamGenerateContent",
    ] {
        assert!(gemini.endpoint("POST", path).is_none(), "{path}");
    }
    assert!(gemini.endpoint("post", stream).is_none());
    assert!(gemini.endpoint("GET", "/v1beta/models/..").is_none());
    assert!(gemini.endpoint("GET", "/v1beta/models/g.1").is_some());
}

#[test]
fn bad_tables_are_refused_by_rule() {
    let provider = "api a\n credential bearer\nprovider p\n authority h\n api a\n prefix /p\n";
    let good = format!("{provider} roots public\n");
    assert_eq!(Table::parse(&good).unwrap().providers.len(), 1);
    for (text, rule) in [
        ("provider\n", "a line without a value"),
        ("vendor x\n", "unknown section"),
        (" authority x\n", "unknown section"),
        (provider, "a provider is incomplete or given twice"),
        (&good.replace("bearer", "cookie"), "unknown credential form"),
        (&good.replace(" api a", " api b"), "unknown api"),
        (
            &format!("{good}{}", good.replace("provider p", "provider q")),
            "given twice",
        ),
        ("api a\n endpoint GET /x nothing\n", "endpoint class"),
        ("api a\n endpoint GET /x list meter=m\n", "unknown meter"),
        ("api a\n endpoint GET /x list often\n", "unknown mark"),
        ("meter m\n tokens usage.x\n", "unknown count"),
    ] {
        let error = Table::parse(text).unwrap_err();
        assert!(error.0.contains(rule), "{text:?} gave {error}");
    }
}
