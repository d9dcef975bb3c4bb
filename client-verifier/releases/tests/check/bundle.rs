//! The sections of a bundle.

use aegis_releases::{Bundle, BundleError, Consistency, Error};

use crate::support::{Keys, Log, judge, refused_bundle};

/// The error after a change to the bundle's bytes.
fn bytes_error(change: impl FnOnce(String) -> String) -> Error {
    let keys = Keys::new();
    let bundle = String::from_utf8(Log::of(&keys, 3).bundle(&keys)).unwrap();
    judge(&keys, change(bundle).as_bytes(), None).unwrap_err()
}

fn replaced(from: &str, to: &str) -> Error {
    bytes_error(|bundle| {
        assert!(bundle.contains(from), "{from}");
        bundle.replacen(from, to, 1)
    })
}

#[test]
fn what_was_parsed_encodes_to_the_same_bytes() {
    let keys = Keys::new();
    let bytes = Log::of(&keys, 5).bundle(&keys);
    let bundle = Bundle::parse(&bytes).unwrap();
    assert_eq!(bundle.consistency.iter().map(|c| c.from).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(bundle.encode(), bytes);
}

#[test]
fn another_header() {
    let expected = "aegis-release-bundle/1";
    assert_eq!(replaced(expected, "aegis-release-bundle/2"), BundleError::Line { expected }.into());
    let empty = judge(&Keys::new(), b"", None).unwrap_err();
    assert_eq!(empty, BundleError::Line { expected }.into());
}

#[test]
fn sections_out_of_place() {
    let expected = "list BYTES";
    assert_eq!(replaced("\nlist ", "\nlist 0"), BundleError::Line { expected }.into());
    let expected = "c2sp.org/tlog-proof@v1";
    assert_eq!(replaced(expected, "c2sp.org/tlog-proof@v2"), BundleError::Line { expected }.into());
    let expected = "index NUMBER";
    // Extra data, which the format allows and nobody signed: the length stays as it was.
    assert_eq!(replaced("index 2", "extra A"), BundleError::Line { expected }.into());
    let expected = "consistency SIZE HASHES";
    assert_eq!(
        replaced("consistency 1 ", "consistency one "),
        BundleError::Line { expected }.into()
    );
}

#[test]
fn list_longer_than_the_bundle() {
    let error = bytes_error(|bundle| {
        let at = bundle.find("\nproof ").unwrap();
        bundle[..at].to_owned()
    });
    assert_eq!(error, BundleError::Truncated { section: "list" }.into());
}

#[test]
fn proof_without_a_checkpoint() {
    let error = refused_bundle(|bundle| bundle.proof.checkpoint = b"");
    assert!(matches!(error, Error::Checkpoint(_)), "{error}");
    let error = replaced("\n\nlog.example", "\nlog.example");
    assert!(matches!(error, Error::Bundle(_)), "{error}");
}

#[test]
fn bundle_cut_at_any_place() {
    let keys = Keys::new();
    let bundle = Log::of(&keys, 3).bundle(&keys);
    for length in (0..bundle.len()).step_by(61).chain([bundle.len() - 1]) {
        let error = judge(&keys, &bundle[..length], None);
        // Cut at the end of a consistency proof it is a bundle with fewer of them.
        let whole = bundle[..length].ends_with(b"\n") && error.is_ok();
        assert!(whole || matches!(error, Err(Error::Bundle(_))), "{length}: {error:?}");
    }
}

#[test]
fn bytes_after_the_last_section() {
    let error = bytes_error(|bundle| bundle + "\n");
    let expected = "consistency SIZE HASHES";
    assert_eq!(error, BundleError::Line { expected }.into());
}

#[test]
fn hash_that_is_none() {
    let error = bytes_error(|bundle| {
        let at = bundle.find("consistency 1 ").unwrap() + "consistency 1 2\n".len();
        format!("{}*{}", &bundle[..at], &bundle[at + 1..])
    });
    assert_eq!(error, BundleError::Hash { section: "consistency" }.into());
    let error = bytes_error(|bundle| {
        let at = bundle.find("index 2\n").unwrap() + "index 2\n".len();
        format!("{}*{}", &bundle[..at], &bundle[at + 1..])
    });
    assert_eq!(error, BundleError::Hash { section: "proof" }.into());
}

#[test]
fn consistency_proofs_out_of_order() {
    let error = refused_bundle(|bundle| bundle.consistency.reverse());
    assert_eq!(error, BundleError::ConsistencyOrder { size: 1 }.into());
    let error = refused_bundle(|bundle| {
        let again = bundle.consistency[1].clone();
        bundle.consistency.push(again);
    });
    assert_eq!(error, BundleError::ConsistencyOrder { size: 2 }.into());
}

#[test]
fn too_many_consistency_proofs() {
    let error = refused_bundle(|bundle| {
        bundle.consistency =
            (1..=65).map(|from| Consistency { from, hashes: Vec::new() }).collect();
    });
    assert_eq!(error, BundleError::ConsistencyCount.into());
}

#[test]
fn proofs_longer_than_any() {
    let error = refused_bundle(|bundle| {
        let hash = bundle.proof.hashes[0];
        bundle.proof.hashes = vec![hash; 64];
    });
    assert_eq!(error, BundleError::ProofLength { section: "proof" }.into());
    let error = refused_bundle(|bundle| {
        let hash = bundle.proof.hashes[0];
        bundle.consistency[0].hashes = vec![hash; 64];
    });
    assert_eq!(error, BundleError::ProofLength { section: "consistency" }.into());
}

#[test]
fn bundle_larger_than_any() {
    let bytes = 256 * 1024 + 1;
    let error = bytes_error(|bundle| bundle.clone() + &" ".repeat(bytes - bundle.len()));
    assert_eq!(error, BundleError::TooLarge { bytes }.into());
}

#[test]
fn largest_list_and_log_fit() {
    let keys = Keys::new();
    let mut log = Log::default();
    for _ in 0..300 {
        log.push(b"an entry");
    }
    log.push(&vec![b'a'; 65_535]);
    let bundle = log.bundle(&keys);
    let parsed = Bundle::parse(&bundle).unwrap();
    assert_eq!(parsed.consistency.len(), 64);
    assert_eq!(parsed.consistency[0].from, 301 - 64);
    let checkpoint = log.checkpoint(&keys);
    let since = log.tree.bundle(300, &log.entries[300], checkpoint.as_bytes(), Some(5)).unwrap();
    let parsed = Bundle::parse(&since).unwrap();
    assert!(parsed.consistency_from(5).is_some());
    assert_eq!(parsed.consistency.len(), 64);
}
