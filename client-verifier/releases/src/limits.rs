//! Every bound with the origin of its number.

/// Largest signed list in bytes: an entry of a log's bundle carries its length in 16 bits
/// (c2sp.org/tlog-tiles, "Log entries").
pub const LIST_BYTES: usize = 65_535;
/// Largest checkpoint in bytes: 32 signature lines of 256 bytes, and three short lines.
pub const CHECKPOINT_BYTES: usize = 16 * 1024;
/// Largest bundle in bytes: the largest list, checkpoint and 64 consistency proofs of a log with a
/// million entries (20 hashes of 45 bytes each) are 140,000.
pub const BUNDLE_BYTES: usize = 256 * 1024;
/// Most signature lines of a note; c2sp.org/signed-note asks for at least 16.
pub const SIGNATURES: usize = 32;
/// Longest key name in bytes: a host name has 253 at most.
pub const NAME_BYTES: usize = 256;
/// Most releases of a list: a client names at most so many to the host (PROTOCOL.md, section 2).
pub const RELEASES: usize = 16;
/// Most withdrawn numbers of a list: a release a month for twenty years.
pub const WITHDRAWN: usize = 256;
/// Longest validity in seconds, 14 days: how long a host that withholds newer lists can prolong a
/// withdrawn release (DESIGN, section 4).
pub const VALIDITY_S: u64 = 14 * 24 * 3600;
/// How far clocks may differ, in seconds, before something is from the future.
pub const SKEW_S: u64 = 60;
/// Most hashes of a proof: the height of a tree with 2^63 leaves.
pub const PROOF_HASHES: usize = 63;
/// Most consistency proofs of a bundle, so that a client may have missed so many lists: over two
/// years of fortnightly ones.
pub const CONSISTENCY_PROOFS: usize = 64;
/// Most keys of one role in a trust file.
pub const KEYS: usize = 16;
/// Most entries of a log that the tools read: all leaf hashes are held in memory (32 MiB).
pub const LOG_ENTRIES: u64 = 1 << 20;
