//! What a client asks for: a tunnel, the release list, or whether this host is alive. Exactly the request of
//! PROTOCOL.md section 2 is a tunnel; a malformed one is refused before its key is looked at.

use aegis_wire::session::{CONNECT_AUTHORITY, VIRTUAL_KEY_PREFIX};
use http::{HeaderMap, HeaderName, Method, Request, Version, header};

use super::answer::Refused;
use crate::keys::{KeyId, Keys};

/// Where the release list is (PROTOCOL.md, section 2).
const RELEASES_PATH: &str = "/.well-known/aegis/releases";
/// Most releases in a list.
const RELEASES: usize = 16;

/// A well-formed request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Livez,
    Releases,
    Tunnel { key: KeyId, releases: Vec<u32> },
}

/// Reads a head.
pub(super) fn read<B>(request: &Request<B>, keys: &Keys, now_ms: u64) -> Result<Asked, Refused> {
    if request.method() == Method::GET && request.uri().path() == "/livez" {
        return Ok(Asked::Livez);
    }
    if request.method() == Method::GET && request.uri().path() == RELEASES_PATH {
        return Ok(Asked::Releases);
    }
    let target = request.uri().authority().map(|authority| authority.as_str());
    if request.method() != Method::CONNECT || target != Some(CONNECT_AUTHORITY) {
        return Err(Refused::BadRequest("this port takes CONNECT enclave.aegis:443"));
    }
    let headers = request.headers();
    if request.version() != Version::HTTP_11
        || one(headers, header::HOST)? != Some(CONNECT_AUTHORITY)
    {
        return Err(Refused::BadRequest("HTTP/1.1 with Host: enclave.aegis:443 is needed"));
    }
    let body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if body.iter().any(|name| headers.contains_key(name)) {
        return Err(Refused::BadRequest("a CONNECT has no body"));
    }
    let releases = releases(one(headers, HeaderName::from_static("aegis-releases"))?)?;
    let presented = one(headers, header::PROXY_AUTHORIZATION)?.and_then(bearer);
    let key = presented.and_then(|key| keys.find(key, now_ms)).ok_or(Refused::UnknownKey)?;
    Ok(Asked::Tunnel { key, releases })
}

/// A header that may stand there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refused> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str();
            text.map(Some).map_err(|_| Refused::BadRequest("a header is not ASCII"))
        }
        (Some(_), Some(_)) => Err(Refused::BadRequest("a header is given twice")),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && key.starts_with(VIRTUAL_KEY_PREFIX);
    fits.then_some(key)
}

fn releases(value: Option<&str>) -> Result<Vec<u32>, Refused> {
    let value = value.ok_or(Refused::BadRequest("Aegis-Releases is missing"))?;
    let number = |word: &str| {
        let word = word.trim_matches([' ', '\t']);
        let digits = word.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| word.parse().ok()).flatten()
    };
    let list: Option<Vec<u32>> = value.split(',').take(RELEASES + 1).map(number).collect();
    list.filter(|list| list.len() <= RELEASES)
        .ok_or(Refused::BadRequest("Aegis-Releases is not a list of at most 16 numbers"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Asked, KeyId, Keys, Refused, Request, read};
    use crate::keys::Key;

    const KEY: &str = "aegis-vk-test-0123456789";

    fn keys() -> Keys {
        let mut keys = Keys::default();
        for (name, secret) in [("other", "aegis-vk-test-other"), ("laptop", KEY)] {
            let key = Key { name: name.into(), tenant: "acme".into(), ..Key::default() };
            keys.add(key, [(KeyId::of(secret), None)]);
        }
        keys
    }

    /// A valid request with one header replaced, added (`+name`) or left out (no value).
    fn ask(target: &str, change: &[(&str, &str)]) -> Result<Asked, Refused> {
        let bearer = format!("Bearer {KEY}");
        let mut headers = vec![
            ("host", "enclave.aegis:443"),
            ("proxy-authorization", bearer.as_str()),
            ("aegis-releases", "7, 8"),
        ];
        for (name, value) in change {
            headers.retain(|(present, _)| present != name);
            let added = name.trim_start_matches('+');
            headers.extend((!value.is_empty()).then_some((added, *value)));
        }
        let mut request = Request::builder().method("CONNECT").uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        read(&request.body(()).unwrap(), &keys(), 0)
    }

    #[test]
    fn the_request_of_the_contract_is_a_tunnel() {
        let (key, releases) = (KeyId::of(KEY), vec![7, 8]);
        assert_eq!(ask("enclave.aegis:443", &[]), Ok(Asked::Tunnel { key, releases }));
    }

    #[test]
    fn a_key_is_found_only_whole_and_as_a_bearer() {
        let shorter = format!("Bearer {}", &KEY[..KEY.len() - 1]);
        let basic = format!("Basic {KEY}");
        for value in ["", "Bearer", "Bearer aegis-vk-nobody", &shorter, &basic, KEY, "Bearer "] {
            let refused = ask("enclave.aegis:443", &[("proxy-authorization", value)]);
            assert_eq!(refused, Err(Refused::UnknownKey), "{value}");
        }
    }

    #[test]
    fn release_lists_are_strict() {
        let seventeen = ["1"; 17].join(",");
        for value in ["", "+7", "7,", "-1", "4294967296", "7;8", "0x7", &seventeen] {
            let refused = ask("enclave.aegis:443", &[("aegis-releases", value)]);
            assert!(matches!(refused, Err(Refused::BadRequest(_))), "{value}");
        }
        let sixteen = ["0"; 16].join(",");
        assert!(ask("enclave.aegis:443", &[("aegis-releases", &sixteen)]).is_ok());
    }

    #[test]
    fn anything_but_that_connect_is_malformed() {
        let twice = format!("Bearer {KEY}");
        let changes: [&[(&str, &str)]; 7] = [
            &[("host", "")],
            &[("host", "enclave.aegis")],
            &[("+host", "enclave.aegis:443")],
            &[("+proxy-authorization", &twice)],
            &[("+aegis-releases", "7")],
            &[("content-length", "5")],
            &[("transfer-encoding", "chunked")],
        ];
        for change in changes {
            let refused = ask("enclave.aegis:443", change);
            assert!(matches!(refused, Err(Refused::BadRequest(_))), "{change:?}");
        }
        for target in ["enclave.aegis:444", "api.openai.com:443", "user@enclave.aegis:443"] {
            assert!(matches!(ask(target, &[]), Err(Refused::BadRequest(_))), "{target}");
        }
    }

    #[test]
    fn the_release_list_needs_no_key() {
        let request = Request::get("/.well-known/aegis/releases").body(()).unwrap();
        assert_eq!(read(&request, &keys(), 0), Ok(Asked::Releases));
        let request = Request::post("/.well-known/aegis/releases").body(()).unwrap();
        assert!(read(&request, &keys(), 0).is_err());
    }

    #[test]
    fn alive_needs_no_key() {
        let request = Request::get("/livez").body(()).unwrap();
        assert_eq!(read(&request, &keys(), 0), Ok(Asked::Livez));
        let request = Request::post("/livez").body(()).unwrap();
        assert!(read(&request, &keys(), 0).is_err());
    }
}
