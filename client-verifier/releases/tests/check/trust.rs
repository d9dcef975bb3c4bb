//! Trust files and keys.

use aegis_releases::{KeyError, Kind, SignerKey, Trust, TrustError, VerifierKey};

use crate::support::{Keys, signer};

fn refused(change: impl Fn(&Keys, String) -> String) -> TrustError {
    let keys = Keys::new();
    let text = keys.trust_text(2, 1);
    let changed = change(&keys, text.clone());
    assert_ne!(changed, text);
    Trust::parse(&changed).unwrap_err()
}

#[test]
fn trust_file_is_read() {
    let trust = Keys::new().trust();
    assert_eq!((trust.releases().threshold(), trust.releases().keys().len()), (2, 3));
    assert_eq!((trust.witnesses().threshold(), trust.witnesses().keys().len()), (1, 2));
    assert_eq!(trust.log().name(), "log.example/aegis");
}

#[test]
fn thresholds_that_nothing_or_everything_meets() {
    let keys = Keys::new();
    for (releases, witnesses, field) in
        [(0, 1, "releases.threshold"), (4, 1, "releases.threshold"), (2, 3, "witnesses.threshold")]
    {
        let error = Trust::parse(&keys.trust_text(releases, witnesses)).unwrap_err();
        assert!(matches!(error, TrustError::Threshold { field: f, .. } if f == field), "{error}");
    }
    assert!(Trust::parse(&keys.trust_text(3, 0)).is_ok());
}

#[test]
fn unknown_and_missing_fields() {
    for (from, to) in [("[log]", "[log]\nurl = \"a\""), ("threshold = 2\n", ""), ("[log]", "[leg]")]
    {
        let error = refused(|_, text| text.replacen(from, to, 1));
        assert!(matches!(error, TrustError::Toml { .. }), "{to}: {error}");
    }
}

#[test]
fn one_key_pair_in_two_places() {
    let twice = |from: fn(&Keys) -> &SignerKey, to: SignerKey| {
        let to = to.verifier().to_string();
        refused(|keys, text| text.replacen(&from(keys).verifier().to_string(), &to, 1))
    };
    // Under its own name, under another, as the log and as a witness.
    let error = twice(|keys| &keys.bob, signer("alice.example", Kind::Signature, 1));
    assert_eq!(error, TrustError::KeyTwice { key: "alice.example".to_owned() });
    let error = twice(|keys| &keys.bob, signer("bob.example", Kind::Signature, 1));
    assert_eq!(error, TrustError::KeyTwice { key: "bob.example".to_owned() });
    let error = twice(|keys| &keys.log, signer("log.example", Kind::Signature, 1));
    assert_eq!(error, TrustError::KeyTwice { key: "log.example".to_owned() });
    let error = twice(|keys| &keys.witnesses[1], signer("w", Kind::Witness, 4));
    assert_eq!(error, TrustError::KeyTwice { key: "w".to_owned() });
}

#[test]
fn key_of_the_wrong_kind() {
    let error = refused(|keys, text| {
        let (bob, witness) = (keys.bob.verifier(), signer("bob.example", Kind::Witness, 2));
        text.replacen(&bob.to_string(), &witness.verifier().to_string(), 1)
    });
    let wrong = KeyError::Kind { needed: Kind::Signature };
    assert_eq!(error, TrustError::Key { field: "releases.keys", at: 2, error: wrong });
    let error = refused(|keys, text| {
        let (one, plain) = (keys.witnesses[0].verifier(), signer("w", Kind::Signature, 5));
        text.replacen(&one.to_string(), &plain.verifier().to_string(), 1)
    });
    let wrong = KeyError::Kind { needed: Kind::Witness };
    assert_eq!(error, TrustError::Key { field: "witnesses.keys", at: 1, error: wrong });
}

#[test]
fn too_many_keys_and_no_origin() {
    let error = refused(|keys, text| {
        let alice = keys.alice.verifier();
        text.replacen(&format!("\"{alice}\""), &vec![format!("\"{alice}\""); 15].join(", "), 1)
    });
    assert!(matches!(error, TrustError::TooManyKeys { field: "releases.keys" }), "{error}");
    let error = refused(|_, text| text.replacen("aegis.example/releases", "a b", 1));
    assert_eq!(error, TrustError::Origin);
}

#[test]
fn keys_that_are_none() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let good = signer("alice.example", Kind::Signature, 1).verifier().to_string();
    let (head, encoded) = good.rsplit_once('+').unwrap_or_default();
    assert!(!encoded.is_empty() && !head.is_empty());
    let refused = |text: &str| VerifierKey::parse(text).unwrap_err();
    assert_eq!(refused("alice.example"), KeyError::Form);
    assert_eq!(refused(&good.replacen('+', "+x", 1)), KeyError::Form);
    assert_eq!(refused(&format!("{good}!")), KeyError::Form);
    assert_eq!(refused(&good.replacen("alice", "al ice", 1)), KeyError::Name);
    assert_eq!(refused(&good.replacen("alice", "bobby", 1)), KeyError::Id);
    let raw = |bytes: &[u8]| refused(&format!("a+00000000+{}", STANDARD.encode(bytes)));
    assert_eq!(raw(&[2; 33]), KeyError::Algorithm);
    assert_eq!(raw(&[]), KeyError::Algorithm);
    assert_eq!(raw(&[1; 32]), KeyError::Point);
    // The neutral element: anything has a valid signature under it.
    let mut neutral = [0; 33];
    (neutral[0], neutral[1]) = (1, 1);
    assert_eq!(raw(&neutral), KeyError::Point);
}

#[test]
fn secret_keys_are_read_back_and_not_shown() {
    let key = signer("alice.example", Kind::Witness, 7);
    let text = key.to_secret_text();
    let back = SignerKey::parse(&text).unwrap();
    assert_eq!(back.verifier(), key.verifier());
    assert_eq!(format!("{back:?}"), "SignerKey(alice.example, ..)");
    assert_eq!(SignerKey::parse(&text[8..]).unwrap_err(), KeyError::Form);
    let other = text.replacen("alice", "bobby", 1);
    assert_eq!(SignerKey::parse(&other).unwrap_err(), KeyError::Id);
    assert_eq!(
        signer("a", Kind::Signature, 1).of_kind(Kind::Witness).unwrap_err().name(),
        "key_kind"
    );
}
