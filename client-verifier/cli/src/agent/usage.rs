//! Whether an answer will tell its usage, decided at the user's side: neither host nor enclave looks
//! into requests, so a stream that will tell nothing is charged by its reservation (CLIENTS.md).
//! Who asked for it (`--require-usage`) has such a request refused before it leaves.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::Deserialize;

use super::answer::Own;

/// Largest request that is looked into: what providers take as JSON.
const REQUEST_BYTES: usize = 64 * 1024 * 1024;

/// As much of a chat request as the question needs; the rest is not kept.
#[derive(Deserialize)]
struct Chat {
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// Whether a request is of the one kind whose stream tells its usage only when asked: a chat
/// completion in the shape of OpenAI's.
pub fn is_told_on_request(method: &Method, path: &str) -> bool {
    method == Method::POST && path.ends_with("/chat/completions")
}

/// The body, byte for byte, unless it asks for a stream without usage.
pub async fn require<B>(headers: &HeaderMap, body: B) -> Result<Full<Bytes>, Own>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let coding = headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes());
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(refused(
            "the agent was told to require usage and cannot look into an encoded request; send it \
             without content-encoding",
        ));
    }
    let body =
        Limited::new(body, REQUEST_BYTES).collect().await.map_err(|error| match error
            .is::<LengthLimitError>(
        ) {
            true => refused(
                "the agent was told to require usage and looks into at most 64 MiB; send less, or \
                 start it without --require-usage",
            ),
            false => refused(&format!("the request broke off: {error}; send it again")),
        })?;
    let body = body.to_bytes();
    // What is no chat request is the provider's to refuse; it starts no stream.
    let silent = serde_json::from_slice::<Chat>(&body).is_ok_and(|chat| chat.is_silent());
    match silent {
        true => Err(refused(
            "this stream would not tell its usage, and the agent was told to require it; add \
             \"stream_options\": {\"include_usage\": true} to the request",
        )),
        false => Ok(Full::new(body)),
    }
}

impl Chat {
    fn is_silent(&self) -> bool {
        let asked = self.stream_options.as_ref().and_then(|options| options.include_usage);
        self.stream == Some(true) && asked != Some(true)
    }
}

fn refused(message: &str) -> Own {
    Own::new(StatusCode::BAD_REQUEST, "usage_required", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn verdict(body: &str) -> Result<Bytes, Own> {
        let body = require(&HeaderMap::new(), Full::<Bytes>::from(body.to_owned())).await?;
        Ok(body.collect().await.unwrap().to_bytes())
    }

    #[tokio::test]
    async fn a_stream_without_usage_is_refused_and_the_rest_passes_as_it_is() {
        for silent in [
            r#"{"stream":true}"#,
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{}}"#,
            r#"{"stream_options":{"include_usage":false}, "stream" : true}"#,
        ] {
            let own = verdict(silent).await.unwrap_err();
            assert_eq!((own.status.as_u16(), own.code, own.retry), (400, "usage_required", false));
            assert!(own.message.contains(r#""include_usage": true"#), "{}", own.message);
        }
        for telling in [
            r#"{ "stream":true, "stream_options":{"include_usage":true,"x":1}, "model":"m" }"#,
            r#"{"stream":false}"#,
            r#"{"model":"m"}"#,
            r#"{"stream":null}"#,
            "no JSON",
            "",
        ] {
            assert_eq!(verdict(telling).await.unwrap(), telling);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_looked_into_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", "zstd".parse().unwrap());
        let own = require(&headers, Full::<Bytes>::from("{}")).await.unwrap_err();
        assert!(own.message.contains("without content-encoding"), "{}", own.message);
        headers.insert("content-encoding", "identity".parse().unwrap());
        assert!(require(&headers, Full::<Bytes>::from("{}")).await.is_ok());
        let large = Full::new(Bytes::from(vec![b' '; REQUEST_BYTES + 1]));
        let own = require(&HeaderMap::new(), large).await.unwrap_err();
        assert!(own.message.contains("64 MiB"), "{}", own.message);
    }

    #[test]
    fn only_chat_completions_are_looked_into() {
        assert!(is_told_on_request(&Method::POST, "/openai/v1/chat/completions"));
        assert!(is_told_on_request(&Method::POST, "/openrouter/api/v1/chat/completions"));
        assert!(!is_told_on_request(&Method::GET, "/openai/v1/chat/completions"));
        for path in ["/openai/v1/responses", "/anthropic/v1/messages", "/openai/v1/files"] {
            assert!(!is_told_on_request(&Method::POST, path), "{path}");
        }
    }
}
