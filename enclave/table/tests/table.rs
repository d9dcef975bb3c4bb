//! The provider tables that ship, and the rules of the format.
#![allow(clippy::unwrap_used)]

use aegis_table::parse;
use aegis_wire::table::{Credential, Envelope, ProviderIndex};

const PRODUCTION: &str = include_str!("../../providers.table");
const MOCK: &str = include_str!("../../dev/mock.table");

#[test]
fn shipped_tables_parse() {
    let table = parse(PRODUCTION).unwrap();
    assert_eq!(table.providers.len(), 4);
    let both = format!("{PRODUCTION}{MOCK}");
    let table = parse(&both).unwrap();
    assert_eq!(table.providers.len(), 8);
    let (index, anthropic) = table.by_authority("api.anthropic.com:443").unwrap();
    assert_eq!((index, anthropic.envelope), (ProviderIndex(1), Envelope::Anthropic));
    let forms = [Credential::Header("x-api-key"), Credential::Bearer];
    assert_eq!(anthropic.credentials, forms);
}

#[test]
fn endpoints_match_exactly() {
    let table = parse(PRODUCTION).unwrap();
    let gemini = table.by_authority("generativelanguage.googleapis.com").unwrap().1;
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
    assert!(gemini.endpoint("GET", "/v1beta/models/g:generateContent").is_none(), "no colon");
    let openai = table.by_authority("api.openai.com").unwrap().1;
    assert!(openai.endpoint("GET", "/v1/models/ft:gpt-4o:org::id").is_some());
}

#[test]
fn bad_tables_are_refused_by_line_and_rule() {
    let api = "api a\n envelope openai\n credential bearer\n";
    let provider = format!("{api}provider p\n authority h\n api a\n prefix /p\n");
    let good = format!("{provider} roots public\n");
    assert_eq!(parse(&good).unwrap().providers.len(), 1);
    let twice = format!("{good}{}", good.replace("provider p", "provider q"));
    for (text, line, rule) in [
        ("provider\n", 1, "a section needs a name"),
        ("vendor x\n", 1, "unknown section"),
        (" authority x\n", 1, "a line in no section"),
        ("# only this\napi a\n envelope\n", 3, "a line needs a value"),
        (provider.as_str(), 0, "a provider is incomplete"),
        (&good.replace("bearer", "cookie"), 3, "unknown credential form"),
        (&good.replace("bearer", "query-key bearer"), 3, "the first credential form must be"),
        (&good.replace(" api a", " api b"), 6, "unknown api"),
        (&twice, 0, "a provider is given twice"),
        ("api a\n endpoint GET /{x} list\n", 2, "a path must begin with /"),
        ("api a\n endpoint GET x list\n", 2, "a path must begin with /"),
        ("api a\n endpoint GET /x nothing\n", 2, "unknown endpoint class"),
        ("api a\n endpoint GET /x list meter=m\n", 2, "unknown meter"),
        ("api a\n endpoint GET /x list often\n", 2, "unknown mark"),
        ("meter m\n tokens usage.x\n", 2, "unknown count"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?} gave {error}");
        assert!(error.rule.starts_with(rule), "{text:?} gave {error}");
    }
}
