//! The certificate everything hangs from.

use core::fmt;

use crate::crypto;
use crate::hex;

/// AWS Nitro Enclaves Root-G1, as AWS publishes it. Valid to 2049-10-28.
pub const AWS_NITRO_ROOT_G1_DER: &[u8] = include_bytes!("aws-nitro-enclaves-root-g1.der");

/// SHA-256 over a root certificate's DER bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootFingerprint([u8; 32]);

impl RootFingerprint {
    /// The fingerprint AWS publishes beside [`AWS_NITRO_ROOT_G1_DER`].
    pub const AWS_NITRO_G1: Self = Self([
        0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06,
        0x31, 0x7e, 0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79,
        0xbb, 0x5b,
    ]);

    /// The fingerprint from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint from 64 hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        hex::decode(digits).map(Self)
    }

    /// The fingerprint of a certificate given as DER.
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(crypto::sha256(der))
    }

    /// The bytes of the fingerprint.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for RootFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, &self.0)
    }
}

impl fmt::Debug for RootFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootFingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_root_has_the_fingerprint_aws_publishes() {
        assert_eq!(
            RootFingerprint::of_certificate(AWS_NITRO_ROOT_G1_DER),
            RootFingerprint::AWS_NITRO_G1
        );
    }
}
