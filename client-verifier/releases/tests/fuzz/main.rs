//! Hostile bytes: no panic, and nothing is accepted that was not signed.
//!
//! Property tests, whose counts are proptest's (`PROPTEST_CASES` raises them), and in `kept` the bodies
//! of the libFuzzer targets over their kept corpus.

#![allow(clippy::unwrap_used)]

mod bodies;
#[path = "../../../tests/fuzz/corpus.rs"]
mod corpus;
mod kept;

use aegis_releases::{Kind, List, sign};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::bodies::{BUNDLE, LIST};

fn all(data: &[u8]) {
    for (_, body) in bodies::TARGETS {
        body(data);
    }
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
    assert_eq!(List::parse(&LIST).unwrap().accepted().count(), 1);
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
