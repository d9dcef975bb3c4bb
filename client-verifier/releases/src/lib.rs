//! Release lists: which images a client accepts, signed by several people and logged in public.
//!
//! Bytes in, [`Accepted`] out, and nothing else makes one: no I/O, no clock. `SPEC.md` in this
//! crate's folder is the byte-exact format; `README.md` is the guide with the commands in order.
//!
//! # Your checklist
//!
//! 1. Get the [`Trust`] file from a place that the lists do not come from: whoever writes it decides
//!    which images you accept.
//! 2. Keep [`Accepted::seen`] on disk, written atomically, **before** you use the list, and hand it to
//!    the next [`check`]. When it is missing on first use, say so: an older list that is still valid
//!    cannot be told then. When it is damaged, stop.
//! 3. Pass your **own time** as `now`, and stop using a list at [`List::not_after`].
//! 4. Accept an enclave only if its PCR0, 1 and 2 are those of one of [`Accepted::releases`]; no
//!    releases at all means that every one is withdrawn.
//!
//! # What is checked
//!
//! In the order of [`Step`]; [`Error::step`] and [`Error::name`] tell what refused.
//!
//! | step | what passes |
//! |---|---|
//! | `bundle` | the sections, their lengths, nothing after them |
//! | `note` | a signed note (c2sp.org/signed-note) within bounds |
//! | `signatures` | enough of the trusted release keys, each counted once, over the received bytes; Ed25519 strictly; a wrong signature of a trusted key refuses the whole, unknown keys are not looked at |
//! | `list` | the lines of SPEC.md in their order; each `release.json` as received: a production image with its number; the origin of the trust file |
//! | `validity` | at most 14 days, and `now` within it |
//! | `checkpoint` | the log's own signature over origin, size and root (c2sp.org/tlog-checkpoint) |
//! | `witnesses` | enough trusted cosignatures with times that have been (c2sp.org/tlog-cosignature) |
//! | `inclusion` | the list is the entry at its index of that tree (RFC 9162, 2.1.3.2) |
//! | `history` | no lower sequence number, no second list with the same one, no smaller tree, and the tree continues the one seen before (RFC 9162, 2.1.4.2) |
//!
//! # What is not checked
//!
//! * That a release is a good program: release keys say so, and anyone can rebuild it.
//! * That no other client is shown another list: this is what witnesses are for, and somebody who
//!   reads the log.
//! * Other lists in the log: a client sees one entry and the tree heads.
//!
//! Why code of ours: `signed_note` and `tlog_tiles` (crates.io, 0.2) bring a second set of
//! cryptographic crates and their own error and key types, for formats of a page each.

mod bundle;
mod check;
pub mod checkpoint;
mod cursor;
mod entry;
mod error;
mod key;
pub mod limits;
mod list;
pub mod log;
mod macros;
pub mod merkle;
mod note;
mod state;
mod time;
mod trust;
mod witness;

pub use bundle::{Bundle, Consistency, Proof};
pub use check::{Accepted, Finding, check, check_unlogged};
pub use checkpoint::{Checkpoint, Cosigned};
pub use entry::Release;
pub use error::{
    BundleError, CheckpointError, EntryError, Error, HistoryError, InclusionError, ListError,
    NoteError, SignatureError, Step, ValidityError, WitnessError,
};
pub use key::{KeyError, Kind, SignerKey, VerifierKey, is_name};
pub use list::{Draft, List, Status};
pub use note::{Line, Note, sign, signature_line};
pub use state::{Seen, StateError};
pub use time::UnixSeconds;
pub use trust::{Quorum, Trust, TrustError};
pub use witness::{Cosignature, WitnessRefusal, cosign};
