//! Every bound of the protocol, with the origin of its number.

use core::time::Duration;

/// Largest single write on a vsock leg: vhost-device-vsock 0.3 loses writes above about 32 KiB.
pub const WRITE_BYTES: usize = 16 * 1024;
/// Largest answer to an opening: twice the largest document AWS emits today.
pub const EVIDENCE_BYTES: usize = 16 * 1024;
/// Largest provider credential in a grant: OAuth bearer tokens stay under 2 KiB.
pub const CREDENTIAL_BYTES: usize = 4096;
/// Largest control frame payload: a grant with the largest credential.
pub const CONTROL_BYTES: usize = 24 + CREDENTIAL_BYTES;
/// Largest model label (DESIGN 3.11).
pub const LABEL_BYTES: usize = 64;
/// Most header fields in a head, either way.
pub const HEAD_FIELDS: usize = 256;
/// Most bytes of names and values in a head, either way.
pub const HEAD_BYTES: usize = 64 * 1024;
/// Most bytes of path and query: half of what an `http::Uri` holds, so that every target that is let
/// in can be written behind the provider's name.
pub const TARGET_BYTES: usize = 32 * 1024;
/// Attempts for one request, the first included.
pub const ATTEMPTS: u8 = 4;
/// Largest request body that is kept for another attempt: a full context of a million tokens.
pub const REPLAY_BYTES: usize = 4 * 1024 * 1024;
/// Most bytes of all bodies kept so; beyond, requests are made once.
pub const REPLAY_TOTAL_BYTES: usize = 128 * 1024 * 1024;
/// Longest `retry-after` that a host may cause: one day, so that no client sleeps for ever.
pub const RETRY_AFTER_S: u32 = 86_400;
/// Most sessions at once, and most connections to providers: 10,000 streams and as many again, within
/// the descriptors of one process.
pub const SESSIONS: usize = 24_576;
/// Longest life of a session.
pub const SESSION: Duration = Duration::from_secs(3600);
/// Time for the inner handshake and the opening.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the host to answer `Authorize` or an egress request.
pub const HOST_ANSWER: Duration = Duration::from_secs(10);
/// Time without a byte in either direction: SDK read timeouts are 10 minutes.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// Time and bytes for which an answer is read on when its client is gone, for the books: a long
/// answer's rest, and an event that repeats the whole output.
pub const DRAIN: Duration = Duration::from_secs(60);
/// See [`DRAIN`].
pub const DRAIN_BYTES: usize = 8 * 1024 * 1024;
/// Age at which evidence for the enclave's clock is taken anew (DESIGN 3.8).
pub const EVIDENCE_AGE: Duration = Duration::from_secs(5 * 60);
/// Time for which a receipt can be had again on its session.
pub const RECEIPT_AGE: Duration = Duration::from_secs(10 * 60);
/// Most receipts and bytes of receipts that a session holds: an SDK's parallel requests of a moment.
pub const RECEIPTS: usize = 64;
/// Most bytes of receipts that all sessions hold; beyond, a receipt comes as a trailer only.
pub const RECEIPT_BYTES: usize = 64 * 1024 * 1024;
/// Largest request identifier of a provider that a receipt repeats; longer ones are left out.
pub const PROVIDER_ID_BYTES: usize = 256;
/// Most sealed accounts in memory: a few for each of a thousand owners.
pub const ACCOUNTS: usize = 4096;
/// Largest record of a sealed account with its signature.
pub const ACCOUNT_BYTES: usize = 256 + CREDENTIAL_BYTES;
/// Most owners whose accounts a request accepts.
pub const OWNERS: usize = 4;
