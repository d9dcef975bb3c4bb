//! Every bound this crate holds, with the origin of its number.

use core::time::Duration;

/// The largest document looked at: 16 KiB.
///
/// The NSM driver's response buffer is 12 KiB (`NSM_RESPONSE_MAX_SIZE` in `drivers/misc/nsm.c`), so
/// no hardware emits more; 16 KiB is the next power of two. The largest published document, with
/// all three optional fields at their maximum, has 7,539 bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024;

/// The longest `module_id`. AWS gives no bound; published ones have 39 bytes.
pub const MAX_MODULE_ID_BYTES: usize = 128;

/// PCR indices run from 0 to 31 (AWS, "Verifying the root of trust": `pcrs` has 1 to 32 entries).
pub const MAX_PCRS: usize = 32;

/// Length of a SHA-384 PCR.
pub const PCR_BYTES: usize = 48;

/// The longest certificate, leaf or CA bundle entry (AWS: `bstr .size (1..1024)`).
pub const MAX_CERTIFICATE_BYTES: usize = 1024;

/// The most entries of `cabundle`: the root and the six subordinate CAs that rustls-webpki builds a
/// path through. AWS emits four.
pub const MAX_CABUNDLE_ENTRIES: usize = 7;

/// The longest `public_key`, `user_data` or `nonce`. AWS's text says 512 for some; the hardware
/// emits up to 1,024 bytes of each.
pub const MAX_FIELD_BYTES: usize = 1024;

/// An ES384 signature: r and s, 48 bytes each (RFC 9053, section 2.1).
pub const SIGNATURE_BYTES: usize = 96;

/// Default for the greatest age of a document.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(300);

/// How far a document's timestamp may lie in the verifier's future, and so how slow a client's clock
/// may be.
pub const MAX_FUTURE_SKEW: Duration = Duration::from_secs(60);

/// The most chains a [`ChainMemory`](crate::ChainMemory) keeps: one enclave is one entry of about
/// 100 bytes, and a client talks to few.
pub const MAX_REMEMBERED_CHAINS: usize = 64;
