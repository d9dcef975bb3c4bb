//! Hostile bytes: the bodies of `aegis_releases::fuzz`, on seeds and on what becomes of them.
//! Counts are proptest's (`PROPTEST_CASES` raises them).
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use aegis_releases::{
    Kind, SignerKey, Trust, UnixSeconds, checkpoint, cosign, fuzz, log::Tree, sign,
};
use proptest::{collection::vec, prelude::*, sample::Index};

const LIST: &str = "aegis-releases/1\norigin a\nsequence 3\nnot-before 1\nnot-after 9\nminimum 1\n\
                    withdrawn 2\nrelease 7 3\n{}\n";

fn key(name: &str, kind: Kind, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

/// A bundle of people nobody knows.
static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (log, witness) = (key("l", Kind::Signature, 1), key("w", Kind::Witness, 2));
    let list = sign(LIST, &key("a", Kind::Signature, 3));
    let mut tree = Tree::default();
    for entry in [b"one".as_slice(), b"two", list.as_bytes()] {
        tree.push(entry);
    }
    let head = checkpoint::sign(&tree.head(), &log);
    let now = UnixSeconds(1_700_000_000);
    let line = cosign(head.as_bytes(), &log.verifier(), None, &[], &witness, now).unwrap().line;
    tree.bundle(2, list.as_bytes(), (head + &line).as_bytes(), None).unwrap()
});

static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let one = |seed, kind| key("k", kind, seed).verifier();
    let text = format!(
        "[releases]\norigin = \"a\"\nthreshold = 1\nkeys = [\"{}\"]\n[log]\nkey = \"{}\"\n\
         [witnesses]\nthreshold = 0\nkeys = []\n",
        one(11, Kind::Signature),
        one(12, Kind::Signature)
    );
    Trust::parse(&text).unwrap()
});

fn all(data: &[u8]) {
    fuzz::list(data);
    fuzz::texts(data);
    fuzz::checkpoint(data);
    fuzz::bundle(data, &TRUST);
    fuzz::proofs(data);
}

/// A seed with pieces replaced, cut out and repeated.
fn edited() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), 0usize..40, vec(any::<u8>(), 0..8));
    (0usize..3, vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut bytes = match seed {
            0 => BUNDLE.clone(),
            1 => sign(LIST, &key("a", Kind::Signature, 3)).into_bytes(),
            _ => b"example.com/log\n12\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".to_vec(),
        };
        for (at, length, with) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, with);
        }
        bytes
    })
}

#[test]
fn seeds_are_taken() {
    all(&BUNDLE);
    all(LIST.as_bytes());
    all(b"");
}

proptest! {
    #[test]
    fn any_bytes_are_taken(data in vec(any::<u8>(), 0..600)) {
        all(&data);
    }

    #[test]
    fn edited_seeds_are_taken(data in edited()) {
        all(&data);
    }
}
