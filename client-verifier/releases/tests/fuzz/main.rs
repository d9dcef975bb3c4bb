//! Hostile bytes: the bodies, on seeds and on what becomes of them.
//! Counts are proptest's (`PROPTEST_CASES` raises them).
#![allow(clippy::unwrap_used)]

mod bodies;

use std::sync::LazyLock;

use aegis_releases::{Kind, List, UnixSeconds, checkpoint, cosign, log::Tree, sign};
use proptest::{collection::vec, prelude::*, sample::Index};

/// A list as it should be.
static LIST: LazyLock<String> = LazyLock::new(|| {
    let (pcr, sha) = ("01".repeat(48), "02".repeat(32));
    let json = format!(
        "{{\"format\":\"aegis-release/1\",\"number\":7,\"version\":\"1\",\"commit\":null,\
         \"variant\":\"production\",\"pcr0\":\"{pcr}\",\"pcr1\":\"{pcr}\",\"pcr2\":\"{pcr}\",\
         \"provider_table_sha256\":\"{sha}\",\"image\":{{\"bytes\":1,\"sha256\":\"{sha}\"}},\
         \"sections\":[],\"command_line\":\"\",\"made_of\":{{\"kernel\":null,\
         \"kernel_config_sha256\":\"{sha}\",\"program\":null,\"packages\":{{}}}}}}\n"
    );
    let text = format!(
        "aegis-releases/1\norigin a\nsequence 3\nnot-before 1\nnot-after 9\nminimum 1\n\
         withdrawn 2\nrelease 7 {}\n{json}",
        json.len()
    );
    assert_eq!(List::parse(&text).unwrap().accepted().count(), 1);
    text
});

/// A bundle of people nobody knows.
static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (log, witness) = (bodies::key("l", Kind::Signature, 1), bodies::key("w", Kind::Witness, 2));
    let list = sign(&LIST, &bodies::key("a", Kind::Signature, 3));
    let mut tree = Tree::default();
    for entry in [b"one".as_slice(), b"two", list.as_bytes()] {
        tree.push(entry);
    }
    let head = checkpoint::sign(&tree.head(), &log);
    let now = UnixSeconds(1_700_000_000);
    let line = cosign(head.as_bytes(), &log.verifier(), None, &[], &witness, now).unwrap().line;
    tree.bundle(2, list.as_bytes(), (head + &line).as_bytes(), None).unwrap()
});

fn all(data: &[u8]) {
    bodies::list(data);
    bodies::texts(data);
    bodies::checkpoint(data);
    bodies::bundle(data);
    bodies::proofs(data);
}

/// A seed with pieces replaced, cut out and repeated.
fn edited() -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<Index>(), 0usize..40, vec(any::<u8>(), 0..8));
    (0usize..3, vec(edit, 1..6)).prop_map(|(seed, edits)| {
        let mut bytes = match seed {
            0 => BUNDLE.clone(),
            1 => sign(&LIST, &bodies::key("a", Kind::Signature, 3)).into_bytes(),
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
