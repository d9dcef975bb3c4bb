//! Addresses in an answer's head (DESIGN, 3.8): rewritten to the agent's own prefix when they
//! point into the table, refused otherwise, so that no SDK is sent past the agent.

use http::{HeaderMap, HeaderValue, uri::Authority};

use super::routes::{Route, Routes};

/// Headers that tell a client where to go.
const ADDRESSES: [&str; 4] =
    ["location", "content-location", "x-goog-upload-url", "x-goog-upload-control-url"];

/// An answer would have sent the SDK past the agent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider's {header} header points past the agent, to an address that is not in the provider table; the answer was withheld, use another endpoint"
)]
pub struct Astray {
    /// Which header.
    pub header: &'static str,
}

/// Rewrites every address in the head of an answer that came by `route` to a request addressed to
/// the agent as `here`.
pub fn rewrite(
    headers: &mut HeaderMap,
    routes: &Routes,
    route: &Route,
    here: &Authority,
) -> Result<(), Astray> {
    for header in ADDRESSES {
        let http::header::Entry::Occupied(mut entry) = headers.entry(header) else {
            continue;
        };
        for value in entry.iter_mut() {
            let ours = ours(value.as_bytes(), routes, route, here);
            *value = ours.ok_or(Astray { header })?;
        }
    }
    Ok(())
}

/// The address as the SDK may use it. Only forms that every URL parser reads alike pass.
fn ours(value: &[u8], routes: &Routes, route: &Route, here: &Authority) -> Option<HeaderValue> {
    let text = str::from_utf8(value).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let rewritten = match absolute(text) {
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let route = routes.to_authority(authority)?;
            format!("http://{here}{}{path}", route.prefix)
        }
        None if text.starts_with('/') => format!("{}{text}", route.prefix),
        // Relative to the address asked for, which has the prefix already.
        None if !has_scheme(text) => text.to_owned(),
        None => return None,
    };
    if climbs(&rewritten) {
        return None;
    }
    HeaderValue::from_str(&rewritten).ok()
}

/// What follows `https://` or, in a reference that keeps the scheme, `//`.
fn absolute(text: &str) -> Option<&str> {
    match text.split_at_checked(8) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https://") => Some(rest),
        _ => text.strip_prefix("//"),
    }
}

fn has_scheme(text: &str) -> bool {
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    first.contains(':')
}

/// Whether the path has a segment that a client resolves, out of the prefix perhaps.
fn climbs(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.split('/').any(|segment| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{super::routes::PRODUCTION_TABLE, *};

    fn rewritten(name: &'static str, value: &str) -> Result<String, Astray> {
        let routes = Routes::new(PRODUCTION_TABLE, &[]).unwrap();
        let (route, _) = routes.find("/gemini/v1beta").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let here: Authority = "127.0.0.1:4180".parse().unwrap();
        rewrite(&mut headers, &routes, route, &here)?;
        Ok(headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn what_points_into_the_table_gets_the_agent_s_prefix() {
        let upload = "https://generativelanguage.googleapis.com/upload/v1?upload_id=a%2fb";
        assert_eq!(
            rewritten("x-goog-upload-url", upload).unwrap(),
            "http://127.0.0.1:4180/gemini/upload/v1?upload_id=a%2fb"
        );
        for (given, expected) in [
            ("HTTPS://API.OPENAI.COM:443/v1", "http://127.0.0.1:4180/openai/v1"),
            ("//api.openai.com", "http://127.0.0.1:4180/openai"),
            ("/v1beta/models", "/gemini/v1beta/models"),
            ("models?a=b:c", "models?a=b:c"),
            ("?page=2", "?page=2"),
        ] {
            assert_eq!(rewritten("location", given).unwrap(), expected);
        }
    }

    #[test]
    fn what_points_elsewhere_is_refused() {
        for given in [
            "https://evil.example/v1",
            "https://api.openai.com.evil.example/",
            "https://api.openai.com@evil.example/",
            "https://api.openai.com:8443/",
            "http://api.openai.com/v1",
            "javascript:alert(1)",
            "//evil.example/",
            "https:/\\evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            " https://evil.example",
            "/v1/../../openai/v1",
            "/%2e%2E/openai",
            "../../openai/v1",
            "https:evil.example",
        ] {
            for header in ADDRESSES {
                assert_eq!(rewritten(header, given), Err(Astray { header }), "{given}");
            }
        }
    }
}
