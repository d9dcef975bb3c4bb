//! The credentials in a request: every form of any provider is recognised alike (DESIGN, 3.4).

use std::str;

use http::{HeaderMap, HeaderName, HeaderValue, header, uri::PathAndQuery};
use zeroize::Zeroizing;

/// Headers whose whole value is a credential, with or without `Bearer `.
const HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];
/// Names of query parameters, once decoded.
const PARAMETERS: [&[u8]; 3] = [b"key", b"api-key", b"access_token"];
/// How a browser's WebSocket carries a key.
const SUBPROTOCOL: &str = "openai-insecure-api-key.";

/// Every credential of a request, in no form.
pub fn find(headers: &HeaderMap, query: Option<&str>) -> Vec<Zeroizing<Vec<u8>>> {
    let in_headers = HEADERS
        .iter()
        .flat_map(|name| headers.get_all(*name))
        .map(|value| bearer(value.as_bytes()).to_vec());
    let in_query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(|p| is_credential(p))
        .map(|parameter| decode(parameter.split_once('=').unwrap_or_default().1));
    let in_subprotocol = subprotocols(headers)
        .filter_map(|offer| offer.strip_prefix(SUBPROTOCOL))
        .map(|key| key.as_bytes().to_vec());
    in_headers
        .chain(in_query)
        .chain(in_subprotocol)
        .map(Zeroizing::new)
        .filter(|credential| !credential.is_empty())
        .collect()
}

/// Takes every credential out of the headers.
pub fn strip_headers(headers: &mut HeaderMap) {
    for name in HEADERS {
        headers.remove(name);
    }
    if subprotocols(headers).any(|offer| offer.starts_with(SUBPROTOCOL)) {
        let kept: Vec<_> = subprotocols(headers)
            .filter(|offer| !offer.starts_with(SUBPROTOCOL))
            .map(str::to_owned)
            .collect();
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        // What is left of a valid value is one.
        if let (false, Ok(value)) = (kept.is_empty(), HeaderValue::from_str(&kept.join(", "))) {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
}

/// The path and query without the parameters that are credentials; every other byte stays.
pub fn strip_query(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    if !query.split('&').any(is_credential) {
        return format!("{path}?{query}");
    }
    let kept: Vec<_> = query.split('&').filter(|p| !is_credential(p)).collect();
    if kept.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", kept.join("&"))
}

/// Path and query as one text, as they stand in the request.
pub fn target(path: Option<&PathAndQuery>) -> &str {
    path.map_or("", PathAndQuery::as_str)
}

/// Marks what is a credential, so that no HPACK table keeps it.
pub fn mark_sensitive(headers: &mut HeaderMap) {
    for name in HEADERS {
        if let http::header::Entry::Occupied(mut entry) =
            headers.entry(HeaderName::from_static(name))
        {
            entry.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
}

fn bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
        _ => value.trim_ascii(),
    }
}

fn is_credential(parameter: &str) -> bool {
    let name = decode(parameter.split('=').next().unwrap_or_default());
    PARAMETERS.contains(&name.as_slice())
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Percent decoding of one query component; a broken escape stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (escape, first) {
            (Some((high, low)), _) => out.push(high << 4 | low),
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(*byte),
        }
        rest = if escape.is_some() { &rest[3..] } else { tail };
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    // A hexadecimal digit's value is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn found(pairs: &[(&'static str, &'static str)], query: Option<&str>) -> Vec<String> {
        find(&headers(pairs), query)
            .into_iter()
            .map(|credential| String::from_utf8(credential.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn every_form_is_found() {
        assert_eq!(found(&[("authorization", "Bearer k")], None), ["k"]);
        assert_eq!(found(&[("authorization", "bearer  k ")], None), ["k"]);
        assert_eq!(found(&[("authorization", "Basic k")], None), ["Basic k"]);
        for name in ["proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"] {
            assert_eq!(found(&[(name, "k")], None), ["k"], "{name}");
        }
        assert_eq!(found(&[], Some("a=b&key=k")), ["k"]);
        assert_eq!(found(&[], Some("%6b%65y=k%2B1&alt=sse")), ["k+1"]);
        assert_eq!(found(&[], Some("access_token=k&api-key=l")), ["k", "l"]);
        let offer = "realtime, openai-insecure-api-key.k";
        assert_eq!(found(&[("sec-websocket-protocol", offer)], None), ["k"]);
        assert!(found(&[("x-other", "k")], Some("keys=k&Key=k")).is_empty());
        assert!(found(&[("x-api-key", "")], Some("key=&key")).is_empty());
    }

    #[test]
    fn stripping_takes_every_form_and_nothing_else() {
        let mut map = headers(&[
            ("authorization", "Bearer k"),
            ("proxy-authorization", "k"),
            ("x-api-key", "k"),
            ("api-key", "k"),
            ("x-goog-api-key", "k"),
            ("sec-websocket-protocol", "realtime, openai-insecure-api-key.k"),
            ("x-other", "stays"),
        ]);
        strip_headers(&mut map);
        assert_eq!(map.len(), 2);
        assert_eq!(map["sec-websocket-protocol"], "realtime");
        assert_eq!(map["x-other"], "stays");
    }

    #[test]
    fn the_query_keeps_every_other_byte() {
        assert_eq!(strip_query("/p?a=%2f&key=k&b=c+d"), "/p?a=%2f&b=c+d");
        assert_eq!(strip_query("/p?key=k"), "/p");
        assert_eq!(strip_query("/p?"), "/p?");
        assert_eq!(strip_query("/p?a&&b=%zz"), "/p?a&&b=%zz");
        assert_eq!(strip_query("/p"), "/p");
        assert_eq!(strip_query("/p?k%65y=k&x"), "/p?x");
    }
}
