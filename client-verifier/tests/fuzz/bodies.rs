//! What is fuzzed: one function for each surface, bytes in, a panic if something is wrong.
//!
//! The stable tests run them over the kept corpus and seeded changes of it, `client-verifier/fuzz`
//! under libFuzzer. Inputs that must be signed are not documents but edits of one, because every
//! process has keys of its own.

#[path = "edit.rs"]
mod edit;

use std::sync::LazyLock;

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::Extension;
use aegis_dev_attester::forge::IssuedChain;
use aegis_dev_attester::forge::cbor;
use aegis_verifier::Challenge;
use aegis_verifier::Claims;
use aegis_verifier::Error;
use aegis_verifier::PcrIndex;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::Step;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::VerifiedEnclave;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::verify;
use ciborium::Value;
use coset::CborSerializable;
use coset::CoseSign1;
use coset::TaggedCborSerializable;

pub(crate) use edit::edit;

pub(crate) const NOW_SECS: u64 = 1_750_000_000;
pub(crate) const NOW: UnixTime = UnixTime::from_secs(NOW_SECS);

pub(crate) static CHAIN: LazyLock<IssuedChain> =
    LazyLock::new(|| ChainSpec::like_aws(NOW_SECS).issue());
pub(crate) static DOCUMENT: LazyLock<DocumentSpec> = LazyLock::new(|| document_under(&CHAIN));
pub(crate) static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| DOCUMENT.sign(&CHAIN).encode());

/// What is done with an input.
pub(crate) type Body = fn(&[u8]);

/// Each surface's name, which is the folder of its corpus, and its body.
pub(crate) const TARGETS: [(&str, Body); 5] = [
    ("document", document),
    ("cose", cose),
    ("payload", payload),
    ("certificate", certificate),
    ("extension", extension),
];

/// A document as it comes. Judged under the root it brings along, so its certificates are read too.
pub(crate) fn document(bytes: &[u8]) {
    let decoded = decode_without_verifying(bytes);
    let root = decoded.as_ref().map_or(RootFingerprint::AWS_NITRO_G1, |it| it.root_fingerprint());
    match (judge(bytes, root), decoded) {
        (Ok(enclave), Ok(decoded)) => {
            assert_eq!(enclave.claims(), decoded.claims());
            assert_read_alike(bytes, enclave.claims());
        }
        (Ok(_), Err(error)) => panic!("verified, but cannot be read: {error}"),
        (Err(error), Ok(_)) => assert!(error.step() >= Step::Chain, "{error}"),
        (Err(refused), Err(unreadable)) => assert_eq!(refused, unreadable),
    }
}

/// Protected and unprotected header, rightly signed: the first byte says how long the first one is.
pub(crate) fn cose(input: &[u8]) {
    let Some((length, headers)) = input.split_first() else { return };
    let (protected, unprotected) = headers.split_at(headers.len().min(usize::from(*length)));
    let document = DocumentSpec { protected: protected.to_vec(), ..DOCUMENT.clone() };
    let mut signed = document.sign(&CHAIN);
    signed.unprotected = unprotected.to_vec();
    let es384 = protected == [0xa1, 0x01, 0x38, 0x22];
    let verdict = judge_signed(&signed.encode());
    assert_eq!(verdict.is_ok(), es384 && unprotected == [0xa0], "{verdict:?}");
}

/// Edits of the payload, signed again.
pub(crate) fn payload(edits: &[u8]) {
    let mut payload = DOCUMENT.payload();
    edit(&mut payload, edits);
    let bytes = DOCUMENT.sign_payload(payload, &CHAIN).encode();
    match judge_signed(&bytes) {
        Ok(enclave) => assert_read_alike(&bytes, enclave.claims()),
        // The signature is right, whatever it is over.
        Err(error) => assert_ne!(error.step(), Step::Signature, "{error}"),
    }
}

/// Edits of a certificate, chosen by the first byte. None passes: its issuer has not signed it. An
/// edited root is another root, and trusted here; that it passes with another serial number is right.
pub(crate) fn certificate(input: &[u8]) {
    let Some((which, edits)) = input.split_first() else { return };
    let mut certificates = CHAIN.cabundle.clone();
    certificates.push(CHAIN.leaf().der().to_vec());
    let which = usize::from(*which) % certificates.len();
    let original = certificates[which].clone();
    edit(&mut certificates[which], edits);
    if certificates[which] == original {
        return;
    }
    let leaf = certificates.pop().unwrap_or_default();
    let mut document = DOCUMENT.clone();
    let cabundle: Vec<_> = certificates.iter().map(|der| cbor::bytes(der)).collect();
    document.set("cabundle", cbor::array(&cabundle));
    document.set("certificate", cbor::bytes(&leaf));
    let root = RootFingerprint::of_certificate(&certificates[0]);
    let verdict = judge(&document.sign(&CHAIN).encode(), root);
    assert!(which == 0 || verdict.is_err());
}

/// Another extension, rightly signed: identifier below id-ce, critical or not, in which
/// certificate, and its value.
pub(crate) fn extension(input: &[u8]) {
    let [number, which, value @ ..] = input else { return };
    let identifier = vec![0x55, 0x1d, number & 0x7f];
    let mut spec = ChainSpec::like_aws(NOW_SECS);
    let which = usize::from(*which) % spec.certificates.len();
    let critical = number & 0x80 != 0;
    let value = value.iter().copied().take(256).collect();
    spec.certificates[which].extensions.push(Extension::Raw { identifier, critical, value });
    let chain = spec.issue();
    let root = RootFingerprint::new(chain.root_fingerprint());
    if let Err(error) = judge(&document_under(&chain).sign(&chain).encode(), root) {
        // One value may be too long for a certificate of at most 1 KiB.
        assert!(matches!(error.step(), Step::Payload | Step::Chain), "{error}");
    }
}

pub(crate) fn document_under(chain: &IssuedChain) -> DocumentSpec {
    let mut document = DocumentSpec::like_aws(chain, NOW_SECS * 1000);
    document.set_public_key(Some(b"a made-up public key"));
    document.set_nonce(Some(b"a made-up nonce"));
    document
}

/// The policy that lets most through: what it refuses is refused for its form.
pub(crate) fn judge(bytes: &[u8], root: RootFingerprint) -> Result<VerifiedEnclave, Error> {
    let anchor = TrustAnchor::dangerous_development_root(root);
    let policy = Policy::dangerous_any_measurement(anchor).dangerous_allow_debug();
    verify(bytes, &policy, &Challenge::dangerous_without_nonce(), NOW)
}

fn judge_signed(bytes: &[u8]) -> Result<VerifiedEnclave, Error> {
    judge(bytes, RootFingerprint::new(CHAIN.root_fingerprint()))
}

/// What another reader finds in a document: its optional fields and registers.
pub(crate) fn assert_read_alike(bytes: &[u8], claims: &Claims) {
    let sign1 = CoseSign1::from_slice(bytes).or_else(|_| CoseSign1::from_tagged_slice(bytes));
    let payload = sign1.unwrap().payload.unwrap();
    let payload: Value = ciborium::from_reader(&payload[..]).unwrap();
    let payload = payload.into_map().unwrap();
    let field = |name: &str| {
        payload.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
    };
    let bytes_of = |name: &str| field(name).and_then(Value::as_bytes).map(Vec::as_slice);
    assert_eq!(bytes_of("public_key"), claims.public_key());
    assert_eq!(bytes_of("user_data"), claims.user_data());
    assert_eq!(bytes_of("nonce"), claims.nonce());
    assert_eq!(field("module_id").unwrap().as_text(), Some(claims.module_id()));
    let pcrs = field("pcrs").unwrap().as_map().unwrap();
    assert_eq!(pcrs.len(), claims.pcrs().count());
    for (index, value) in pcrs {
        let index = PcrIndex::new(index.as_integer().unwrap().try_into().unwrap()).unwrap();
        assert_eq!(value.as_bytes().unwrap(), claims.pcrs().value(index).unwrap().as_bytes());
    }
}
