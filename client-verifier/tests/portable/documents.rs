//! Documents to compare two backends on: published ones, kept ones, and forged ones with defects
//! where a backend decides: signatures, their encodings, keys.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::SignedDocument;
use aegis_verifier::UnixTime;
use aegis_verifier::decode_without_verifying;

use crate::bodies;
use crate::bodies::BYTES;
use crate::bodies::CHAIN;
use crate::bodies::DOCUMENT;
use crate::bodies::NOW;
use crate::bodies::NOW_SECS;

/// Changes of each of some documents.
const CHANGES: usize = 150;

pub(crate) fn all() -> Vec<(UnixTime, Vec<u8>)> {
    let mut all = published();
    all.extend(kept().into_iter().map(|document| (NOW, document)));
    all.extend(signatures().into_iter().map(|document| (NOW, document)));
    all.extend(certificate_signatures().into_iter().map(|document| (NOW, document)));
    let mut numbers = Numbers(0x00ae_0915_0bac_e2d5);
    for _ in 0..CHANGES {
        let mut changed = BYTES.clone();
        bodies::edit(&mut changed, &numbers.edits());
        all.push((NOW, changed));
        let mut payload = DOCUMENT.payload();
        bodies::edit(&mut payload, &numbers.edits());
        all.push((NOW, DOCUMENT.sign_payload(payload, &CHAIN).encode()));
    }
    all
}

/// Documents of real hardware, each at its own time, and each with one bit of its signature flipped.
fn published() -> Vec<(UnixTime, Vec<u8>)> {
    let folder = env::var_os("AEGIS_ATTESTATION_DOCUMENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/attestation-documents"),
        PathBuf::from,
    );
    let Ok(files) = fs::read_dir(&folder) else {
        println!("published attestation documents: not found, not compared");
        return Vec::new();
    };
    let mut documents = Vec::new();
    for file in files.map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "bin") {
            let document = fs::read(file).unwrap();
            let at = decode_without_verifying(&document).unwrap().claims().timestamp();
            let mut changed = document.clone();
            *changed.last_mut().unwrap() ^= 1;
            documents.extend([(at, document), (at, changed)]);
        }
    }
    documents
}

/// The corpus of the fuzz target that takes whole documents.
fn kept() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/document");
    fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Signatures of documents: right ones, their twins, and impossible ones.
fn signatures() -> Vec<Vec<u8>> {
    let order = hex::decode(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    )
    .unwrap();
    let signed = DOCUMENT.sign(&CHAIN);
    // Behind the two bytes of the string's head: r, then s.
    let with = |change: &dyn Fn(&mut [u8])| {
        let mut changed: SignedDocument = signed.clone();
        change(&mut changed.signature[2..]);
        changed.encode()
    };
    vec![
        with(&|_| {}),
        with(&|signature| {
            // (r, n - s) is a signature wherever (r, s) is one.
            let (r, s) = p384::ecdsa::Signature::from_slice(signature).unwrap().split_scalars();
            let twin = p384::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes());
            signature.copy_from_slice(&twin.unwrap().to_bytes());
        }),
        with(&|signature| signature.fill(0)),
        with(&|signature| signature.fill(0xff)),
        with(&|signature| signature[..48].fill(0)),
        with(&|signature| signature[48..].fill(0)),
        with(&|signature| signature[..48].copy_from_slice(&order)),
        with(&|signature| signature[48..].copy_from_slice(&order)),
        with(&|signature| signature.rotate_left(48)),
        with(&|signature| signature[0] ^= 0x80),
    ]
}

/// A change of r or s in the signature of a certificate.
type Recode = fn(&mut Vec<u8>, &mut Vec<u8>);

/// Certificates whose signature is right but written otherwise, and ones with impossible numbers.
fn certificate_signatures() -> Vec<Vec<u8>> {
    let recodes: [Recode; 8] = [
        |_, _| {},
        |r, _| r.insert(0, 0),
        |_, s| s.insert(0, 0),
        |r, _| r.clear(),
        |_, s| *s = vec![0],
        |r, _| *r = vec![0],
        |r, _| r[0] |= 0x80,
        |_, s| s.push(0),
    ];
    let chain = ChainSpec::like_aws(NOW_SECS).issue();
    let mut documents = Vec::new();
    for recode in recodes {
        for (tail, unused_bits) in [(&[][..], 0), (&[0], 0), (&[], 1)] {
            let leaf = recoded(chain.leaf().der(), recode, tail, unused_bits);
            let mut document = bodies::document_under(&chain);
            document.set("certificate", aegis_dev_attester::forge::cbor::bytes(&leaf));
            documents.push(document.sign(&chain).encode());
        }
    }
    documents
}

/// The certificate with its signature written anew.
fn recoded(certificate: &[u8], recode: Recode, tail: &[u8], unused_bits: u8) -> Vec<u8> {
    use aegis_dev_attester::forge::der;
    const ECDSA_WITH_SHA384: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";
    let length = ECDSA_WITH_SHA384.len();
    let last = certificate.windows(length).rposition(|at| at == ECDSA_WITH_SHA384).unwrap();
    let (signed, signature) = certificate.split_at(last + length);
    // A bit string of no unused bits, a sequence, and two integers, all shorter than 128 bytes.
    let [0x03, _, 0, 0x30, _, 0x02, r_bytes, numbers @ ..] = signature else { panic!() };
    let (r, rest) = numbers.split_at(usize::from(*r_bytes));
    let [0x02, s_bytes, s @ ..] = rest else { panic!() };
    assert_eq!(usize::from(*s_bytes), s.len());
    let (mut r, mut s) = (r.to_vec(), s.to_vec());
    recode(&mut r, &mut s);
    let numbers = der::sequence(&[der::element(0x02, &r), der::element(0x02, &s)]);
    let bits = der::element(0x03, &[&[unused_bits], &numbers[..], tail].concat());
    // The outer sequence has a head of four bytes.
    der::sequence(&[signed[4..].to_vec(), bits])
}

/// Numbers that are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }

    fn edits(&mut self) -> Vec<u8> {
        (0..4 + self.byte() % 8).map(|_| self.byte()).collect()
    }
}
