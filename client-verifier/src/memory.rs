//! Chains seen before: what makes the second document of an enclave five times cheaper.
//!
//! Everything a chain is checked for depends only on its bytes, but for the time. So a chain that
//! passed once passes again while every one of its certificates is valid, and only then. The key is
//! a hash of all its certificates, the root and the leaf included; who trusts another root, sends
//! one byte of difference or comes when one certificate has expired gets the whole check.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::crypto;
use crate::limits::MAX_REMEMBERED_CHAINS;
use crate::time::UnixTime;
use crate::time::Validity;

/// Chains that passed, each with the period in which all its certificates are valid.
///
/// Holds no secrets and at most [`MAX_REMEMBERED_CHAINS`] entries; the oldest goes first.
#[derive(Clone, Debug, Default)]
pub struct ChainMemory {
    chains: VecDeque<(ChainDigest, Validity)>,
}

/// SHA-384 over the certificates of a chain, each with its length before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainDigest([u8; 48]);

impl ChainDigest {
    pub(crate) fn of(cabundle: &[&[u8]], leaf: &[u8]) -> Self {
        let mut input = Vec::new();
        for certificate in cabundle.iter().copied().chain([leaf]) {
            input.extend_from_slice(&certificate.len().to_be_bytes());
            input.extend_from_slice(certificate);
        }
        Self(crypto::sha384(&input))
    }
}

impl ChainMemory {
    /// A memory of nothing.
    pub const fn new() -> Self {
        Self { chains: VecDeque::new() }
    }

    /// How many chains are remembered.
    pub fn count(&self) -> usize {
        self.chains.len()
    }

    /// Whether the chain passed before and every certificate of it is valid at `now`.
    pub(crate) fn recalls(&self, chain: ChainDigest, now: UnixTime) -> bool {
        self.chains.iter().any(|(known, validity)| *known == chain && validity.contains(now))
    }

    /// Remembers a chain that passed.
    pub(crate) fn remember(&mut self, chain: ChainDigest, validity: Validity) {
        self.chains.retain(|(known, _)| *known != chain);
        while self.chains.len() >= MAX_REMEMBERED_CHAINS {
            self.chains.pop_front();
        }
        self.chains.push_back((chain, validity));
    }
}
