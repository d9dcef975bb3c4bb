//! The valid document, and the ways to put a defect in it.

use std::sync::LazyLock;
use std::time::Duration;

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::IssuedChain;
use aegis_dev_attester::forge::SignedDocument;
use aegis_verifier::Challenge;
use aegis_verifier::Error;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::MeasurementSet;
use aegis_verifier::Nonce;
use aegis_verifier::Pcr;
use aegis_verifier::Policy;
use aegis_verifier::PublicKey;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::UserData;
use aegis_verifier::VerifiedEnclave;
use aegis_verifier::verify;

pub(crate) const NOW_SECS: u64 = 1_750_000_000;
/// The document is made 250 ms after its leaf is issued.
pub(crate) const TIMESTAMP_MS: u64 = NOW_SECS * 1000 + 250;
/// And looked at half a second later.
pub(crate) const NOW: UnixTime = UnixTime::from_millis(TIMESTAMP_MS + 500);

pub(crate) const PUBLIC_KEY: &[u8] = b"a made-up public key";
pub(crate) const USER_DATA: &[u8] = b"made-up user data";
pub(crate) const NONCE: &[u8] = b"a made-up nonce";

/// A chain without defects; issuing one takes nine keys and signatures.
pub(crate) static CHAIN: LazyLock<IssuedChain> =
    LazyLock::new(|| ChainSpec::like_aws(NOW_SECS).issue());

/// What the enclave says.
pub(crate) fn document(chain: &IssuedChain) -> DocumentSpec {
    let mut document = DocumentSpec::like_aws(chain, TIMESTAMP_MS);
    document.set_public_key(Some(PUBLIC_KEY));
    document.set_user_data(Some(USER_DATA));
    document.set_nonce(Some(NONCE));
    document
}

/// What the relying party asks.
pub(crate) fn challenge() -> Challenge<'static> {
    Challenge::new(Nonce(NONCE))
        .expecting_public_key(PublicKey(PUBLIC_KEY))
        .expecting_user_data(UserData(USER_DATA))
}

/// The measurement that `DocumentSpec::like_aws` makes up.
pub(crate) fn image() -> ImageMeasurement {
    let [pcr0, pcr1, pcr2] = [1, 2, 3].map(|byte| Pcr::new([byte; 48]));
    ImageMeasurement { pcr0, pcr1, pcr2 }
}

pub(crate) fn anchor(chain: &IssuedChain) -> TrustAnchor {
    TrustAnchor::dangerous_development_root(RootFingerprint::new(chain.root_fingerprint()))
}

/// What the relying party accepts.
pub(crate) fn policy(chain: &IssuedChain) -> Policy {
    Policy::new(anchor(chain), vec![MeasurementSet::new(image())])
}

pub(crate) fn verify_bytes(bytes: &[u8], chain: &IssuedChain) -> Result<VerifiedEnclave, Error> {
    judge(bytes, &policy(chain), &challenge(), NOW)
}

/// The verdict, which is also compared with the other backend's where both are at hand
/// (`tests/portable`).
pub(crate) fn judge(
    bytes: &[u8],
    policy: &Policy,
    challenge: &Challenge<'_>,
    now: UnixTime,
) -> Result<VerifiedEnclave, Error> {
    crate::compare(bytes, now);
    verify(bytes, policy, challenge, now)
}

/// A defect in what is signed.
pub(crate) fn before_signing(mutate: fn(&mut DocumentSpec)) -> Result<VerifiedEnclave, Error> {
    let mut document = document(&CHAIN);
    mutate(&mut document);
    verify_bytes(&document.sign(&CHAIN).encode(), &CHAIN)
}

/// A defect that comes after the signature.
pub(crate) fn after_signing(mutate: fn(&mut SignedDocument)) -> Result<VerifiedEnclave, Error> {
    let mut signed = document(&CHAIN).sign(&CHAIN);
    mutate(&mut signed);
    verify_bytes(&signed.encode(), &CHAIN)
}

/// A defect in the bytes that are sent.
pub(crate) fn in_the_bytes(mutate: fn(&mut Vec<u8>)) -> Result<VerifiedEnclave, Error> {
    let mut bytes = document(&CHAIN).sign(&CHAIN).encode();
    mutate(&mut bytes);
    verify_bytes(&bytes, &CHAIN)
}

/// A defect in a certificate: the chain is issued again, the document signed by its leaf.
pub(crate) fn before_issuing(mutate: fn(&mut ChainSpec)) -> Result<VerifiedEnclave, Error> {
    let mut spec = ChainSpec::like_aws(NOW_SECS);
    mutate(&mut spec);
    let chain = spec.issue();
    verify_bytes(&document(&chain).sign(&chain).encode(), &chain)
}

/// A defect in `cabundle`, every certificate of which is good. The policy trusts the true root.
pub(crate) fn in_the_bundle(mutate: fn(&mut Vec<Vec<u8>>)) -> Result<VerifiedEnclave, Error> {
    let mut chain = ChainSpec::like_aws(NOW_SECS).issue();
    let policy = policy(&chain);
    mutate(&mut chain.cabundle);
    judge(&document(&chain).sign(&chain).encode(), &policy, &challenge(), NOW)
}

/// Another question, time or policy, the document being good.
pub(crate) fn asked(ask: fn(&mut Question)) -> Result<VerifiedEnclave, Error> {
    let mut question = Question {
        document: document(&CHAIN),
        policy: policy(&CHAIN),
        challenge: challenge(),
        now: NOW,
    };
    ask(&mut question);
    let Question { document, policy, challenge, now } = question;
    judge(&document.sign(&CHAIN).encode(), &policy, &challenge, now)
}

/// All that a relying party brings, beside the document.
pub(crate) struct Question {
    pub(crate) document: DocumentSpec,
    pub(crate) policy: Policy,
    pub(crate) challenge: Challenge<'static>,
    pub(crate) now: UnixTime,
}

impl Question {
    /// Looks at the document this long after it was made.
    pub(crate) fn age(&mut self, age: Duration) {
        self.now = UnixTime::since_epoch(Duration::from_millis(TIMESTAMP_MS) + age);
    }
}

/// Declares tests: a name, the way, the defect, the refusal.
macro_rules! defects {
    ($($name:ident: $way:ident($defect:expr) => $refusal:pat $(if $guard:expr)?,)*) => {$(
        #[test]
        fn $name() {
            let error = crate::support::$way($defect).unwrap_err();
            assert!(matches!(error, $refusal $(if $guard)?), "{error:?}");
        }
    )*};
}

/// Declares tests of what is allowed: a name, the way, the change.
macro_rules! allowed {
    ($($name:ident: $way:ident($change:expr),)*) => {$(
        #[test]
        fn $name() {
            crate::support::$way($change).unwrap();
        }
    )*};
}

pub(crate) use allowed;
pub(crate) use defects;
