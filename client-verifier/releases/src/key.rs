//! Keys of signed notes: a name, four bytes of identifier, Ed25519.
//!
//! Two kinds are known, and each key is of one: `01` signs a note's text, `04` cosigns a checkpoint
//! with a time (c2sp.org/signed-note, "Signature types"). Text forms are those of the reference
//! implementation: `NAME+ID+BASE64` for everybody, `PRIVATE+KEY+NAME+ID+BASE64` for the owner.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{limits::NAME_BYTES, macros::refusals};

refusals! {
    /// A key that cannot be used.
    KeyError {
        /// Not of the form `NAME+ID+BASE64`.
        Form = "key_form", "it is not of the form NAME+ID+BASE64";
        /// Empty, too long, or with a space, a plus or a control character.
        Name = "key_name", "its name is empty, too long, or has a space or a plus";
        /// Neither a signature nor a cosignature key of Ed25519.
        Algorithm = "key_algorithm", "it is neither an Ed25519 key (01) nor a witness key (04)";
        /// Not 32 bytes that are a point of large order.
        Point = "key_point", "it is no Ed25519 public key, or one that anybody can sign for";
        /// The identifier is another key's.
        Id = "key_id", "its identifier is not the one of this name and key";
        /// A key for one purpose stands where the other is needed.
        Kind { /// What is needed.
            needed: Kind } = "key_kind", "it is not a {needed} key";
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signs the text of notes: lists and checkpoints.
    Signature = 1,
    /// Cosigns checkpoints with a time.
    Witness = 4,
}

impl Kind {
    fn is(self, needed: Self) -> Result<(), KeyError> {
        match self == needed {
            true => Ok(()),
            false => Err(KeyError::Kind { needed }),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Witness => "witness",
        })
    }
}

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: Kind,
    key: VerifyingKey,
}

/// A key that signs. Its secret appears in no `Debug` output.
pub struct SignerKey {
    name: String,
    kind: Kind,
    key: SigningKey,
}

/// Whether a key or a list may have this name (c2sp.org/signed-note, "Format").
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.len() <= NAME_BYTES && name.chars().all(fits)
}

fn id(name: &str, kind: Kind, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind as u8])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = [0; 4];
    id.copy_from_slice(&digest[..4]);
    id
}

/// A key's text taken apart: of a public key, or of a secret one.
struct Parts<'a> {
    name: &'a str,
    stated_id: [u8; 4],
    kind: Kind,
    key: Zeroizing<[u8; 32]>,
}

/// `NAME+ID+BASE64`, where the last field may contain plus.
fn parts(text: &str) -> Result<Parts<'_>, KeyError> {
    let mut fields = text.splitn(3, '+');
    let (Some(name), Some(stated), Some(encoded)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(KeyError::Form);
    };
    if !is_name(name) {
        return Err(KeyError::Name);
    }
    let mut stated_id = [0; 4];
    hex::decode_to_slice(stated, &mut stated_id).map_err(|_| KeyError::Form)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| KeyError::Form)?);
    let (kind, rest) = match bytes.split_first() {
        Some((1, rest)) => (Kind::Signature, rest),
        Some((4, rest)) => (Kind::Witness, rest),
        _ => return Err(KeyError::Algorithm),
    };
    let mut key = Zeroizing::new([0; 32]);
    if rest.len() != key.len() {
        return Err(KeyError::Point);
    }
    key.copy_from_slice(rest);
    Ok(Parts { name, stated_id, kind, key })
}

impl VerifierKey {
    /// From its text, `NAME+ID+BASE64`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let Parts { name, stated_id, kind, key } = parts(text)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Point);
        }
        let key = Self { name: name.to_owned(), kind, key };
        if key.id() != stated_id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    /// The same, if it is for this purpose.
    pub fn of_kind(self, needed: Kind) -> Result<Self, KeyError> {
        self.kind.is(needed)?;
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its identifier in signature lines.
    pub fn id(&self) -> [u8; 4] {
        id(&self.name, self.kind, &self.key)
    }

    /// Whether both are one key pair, whatever they are called.
    pub fn is_same_pair(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Strictly: no small-order point, no second encoding of a signature passes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.kind as u8], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SignerKey {
    /// A key of this name from 32 random bytes.
    pub fn from_seed(name: &str, kind: Kind, seed: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self { name: name.to_owned(), kind, key: SigningKey::from_bytes(seed) })
    }

    /// From its text, `PRIVATE+KEY+NAME+ID+BASE64`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Form)?;
        let Parts { name, stated_id, kind, key } = parts(text)?;
        let key = Self::from_seed(name, kind, &key)?;
        if key.verifier().id() != stated_id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    /// The same, if it is for this purpose.
    pub fn of_kind(self, needed: Kind) -> Result<Self, KeyError> {
        self.kind.is(needed)?;
        Ok(self)
    }

    /// Its text, for its owner's file.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([self.kind as u8; 33]);
        bytes[1..].copy_from_slice(self.key.as_bytes());
        let encoded = Zeroizing::new(STANDARD.encode(*bytes));
        let id = hex::encode(self.verifier().id());
        Zeroizing::new(format!("PRIVATE+KEY+{}+{id}+{}", self.name, *encoded))
    }

    /// The key for everybody else.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), kind: self.kind, key: self.key.verifying_key() }
    }

    /// A signature line over `signed`, with what stands before the signature in it.
    pub(crate) fn line(&self, signed: &[u8], before: &[u8]) -> String {
        let signature = self.key.sign(signed).to_bytes();
        let blob = [&self.verifier().id(), before, &signature].concat();
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(blob))
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}, ..)", self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Made with the key of the seed 01 01 .. 01 over "a message", with the neutral element for R:
    /// the equation of RFC 8032 holds, and a check that is not strict takes it.
    const SMALL_ORDER: &str = "010000000000000000000000000000000000000000000000000000000000000039e2ed431c78b6a891406425870445cfbee48a082a2a26db3589fb75eb030803";

    #[test]
    fn signature_with_a_point_of_small_order_is_none() {
        let key = SignerKey::from_seed("a", Kind::Signature, &[1; 32]).unwrap();
        let signature: [u8; 64] = hex::decode(SMALL_ORDER).unwrap().try_into().unwrap();
        let lenient = Signature::from_bytes(&signature);
        let equation = ed25519_dalek::Verifier::verify(&key.verifier().key, b"a message", &lenient);
        assert!(equation.is_ok(), "the signature is one that only strictness refuses");
        assert!(!key.verifier().verifies(b"a message", &signature));
        let right = key.key.sign(b"a message").to_bytes();
        assert!(key.verifier().verifies(b"a message", &right));
        assert!(!key.verifier().verifies(b"a message", &right[..63]));
    }
}
