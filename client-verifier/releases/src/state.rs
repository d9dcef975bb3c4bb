//! What a client remembers on disk (SPEC.md, section 5): the highest list it accepted and the log's
//! head then. Without it an old list within its validity would pass.

use sha2::{Digest, Sha256};

use crate::{
    cursor::Cursor,
    macros::refusals,
    merkle::{Hash, TreeHead},
};

const HEADER: &str = "aegis-release-state/1";

refusals! {
    /// A state that cannot be used: it was damaged or is another file.
    StateError {
        /// Another line stands where this one must.
        Line { /// What must stand there.
            expected: &'static str } = "state_line", "the line {expected:?} is missing or malformed";
        /// The last line is not the digest of those before it.
        Sum = "state_sum", "its last line is not the digest of the others";
    }
}

/// What was accepted last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub(crate) origin: String,
    pub(crate) sequence: u64,
    pub(crate) list: [u8; 32],
    pub(crate) log: String,
    pub(crate) head: TreeHead,
}

impl Seen {
    /// Which product's list it was.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The highest sequence number accepted.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The log's head then.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let Self { origin, sequence, list, log, head } = self;
        let text = format!(
            "{HEADER}\norigin {origin}\nsequence {sequence}\nlist {}\nlog {log}\nsize {}\nroot {}\n",
            hex::encode(list),
            head.size,
            head.root
        );
        let sum = hex::encode(Sha256::digest(&text));
        format!("{text}sum {sum}\n")
    }

    /// Reads a file's bytes; what was not written by [`Self::to_text`] is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        let line = |expected| StateError::Line { expected };
        let mut rest = Cursor(bytes);
        if rest.line() != Some(HEADER) {
            return Err(line(HEADER));
        }
        let origin = rest.field("origin").ok_or(line("origin NAME"))?.to_owned();
        let sequence = rest.number("sequence").ok_or(line("sequence NUMBER"))?;
        let mut list = [0; 32];
        let digest = rest.field("list").and_then(|hex| hex::decode_to_slice(hex, &mut list).ok());
        digest.ok_or(line("list SHA256"))?;
        let log = rest.field("log").ok_or(line("log NAME"))?.to_owned();
        let size = rest.number("size").ok_or(line("size NUMBER"))?;
        let root = rest.field("root").and_then(Hash::from_base64).ok_or(line("root HASH"))?;
        rest.field("sum").filter(|_| rest.is_at_end()).ok_or(line("sum SHA256"))?;
        let seen = Self { origin, sequence, list, log, head: TreeHead { size, root } };
        // One text for each state: whatever else differs, differs from this.
        match seen.to_text().as_bytes() == bytes {
            true => Ok(seen),
            false => Err(StateError::Sum),
        }
    }
}
