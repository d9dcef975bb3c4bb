//! The agent's own errors, in the envelope that the SDK on the other side can read.

use std::time::Duration;

use aegis_client::{Error, Refusal};
use aegis_wire::table::Envelope;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// What an SDK waits when the router is away and names no time itself.
const AWAY: Duration = Duration::from_secs(2);

/// An error that the agent answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// HTTP status.
    pub status: StatusCode,
    /// The value of `aegis-error`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Whether SDKs should try again by themselves.
    pub retry: bool,
    /// The value of `retry-after`.
    pub retry_after: Option<Duration>,
}

impl Own {
    /// An error that trying again does not mend.
    pub fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string(), retry: false, retry_after: None }
    }

    /// What the SDK is told when there is no answer from the enclave.
    pub fn of(error: &Error) -> Self {
        if error.is_away() {
            return Self {
                retry: true,
                retry_after: Some(error.retry_after().unwrap_or(AWAY)),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "router_away", error)
            };
        }
        let code = match error {
            Error::Refused(Refusal::UnknownKey) => {
                return Self::new(StatusCode::UNAUTHORIZED, "unknown_key", error);
            }
            Error::Refused(Refusal::NoRelease) | Error::NothingAccepted => "no_release",
            Error::ReleasesEnded { .. } => "releases_ended",
            Error::Refused(_) => "router_refused",
            Error::OuterTls { .. } => "outer_tls",
            Error::Lost(_) => "session_lost",
            _ if error.step().is_some() => "verification_failed",
            _ => "request_refused",
        };
        Self::new(StatusCode::BAD_GATEWAY, code, error)
    }

    /// The answer itself.
    pub fn response(&self, envelope: Envelope) -> Response<Full<Bytes>> {
        let body = Bytes::from(self.body(envelope).to_string());
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let flag = if self.retry { "true" } else { "false" };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("aegis-error", HeaderValue::from_static(self.code));
        headers.insert("x-should-retry", HeaderValue::from_static(flag));
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
        }
        response
    }

    fn body(&self, envelope: Envelope) -> Value {
        let Self { message, code, .. } = self;
        match envelope {
            Envelope::OpenAi => {
                let kind = kind(self.status).0;
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
            Envelope::Anthropic => {
                let kind = kind(self.status).0;
                json!({"type": "error", "error": {"type": kind, "message": message}})
            }
            Envelope::Gemini => {
                let (number, status) = (self.status.as_u16(), kind(self.status).1);
                json!({"error": {"code": number, "message": message, "status": status}})
            }
        }
    }
}

/// How Anthropic (and, near enough, OpenAI) and Google call an error of this status.
fn kind(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("invalid_request_error", "INVALID_ARGUMENT"),
        401 => ("authentication_error", "UNAUTHENTICATED"),
        403 => ("permission_error", "PERMISSION_DENIED"),
        404 => ("not_found_error", "NOT_FOUND"),
        503 => ("overloaded_error", "UNAVAILABLE"),
        _ => ("api_error", "INTERNAL"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn refused(refusal: Refusal) -> Own {
        Own::of(&Error::Refused(refusal))
    }

    #[test]
    fn a_router_that_is_away_is_worth_another_try() {
        let own = refused(Refusal::NoEnclave { retry_after: Some(Duration::from_secs(7)) });
        let response = own.response(Envelope::OpenAi);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["x-should-retry"], "true");
        assert_eq!(response.headers()["aegis-error"], "router_away");
        assert_eq!(Own::of(&Error::NotSent).retry_after, Some(AWAY));
    }

    #[test]
    fn a_failed_verification_is_not_worth_another_try_and_names_the_step() {
        let size = aegis_verifier::decode_without_verifying(b"").unwrap_err();
        let own = Own::of(&Error::Evidence(size));
        assert_eq!((own.status.as_u16(), own.code), (502, "verification_failed"));
        assert!(own.message.contains("step size"), "{}", own.message);
        let response = own.response(Envelope::Gemini);
        assert_eq!(response.headers()["x-should-retry"], "false");
        assert!(!response.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_key_the_router_does_not_know_is_the_sdk_s_own_error() {
        let own = refused(Refusal::UnknownKey);
        assert_eq!((own.status.as_u16(), own.code), (401, "unknown_key"));
        assert_eq!(refused(Refusal::NoRelease).status, 502);
        assert!(!refused(Refusal::Other(418)).retry);
    }

    #[test]
    fn each_provider_s_envelope_has_its_own_shape() {
        let own = Own::new(StatusCode::UNAUTHORIZED, "key_missing", "a \"quoted\" word");
        let openai = own.body(Envelope::OpenAi);
        assert_eq!(openai["error"]["code"], "key_missing");
        assert_eq!(openai["error"]["message"], "a \"quoted\" word");
        let anthropic = own.body(Envelope::Anthropic);
        assert_eq!(anthropic["type"], "error");
        assert_eq!(anthropic["error"]["type"], "authentication_error");
        let gemini = own.body(Envelope::Gemini);
        assert_eq!(gemini["error"]["code"], 401);
        assert_eq!(gemini["error"]["status"], "UNAUTHENTICATED");
    }
}
