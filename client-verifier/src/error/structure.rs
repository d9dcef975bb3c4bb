//! Refusals of the steps `size`, `cose` and `payload`.

use core::fmt;

use super::macros::refusals;
use crate::cbor::CborType;
use crate::pcr::PcrIndex;

refusals! {
    /// Why the step `size` refused.
    SizeError {
        /// Not a byte.
        Empty = "empty", "the document is empty";
        /// More than [`MAX_DOCUMENT_BYTES`](crate::limits::MAX_DOCUMENT_BYTES).
        TooLarge {
            /// Its length.
            found_bytes: usize,
            /// The limit.
            max_bytes: usize,
        } = "too_large", "the document has {found_bytes} bytes, at most {max_bytes} are read";
    }
}

refusals! {
    /// What is wrong with an item of CBOR (RFC 8949).
    CborError {
        /// The item reaches beyond the end of the input.
        Truncated = "truncated", "the item ends beyond the input";
        /// Another type stands where the format has a fixed one.
        UnexpectedType {
            /// The type of the format.
            expected: CborType,
            /// The type found.
            found: CborType,
        } = "unexpected_type", "{expected:?} expected, {found:?} found";
        /// Lengths and integers have one encoding here: the shortest (section 4.2.1).
        NotShortestForm = "not_shortest_form", "the length or integer is not in its shortest form";
        /// Additional information 28 to 30 (section 3).
        ReservedHead = "reserved_head", "the item's first byte is reserved";
        /// Only the payload's own map may have it.
        IndefiniteLength = "indefinite_length", "an indefinite length stands where AWS emits none";
        /// An integer outside `i64`.
        IntegerTooLarge = "integer_too_large", "the integer has more than 64 bits with its sign";
        /// A text string that is none.
        TextNotUtf8 = "text_not_utf8", "the text is not UTF-8";
    }
}

/// A malformed item of CBOR and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CborFault {
    /// Offset in the structure that was being read: the document in step `cose`, the payload in
    /// step `payload`.
    pub offset: usize,
    /// What is wrong there.
    pub error: CborError,
}

impl fmt::Display for CborFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.error)
    }
}

refusals! {
    /// Why the step `cose` refused (RFC 9052, section 4.2).
    CoseError {
        /// The bytes are not the CBOR expected.
        Cbor {
            /// What and where.
            fault: CborFault,
        } = "cbor", "the COSE_Sign1 structure is malformed {fault}";
        /// A tag other than COSE_Sign1's 18, or a second one.
        UnexpectedTag {
            /// The number of the tag.
            found: u64,
        } = "unexpected_tag", "the document carries tag {found}, only one tag 18 is allowed";
        /// COSE_Sign1 has four elements.
        ElementCount {
            /// How many there are.
            found: u64,
        } = "element_count", "the COSE_Sign1 array has {found} elements instead of 4";
        /// Bytes after the structure.
        TrailingBytes {
            /// How many.
            count: usize,
        } = "trailing_bytes", "{count} bytes follow the COSE_Sign1 structure";
        /// No `alg` in the protected header.
        AlgorithmAbsent = "algorithm_absent", "the protected header names no algorithm";
        /// An `alg` other than ES384, which is -35 (RFC 9053, section 2.1).
        AlgorithmNotEs384 {
            /// The number found.
            found: i64,
        } = "algorithm_not_es384", "the algorithm is {found} instead of ES384 (-35)";
        /// The protected header has more than `alg`, or something else.
        ProtectedHeaderUnknown = "protected_header_unknown",
            "the protected header holds something other than one algorithm";
        /// Bytes after the protected header's map.
        ProtectedHeaderTrailingBytes {
            /// How many.
            count: usize,
        } = "protected_header_trailing_bytes", "{count} bytes follow the protected header's map";
        /// Anything in the unprotected header, which no signature covers.
        UnprotectedHeaderNotEmpty {
            /// How many entries.
            entries: u64,
        } = "unprotected_header_not_empty", "the unprotected header has {entries} entries";
        /// A payload of null: detached content.
        PayloadDetached = "payload_detached", "the payload is detached";
        /// An ES384 signature has 96 bytes.
        SignatureLength {
            /// Its length.
            found_bytes: usize,
        } = "signature_length", "the signature has {found_bytes} bytes instead of 96";
    }
}

/// The keys of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Key {
    /// Identifier of the enclave's NSM.
    ModuleId,
    /// The digest of the registers: SHA384.
    Digest,
    /// When the document was made.
    Timestamp,
    /// The registers.
    Pcrs,
    /// The leaf certificate.
    Certificate,
    /// The other certificates, root first.
    CaBundle,
    /// Optional: a key the enclave chose.
    PublicKey,
    /// Optional: bytes the enclave chose.
    UserData,
    /// Optional: bytes the relying party chose.
    Nonce,
}

impl Key {
    /// All keys, in the order AWS emits them.
    pub const ALL: [Self; 9] = [
        Self::ModuleId,
        Self::Digest,
        Self::Timestamp,
        Self::Pcrs,
        Self::Certificate,
        Self::CaBundle,
        Self::PublicKey,
        Self::UserData,
        Self::Nonce,
    ];

    /// The key as it stands in the payload.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModuleId => "module_id",
            Self::Digest => "digest",
            Self::Timestamp => "timestamp",
            Self::Pcrs => "pcrs",
            Self::Certificate => "certificate",
            Self::CaBundle => "cabundle",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
            Self::Nonce => "nonce",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

refusals! {
    /// Why the step `payload` refused (AWS, "Verifying the root of trust", and what AWS emits).
    PayloadError {
        /// The bytes are not the CBOR expected.
        Cbor {
            /// What and where.
            fault: CborFault,
        } = "cbor", "the payload is malformed {fault}";
        /// Bytes after the payload's map.
        TrailingBytes {
            /// How many.
            count: usize,
        } = "trailing_bytes", "{count} bytes follow the payload's map";
        /// A key AWS does not emit.
        UnknownKey {
            /// Where in the payload.
            offset: usize,
        } = "unknown_key", "the key at byte {offset} of the payload is unknown";
        /// A key given twice.
        DuplicateKey {
            /// Which.
            key: Key,
        } = "duplicate_key", "the key {key} appears twice";
        /// A mandatory key that is absent.
        MissingKey {
            /// Which.
            key: Key,
        } = "missing_key", "the key {key} is missing";
        /// A mandatory key whose value is null.
        NullKey {
            /// Which.
            key: Key,
        } = "null_key", "the key {key} is null";
        /// `module_id` is empty or too long.
        ModuleIdLength {
            /// Its length.
            found_bytes: usize,
        } = "module_id_length", "module_id has {found_bytes} bytes, 1 to 128 are allowed";
        /// `module_id` has a character that is not visible ASCII.
        ModuleIdNotPrintable = "module_id_not_printable", "module_id is not visible ASCII";
        /// A `digest` other than SHA384.
        DigestNotSha384 = "digest_not_sha384", "digest is not SHA384";
        /// A `timestamp` of zero.
        TimestampZero = "timestamp_zero", "timestamp is zero";
        /// No register, or more than there are.
        PcrCount {
            /// How many.
            found: u64,
        } = "pcr_count", "pcrs has {found} entries, 1 to 32 are allowed";
        /// A register that does not exist.
        PcrIndexTooLarge {
            /// Its number.
            found: u64,
        } = "pcr_index_too_large", "pcrs names register {found}, the last one is 31";
        /// A register whose value is no SHA-384.
        PcrLength {
            /// Which.
            index: PcrIndex,
            /// Its length.
            found_bytes: usize,
        } = "pcr_length", "{index} has {found_bytes} bytes instead of 48";
        /// A register given twice.
        DuplicatePcr {
            /// Which.
            index: PcrIndex,
        } = "duplicate_pcr", "{index} appears twice";
        /// The leaf certificate is empty or too long.
        CertificateLength {
            /// Its length.
            found_bytes: usize,
        } = "certificate_length", "certificate has {found_bytes} bytes, 1 to 1024 are allowed";
        /// No CA certificate, or more than a path can have.
        CaBundleCount {
            /// How many.
            found: u64,
        } = "cabundle_count", "cabundle has {found} entries, 1 to 7 are allowed";
        /// A CA certificate is empty or too long.
        CaBundleEntryLength {
            /// Its index in `cabundle`.
            entry: usize,
            /// Its length.
            found_bytes: usize,
        } = "cabundle_entry_length",
            "entry {entry} of cabundle has {found_bytes} bytes, 1 to 1024 are allowed";
        /// An optional field outside its bounds.
        FieldLength {
            /// Which.
            key: Key,
            /// Its length.
            found_bytes: usize,
        } = "field_length", "{key} has {found_bytes} bytes, which AWS does not emit (at most 1024)";
    }
}

impl From<CborFault> for CoseError {
    fn from(fault: CborFault) -> Self {
        Self::Cbor { fault }
    }
}

impl From<CborFault> for PayloadError {
    fn from(fault: CborFault) -> Self {
        Self::Cbor { fault }
    }
}
