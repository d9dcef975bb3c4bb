//! Bodies for fuzzing, shared by the tests beside them on stable Rust and by the libFuzzer targets in
//! `fuzz`. Each takes any bytes and must return; what it finds to be wrong is an assertion.

#[path = "../../../tests/fuzz/edit.rs"]
mod edit;

use std::sync::LazyLock;

use aegis_releases::{
    Bundle, Kind, List, Note, Release, Seen, SignerKey, Step, Trust, UnixSeconds, VerifierKey,
    check, checkpoint, cosign, limits,
    log::{self, Tree},
    merkle::{Hash, TreeHead, consistency_proof, continues, includes, inclusion_proof, root},
    sign,
};

pub(crate) use edit::edit;

/// What is done with an input.
pub(crate) type Body = fn(&[u8]);

/// Each surface's name, which is the folder of its corpus, and its body.
pub(crate) const TARGETS: [(&str, Body); 7] = [
    ("list", list),
    ("texts", texts),
    ("checkpoint", checkpoint),
    ("bundle", bundle),
    ("proofs", proofs),
    ("signed_list", signed_list),
    ("signed_checkpoint", signed_checkpoint),
];

/// Those whose word is taken.
static TRUST: LazyLock<Trust> = LazyLock::new(|| {
    let text = format!(
        "[releases]\norigin = \"a\"\nthreshold = 1\nkeys = [\"{}\"]\n[log]\nkey = \"{}\"\n\
         [witnesses]\nthreshold = 1\nkeys = [\"{}\"]\n",
        SIGNER.verifier(),
        LOG.verifier(),
        WITNESS.verifier()
    );
    Trust::parse(&text).unwrap()
});
static SIGNER: LazyLock<SignerKey> = LazyLock::new(|| key("s", Kind::Signature, 11));
static LOG: LazyLock<SignerKey> = LazyLock::new(|| key("l", Kind::Signature, 12));
static WITNESS: LazyLock<SignerKey> = LazyLock::new(|| key("w", Kind::Witness, 13));

/// When the list is valid.
const NOW: UnixSeconds = UnixSeconds(5);

/// A list as it should be.
pub(crate) static LIST: LazyLock<String> = LazyLock::new(|| {
    let (pcr, sha) = ("01".repeat(48), "02".repeat(32));
    let json = format!(
        "{{\"format\":\"aegis-release/1\",\"number\":7,\"version\":\"1\",\"commit\":null,\
         \"variant\":\"production\",\"pcr0\":\"{pcr}\",\"pcr1\":\"{pcr}\",\"pcr2\":\"{pcr}\",\
         \"provider_table_sha256\":\"{sha}\",\"image\":{{\"bytes\":1,\"sha256\":\"{sha}\"}},\
         \"sections\":[],\"command_line\":\"\",\"made_of\":{{\"kernel\":null,\
         \"kernel_config_sha256\":\"{sha}\",\"program\":null,\"packages\":{{}}}}}}\n"
    );
    format!(
        "aegis-releases/1\norigin a\nsequence 3\nnot-before 1\nnot-after 9\nminimum 1\n\
         withdrawn 2\nrelease 7 {}\n{json}",
        json.len()
    )
});

/// A bundle of people nobody knows.
pub(crate) static BUNDLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let list = sign(&LIST, &key("a", Kind::Signature, 3));
    let (log, witness) = (key("l", Kind::Signature, 1), key("w", Kind::Witness, 2));
    let tree = tree(&list);
    let checkpoint = checkpoint::sign(&tree.head(), &log);
    let cosignature = cosign(checkpoint.as_bytes(), &log.verifier(), None, &[], &witness, NOW);
    let checkpoint = checkpoint + &cosignature.unwrap().line;
    tree.bundle(2, list.as_bytes(), checkpoint.as_bytes(), None).unwrap()
});

/// A made-up key.
pub(crate) fn key(name: &str, kind: Kind, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

/// A log that ends with this list.
fn tree(list: &str) -> Tree {
    let mut tree = Tree::default();
    for entry in [b"one".as_slice(), b"two", list.as_bytes()] {
        tree.push(entry);
    }
    tree
}

/// A list, from its note down to its releases.
pub(crate) fn list(data: &[u8]) {
    let Ok(note) = Note::parse(data, limits::LIST_BYTES) else { return };
    assert!(data.starts_with(note.text().as_bytes()), "the text is the received one");
    if let Ok(list) = List::parse(note.text()) {
        assert!(list.accepted().count() <= limits::RELEASES);
    }
}

/// What stands alone: the text of a list, a `release.json`, a state, keys.
pub(crate) fn texts(data: &[u8]) {
    let _ = Release::parse(data);
    if let Ok(seen) = Seen::parse(data) {
        assert_eq!(seen.to_text().as_bytes(), data, "one text for each state");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (List::parse(text), Trust::parse(text));
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
}

/// A checkpoint's text and a bundle of entries.
pub(crate) fn checkpoint(data: &[u8]) {
    let _ = log::decode_entries("entries", 3, data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok((origin, head)) = checkpoint::parse_text(text) {
        assert_eq!(checkpoint::text(origin, &head), text, "one text for each head");
    }
}

/// A bundle and the whole check; nobody who is trusted has signed it.
pub(crate) fn bundle(data: &[u8]) {
    if let Ok(bundle) = Bundle::parse(data) {
        assert_eq!(bundle.encode(), data, "one encoding for each bundle");
    }
    assert!(check(data, &TRUST, None, NOW).is_err());
}

/// Proofs: what an honest tree gives passes, and any hashes at all do not panic.
pub(crate) fn proofs(data: &[u8]) {
    let [size, index, old, rest @ ..] = data else { return };
    let leaves: Vec<_> = (0..=*size).map(|byte| Hash([byte; 32])).collect();
    let (index, old) = (usize::from(*index) % leaves.len(), usize::from(*old) % leaves.len() + 1);
    let head = |size: usize| TreeHead { size: size as u64, root: root(&leaves[..size]) };
    let (before, now) = (head(old), head(leaves.len()));
    let proof = inclusion_proof(&leaves, index).unwrap_or_default();
    assert!(includes(&now, index as u64, leaves[index], &proof));
    assert!(continues(&before, &now, &consistency_proof(&leaves, old).unwrap_or_default()));
    let odd: Vec<_> = rest.as_chunks().0.iter().copied().map(Hash).collect();
    assert!(odd == proof || !includes(&now, index as u64, leaves[index], &odd));
    let _ = continues(&before, &now, &odd);
}

/// Edits of a list's text, then signed, logged and cosigned by those who are trusted: accepted if it
/// reads as a list of this origin that is valid now, and only then.
pub(crate) fn signed_list(edits: &[u8]) {
    let mut text = LIST.clone().into_bytes();
    edit(&mut text, edits);
    let Ok(text) = String::from_utf8(text) else { return };
    let list = sign(&text, &SIGNER);
    // A text that does not end in a newline, or has control characters, makes another note or none.
    if !Note::parse(list.as_bytes(), limits::LIST_BYTES).is_ok_and(|note| note.text() == text) {
        return;
    }
    let tree = tree(&list);
    let bundle = witnessed(&tree, &list, &checkpoint::text("l", &tree.head())).unwrap();
    match (check(&bundle, &TRUST, None, NOW), List::parse(&text)) {
        (Ok(accepted), Ok(list)) => {
            assert_eq!(*accepted.list(), list);
            assert_eq!(list.origin(), "a");
            assert!(list.not_before().0 <= NOW.0 + limits::SKEW_S && NOW < list.not_after());
            assert!(list.not_after().0 - list.not_before().0 <= limits::VALIDITY_S);
        }
        (Ok(_), Err(error)) => panic!("accepted, but cannot be read: {error}"),
        (Err(error), Err(_)) => assert_eq!(error.step(), Step::List, "{error}"),
        // The signatures are right, whatever they are over.
        (Err(error), Ok(list)) => match error.step() {
            Step::List => assert_ne!(list.origin(), "a", "{error}"),
            step => assert_eq!(step, Step::Validity, "{error}"),
        },
    }
}

/// Edits of a checkpoint's text, then signed by the log and by a witness that remembers nothing:
/// no other text than the tree's own leads to the list.
pub(crate) fn signed_checkpoint(edits: &[u8]) {
    let list = sign(&LIST, &SIGNER);
    let tree = tree(&list);
    let right = checkpoint::text("l", &tree.head());
    let mut text = right.clone().into_bytes();
    edit(&mut text, edits);
    let Ok(text) = String::from_utf8(text) else { return };
    let accepted = witnessed(&tree, &list, &text)
        .is_some_and(|bundle| check(&bundle, &TRUST, None, NOW).is_ok());
    assert_eq!(accepted, text == right, "{text:?}");
}

/// The bundle of a tree's last list with this text of a checkpoint, if the witness cosigns it.
fn witnessed(tree: &Tree, list: &str, text: &str) -> Option<Vec<u8>> {
    let checkpoint = sign(text, &LOG);
    let cosigned = cosign(checkpoint.as_bytes(), &LOG.verifier(), None, &[], &WITNESS, NOW);
    let checkpoint = checkpoint + &cosigned.ok()?.line;
    tree.bundle(2, list.as_bytes(), checkpoint.as_bytes(), None)
}
