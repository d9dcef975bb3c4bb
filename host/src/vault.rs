//! Credentials at rest: AES-256-GCM-SIV under the operator's master key, bound to the account's
//! number and provider, so that a record that was copied to another row does not open.
//!
//! The master key is 32 bytes as hexadecimal digits, from a file, a variable or a command. It is
//! never stored with what it seals; each record names it by eight bytes of a hash, so that a record
//! under another key is told from one that was changed.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Bytes of a master key.
const KEY: usize = 32;
const NONCE: usize = 12;
/// First word of a record: the form of what follows.
const FORM: &str = "a1";

/// Why a credential cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The configured text is no key.
    #[error(
        "the master key is not 64 hexadecimal digits; make one with `aegis-host master-key new`"
    )]
    NoKey,
    /// The record names another key.
    #[error(
        "account {number} is sealed under master key {theirs}, and the configured one is {ours}; \
         configure that key again, or give the credential anew with `aegis-host account set`"
    )]
    OtherKey {
        /// The account.
        number: u32,
        /// Name of the record's key.
        theirs: String,
        /// Name of the configured key.
        ours: String,
    },
    /// The record was changed, cut or moved.
    #[error(
        "the credential of account {number} was changed in the store; find out by whom, then give \
         it anew with `aegis-host account set`"
    )]
    Changed {
        /// The account.
        number: u32,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes; start again")]
    NoRandom,
}

/// A master key, ready for use.
pub struct Vault {
    key: LessSafeKey,
    name: String,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault({})", self.name)
    }
}

impl Vault {
    /// The key of these digits; white space around them does not count.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; KEY]);
        hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| VaultError::NoKey)?;
        let key = UnboundKey::new(&AES_256_GCM_SIV, &*bytes).map_err(|_| VaultError::NoKey)?;
        let digest =
            Sha256::new().chain_update(b"aegis master key name\0").chain_update(*bytes).finalize();
        Ok(Self { key: LessSafeKey::new(key), name: hex::encode(&digest[..8]) })
    }

    /// By what records name it; says nothing about the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A record that only this key opens, and only for this account.
    pub fn seal(&self, number: u32, provider: &str, secret: &Secret) -> Result<String, VaultError> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::NoRandom)?;
        let mut bytes = secret.expose().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(number, provider)),
                &mut bytes,
            )
            .map_err(|_| VaultError::NoRandom)?;
        Ok(format!("{FORM}:{}:{}{}", self.name, hex::encode(nonce), hex::encode(bytes)))
    }

    /// The credential of a record.
    pub fn open(&self, number: u32, provider: &str, record: &str) -> Result<Secret, VaultError> {
        let changed = VaultError::Changed { number };
        let mut parts = record.splitn(3, ':');
        let (Some(FORM), Some(theirs), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(changed);
        };
        if theirs != self.name {
            let (theirs, ours) = (theirs.escape_debug().to_string(), self.name.clone());
            return Err(VaultError::OtherKey { number, theirs, ours });
        }
        let bytes = hex::decode(rest).map_err(|_| changed.clone())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(changed.clone())?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, Aad::from(bound(number, provider)), &mut sealed);
        let opened = opened.map_err(|_| changed.clone())?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| changed)?;
        Ok(Secret::new(text))
    }
}

/// What a record is bound to.
fn bound(number: u32, provider: &str) -> Vec<u8> {
    [b"aegis account\0", &number.to_be_bytes()[..], provider.as_bytes()].concat()
}

/// Digits of a new key.
pub fn new_key() -> Result<Zeroizing<String>, VaultError> {
    random(KEY)
}

/// That many random bytes as hexadecimal digits.
pub fn random(bytes: usize) -> Result<Zeroizing<String>, VaultError> {
    let mut content = Zeroizing::new(vec![0; bytes]);
    SystemRandom::new().fill(&mut content).map_err(|_| VaultError::NoRandom)?;
    Ok(Zeroizing::new(hex::encode(&*content)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vault(digit: &str) -> Vault {
        Vault::from_text(&digit.repeat(64)).unwrap()
    }

    fn secret() -> Secret {
        Secret::new("sk-made-up-canary".into())
    }

    #[test]
    fn a_record_opens_for_its_account_alone() {
        let vault = vault("1");
        let record = vault.seal(4, "openai", &secret()).unwrap();
        assert!(!record.contains("canary") && !record.contains(&hex::encode("canary")));
        assert_eq!(vault.open(4, "openai", &record).unwrap().expose(), b"sk-made-up-canary");
        for (number, provider) in [(5, "openai"), (4, "openrouter")] {
            let moved = vault.open(number, provider, &record).unwrap_err();
            assert_eq!(moved, VaultError::Changed { number });
        }
        assert_ne!(record, vault.seal(4, "openai", &secret()).unwrap(), "a nonce of its own");
    }

    #[test]
    fn a_changed_record_and_one_of_another_key_are_told_apart() {
        let vault = vault("1");
        let record = vault.seal(4, "openai", &secret()).unwrap();
        let last = record.len() - 1;
        let flipped = if record.ends_with('0') { "1" } else { "0" };
        let changed = VaultError::Changed { number: 4 };
        for record in [format!("{}{flipped}", &record[..last]), record[..40].into(), "".into()] {
            assert_eq!(vault.open(4, "openai", &record).unwrap_err(), changed, "{record}");
        }
        let other = super::Vault::from_text(&"2".repeat(64)).unwrap();
        let refused = other.open(4, "openai", &record).unwrap_err();
        assert!(matches!(refused, VaultError::OtherKey { number: 4, .. }), "{refused}");
    }

    #[test]
    fn only_digits_of_the_right_number_are_a_key() {
        assert!(Vault::from_text(&format!("{}\n", *new_key().unwrap())).is_ok());
        for text in ["", "00", &"0".repeat(63), &"x".repeat(64), &"0".repeat(66)] {
            assert_eq!(Vault::from_text(text).err(), Some(VaultError::NoKey));
        }
        assert!(!format!("{:?}", vault("1")).contains("1111111111"));
    }
}
