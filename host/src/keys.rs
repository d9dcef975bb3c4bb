//! Virtual keys: who a client is. Only hashes are kept, and a comparison takes the same time for
//! every key, known or not.

use aegis_wire::control::Class;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Position of a key in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub usize);

/// One virtual key.
#[derive(Debug, Clone)]
pub struct Key {
    /// What the operator calls it.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// SHA-256 of the whole key.
    pub digest: [u8; 32],
    /// Indexes of the providers it may use; `None` is all.
    pub providers: Option<Vec<u16>>,
    /// Classes it may use; `None` is every class that leaves nothing behind in an account.
    pub classes: Option<Vec<Class>>,
    /// How many requests it may make in a minute.
    pub requests_per_minute: Option<u32>,
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub struct Keys(pub Vec<Key>);

impl Keys {
    /// The key that a client presented.
    pub fn find(&self, presented: &str) -> Option<KeyId> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        // No early exit: the time says nothing about which key came close.
        for (at, key) in self.0.iter().enumerate() {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(KeyId(at));
            }
        }
        found
    }

    /// A key by position.
    pub fn by_id(&self, id: KeyId) -> Option<&Key> {
        self.0.get(id.0)
    }
}
