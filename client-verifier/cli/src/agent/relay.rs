//! One request from end to end.

use std::sync::Arc;

use aegis_client::{Custody, Session};
use aegis_wire::table::Envelope;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Request, Response, StatusCode, Uri, Version, header, uri::Authority,
};
use http_body::Body;
use http_body_util::{Either, Full};

use super::{
    Agent,
    answer::Own,
    credential,
    door::Door,
    keep::{Folder, Kept},
    keys::Admitted,
    redirect,
    routes::{Route, Routes},
    usage,
};

/// The provider's bytes as they arrive, or an error of the agent's own.
pub type Answer = Response<Either<Kept, Full<Bytes>>>;

/// Headers that belong to one hop, named by `connection` or not.
const HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// Request headers that end here for other reasons: consumed, replaced, a browser's, or ours to say.
const OURS: [&str; 5] = ["expect", "host", "proxy-authorization", "cookie", "aegis-custody"];

impl Agent {
    /// Answers one request.
    pub async fn relay<B>(&self, door: &Door, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = credential::target(request.uri().path_and_query());
        let found = self.routes.find(path);
        let envelope = found.map_or(Envelope::OpenAi, |(route, _)| route.envelope);
        let answered = match door.admit(request.uri(), request.headers()) {
            Err(stranger) => Err(Own::new(StatusCode::FORBIDDEN, "stranger", stranger)),
            // HTTP/1.0 ends a stream by closing: a broken one would look complete.
            Ok(_) if request.version() < Version::HTTP_11 => Err(old_version()),
            Ok(here) => match found {
                None => Err(unknown_prefix(&self.routes)),
                Some((route, rest)) => {
                    let (route, rest) = (route.clone(), rest.to_owned());
                    self.forward(&here, &route, &rest, request).await
                }
            },
        };
        answered.unwrap_or_else(|own| {
            tracing::info!(status = own.status.as_u16(), code = own.code, "{}", own.message);
            own.response(envelope).map(Either::Right)
        })
    }

    async fn forward<B>(
        &self,
        here: &Authority,
        route: &Route,
        rest: &str,
        request: Request<B>,
    ) -> Result<Answer, Own>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let found = credential::find(request.headers(), request.uri().query());
        let custodies = self.client.custodies();
        let Admitted { key, custody } = self
            .keys
            .admit(custodies, &found)
            .map_err(|denied| Own::new(StatusCode::UNAUTHORIZED, "key_refused", denied))?;
        let mut request = outgoing(request, route, rest, custody)?;
        if self.receipts.is_some() {
            Folder::ask(request.headers_mut());
        }
        let looked_into =
            self.require_usage && usage::is_told_on_request(request.method(), request.uri().path());
        let sent = if looked_into {
            let (head, body) = request.into_parts();
            let body = usage::require(&head.headers, body).await?;
            self.client.send(&key, custody, Request::from_parts(head, body)).await
        } else {
            self.client.send(&key, custody, request).await
        };
        let mut response = sent.map_err(|error| Own::of(&error))?;
        tracing::info!(
            provider = route.authority,
            custody = custody.word(),
            status = response.status().as_u16(),
            request = response.headers().get("aegis-request").and_then(|v| v.to_str().ok()),
            "answered"
        );
        incoming(response.headers_mut());
        redirect::rewrite(response.headers_mut(), &self.routes, route, here)
            .map_err(|astray| Own::new(StatusCode::BAD_GATEWAY, "redirect_refused", astray))?;
        *response.version_mut() = Version::HTTP_11;
        let session = response.extensions_mut().remove::<Arc<Session>>();
        let (head, body) = response.into_parts();
        let body = match (&self.receipts, session) {
            (Some(folder), Some(session)) => Kept::keeping(body, folder, session, &head.headers),
            _ => Kept::passing(body),
        };
        Ok(Response::from_parts(head, Either::Left(body)))
    }
}

fn old_version() -> Own {
    let told = "an HTTP/1.0 client cannot tell a broken answer from a whole one; use HTTP/1.1 (for \
                nginx: proxy_http_version 1.1)";
    Own::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "http_version", told)
}

/// The request as it goes to the enclave.
fn outgoing<B>(
    mut request: Request<B>,
    route: &Route,
    rest: &str,
    custody: Custody,
) -> Result<Request<B>, Own> {
    let rest = match custody {
        Custody::Client => rest.to_owned(),
        Custody::Host | Custody::Sealed => credential::strip_query(rest),
    };
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let uri = Uri::builder()
        .scheme("https")
        .authority(route.authority.as_str())
        .path_and_query(format!("{slash}{rest}"))
        .build()
        .map_err(|_| {
            Own::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the request's path is malformed; send a path and query that HTTP admits",
            )
        })?;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    drop_hop_by_hop(headers);
    for name in OURS {
        headers.remove(name);
    }
    if custody != Custody::Client {
        credential::strip_headers(headers);
    }
    credential::mark_sensitive(headers);
    Ok(request)
}

/// The head of an answer as it goes to the SDK: no CORS header, or a page could be let in.
fn incoming(headers: &mut HeaderMap) {
    drop_hop_by_hop(headers);
    let cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let cors: Vec<_> = headers.keys().filter(cors).cloned().collect();
    for name in cors {
        headers.remove(name);
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
}

fn unknown_prefix(routes: &Routes) -> Own {
    let bases: Vec<_> = routes.iter().map(Route::base_path).collect();
    let message = format!(
        "no provider is served under this path; use one of these base URLs of the agent: {}",
        bases.join(", ")
    );
    Own::new(StatusCode::NOT_FOUND, "unknown_prefix", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::routes::PRODUCTION_TABLE, *};

    fn sent(custody: Custody, uri: &str, pairs: &[(&'static str, &'static str)]) -> Request<()> {
        let routes = Routes::new(PRODUCTION_TABLE, &[]).unwrap();
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        let (route, rest) = routes.find(uri).unwrap();
        outgoing(request.body(()).unwrap(), route, rest, custody).unwrap()
    }

    #[test]
    fn method_path_query_and_headers_pass_as_they_are() {
        let request = sent(
            Custody::Host,
            "/anthropic/v1//messages%2Fx?beta=true&&a=%zz",
            &[
                ("anthropic-beta", "a"),
                ("x-stainless-os", ""),
                ("anthropic-beta", "b"),
                ("content-length", "0"),
            ],
        );
        assert_eq!(request.method(), "POST");
        let uri = "https://api.anthropic.com/v1//messages%2Fx?beta=true&&a=%zz";
        assert_eq!(request.uri().to_string(), uri);
        let beta: Vec<_> = request.headers().get_all("anthropic-beta").iter().collect();
        assert_eq!(beta, ["a", "b"]);
        assert_eq!(request.headers().len(), 4);
    }

    #[test]
    fn a_bare_prefix_is_the_provider_s_root() {
        let uri = |given| sent(Custody::Host, given, &[]).uri().to_string();
        assert_eq!(uri("/anthropic"), "https://api.anthropic.com/");
        assert_eq!(uri("/anthropic/"), "https://api.anthropic.com/");
        assert_eq!(uri("/anthropic?a"), "https://api.anthropic.com/?a");
    }

    #[test]
    fn hop_by_hop_cookie_and_custody_end_here() {
        let request = sent(
            Custody::Client,
            "/openai/v1/models",
            &[
                ("connection", "keep-alive, x-hop"),
                ("x-hop", "1"),
                ("te", "trailers"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("host", "127.0.0.1:4180"),
                ("cookie", "a=b"),
                ("aegis-custody", "host"),
                ("proxy-authorization", "x"),
                ("aegis-model", "hide"),
            ],
        );
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["aegis-model"], "hide");
    }

    #[test]
    fn credentials_go_along_in_client_custody_alone() {
        let pairs = [("x-goog-api-key", "k"), ("authorization", "Bearer k")];
        let path = "/gemini/v1beta/models?key=k&alt=sse";
        let client = sent(Custody::Client, path, &pairs);
        assert_eq!(client.uri().query(), Some("key=k&alt=sse"));
        assert_eq!(client.headers()["authorization"], "Bearer k");
        assert!(client.headers()["x-goog-api-key"].is_sensitive());
        let host = sent(Custody::Host, path, &pairs);
        assert_eq!(host.uri().query(), Some("alt=sse"));
        assert!(host.headers().is_empty());
    }

    #[test]
    fn answers_carry_no_cors_headers() {
        let mut headers = HeaderMap::new();
        headers.insert("access-control-allow-origin", "*".parse().unwrap());
        headers.insert("access-control-expose-headers", "a".parse().unwrap());
        headers.insert("connection", "close".parse().unwrap());
        headers.insert("x-request-id", "r".parse().unwrap());
        incoming(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
