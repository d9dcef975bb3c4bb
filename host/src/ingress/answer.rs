//! What a client is told: its release, or one of the errors of PROTOCOL.md section 2.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// A head to send.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    BadRequest(&'static str),
    UnknownKey,
    NoRelease,
    NoEnclave,
}

/// The tunnel stands.
pub(super) fn connected(release: u32) -> Answer {
    let mut answer = Response::new(Full::default());
    let name = HeaderName::from_static("aegis-release");
    answer.headers_mut().insert(name, HeaderValue::from(release));
    answer
}

/// This program serves; says nothing about enclaves.
pub(super) fn alive() -> Answer {
    last(Response::new(Full::from("alive\n")))
}

/// Nothing more is answered on this connection.
fn last(mut answer: Answer) -> Answer {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

impl Refused {
    /// The word on the wire.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::UnknownKey => "unknown_key",
            Self::NoRelease => "no_release",
            Self::NoEnclave => "no_enclave",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnknownKey => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::NoRelease => StatusCode::PRECONDITION_FAILED,
            Self::NoEnclave => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::BadRequest(reason) => reason,
            Self::UnknownKey => {
                "no such virtual key, or it is revoked; ask the router's operator for one"
            }
            Self::NoRelease => {
                "no enclave here runs a release that you accept; update your release list"
            }
            Self::NoEnclave => "no enclave answers now; try again in a moment",
        }
    }

    /// The whole answer.
    pub(super) fn answer(self) -> Answer {
        let (code, message) = (self.code(), self.message());
        let body = serde_json::json!({ "error": { "code": code, "message": message } });
        let mut answer = Response::new(Full::from(body.to_string()));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let name = HeaderName::from_static("aegis-error");
        headers.insert(name, HeaderValue::from_static(code));
        match self {
            Self::NoEnclave => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::UnknownKey => {
                let scheme = HeaderValue::from_static("Bearer");
                headers.insert(header::PROXY_AUTHENTICATE, scheme);
            }
            Self::BadRequest(_) | Self::NoRelease => {}
        }
        last(answer)
    }
}
