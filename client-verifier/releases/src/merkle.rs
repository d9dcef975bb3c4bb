//! Merkle trees as RFC 6962, section 2.1 (and RFC 9162, section 2.1) has them, over SHA-256.
//!
//! Proofs are made from all leaf hashes and verified from a root. The tests hold both against a
//! naive tree and against known answers.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

/// A node of the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// From its base64.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tree head: how many leaves and which root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Hash,
}

/// The hash of an entry as a leaf.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([1])
            .chain_update(left.0)
            .chain_update(right.0)
            .finalize()
            .into(),
    )
}

/// The root over these leaf hashes; of none it is the hash of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash(Sha256::digest([]).into()),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(root(left), root(right))
        }
    }
}

/// The largest power of two below `n`, which is at least 2.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

/// The hashes from the leaf's sibling up to the root's child; none when there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    (index < leaves.len()).then(|| path(leaves, index))
}

fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut below, sibling) = match index < at {
        true => (path(left, index), root(right)),
        false => (path(right, index - at), root(left)),
    };
    below.push(sibling);
    below
}

/// The hashes that show the first `size` leaves to be the beginning of all; none when `size` is 0
/// or more than there are.
pub fn consistency_proof(leaves: &[Hash], size: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len()).contains(&size).then(|| subproof(leaves, size, true))
}

fn subproof(leaves: &[Hash], size: usize, known: bool) -> Vec<Hash> {
    if size == leaves.len() {
        return if known { Vec::new() } else { vec![root(leaves)] };
    }
    let at = split(leaves.len());
    let (left, right) = leaves.split_at(at);
    let (mut below, sibling) = match size <= at {
        true => (subproof(left, size, known), root(right)),
        false => (subproof(right, size - at, false), root(left)),
    };
    below.push(sibling);
    below
}

/// Whether `proof` leads from the leaf at `index` to the head's root (RFC 9162, 2.1.3.2).
pub fn includes(head: &TreeHead, index: u64, leaf: Hash, proof: &[Hash]) -> bool {
    if index >= head.size {
        return false;
    }
    let (mut at, mut last, mut reached) = (index, head.size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            reached = node_hash(*sibling, reached);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            reached = node_hash(reached, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && reached == head.root
}

/// Whether `proof` shows that the tree of `new` begins with that of `old` (RFC 9162, 2.1.4.2). An
/// empty old tree shows nothing and is refused.
pub fn continues(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> bool {
    if old.size == 0 || old.size > new.size {
        return false;
    }
    if old.size == new.size {
        return proof.is_empty() && old.root == new.root;
    }
    let (first, rest) = match (old.size.is_power_of_two(), proof) {
        (true, rest) => (old.root, rest),
        (false, [first, rest @ ..]) => (*first, rest),
        (false, []) => return false,
    };
    let (mut at, mut last) = (old.size - 1, new.size - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old_root, mut new_root) = (first, first);
    for node in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (old_root, new_root) = (node_hash(*node, old_root), node_hash(*node, new_root));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_root = node_hash(new_root, *node);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_root == old.root && new_root == new.root
}
