//! A virtual key: what the host knows a caller by.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use aegis_wire::session::VIRTUAL_KEY_PREFIX;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::ConfigError;

/// Longest key in bytes: the host's own keys are under 64; a header line must hold it.
const KEY_BYTES: usize = 256;

/// A virtual key, `aegis-vk-...`. Its text appears in no `Debug` output and no error.
#[derive(Clone, PartialEq, Eq)]
pub struct VirtualKey(Zeroizing<String>);

impl VirtualKey {
    /// Takes a key that has the form of one.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let body = text.strip_prefix(VIRTUAL_KEY_PREFIX).unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte);
        if body.is_empty() || text.len() > KEY_BYTES || !body.bytes().all(fits) {
            return Err(ConfigError::VirtualKey);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The value of `proxy-authorization`.
    pub(crate) fn authorization(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        // The constructor admits only characters that a header value may hold.
        let mut value = HeaderValue::from_str(&text).expect("a checked key is a header value");
        value.set_sensitive(true);
        value
    }
}

impl Hash for VirtualKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl fmt::Debug for VirtualKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VirtualKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_taken_and_not_shown() {
        let key = VirtualKey::new("aegis-vk-test-1").unwrap();
        assert_eq!(key.authorization(), "Bearer aegis-vk-test-1");
        assert!(key.authorization().is_sensitive());
        assert_eq!(format!("{key:?}"), "VirtualKey(..)");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = format!("aegis-vk-{}", "a".repeat(KEY_BYTES));
        for text in [
            "",
            "aegis-vk-",
            "sk-made-up",
            "aegis-vk-a\r\nx: y",
            "aegis-vk-a b",
            "aegis-vk-ä",
            &long,
        ] {
            assert!(VirtualKey::new(text).is_err(), "{text:?}");
        }
    }
}
