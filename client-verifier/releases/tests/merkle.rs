//! The Merkle code against a naive tree, and against known answers.
#![allow(clippy::unwrap_used)]

use aegis_releases::merkle::{
    Hash, TreeHead, consistency_proof, continues, includes, inclusion_proof, leaf_hash, root,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

/// The entries of the test tree of the Certificate Transparency project.
const ENTRIES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// Its roots, of the trees of 1 to 8 entries.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn known_leaves() -> Vec<Hash> {
    ENTRIES.iter().map(|entry| leaf_hash(&hex::decode(entry).unwrap())).collect()
}

#[test]
fn roots_of_the_known_tree() {
    let leaves = known_leaves();
    for (size, expected) in (1..).zip(ROOTS) {
        assert_eq!(hex::encode(root(&leaves[..size]).0), expected, "{size} entries");
    }
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex::encode(root(&[]).0), nothing);
}

#[test]
fn proofs_of_the_known_tree() {
    let leaves = known_leaves();
    let text = |proof: Option<Vec<Hash>>| -> Vec<String> {
        proof.unwrap().iter().map(|hash| hex::encode(hash.0)).collect()
    };
    assert_eq!(
        text(inclusion_proof(&leaves, 0)),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        text(consistency_proof(&leaves[..5], 2)),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ]
    );
    assert!(text(consistency_proof(&leaves, 8)).is_empty());
    assert_eq!(consistency_proof(&leaves, 0), None);
    assert_eq!(consistency_proof(&leaves, 9), None);
    assert_eq!(inclusion_proof(&leaves, 8), None);
}

/// The root by pairing neighbours, layer by layer: another way to the same tree, in which a node
/// without a neighbour goes up as it is.
fn naive_root(leaves: &[Hash]) -> Hash {
    let mut layer = leaves.to_vec();
    while layer.len() > 1 {
        layer = layer
            .chunks(2)
            .map(|pair| {
                pair.get(1).map_or(pair[0], |right| {
                    let both = [&[1], pair[0].0.as_slice(), right.0.as_slice()].concat();
                    Hash(Sha256::digest(both).into())
                })
            })
            .collect();
    }
    layer[0]
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

fn head(leaves: &[Hash]) -> TreeHead {
    TreeHead { size: leaves.len() as u64, root: naive_root(leaves) }
}

#[test]
fn every_proof_of_every_small_tree() {
    let all = leaves(40);
    for size in 1..=all.len() {
        let now = head(&all[..size]);
        assert_eq!(root(&all[..size]), now.root);
        for index in 0..size {
            let proof = inclusion_proof(&all[..size], index).unwrap();
            for at in 0..size {
                assert_eq!(includes(&now, at as u64, all[index], &proof), at == index);
            }
            assert!(!includes(&now, (size + index) as u64, all[index], &proof));
        }
        for old in 1..=size {
            let proof = consistency_proof(&all[..size], old).unwrap();
            for from in 1..=size {
                let right = continues(&head(&all[..from]), &now, &proof);
                assert_eq!(right, from == old, "{from} of {old} to {size}");
            }
        }
    }
}

#[test]
fn nothing_follows_from_an_empty_tree_or_from_a_larger_one() {
    let all = leaves(5);
    let (small, large) = (head(&all[..3]), head(&all));
    let empty = TreeHead { size: 0, root: root(&[]) };
    let proof = consistency_proof(&all, 3).unwrap();
    assert!(continues(&small, &large, &proof));
    assert!(!continues(&empty, &large, &[]) && !continues(&empty, &empty, &[]));
    assert!(!continues(&large, &small, &proof));
    assert!(!includes(&empty, 0, all[0], &[]));
}

proptest! {
    #[test]
    fn larger_trees_too(size in 1usize..600, index: prop::sample::Index, old: prop::sample::Index) {
        let all = leaves(size);
        let (index, old) = (index.index(size), old.index(size) + 1);
        let now = head(&all);
        prop_assert_eq!(root(&all), now.root);
        let inclusion = inclusion_proof(&all, index).unwrap();
        prop_assert!(includes(&now, index as u64, all[index], &inclusion));
        let consistency = consistency_proof(&all, old).unwrap();
        prop_assert!(continues(&head(&all[..old]), &now, &consistency));
    }

    #[test]
    fn no_other_hashes_do(
        size in 2usize..200,
        index: prop::sample::Index,
        old: prop::sample::Index,
        at: prop::sample::Index,
        bit in 0usize..256,
    ) {
        let all = leaves(size);
        let (index, old) = (index.index(size), old.index(size - 1) + 1);
        let now = head(&all);
        let flip = |proof: &mut Vec<Hash>| {
            let at = at.index(proof.len());
            proof[at].0[bit / 8] ^= 1 << (bit % 8);
        };
        let mut inclusion = inclusion_proof(&all, index).unwrap();
        flip(&mut inclusion);
        prop_assert!(!includes(&now, index as u64, all[index], &inclusion));
        let mut consistency = consistency_proof(&all, old).unwrap();
        flip(&mut consistency);
        prop_assert!(!continues(&head(&all[..old]), &now, &consistency));
    }

    #[test]
    fn another_old_tree_is_not_continued(size in 2usize..200, old: prop::sample::Index, at: prop::sample::Index) {
        let all = leaves(size);
        let old = old.index(size) + 1;
        let mut others = all[..old].to_vec();
        let at = at.index(old);
        others[at].0[0] ^= 1;
        let proof = consistency_proof(&all, old).unwrap();
        prop_assert!(!continues(&head(&others), &head(&all), &proof));
    }
}
