//! A provider account that its owner seals to one enclave (PROTOCOL.md, section 8): a record that
//! the owner's Ed25519 key signs, and that no other enclave takes.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::Malformed;
use crate::control::{self, Field, Label, Secret, Wire};

const LABEL: &[u8] = b"aegis/1 account";
/// Length of an Ed25519 signature.
pub const SIGNATURE: usize = 64;

/// SHA-256 of an owner's public key: how clients and hosts name an owner. All zero is nobody.
pub type Owner = [u8; 32];

control::payloads! {
    /// What an owner entrusts to an enclave.
    Account {
        /// The owner's public key.
        key: [u8; 32],
        /// Authority of the provider that the credential may be shown to.
        provider: Label,
        /// The number by which the host schedules it, of the owner's choice.
        number: u32,
        /// Seconds since 1970 after which it is not used.
        expires_s: u64,
        /// SHA-256 of the enclave's SPKI.
        enclave: [u8; 32],
        /// What the provider wants to see.
        credential: Secret,
    } if |account| account.number != 0 && !account.credential.is_empty();
}

impl Account {
    /// The owner.
    pub fn owner(&self) -> Owner {
        Sha256::digest(self.key).into()
    }

    /// What the owner signs: label and record, each behind its length.
    pub fn to_be_signed(&self) -> Result<Vec<u8>, Malformed> {
        let record = control::encode(&mut self.clone())?;
        let parts = [LABEL, &record].map(|part| {
            // Both are far below 4 GiB.
            [&(part.len() as u32).to_be_bytes(), part].concat()
        });
        Ok(parts.concat())
    }

    /// Record and signature, as an enclave is sent them.
    pub fn sealed(&self, signature: &[u8; SIGNATURE]) -> Result<Vec<u8>, Malformed> {
        Ok([&control::encode(&mut self.clone())?, &signature[..]].concat())
    }

    /// Record and signature, of which the signature is not verified.
    pub fn unsealed(bytes: &[u8]) -> Result<(Self, [u8; SIGNATURE]), Malformed> {
        let (record, signature) = bytes.split_last_chunk().ok_or(Malformed("account"))?;
        let mut account = Self::default();
        control::decode(&mut account, record)?;
        Ok((account, *signature))
    }
}

/// SHA-256 of an SPKI in DER: how a record names the one enclave that may take it.
pub fn enclave(spki: &[u8]) -> [u8; 32] {
    Sha256::digest(spki).into()
}
