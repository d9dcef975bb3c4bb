//! The list as a signed note, and who signed it.

use aegis_releases::{
    Bundle, Error, Kind, NoteError, SignatureError, SignerKey, sign, signature_line,
};

use crate::support::{Keys, Log, judge, refused_note, signed, signer, text};

fn note_error(change: impl Fn(String) -> Vec<u8>) -> NoteError {
    let keys = Keys::new();
    let mut log = Log::of(&keys, 2);
    log.push(&change(signed(&keys, &text(3))));
    match judge(&keys, &log.bundle(&keys), None).unwrap_err() {
        Error::Note(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_valid_bundle_is_accepted() {
    let keys = Keys::new();
    let accepted = judge(&keys, &Log::of(&keys, 3).bundle(&keys), None).unwrap();
    let numbers: Vec<_> = accepted.releases().map(|release| release.number).collect();
    assert_eq!((accepted.list().sequence(), numbers), (3, vec![7, 8]));
    assert!(accepted.is_first());
    let walk: Vec<_> = accepted.findings().into_iter().map(|f| f.found).collect();
    assert_eq!(walk[2], "signed by alice.example, bob.example");
    assert!(walk[8].contains("first use"), "{walk:?}");
}

#[test]
fn signature_threshold_not_met() {
    let error = refused_note(|keys| sign(&text(3), &keys.alice));
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn unknown_keys_are_not_counted() {
    let error = refused_note(|keys| {
        let stranger = signer("dave.example", Kind::Signature, 9);
        sign(&text(3), &keys.alice) + &signature_line(&text(3), &stranger)
    });
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn unknown_keys_do_no_harm() {
    let keys = Keys::new();
    let stranger = signer("dave.example", Kind::Signature, 9);
    let wrong = signature_line("another text\n", &stranger);
    let note = signed(&keys, &text(3)) + &wrong;
    assert!(judge(&keys, &crate::support::bundle_of(&keys, &note), None).is_ok());
}

#[test]
fn one_key_twice_counts_once() {
    let error =
        refused_note(|keys| sign(&text(3), &keys.alice) + &signature_line(&text(3), &keys.alice));
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn one_key_under_two_names_counts_once() {
    let error = refused_note(|keys| {
        let alias = signer("bob.example", Kind::Signature, 1);
        sign(&text(3), &keys.alice) + &signature_line(&text(3), &alias)
    });
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn wrong_signature_of_a_known_key_beside_enough_right_ones() {
    let error =
        refused_note(|keys| signed(keys, &text(3)) + &signature_line(&text(2), &keys.carol));
    assert_eq!(error, SignatureError::Wrong { key: "carol.example".to_owned() }.into());
}

#[test]
fn second_wrong_signature_of_a_key_that_signed() {
    let error =
        refused_note(|keys| signed(keys, &text(3)) + &signature_line(&text(2), &keys.alice));
    assert_eq!(error, SignatureError::Wrong { key: "alice.example".to_owned() }.into());
}

/// The signature line with another key identifier.
fn with_id(line: &str, id: [u8; 4]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let (head, encoded) = line.trim_end().rsplit_once(' ').unwrap();
    let mut blob = STANDARD.decode(encoded).unwrap();
    blob[..4].copy_from_slice(&id);
    format!("{head} {}\n", STANDARD.encode(blob))
}

#[test]
fn right_signature_under_a_wrong_key_id_is_unknown() {
    let error = refused_note(|keys| {
        let line = signature_line(&text(3), &keys.bob);
        sign(&text(3), &keys.alice) + &with_id(&line, [1, 2, 3, 4])
    });
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn key_id_of_another_key_is_a_wrong_signature() {
    let error = refused_note(|keys| {
        let line = signature_line(&text(3), &signer("bob.example", Kind::Signature, 9));
        sign(&text(3), &keys.alice) + &with_id(&line, keys.bob.verifier().id())
    });
    assert_eq!(error, SignatureError::Wrong { key: "bob.example".to_owned() }.into());
}

#[test]
fn witness_key_does_not_sign_lists() {
    let error = refused_note(|keys| {
        let witness: &SignerKey = &keys.witnesses[0];
        sign(&text(3), &keys.alice) + &signature_line(&text(3), witness)
    });
    assert_eq!(error, SignatureError::Threshold { found: 1, needed: 2 }.into());
}

#[test]
fn each_byte_of_the_text_is_signed() {
    let keys = Keys::new();
    let note = signed(&keys, &text(3)).into_bytes();
    let end = text(3).len();
    for at in (0..end).step_by(97) {
        let mut changed = note.clone();
        changed[at] ^= 1;
        let mut log = Log::of(&keys, 2);
        log.push(&changed);
        let error = judge(&keys, &log.bundle(&keys), None).unwrap_err();
        let wrong = matches!(error, Error::Signatures(SignatureError::Wrong { .. }));
        assert!(wrong || matches!(error, Error::Note(_)), "byte {at}: {error}");
    }
}

/// A signature with s + L for s: the same point equation, another encoding.
#[test]
fn signature_in_its_second_encoding() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let error = refused_note(|keys| {
        let line = signature_line(&text(3), &keys.bob);
        let (head, encoded) = line.trim_end().rsplit_once(' ').unwrap();
        let mut blob = STANDARD.decode(encoded).unwrap();
        let mut carry = 0;
        for (byte, add) in blob[36..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        sign(&text(3), &keys.alice) + &format!("{head} {}\n", STANDARD.encode(blob))
    });
    assert_eq!(error, SignatureError::Wrong { key: "bob.example".to_owned() }.into());
}

#[test]
fn truncated_note() {
    let error = note_error(|note| note.trim_end().as_bytes().to_vec());
    assert_eq!(error, NoteError::Truncated);
    let error = note_error(|note| note.as_bytes()[..note.len() - 9].to_vec());
    assert_eq!(error, NoteError::Truncated);
}

#[test]
fn truncated_signature_in_a_whole_line() {
    let error = note_error(|note| format!("{}\n", &note[..note.len() - 8]).into_bytes());
    assert_eq!(error, NoteError::SignatureLine { line: 2 });
    let error = refused_note(|keys| {
        let note = signed(keys, &text(3));
        format!("{}\n", &note[..note.len() - 9])
    });
    assert_eq!(error, SignatureError::Wrong { key: "bob.example".to_owned() }.into());
}

#[test]
fn no_signatures() {
    assert_eq!(note_error(|_| text(3).into_bytes()), NoteError::NoSignatures);
    assert_eq!(note_error(|_| format!("{}\n", text(3)).into_bytes()), NoteError::NoSignatures);
    assert_eq!(note_error(|_| b"\n\n\xe2\x80\x94 a AAAAAAA=\n".to_vec()), NoteError::NoSignatures);
}

#[test]
fn bytes_that_are_no_text() {
    let with = |byte: u8| note_error(move |note| [note.as_bytes(), &[byte]].concat());
    assert_eq!(with(0xff), NoteError::Utf8);
    for control in [0, b'\t', b'\r', 0x1f] {
        assert_eq!(with(control), NoteError::ControlCharacter);
    }
}

#[test]
fn malformed_signature_lines() {
    for line in [
        "- bob.example AAAAAAAAAA==",
        "\u{2014} bob.example",
        "\u{2014}  AAAAAAAAAA==",
        "\u{2014} bob+example AAAAAAAAAA==",
        "\u{2014} bob.example AAAAAA==",
        "\u{2014} bob.example AAAAAAAAAA",
        "\u{2014} bob.example AAAAAAAAAB==",
        "\u{2014} bob.example AAAAAAAAAA== ",
        "\u{2014} bob.example !",
    ] {
        let error = note_error(|note| format!("{note}{line}\n").into_bytes());
        assert_eq!(error, NoteError::SignatureLine { line: 3 }, "{line}");
    }
}

#[test]
fn too_many_signatures() {
    let error = note_error(|note| {
        let line = "\u{2014} dave.example AAAAAAAAAA==\n";
        (note + &line.repeat(31)).into_bytes()
    });
    assert_eq!(error, NoteError::TooManySignatures);
}

#[test]
fn list_larger_than_an_entry_can_be() {
    let keys = Keys::new();
    let good = Log::of(&keys, 3).bundle(&keys);
    let mut bundle = Bundle::parse(&good).unwrap();
    let large = vec![b'a'; 65_536];
    bundle.list = &large;
    let error = judge(&keys, &bundle.encode(), None).unwrap_err();
    assert_eq!(error, Error::Note(NoteError::TooLarge { bytes: 65_536 }));
}
