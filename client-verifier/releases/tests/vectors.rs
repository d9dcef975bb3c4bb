//! Known answers of the C2SP formats: keys and notes of the reference implementation and of the
//! specification, and cosignatures made by OpenSSL.
#![allow(clippy::unwrap_used)]

use aegis_releases::{
    Checkpoint, Cosigned, Kind, Note, SignerKey, UnixSeconds, VerifierKey, checkpoint, cosign, log,
    sign, signature_line,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// From the documentation of golang.org/x/mod/sumdb/note.
const GO_VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SIGNER: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn note_of_the_reference_implementation() {
    let key = SignerKey::parse(GO_SIGNER).unwrap();
    assert_eq!(key.verifier().to_string(), GO_VERIFIER);
    assert_eq!(*key.to_secret_text(), GO_SIGNER);
    assert_eq!(signature_line(GO_TEXT, &key), GO_LINE);
    assert_eq!(sign(GO_TEXT, &key), format!("{GO_TEXT}\n{GO_LINE}"));
}

#[test]
fn verifier_keys_of_the_reference_implementation() {
    for key in [
        GO_VERIFIER,
        "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        // From c2sp.org/signed-note, "Verifier keys".
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ] {
        assert_eq!(VerifierKey::parse(key).unwrap().to_string(), key);
    }
    for bad in [
        // Too long, with the identifier of it.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        // Another algorithm, with the identifier of it.
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(bad).is_err());
    }
}

#[test]
fn malformed_notes_of_the_reference_implementation() {
    let bare = GO_LINE.trim_end();
    let spaced = GO_LINE.replacen("PeterNeumann", "Bad Name", 1);
    for bad in [
        GO_TEXT.to_owned(),
        format!("{GO_TEXT}\n"),
        format!("{GO_TEXT}\n{bare}"),
        format!("\u{1}{GO_TEXT}\n{GO_LINE}"),
        format!("{GO_TEXT}\n{spaced}"),
        format!("{GO_TEXT}\n{GO_LINE}Unexpected line.\n"),
    ] {
        assert!(Note::parse(bad.as_bytes(), 4096).is_err(), "{bad}");
    }
    let note = format!("{GO_TEXT}\n{}", GO_LINE.repeat(16));
    assert_eq!(Note::parse(note.as_bytes(), 4096).unwrap().lines().len(), 16);
}

#[test]
fn text_ends_at_the_last_blank_line() {
    // From c2sp.org/signed-note, "Note".
    let note = "Ognuno sta solo sul cuor della terra\n\
                trafitto da un raggio di sole:\n\ned \u{e8} subito sera.\n\n\
                \u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(note.as_bytes(), 4096).unwrap();
    assert!(note.text().ends_with("ed \u{e8} subito sera.\n"));
    let line = &note.lines()[0];
    assert_eq!((line.name, line.id), ("quasimodo.example/salvatore", [0x36, 0x7b, 0xa0, 0x4b]));
}

/// The checkpoint of c2sp.org/tlog-checkpoint, signed and cosigned by OpenSSL with the Ed25519 seed
/// 00 01 .. 1f.
const CHECKPOINT: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const LOG_KEY: &str =
    "example.com/behind-the-sofa+1f59e8f5+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const LOG_LINE: &str = "\u{2014} example.com/behind-the-sofa H1no9Vbha/V7K+0nOUyOYWY2eeqkJO0R/8eVdJBP1U6klJ63rYHH36AjiNbqMeYZ5wXtNMpYFqOQG4s/igFrnBBp3AU=\n";
const WITNESS_KEY: &str =
    "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const WITNESS_LINE: &str = "\u{2014} witness.example/w1 519lMgAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==\n";

#[test]
fn checkpoint_and_cosignature_of_another_program() {
    let seed: [u8; 32] = std::array::from_fn(|at| at as u8);
    let key = SignerKey::from_seed("example.com/behind-the-sofa", Kind::Signature, &seed).unwrap();
    let witness = SignerKey::from_seed("witness.example/w1", Kind::Witness, &seed).unwrap();
    assert_eq!(key.verifier().to_string(), LOG_KEY);
    assert_eq!(witness.verifier().to_string(), WITNESS_KEY);

    let (_, head) = checkpoint::parse_text(CHECKPOINT).unwrap();
    let signed = checkpoint::sign(&head, &key);
    assert_eq!(signed, format!("{CHECKPOINT}\n{LOG_LINE}"));
    let log = key.verifier();
    let time = UnixSeconds(1_679_315_147);
    let given = cosign(signed.as_bytes(), &log, None, &[], &witness, time).unwrap();
    assert_eq!(given.line, WITNESS_LINE);

    let whole = format!("{signed}{WITNESS_LINE}");
    let opened = Checkpoint::open(whole.as_bytes(), &log).unwrap();
    assert_eq!(opened.head().size, 20_852_163);
    let known = [VerifierKey::parse(WITNESS_KEY).unwrap()];
    let expected = Cosigned { witness: "witness.example/w1".to_owned(), time };
    assert_eq!(opened.witnesses(&known, NOW).unwrap(), [expected]);
}

#[test]
fn tile_paths_of_the_specification() {
    assert_eq!(log::tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(log::tile_path(0, 273, 256), "tile/0/273");
    assert_eq!(log::tile_path(1, 1, 17), "tile/1/001.p/17");
    assert_eq!(log::entries_path(273, 112), "tile/entries/273.p/112");
    // c2sp.org/tlog-tiles: a tree of size 70,000.
    let partial: Vec<_> = log::widths(70_000).filter(|(_, width)| *width < 256).collect();
    assert_eq!(partial, [(273, 112)]);
    assert_eq!(log::widths(70_000).count(), 274);
    assert_eq!(log::widths(0).count(), 0);
    assert_eq!(log::widths(256).collect::<Vec<_>>(), [(0, 256)]);
}
