//! Virtual keys: who a client is. Only hashes are kept, and a comparison takes the same time for
//! every key, known or not.

use std::collections::HashMap;

use aegis_wire::control::Class;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::money::Micro;

/// SHA-256 of a whole virtual key. A key that is rotated has two for a while, and a session keeps
/// the one it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// What a client presents.
    pub fn of(presented: &str) -> Self {
        Self(Sha256::digest(presented.as_bytes()).into())
    }
}

/// One virtual key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Key {
    /// What the operator calls it.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// `TENANT/TEAM`, empty for none.
    pub team: String,
    /// Indexes of the providers it may use; `None` is all.
    pub providers: Option<Vec<u16>>,
    /// Classes it may use; `None` is every class that leaves nothing behind in an account.
    pub classes: Option<Vec<Class>>,
    /// Its own reservation for a request.
    pub reserve: Option<Micro>,
    /// From when on it is not valid any more.
    pub ends_ms: Option<u64>,
}

/// One hash under which a key is known.
#[derive(Debug, Clone, Copy)]
struct Digested {
    id: KeyId,
    key: usize,
    ends_ms: Option<u64>,
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    keys: Vec<Key>,
    digests: Vec<Digested>,
    by_id: HashMap<KeyId, usize>,
}

impl Keys {
    /// Adds a key with its hashes and the end of each.
    pub fn add(&mut self, key: Key, digests: impl IntoIterator<Item = (KeyId, Option<u64>)>) {
        let at = self.keys.len();
        self.keys.push(key);
        for (id, ends_ms) in digests {
            self.by_id.insert(id, self.digests.len());
            self.digests.push(Digested { id, key: at, ends_ms });
        }
    }

    /// The key that a client presented.
    pub fn find(&self, presented: &str, now_ms: u64) -> Option<KeyId> {
        let presented = KeyId::of(presented);
        let mut found = None;
        // No early exit: the time says nothing about which key came close.
        for digested in &self.digests {
            if bool::from(digested.id.0.ct_eq(&presented.0)) {
                found = Some(digested.id);
            }
        }
        found.filter(|id| self.holder(*id, now_ms).is_some())
    }

    /// The key of that hash, while both are valid.
    pub fn holder(&self, id: KeyId, now_ms: u64) -> Option<&Key> {
        let digested = self.digests.get(*self.by_id.get(&id)?)?;
        let key = self.keys.get(digested.key)?;
        let valid = |ends_ms: Option<u64>| ends_ms.is_none_or(|end| now_ms < end);
        (valid(digested.ends_ms) && valid(key.ends_ms)).then_some(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, ends_ms: Option<u64>) -> Key {
        Key { name: name.into(), ends_ms, ..Key::default() }
    }

    #[test]
    fn a_key_is_valid_until_it_ends_and_a_hash_until_it_was_rotated_away() {
        let mut keys = Keys::default();
        let (old, new) = ("aegis-vk-test-old", "aegis-vk-test-new");
        keys.add(named("a", Some(100)), [(KeyId::of(old), Some(50)), (KeyId::of(new), None)]);
        let name = |presented, now_ms| {
            let id = keys.find(presented, now_ms)?;
            Some(keys.holder(id, now_ms)?.name.as_str())
        };
        assert_eq!((name(old, 49), name(new, 49)), (Some("a"), Some("a")));
        assert_eq!((name(old, 50), name(new, 50)), (None, Some("a")));
        assert_eq!((name(new, 99), name(new, 100)), (Some("a"), None));
        assert_eq!(name("aegis-vk-test-nobody", 0), None);
        let open = KeyId::of(old);
        assert!(keys.holder(open, 49).is_some(), "a session lives on what opened it");
        assert!(keys.holder(open, 50).is_none());
    }
}
