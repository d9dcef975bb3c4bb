//! The bundle (SPEC.md, section 3): a signed list with everything that shows it to be in the log.
//!
//! Parsing believes nothing; ranges of the received bytes come out.

use crate::{
    cursor::Cursor,
    error::BundleError,
    limits::{BUNDLE_BYTES, CONSISTENCY_PROOFS, PROOF_HASHES},
    merkle::Hash,
};

const HEADER: &str = "aegis-release-bundle/1";
/// c2sp.org/tlog-proof
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A bundle taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    /// The signed list, as received.
    pub list: &'a [u8],
    /// That it is in the log.
    pub proof: Proof<'a>,
    /// That the log continues earlier ones, by ascending size.
    pub consistency: Vec<Consistency>,
}

/// An inclusion proof with its checkpoint (c2sp.org/tlog-proof).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<'a> {
    /// The list's place in the log.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// As received.
    pub checkpoint: &'a [u8],
}

/// A consistency proof from the log of an earlier size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency {
    /// That size.
    pub from: u64,
    /// As RFC 6962 orders them.
    pub hashes: Vec<Hash>,
}

impl<'a> Bundle<'a> {
    /// Takes a bundle apart.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES {
            return Err(BundleError::TooLarge { bytes: bytes.len() });
        }
        let mut rest = Cursor(bytes);
        if rest.line() != Some(HEADER) {
            return Err(BundleError::Line { expected: HEADER });
        }
        let list = section(&mut rest, "list", "list BYTES")?;
        let proof = Proof::parse(section(&mut rest, "proof", "proof BYTES")?)?;
        let mut consistency: Vec<Consistency> = Vec::new();
        while !rest.is_at_end() {
            let next = Consistency::parse(&mut rest)?;
            if consistency.last().is_some_and(|last| next.from <= last.from) {
                return Err(BundleError::ConsistencyOrder { size: next.from });
            }
            if consistency.len() == CONSISTENCY_PROOFS {
                return Err(BundleError::ConsistencyCount);
            }
            consistency.push(next);
        }
        Ok(Self { list, proof, consistency })
    }

    /// The proof from a log of this size.
    pub fn consistency_from(&self, size: u64) -> Option<&[Hash]> {
        let found = self.consistency.iter().find(|proof| proof.from == size)?;
        Some(&found.hashes)
    }

    /// The bytes that [`Bundle::parse`] takes apart.
    pub fn encode(&self) -> Vec<u8> {
        let proof = self.proof.encode();
        let mut bytes = format!("{HEADER}\nlist {}\n", self.list.len()).into_bytes();
        bytes.extend_from_slice(self.list);
        bytes.extend_from_slice(format!("proof {}\n", proof.len()).as_bytes());
        bytes.extend_from_slice(&proof);
        for Consistency { from, hashes } in &self.consistency {
            let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
            let text = format!("consistency {from} {}\n{lines}", hashes.len());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

fn section<'a>(
    rest: &mut Cursor<'a>,
    section: &'static str,
    expected: &'static str,
) -> Result<&'a [u8], BundleError> {
    let length = rest.number(section).ok_or(BundleError::Line { expected })?;
    rest.bytes(length).ok_or(BundleError::Truncated { section })
}

impl<'a> Proof<'a> {
    /// Takes a proof apart. Extra data, which the format allows and nothing signs, is refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let mut rest = Cursor(bytes);
        if rest.line() != Some(PROOF_HEADER) {
            return Err(BundleError::Line { expected: PROOF_HEADER });
        }
        let index = rest.number("index").ok_or(BundleError::Line { expected: "index NUMBER" })?;
        let mut hashes = Vec::new();
        loop {
            match rest.line() {
                None => return Err(BundleError::Truncated { section: "proof" }),
                Some("") => break,
                Some(_) if hashes.len() == PROOF_HASHES => {
                    return Err(BundleError::ProofLength { section: "proof" });
                }
                Some(line) => hashes
                    .push(Hash::from_base64(line).ok_or(BundleError::Hash { section: "proof" })?),
            }
        }
        Ok(Self { index, hashes, checkpoint: rest.0 })
    }

    fn encode(&self) -> Vec<u8> {
        let lines: String = self.hashes.iter().map(|hash| format!("{hash}\n")).collect();
        let head = format!("{PROOF_HEADER}\nindex {}\n{lines}\n", self.index);
        [head.as_bytes(), self.checkpoint].concat()
    }
}

impl Consistency {
    fn parse(rest: &mut Cursor<'_>) -> Result<Self, BundleError> {
        let section = "consistency";
        let fields = rest.field(section).and_then(|fields| {
            let (from, count) = fields.split_once(' ')?;
            Some((crate::cursor::decimal(from)?, crate::cursor::decimal(count)?))
        });
        let expected = "consistency SIZE HASHES";
        let (from, count) = fields.ok_or(BundleError::Line { expected })?;
        if count > PROOF_HASHES as u64 {
            return Err(BundleError::ProofLength { section });
        }
        let mut hashes = Vec::new();
        for _ in 0..count {
            let line = rest.line().ok_or(BundleError::Truncated { section })?;
            hashes.push(Hash::from_base64(line).ok_or(BundleError::Hash { section })?);
        }
        Ok(Self { from, hashes })
    }
}
