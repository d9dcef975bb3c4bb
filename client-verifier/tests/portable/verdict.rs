//! One question about any document, asked with both backends.

use aegis_verifier::Challenge;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::verify_archived;

/// All that verification says of a document, or why it is refused, on one line. The document is
/// judged under the root it brings along: what is compared are the steps behind that one.
pub(crate) fn verdict(document: &[u8], at: UnixTime) -> String {
    let decoded = decode_without_verifying(document);
    let root =
        decoded.map_or(RootFingerprint::AWS_NITRO_G1, |document| document.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(root);
    let policy = Policy::dangerous_any_measurement(anchor).dangerous_allow_debug();
    let challenge = Challenge::dangerous_without_nonce();
    format!("{:?}", verify_archived(document, &policy, &challenge, at))
}
