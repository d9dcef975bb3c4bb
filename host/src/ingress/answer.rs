//! What a client is told: its release, or one of the errors of PROTOCOL.md section 2.

use std::{io, path::PathBuf};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// Largest bundle of a release list (client-verifier/releases/SPEC.md, section 3).
const BUNDLE_BYTES: usize = 256 * 1024;

/// A head to send.
pub(super) type Answer = Response<Full<Bytes>>;

/// Why there is no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    BadRequest(&'static str),
    UnknownKey,
    /// Seconds to wait.
    WrongKeys(u32),
    TooManySessions,
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

/// The bundle of the release list as it is in the file now; clients check it themselves. None is
/// configured, or it cannot be read: 404.
pub(super) async fn releases(path: Option<PathBuf>) -> Answer {
    let read = match path {
        None => Err(io::Error::other("`releases` is not configured")),
        // A join error is a panic of `read`, which has none.
        Some(path) => {
            let read = tokio::task::spawn_blocking(move || std::fs::read(path));
            read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
        }
    };
    let read = read.and_then(|bundle| match bundle.len() <= BUNDLE_BYTES {
        true => Ok(bundle),
        false => Err(io::Error::other("it is larger than any bundle")),
    });
    let mut answer = match read {
        Ok(bundle) => Response::new(Full::from(bundle)),
        Err(error) => {
            tracing::warn!(%error, "the release list cannot be served");
            let mut answer = Response::new(Full::from("no release list\n"));
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    };
    let bytes = HeaderValue::from_static("application/octet-stream");
    answer.headers_mut().insert(header::CONTENT_TYPE, bytes);
    last(answer)
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
            Self::WrongKeys(_) => "too_many_wrong_keys",
            Self::TooManySessions => "too_many_sessions",
            Self::NoRelease => "no_release",
            Self::NoEnclave => "no_enclave",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnknownKey => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Self::WrongKeys(_) | Self::TooManySessions => StatusCode::TOO_MANY_REQUESTS,
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
            Self::WrongKeys(_) => {
                "too many wrong virtual keys came from your address; wait a little, then use a right one"
            }
            Self::TooManySessions => {
                "your key, team or tenant has as many sessions as it may; close some or ask the operator"
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
            Self::NoEnclave | Self::TooManySessions => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Self::WrongKeys(wait_s) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
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
