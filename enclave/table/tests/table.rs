//! The provider tables that ship, and the rules of the format.
#![allow(clippy::unwrap_used)]

use aegis_table::parse;
use aegis_wire::table::{Credential, Envelope, ProviderIndex};

const PRODUCTION: &str = include_str!("../../providers.table");
const MOCK: &str = include_str!("../../dev/mock.table");

#[test]
fn shipped_tables_parse() {
    let table = parse(PRODUCTION).unwrap();
    assert_eq!(table.providers.len(), 15);
    let both = format!("{PRODUCTION}{MOCK}");
    let table = parse(&both).unwrap();
    assert_eq!(table.providers.len(), 19);
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
        ("api a\n endpoint POST /x file replayable\n", 2, "what leaves something in the account"),
        ("meter m\n tokens usage.x\n", 2, "unknown count"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text:?} gave {error}");
        assert!(error.rule.starts_with(rule), "{text:?} gave {error}");
    }
}

/// One line for what clients send: provider, method, path, class, whether it is metered, replayable.
const SENT: &str = "
openai POST /v1/chat/completions generate m r
openai POST /v1/responses generate m r
openai POST /v1/responses/compact generate m r
openai POST /v1/responses/input_tokens count - r
openai GET /v1/responses/resp_68a stored - -
openai DELETE /v1/responses/resp_68a stored - -
openai POST /v1/responses/resp_68a/cancel stored - -
openai GET /v1/responses/resp_68a/input_items stored - -
openai POST /v1/embeddings embed m r
openai GET /v1/models list - -
openai GET /v1/models/gpt-5.1 list - -
openai POST /v1/images/generations media m r
openai POST /v1/audio/transcriptions media m r
openai POST /v1/audio/speech media - r
openai POST /v1/files file - -
openai GET /v1/files/file-1/content file - -
openai POST /v1/uploads/upload_1/parts file - -
openai POST /v1/batches batch - -
openai POST /v1/batches/batch_1/cancel batch - -
anthropic HEAD / list - -
anthropic POST /v1/messages generate m r
anthropic POST /v1/messages/count_tokens count - r
anthropic GET /v1/models list - -
anthropic POST /v1/messages/batches batch - -
anthropic GET /v1/messages/batches/msgbatch_1/results batch - -
anthropic GET /v1/files/file_1/content file - -
gemini POST /v1beta/models/gemini-3-pro:generateContent generate m r
gemini POST /v1beta/models/gemini-3-pro:streamGenerateContent generate m r
gemini POST /v1beta/models/gemini-3-pro:countTokens count - r
gemini POST /v1beta/models/gemini-embedding-001:batchEmbedContents embed - r
gemini POST /upload/v1beta/files file - -
gemini GET /v1beta/files/abc:download file - -
gemini POST /v1beta/models/gemini-3-pro:batchGenerateContent batch - -
gemini PATCH /v1beta/cachedContents/c1 stored - -
openrouter POST /api/v1/chat/completions generate m r
openrouter POST /api/v1/responses generate m r
openrouter POST /api/v1/messages generate m r
openrouter GET /api/v1/models/openai/gpt-4o:free/endpoints list - -
openrouter GET /api/v1/generation stored - -
mistral POST /v1/fim/completions generate m r
xai POST /v1/responses generate m r
deepseek POST /chat/completions generate m r
deepseek POST /anthropic/v1/messages generate m r
groq POST /openai/v1/chat/completions generate m r
together POST /v1/chat/completions generate m r
fireworks POST /inference/v1/chat/completions generate m r
bedrock-us-east-1 POST /v1/responses generate m r
bedrock-eu-west-1 POST /anthropic/v1/messages generate m r
";

#[test]
fn what_clients_send_is_served_under_its_class_and_marks() {
    let table = parse(PRODUCTION).unwrap();
    for line in SENT.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, method, path, class, metered, replayable] = words[..] else { panic!("{line}") };
        let provider = table.providers.iter().find(|row| row.name == name).unwrap();
        let row = provider.endpoint(method, path).unwrap_or_else(|| panic!("not served: {line}"));
        let marks = (row.class.word(), row.meter.is_some(), row.replayable);
        assert_eq!(marks, (class, metered == "m", replayable == "r"), "{line}");
    }
}

/// A generating endpoint without usage figures would be billed at its reservation for ever, and one
/// that is not replayable would fail where another account could serve.
#[test]
fn whatever_generates_is_metered_and_replayable() {
    for provider in parse(PRODUCTION).unwrap().providers {
        for row in provider.endpoints.iter().filter(|row| row.class.word() == "generate") {
            let name = (provider.name, row.pattern);
            assert!(row.meter.is_some() && row.replayable && row.method == "POST", "{name:?}");
        }
    }
}

#[test]
fn an_azure_resource_is_one_more_row() {
    let row = "provider contoso\n authority contoso.openai.azure.com\n api azure\n \
               prefix /contoso\n roots public\n";
    let table = parse(&format!("{PRODUCTION}{row}")).unwrap();
    let (_, azure) = table.by_authority("contoso.openai.azure.com").unwrap();
    assert_eq!(azure.credentials[0], Credential::Header("api-key"));
    let chat = azure.endpoint("POST", "/openai/deployments/gpt-5.1/chat/completions").unwrap();
    assert!(chat.meter.is_some() && chat.replayable);
    assert!(table.by_authority("other.openai.azure.com").is_none());
}
