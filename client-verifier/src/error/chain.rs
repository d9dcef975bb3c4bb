//! Refusals of the steps `chain` and `signature`.

use core::fmt;

use super::macros::refusals;
use crate::root::RootFingerprint;
use crate::time::UnixTime;

/// A certificate of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificatePosition {
    /// The entry of `cabundle` at this index; 0 is the root.
    CaBundle(usize),
    /// `certificate`.
    Leaf,
}

impl fmt::Display for CertificatePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaBundle(0) => f.write_str("the root certificate"),
            Self::CaBundle(entry) => write!(f, "the certificate at entry {entry} of cabundle"),
            Self::Leaf => f.write_str("the leaf certificate"),
        }
    }
}

refusals! {
    /// Why the step `chain` refused (RFC 5280, and what AWS emits).
    ChainError {
        /// Not DER, not version 3, or a field in a form that no certificate of a Nitro chain has.
        CertificateMalformed {
            /// Which.
            at: CertificatePosition,
        } = "certificate_malformed", "{at} is not a well-formed X.509 v3 certificate";
        /// `cabundle` begins with another root than the policy's.
        UntrustedRoot {
            /// SHA-256 of the first entry.
            found: RootFingerprint,
            /// SHA-256 of the root the policy trusts.
            trusted: RootFingerprint,
        } = "untrusted_root",
            "the document's root is {found}, the policy trusts {trusted}; \
             find out who made the document before you trust another root";
        /// A key on another curve or of another kind (section 4.1.2.7).
        KeyNotP384 {
            /// Whose.
            at: CertificatePosition,
        } = "key_not_p384", "{at} does not hold an uncompressed P-384 key";
        /// No key usage (section 4.2.1.3).
        KeyUsageMissing {
            /// Where.
            at: CertificatePosition,
        } = "key_usage_missing", "{at} has no key usage extension";
        /// The leaf may sign and nothing more, a CA may sign certificates and nothing beside.
        KeyUsageNotExact {
            /// Where.
            at: CertificatePosition,
            /// Bits found; bit n of section 4.2.1.3 is `1 << n`.
            found: u16,
        } = "key_usage_not_exact", "{at} has key usage bits {found:#b}, which its place rules out";
        /// An extended key usage, which no certificate of a Nitro chain has (section 4.2.1.12).
        ExtendedKeyUsagePresent {
            /// Where.
            at: CertificatePosition,
        } = "extended_key_usage_present", "{at} has an extended key usage extension";
        /// The certificate's validity has not begun (section 4.1.2.5).
        NotYetValid {
            /// Which.
            at: CertificatePosition,
            /// When it begins.
            not_before: UnixTime,
            /// The moment the chain was judged at: now, or the document's if that is a little ahead.
            now: UnixTime,
        } = "not_yet_valid",
            "{at} is valid from {not_before}, now is {now}; check this machine's clock";
        /// The certificate's validity is over (section 4.1.2.5).
        Expired {
            /// Which.
            at: CertificatePosition,
            /// When it ended.
            not_after: UnixTime,
            /// The moment the chain was judged at: now, or the document's if that is a little ahead.
            now: UnixTime,
        } = "expired", "{at} was valid until {not_after}, now is {now}; ask for a new document";
        /// The root is no CA (section 4.2.1.9).
        RootNotCa = "root_not_ca", "the root certificate is not a CA";
        /// The leaf is a CA (section 4.2.1.9).
        LeafIsCa = "leaf_is_ca", "the leaf certificate is a CA";
        /// A certificate that is no CA issued another (section 4.2.1.9).
        IntermediateNotCa = "intermediate_not_ca",
            "a certificate that issued another is not a CA";
        /// More certificates below a CA than it allows (section 4.2.1.9).
        PathLengthExceeded = "path_length_exceeded",
            "the path is longer than one of its certificates allows";
        /// Names do not lead from the leaf to the root (section 6.1.3).
        UnknownIssuer = "unknown_issuer",
            "no sequence of issuer names leads from the leaf to the root";
        /// A certificate's signature is not its issuer's.
        CertificateSignatureInvalid = "certificate_signature_invalid",
            "a certificate's signature was not made by its issuer's key";
        /// A certificate signed otherwise than by ECDSA on P-384 with SHA-384.
        SignatureAlgorithmNotAllowed = "signature_algorithm_not_allowed",
            "a certificate is not signed by ECDSA on P-384 with SHA-384";
        /// The two places that name the signature algorithm differ (section 4.1.1.2).
        SignatureAlgorithmMismatch = "signature_algorithm_mismatch",
            "a certificate names two different signature algorithms";
        /// A critical extension nobody here knows (section 4.2).
        UnknownCriticalExtension = "unknown_critical_extension",
            "a certificate has a critical extension that is not known here";
        /// A name outside a name constraint (section 4.2.1.10).
        NameConstraintViolated = "name_constraint_violated",
            "a certificate violates a name constraint";
        /// A period that ends before it begins (section 4.1.2.5).
        ValidityInverted = "validity_inverted", "a certificate's validity ends before it begins";
        /// An entry of `cabundle` that the path does not need.
        UnusedCaBundleEntry {
            /// How many entries there are.
            entries: usize,
            /// How many the path uses, the root included.
            used: usize,
        } = "unused_cabundle_entry", "cabundle has {entries} entries, the path uses {used}";
        /// `cabundle` is not ordered from the root to the leaf's issuer.
        CaBundleOrder {
            /// The first entry out of place.
            entry: usize,
        } = "cabundle_order", "entry {entry} of cabundle is not in the order AWS emits";
        /// Refused by rustls-webpki for a reason that has no variant here.
        Refused = "refused", "the certificates do not form a valid path";
    }
}

refusals! {
    /// Why the step `signature` refused (RFC 9052, section 4.4).
    SignatureError {
        /// The signature over the received bytes is not the leaf's.
        Invalid = "invalid", "the document was not signed by its leaf certificate's key";
    }
}
