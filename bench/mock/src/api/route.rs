//! From method, authority and path to an operation, and the credential that it needs.

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::request::Parts;

use super::Provider;
use super::Refusal;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    ChatCompletions {
        provider: Provider,
    },
    Responses,
    Embeddings,
    Models {
        provider: Provider,
        id: Option<String>,
    },
    Messages,
    CountMessageTokens,
    Generate {
        model: String,
    },
    StreamGenerate {
        model: String,
        sse: bool,
    },
    CountContentTokens,
    /// Files, batches, stored objects: the answer tells what was asked, of nothing is anything kept.
    Stored {
        method: Method,
        path: String,
    },
    /// The start of a resumable upload: the answer names where the bytes go.
    StartUpload,
    /// The reachability probe that Claude Code sends: `HEAD /`.
    Root,
}

/// A request's provider, known even when the path is not, and its operation.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) provider: Provider,
    pub(crate) operation: Result<Operation, Refusal>,
}

/// Routes by the provider that the authority names (`openai.mock.aegis.test`); when it names
/// none, by the path. With `prefixed`, the first path segment names the provider instead.
pub(crate) fn route(head: &Parts, authority: &str, prefixed: bool) -> Route {
    let full = head.uri.path();
    let (named, path) =
        if prefixed { split_prefix(full) } else { (provider_of_authority(authority), full) };
    let provider = named.unwrap_or_else(|| provider_of_path(path, &head.headers));
    let found = operation(provider, &head.method, path, head.uri.query().unwrap_or(""));
    let operation = found.ok_or_else(|| {
        let message = format!("Unknown request URL: {} {full}.", head.method);
        Refusal::new(StatusCode::NOT_FOUND, message)
    });
    Route { provider, operation }
}

fn split_prefix(path: &str) -> (Option<Provider>, &str) {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (first, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let provider = match first {
        "openai" => Provider::OpenAi,
        "anthropic" => Provider::Anthropic,
        "gemini" => Provider::Gemini,
        "openrouter" => Provider::OpenRouter,
        _ => return (None, path),
    };
    (Some(provider), if after.is_empty() { "/" } else { after })
}

fn provider_of_authority(authority: &str) -> Option<Provider> {
    let has = |word| authority.split(['.', '-', ':']).any(|label| label == word);
    match () {
        () if has("openrouter") => Some(Provider::OpenRouter),
        () if has("openai") => Some(Provider::OpenAi),
        () if has("anthropic") => Some(Provider::Anthropic),
        () if has("gemini") || has("googleapis") => Some(Provider::Gemini),
        () => None,
    }
}

fn provider_of_path(path: &str, headers: &HeaderMap) -> Provider {
    if path.starts_with("/api/v1/") {
        return Provider::OpenRouter;
    }
    if path.starts_with("/v1beta/") {
        return Provider::Gemini;
    }
    let anthropic = path.starts_with("/v1/messages")
        || headers.contains_key("anthropic-version")
        || headers.contains_key("x-api-key");
    if anthropic { Provider::Anthropic } else { Provider::OpenAi }
}

fn operation(provider: Provider, method: &Method, path: &str, query: &str) -> Option<Operation> {
    if is_stored(provider, path) {
        let upload = path.starts_with("/upload/") && !query.contains("upload_id=");
        let stored = Operation::Stored { method: method.clone(), path: path.to_owned() };
        return Some(if upload { Operation::StartUpload } else { stored });
    }
    if method == Method::HEAD {
        return (path == "/").then_some(Operation::Root);
    }
    if method == Method::GET {
        return models(provider, path);
    }
    if method != Method::POST {
        return None;
    }
    match (provider, path) {
        (Provider::OpenAi, "/v1/chat/completions")
        | (Provider::OpenRouter, "/api/v1/chat/completions") => {
            Some(Operation::ChatCompletions { provider })
        }
        (Provider::OpenAi, "/v1/responses") => Some(Operation::Responses),
        (Provider::OpenAi, "/v1/embeddings") => Some(Operation::Embeddings),
        (Provider::Anthropic, "/v1/messages") => Some(Operation::Messages),
        (Provider::Anthropic, "/v1/messages/count_tokens") => Some(Operation::CountMessageTokens),
        (Provider::Gemini, path) => gemini(path, query),
        _ => None,
    }
}

fn is_stored(provider: Provider, path: &str) -> bool {
    let below: &[&str] = match provider {
        Provider::OpenAi => &["/v1/files", "/v1/batches", "/v1/uploads", "/v1/responses/"],
        Provider::Anthropic => &["/v1/files", "/v1/messages/batches"],
        Provider::Gemini => &["/v1beta/files", "/upload/v1beta/files", "/v1beta/batches"],
        Provider::OpenRouter => &[],
    };
    below.iter().any(|prefix| path.starts_with(prefix))
}

fn models(provider: Provider, path: &str) -> Option<Operation> {
    let base = match provider {
        Provider::OpenAi | Provider::Anthropic => "/v1/models",
        Provider::Gemini => "/v1beta/models",
        Provider::OpenRouter => "/api/v1/models",
    };
    let rest = path.strip_prefix(base)?;
    if rest.is_empty() {
        return Some(Operation::Models { provider, id: None });
    }
    let id = rest.strip_prefix('/').filter(|id| !id.is_empty())?;
    Some(Operation::Models { provider, id: Some(id.to_owned()) })
}

fn gemini(path: &str, query: &str) -> Option<Operation> {
    let (model, verb) = path.strip_prefix("/v1beta/models/")?.split_once(':')?;
    let model = model.to_owned();
    match verb {
        "generateContent" => Some(Operation::Generate { model }),
        "streamGenerateContent" => {
            let sse = query.split('&').any(|pair| pair == "alt=sse");
            Some(Operation::StreamGenerate { model, sse })
        }
        "countTokens" => Some(Operation::CountContentTokens),
        _ => None,
    }
}

/// Checks the provider's own credential forms: at least one is there, and each that is there
/// carries one of `keys`.
pub(crate) fn check_credential(
    provider: Provider,
    head: &Parts,
    keys: &[String],
) -> Result<(), Refusal> {
    let given = credentials(provider, head);
    if given.is_empty() {
        let message = "You didn't provide an API key in this API's own form.";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, message));
    }
    if given.iter().all(|value| keys.iter().any(|key| key.as_bytes() == value.as_slice())) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "Incorrect API key provided."))
}

/// Whether that key is among the credentials in the provider's own forms.
pub(crate) fn has_credential(provider: Provider, head: &Parts, key: &str) -> bool {
    credentials(provider, head).iter().any(|value| value == key.as_bytes())
}

fn credentials(provider: Provider, head: &Parts) -> Vec<Vec<u8>> {
    let fields = |name: &str| {
        head.headers.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>()
    };
    let bearer = || {
        // A scheme other than Bearer stays as it is and so equals no key.
        let strip = |value: Vec<u8>| match value.strip_prefix(b"Bearer ") {
            Some(token) => token.to_vec(),
            None => value,
        };
        fields("authorization").into_iter().map(strip).collect::<Vec<_>>()
    };
    match provider {
        Provider::OpenAi | Provider::OpenRouter => bearer(),
        Provider::Anthropic => [fields("x-api-key"), bearer()].concat(),
        Provider::Gemini => [fields("x-goog-api-key"), query_keys(head)].concat(),
    }
}

fn query_keys(head: &Parts) -> Vec<Vec<u8>> {
    let query = head.uri.query().unwrap_or("");
    let keys = query.split('&').filter_map(|pair| pair.strip_prefix("key="));
    keys.map(|key| key.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::Request;

    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_authority_decides_whose_models_are_listed() {
        let head = head("GET", "/v1/models", &[]);
        for (authority, provider) in [
            ("openai.mock.aegis.test", Provider::OpenAi),
            ("api.anthropic.com:443", Provider::Anthropic),
            ("127.0.0.1:1", Provider::OpenAi),
        ] {
            assert_eq!(route(&head, authority, false).provider, provider, "{authority}");
        }
    }

    #[test]
    fn a_provider_serves_no_path_of_another() {
        let head = head("POST", "/v1/messages", &[]);
        let routed = route(&head, "openai.mock.aegis.test", false);
        assert_eq!(routed.operation.unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn prefixes_name_the_provider() {
        let head = head("POST", "/openrouter/api/v1/chat/completions", &[]);
        let routed = route(&head, "127.0.0.1:1", true);
        let provider = Provider::OpenRouter;
        assert_eq!(routed.operation.unwrap(), Operation::ChatCompletions { provider });
    }

    #[test]
    fn every_given_credential_must_be_right() {
        let keys = ["sk-made-up-a".to_owned(), "sk-made-up-b".to_owned()];
        let check = |provider, uri, headers: &[(&str, &str)]| {
            check_credential(provider, &head("POST", uri, headers), &keys).is_ok()
        };
        let bearer = ("authorization", "Bearer sk-made-up-a");
        assert!(check(Provider::OpenAi, "/", &[bearer]));
        assert!(check(Provider::Anthropic, "/", &[bearer, ("x-api-key", "sk-made-up-b")]));
        assert!(!check(Provider::Anthropic, "/", &[bearer, ("x-api-key", "wrong")]));
        assert!(check(Provider::Gemini, "/?alt=sse&key=sk-made-up-a", &[]));
        assert!(!check(Provider::Gemini, "/", &[bearer]));
        assert!(!check(Provider::OpenAi, "/", &[("authorization", "Basic sk-made-up-a")]));
        assert!(!check(Provider::OpenAi, "/", &[("x-api-key", "sk-made-up-a")]));
    }
}
