//! Which fields of a head pass (DESIGN 3.4). A head is a list of fields with lower-case names, in
//! the order received; what is not named here passes as it is.

use alloc::{vec, vec::Vec};

use aegis_wire::{limits, session::VIRTUAL_KEY_PREFIX, table::Credential};

/// A header field: lower-case name and exact value.
pub type Field<'a> = (&'a str, &'a [u8]);

/// Fields that speak of one connection only (RFC 9110, 7.6.1), and `expect`, consumed here.
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
];
/// Fields that carry a credential, for any provider of the table or for a proxy.
const CREDENTIALS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];
/// Query parameters that carry a credential.
const QUERY_CREDENTIALS: [&str; 4] = ["key", "api-key", "access_token", "oauth_token"];
/// Fields and query parameters by which some servers take another method or other fields than those
/// of the request line and head, so that they would serve another endpoint than the one judged.
const OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];
const QUERY_OVERRIDES: [&str; 2] = ["$httpmethod", "$httpheaders"];
/// Google's system parameters by which an answer becomes a part of itself or another notation.
const QUERY_FORMS: [&str; 6] = ["fields", "$fields", "callback", "$callback", "alt", "$alt"];
const FIELD_MASK: &str = "x-goog-fieldmask";
/// Fields of an answer in which providers name the request, the first that is there counts.
const PROVIDER_IDS: [&str; 4] =
    ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"];
/// WebSocket subprotocol that carries one.
const PROTOCOL_CREDENTIAL: &[u8] = b"openai-insecure-api-key.";

/// Whether a head keeps the limits.
pub fn fits(fields: &[Field<'_>]) -> bool {
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    fields.len() <= limits::HEAD_FIELDS && bytes <= limits::HEAD_BYTES
}

/// The values of a field.
pub fn values<'a>(fields: &[Field<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |field| field.0 == name).map(|field| field.1)
}

/// The fields of a request that go to the provider. `own` are the credential forms that stay:
/// the provider's in client custody, none otherwise.
pub fn request_fields<'a>(fields: &[Field<'a>], own: &[Credential]) -> Vec<Field<'a>> {
    let stays = |&(name, value): &Field<'a>| match name {
        "sec-websocket-protocol" => !contains(value, PROTOCOL_CREDENTIAL),
        _ if CREDENTIALS.contains(&name) => own.iter().any(|form| is_form(*form, name, value)),
        _ => true,
    };
    let mut kept = end_to_end(fields);
    kept.retain(|field| stays(field) && !contains(field.1, VIRTUAL_KEY_PREFIX.as_bytes()));
    kept
}

/// The fields of an answer that go to the client. A length beside a transfer coding is not what its
/// body was read by (RFC 9112, 6.3).
pub fn response_fields<'a>(fields: &[Field<'a>]) -> Vec<Field<'a>> {
    let mut kept = end_to_end(fields);
    let coded = values(fields, "transfer-encoding").next().is_some();
    kept.retain(|(name, _)| !coded || *name != "content-length");
    kept
}

/// The provider's own name of a request, by which its support can be asked.
pub fn provider_id<'a>(fields: &[Field<'a>]) -> Option<&'a [u8]> {
    let id = PROVIDER_IDS.iter().find_map(|name| values(fields, name).next());
    id.filter(|id| id.len() <= limits::PROVIDER_ID_BYTES)
}

/// Path and query with the credential parameters that `own` does not name taken out; every other
/// byte stays where it is.
pub fn target(path_and_query: &str, own: &[Credential]) -> Vec<u8> {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return Vec::from(path_and_query);
    };
    let stays = |pair: &&str| {
        let name = name_of(pair);
        let own_key = own.contains(&Credential::QueryKey) && name == b"key";
        let credential = QUERY_CREDENTIALS.iter().any(|known| name == known.as_bytes());
        (own_key || !credential) && !contains(&decode(pair), VIRTUAL_KEY_PREFIX.as_bytes())
    };
    let kept: Vec<&str> = query.split('&').filter(stays).collect();
    let separator = if kept.is_empty() { "" } else { "?" };
    [path, separator, &kept.join("&")].concat().into_bytes()
}

/// Whether a request could mean another one to its provider: an override, or a router's key in the
/// path, where it cannot be taken out.
pub fn is_ambiguous(path_and_query: &str, fields: &[Field<'_>]) -> bool {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let overrides = |pair| {
        let name = name_of(pair).to_ascii_lowercase();
        QUERY_OVERRIDES.iter().any(|known| name == known.as_bytes())
    };
    contains(path.as_bytes(), VIRTUAL_KEY_PREFIX.as_bytes())
        || query.split('&').any(overrides)
        || fields.iter().any(|(name, _)| OVERRIDES.contains(name))
}

/// Whether a request asks for an answer in which the usage cannot be read: a selection of fields, or
/// a notation other than JSON and its stream.
pub fn hides_usage(path_and_query: &str, fields: &[Field<'_>]) -> bool {
    let query = path_and_query.split_once('?').map_or("", |(_, query)| query);
    let hides = |pair| {
        let whole = [&b"alt=sse"[..], b"alt=json", b"$alt=sse", b"$alt=json"];
        let name = name_of(pair).to_ascii_lowercase();
        let known = QUERY_FORMS.iter().any(|form| name == form.as_bytes());
        known && !whole.contains(&&decode(pair)[..])
    };
    query.split('&').any(hides) || values(fields, FIELD_MASK).next().is_some()
}

/// Whether the request carries a credential in one of these forms.
pub fn has_credential(fields: &[Field<'_>], target: &[u8], own: &[Credential]) -> bool {
    let in_query = || {
        let query = target.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
        query.split(|byte| *byte == b'&').any(|pair| pair.starts_with(b"key="))
    };
    own.iter().any(|form| match form {
        Credential::QueryKey => in_query(),
        _ => fields.iter().any(|(name, value)| is_form(*form, name, value)),
    })
}

/// The header field of a credential in that form; a query parameter is never added, since every
/// provider's first form is a header.
pub fn credential_field(form: Credential, credential: &[u8]) -> (&'static str, Vec<u8>) {
    match form {
        Credential::Header(name) => (name, credential.to_vec()),
        _ => ("authorization", [b"Bearer ", credential].concat()),
    }
}

fn end_to_end<'a>(fields: &[Field<'a>]) -> Vec<Field<'a>> {
    let mut consumed = vec![];
    for value in values(fields, "connection") {
        consumed.extend(value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    }
    let passes = |name: &str| {
        !HOP_BY_HOP.contains(&name)
            && !name.starts_with("aegis-")
            && !consumed.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
    };
    fields.iter().filter(|(name, _)| passes(name)).copied().collect()
}

fn is_form(form: Credential, name: &str, value: &[u8]) -> bool {
    match form {
        Credential::Bearer => {
            let scheme = value.get(..7).unwrap_or_default();
            name == "authorization" && scheme.eq_ignore_ascii_case(b"bearer ")
        }
        Credential::Header(header) => name == header,
        Credential::QueryKey => false,
    }
}

/// The decoded name of a query parameter.
fn name_of(pair: &str) -> Vec<u8> {
    decode(pair.split('=').next().unwrap_or_default())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Percent-decoding (RFC 3986, 2.1) with `+` as a space; a broken escape stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let digit = |at: usize| tail.get(at).and_then(|digit| (*digit as char).to_digit(16));
        let (decoded, skip) = match (byte, digit(0), digit(1)) {
            // Two hex digits are at most 255.
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 2),
            (b'+', ..) => (b' ', 0),
            _ => (*byte, 0),
        };
        out.push(decoded);
        rest = &tail[skip..];
    }
    out
}
