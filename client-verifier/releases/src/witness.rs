//! What a witness does (c2sp.org/tlog-cosignature): it remembers the last checkpoint of a log and
//! cosigns a new one only if that continues it.

use crate::{
    checkpoint::Checkpoint,
    error::{CheckpointError, HistoryError},
    key::{SignerKey, VerifierKey},
    macros::refusals,
    merkle::{Hash, TreeHead, continues},
    time::UnixSeconds,
};

refusals! {
    /// Why a witness does not cosign.
    WitnessRefusal {
        /// The log did not sign it, or it is no checkpoint.
        Checkpoint { /// Why.
            error: CheckpointError } = "checkpoint", "{error}";
        /// It contradicts what the witness saw before.
        History { /// How.
            error: HistoryError } = "history", "{error}";
        /// A log without entries says nothing.
        Empty = "empty", "the log is empty";
    }
}

/// What a witness gives and remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The signature line for the checkpoint.
    pub line: String,
    /// To be on disk before the line is given away.
    pub seen: TreeHead,
}

/// Cosigns a checkpoint of `log` that continues the one seen last; `proof` shows it.
pub fn cosign(
    checkpoint: &[u8],
    log: &VerifierKey,
    seen: Option<&TreeHead>,
    proof: &[Hash],
    key: &SignerKey,
    now: UnixSeconds,
) -> Result<Cosignature, WitnessRefusal> {
    let checkpoint =
        Checkpoint::open(checkpoint, log).map_err(|error| WitnessRefusal::Checkpoint { error })?;
    let head = checkpoint.head();
    if head.size == 0 {
        return Err(WitnessRefusal::Empty);
    }
    if let Some(seen) = seen {
        follows(seen, &head, proof).map_err(|error| WitnessRefusal::History { error })?;
    }
    Ok(Cosignature { line: checkpoint.cosignature(key, now), seen: head })
}

/// Whether `head` continues the one seen before.
pub(crate) fn follows(
    seen: &TreeHead,
    head: &TreeHead,
    proof: &[Hash],
) -> Result<(), HistoryError> {
    if head.size < seen.size {
        return Err(HistoryError::LogOld { size: head.size, seen: seen.size });
    }
    if !continues(seen, head, proof) {
        return Err(HistoryError::LogForked { seen: seen.size, size: head.size });
    }
    Ok(())
}
