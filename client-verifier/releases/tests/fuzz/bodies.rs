//! Bodies for fuzzing, shared by the tests beside them on stable Rust and by cargo-fuzz targets. Each
//! takes any bytes and must return; what it finds to be wrong is an assertion.

use std::sync::LazyLock;

use aegis_releases::{
    Bundle, Kind, List, Note, Release, Seen, SignerKey, Trust, UnixSeconds, VerifierKey, check,
    checkpoint, limits, log,
    merkle::{Hash, TreeHead, consistency_proof, continues, includes, inclusion_proof, root},
};

/// Some of those whose word is taken; nobody else has their keys.
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

/// A made-up key.
pub(crate) fn key(name: &str, kind: Kind, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
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

/// A bundle and the whole check, under a trust that knows nobody who signed it.
pub(crate) fn bundle(data: &[u8]) {
    if let Ok(bundle) = Bundle::parse(data) {
        assert_eq!(bundle.encode(), data, "one encoding for each bundle");
    }
    assert!(check(data, &TRUST, None, UnixSeconds(1_800_000_000)).is_err());
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
