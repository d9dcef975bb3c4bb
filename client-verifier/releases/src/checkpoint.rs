//! Tree heads as notes (c2sp.org/tlog-checkpoint) and witnesses' cosignatures on them
//! (c2sp.org/tlog-cosignature, version 1).

use crate::{
    cursor::{Cursor, decimal},
    error::{CheckpointError, WitnessError},
    key::{SignerKey, VerifierKey},
    limits::{CHECKPOINT_BYTES, SKEW_S},
    merkle::{Hash, TreeHead},
    note::{self, Note},
    time::UnixSeconds,
};

/// A checkpoint that the log signed.
#[derive(Clone, Debug)]
pub struct Checkpoint<'a> {
    note: Note<'a>,
    head: TreeHead,
}

/// A witness and when it saw a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness's key name.
    pub witness: String,
    /// When.
    pub time: UnixSeconds,
}

/// Origin and tree head of a checkpoint's text; nothing is believed.
pub fn parse_text(text: &str) -> Result<(&str, TreeHead), CheckpointError> {
    let mut rest = Cursor(text.as_bytes());
    let line = |expected| CheckpointError::Line { expected };
    let origin = rest.line().filter(|origin| !origin.is_empty()).ok_or(line("origin"))?;
    let size = rest.line().and_then(decimal).ok_or(line("size"))?;
    let root = rest.line().and_then(Hash::from_base64).ok_or(line("root hash"))?;
    if !rest.is_at_end() {
        return Err(CheckpointError::Extension);
    }
    Ok((origin, TreeHead { size, root }))
}

/// A checkpoint's text.
pub fn text(origin: &str, head: &TreeHead) -> String {
    format!("{origin}\n{}\n{}\n", head.size, head.root)
}

/// A checkpoint, signed by the log whose key this is.
pub fn sign(head: &TreeHead, key: &SignerKey) -> String {
    note::sign(&text(key.verifier().name(), head), key)
}

impl<'a> Checkpoint<'a> {
    /// Opens a checkpoint of the log that has this key and the key's name as its origin.
    pub fn open(bytes: &'a [u8], log: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes, CHECKPOINT_BYTES)
            .map_err(|error| CheckpointError::Note { error })?;
        let signed = note.signers(std::slice::from_ref(log), |key, text, signature| {
            let right = key.verifies(text.as_bytes(), signature);
            right.then_some(()).ok_or(CheckpointError::SignatureWrong)
        })?;
        if signed.is_empty() {
            return Err(CheckpointError::Unsigned);
        }
        let (origin, head) = parse_text(note.text())?;
        if origin != log.name() {
            let (found, expected) = (origin.to_owned(), log.name().to_owned());
            return Err(CheckpointError::Origin { found, expected });
        }
        Ok(Self { note, head })
    }

    /// The tree head.
    pub fn head(&self) -> TreeHead {
        self.head
    }

    /// The witnesses among `known` that cosigned it; each counts once.
    pub fn witnesses(
        &self,
        known: &[VerifierKey],
        now: UnixSeconds,
    ) -> Result<Vec<Cosigned>, WitnessError> {
        self.note.signers(known, |key, text, cosignature| {
            let name = || key.name().to_owned();
            let time = cosignature.split_first_chunk().filter(|(_, rest)| rest.len() == 64);
            let (time, signature) = time.ok_or_else(|| WitnessError::Timestamp { key: name() })?;
            let time = u64::from_be_bytes(*time);
            if time == 0 || i64::try_from(time).is_err() {
                return Err(WitnessError::Timestamp { key: name() });
            }
            if !key.verifies(message(text, time).as_bytes(), signature) {
                return Err(WitnessError::Wrong { key: name() });
            }
            if time > now.0.saturating_add(SKEW_S) {
                return Err(WitnessError::Future { key: name(), time });
            }
            Ok(Cosigned { witness: name(), time: UnixSeconds(time) })
        })
    }

    /// The line by which a witness says that it saw this head at `time`, and no other one that
    /// contradicts it. Whether that is so is for the caller to know: [`crate::witness`] does.
    pub(crate) fn cosignature(&self, key: &SignerKey, time: UnixSeconds) -> String {
        let signed = message(self.note.text(), time.0);
        key.line(signed.as_bytes(), &time.0.to_be_bytes())
    }
}

fn message(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}
