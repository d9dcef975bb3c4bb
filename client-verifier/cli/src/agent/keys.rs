//! Whose key opens the tunnel, and which custody a request is sent in.
//!
//! * The agent holds no key: what the SDK sends as its API key is the virtual key. Custody *sealed* or *host*.
//! * The agent holds the key: an SDK that sends the local token is served in custody *sealed* or *host*; one
//!   that sends a provider's own key is served in custody *client*, if these are accepted.
//!
//! No virtual key and no local token is ever passed on.

use std::{fmt, path::PathBuf};

use aegis_client::{Custodies, Custody, VirtualKey};
use aegis_wire::session::VIRTUAL_KEY_PREFIX;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Every local token begins so.
pub const LOCAL_TOKEN_PREFIX: &str = "aegis-local-";

/// Where the virtual key comes from.
pub enum Keys {
    /// With each request, as the SDK's API key.
    FromSdk,
    /// From a file that the agent read at its start.
    Held {
        /// It opens every tunnel.
        key: VirtualKey,
        /// What an SDK sends in its place; none when only custody *client* is accepted.
        token: Option<LocalToken>,
    },
}

/// A secret of this machine that stands for the virtual key.
pub struct LocalToken {
    /// The token.
    pub text: Zeroizing<String>,
    /// Where its owner finds it.
    pub path: PathBuf,
}

/// What a request is sent with.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    /// It opens the tunnel.
    pub key: VirtualKey,
    /// Stated to the enclave.
    pub custody: Custody,
}

/// Why a request is not sent; each says what to send instead.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// No virtual key, or one that is malformed, or two.
    NeedsVirtualKey,
    /// The local token is the key here.
    NeedsToken(PathBuf),
    /// A provider's own key is wanted.
    NeedsProviderKey,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsVirtualKey => f.write_str(
                "this request carries no virtual key of the router; set the SDK's API key to the \
                 one from the router's operator (aegis-vk-...)",
            ),
            Self::NeedsToken(path) => write!(
                f,
                "this agent holds the router's key and was not sent its local token; set the \
                 SDK's API key to the content of {}",
                path.display()
            ),
            Self::NeedsProviderKey => f.write_str(
                "this agent accepts custody client only and the request carries no key of the \
                 provider; set the SDK's API key to your own provider key",
            ),
        }
    }
}

impl Keys {
    /// Decides by the credentials that a request carries.
    pub fn admit(
        &self,
        custodies: Custodies,
        found: &[Zeroizing<Vec<u8>>],
    ) -> Result<Admitted, Denied> {
        match self {
            Self::FromSdk => from_sdk(custodies, found),
            Self::Held { key, token } => held(token.as_ref(), custodies, found).map(|custody| {
                let key = key.clone();
                Admitted { key, custody }
            }),
        }
    }
}

fn from_sdk(custodies: Custodies, found: &[Zeroizing<Vec<u8>>]) -> Result<Admitted, Denied> {
    let mut keys = found.iter().filter(|given| is_virtual(given));
    let first = keys.next().ok_or(Denied::NeedsVirtualKey)?;
    if keys.any(|other| other != first) {
        return Err(Denied::NeedsVirtualKey);
    }
    let text = str::from_utf8(first).map_err(|_| Denied::NeedsVirtualKey)?;
    Ok(Admitted {
        key: VirtualKey::new(text).map_err(|_| Denied::NeedsVirtualKey)?,
        // The client refuses what its policy does not accept.
        custody: custodies.without_key().unwrap_or(Custody::Host),
    })
}

fn held(
    token: Option<&LocalToken>,
    custodies: Custodies,
    found: &[Zeroizing<Vec<u8>>],
) -> Result<Custody, Denied> {
    let without_key = custodies.without_key();
    let token = token.zip(without_key);
    let virtual_key = found.iter().any(|given| is_virtual(given));
    if let Some((token, custody)) = token {
        if !virtual_key && found.iter().any(|given| token.equals(given)) {
            return Ok(custody);
        }
        if virtual_key || !custodies.accepts(Custody::Client) || found.is_empty() {
            return Err(Denied::NeedsToken(token.path.clone()));
        }
    }
    let ours = virtual_key || found.iter().any(|given| is_local(given));
    if ours || found.is_empty() || !custodies.accepts(Custody::Client) {
        return Err(Denied::NeedsProviderKey);
    }
    Ok(Custody::Client)
}

fn is_virtual(given: &[u8]) -> bool {
    given.starts_with(VIRTUAL_KEY_PREFIX.as_bytes())
}

/// A token of this agent or of another: it belongs to no provider.
fn is_local(given: &[u8]) -> bool {
    given.starts_with(LOCAL_TOKEN_PREFIX.as_bytes())
}

impl LocalToken {
    /// In time that depends on the lengths alone.
    fn equals(&self, given: &[u8]) -> bool {
        self.text.as_bytes().ct_eq(given).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(keys: &[&str]) -> Vec<Zeroizing<Vec<u8>>> {
        let secret = |key: &&str| Zeroizing::new(key.as_bytes().to_vec());
        keys.iter().map(secret).collect()
    }

    fn holding(token: Option<&str>) -> Keys {
        let path = PathBuf::from("token");
        Keys::Held {
            key: VirtualKey::new("aegis-vk-test-held").unwrap(),
            token: token.map(|text| LocalToken { text: Zeroizing::new(text.to_owned()), path }),
        }
    }

    fn both() -> Custodies {
        Custodies::new(&[Custody::Client, Custody::Host]).unwrap()
    }

    fn host() -> Custodies {
        Custodies::new(&[Custody::Host]).unwrap()
    }

    #[test]
    fn the_sdk_s_virtual_key_opens_the_tunnel() {
        let admit = |keys: &[&str]| Keys::FromSdk.admit(host(), &sent(keys));
        let admitted = admit(&["sk-made-up", "aegis-vk-test-1", "aegis-vk-test-1"]).unwrap();
        assert_eq!(admitted.key, VirtualKey::new("aegis-vk-test-1").unwrap());
        assert_eq!(admitted.custody, Custody::Host);
        for keys in [&[][..], &["sk-made-up"], &["aegis-vk-"], &["aegis-vk-a", "aegis-vk-b"]] {
            assert_eq!(admit(keys), Err(Denied::NeedsVirtualKey), "{keys:?}");
        }
    }

    #[test]
    fn with_a_held_key_the_token_is_wanted_and_exactly_it() {
        let keys = holding(Some("aegis-local-test"));
        let admit = |given: &[&str]| keys.admit(host(), &sent(given)).map(|a| a.custody);
        assert_eq!(admit(&["aegis-local-test"]), Ok(Custody::Host));
        for given in [
            &[][..],
            &["aegis-local-tes"],
            &["aegis-local-test1"],
            &["sk-made-up"],
            &["aegis-vk-test-held"],
            &["aegis-local-test", "aegis-vk-test-held"],
        ] {
            assert_eq!(admit(given), Err(Denied::NeedsToken("token".into())));
        }
    }

    #[test]
    fn a_provider_s_key_is_passed_on_only_in_client_custody() {
        let admit = |keys: &Keys, custodies, given: &[&str]| {
            keys.admit(custodies, &sent(given)).map(|a| a.custody)
        };
        let keys = holding(None);
        let only = Custodies::CLIENT;
        assert_eq!(admit(&keys, only, &["sk-made-up"]), Ok(Custody::Client));
        let wants = Err(Denied::NeedsProviderKey);
        assert_eq!(admit(&keys, only, &[]), wants);
        assert_eq!(admit(&keys, only, &["aegis-vk-test-1"]), wants);
        assert_eq!(admit(&keys, only, &["aegis-local-stale"]), wants);
        assert_eq!(admit(&keys, only, &["sk-made-up", "aegis-vk-x"]), wants);
        let keys = holding(Some("aegis-local-test"));
        assert_eq!(admit(&keys, both(), &["sk-made-up"]), Ok(Custody::Client));
        let token = ["aegis-local-test", "sk-made-up"];
        assert_eq!(admit(&keys, both(), &token), Ok(Custody::Host));
    }
}
