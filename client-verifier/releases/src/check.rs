//! The one way to an accepted list.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{
    bundle::Bundle,
    checkpoint::{Checkpoint, Cosigned},
    entry::Release,
    error::{Error, HistoryError, InclusionError, ListError, SignatureError, Step, WitnessError},
    limits::LIST_BYTES,
    list::List,
    merkle::{TreeHead, includes, leaf_hash},
    note::Note,
    state::Seen,
    time::UnixSeconds,
    trust::Trust,
    witness::follows,
};

/// A list that passed every step; only [`check`] makes one. It is good until
/// [`List::not_after`], which is for the caller to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    list: List,
    signers: Vec<String>,
    witnesses: Vec<Cosigned>,
    index: u64,
    before: Option<u64>,
    seen: Seen,
}

/// One step that passed and what was found, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which step.
    pub step: Step,
    /// What was found.
    pub found: String,
}

/// Judges a bundle at `now` against what was accepted before. `seen` is `None` on first use only:
/// then an old list passes as long as it is valid, and the caller says so.
///
/// Steps, in order: [`Step::ALL`]. The caller keeps [`Accepted::seen`] on disk before it uses the
/// list.
pub fn check(
    bundle: &[u8],
    trust: &Trust,
    seen: Option<&Seen>,
    now: UnixSeconds,
) -> Result<Accepted, Error> {
    let bundle = Bundle::parse(bundle)?;
    let note = Note::parse(bundle.list, LIST_BYTES).map_err(Error::Note)?;
    let (list, signers) = signed(&note, trust, now)?;
    let checkpoint = Checkpoint::open(bundle.proof.checkpoint, &trust.log)?;
    let witnesses = checkpoint.witnesses(&trust.witnesses.keys, now)?;
    let (found, needed) = (witnesses.len(), trust.witnesses.threshold);
    if found < needed {
        return Err(WitnessError::Threshold { found, needed }.into());
    }
    let head = checkpoint.head();
    let index = bundle.proof.index;
    if index >= head.size {
        return Err(InclusionError::Index { index, size: head.size }.into());
    }
    if !includes(&head, index, leaf_hash(bundle.list), &bundle.proof.hashes) {
        return Err(InclusionError::Root.into());
    }
    let new = Seen {
        origin: trust.origin.clone(),
        sequence: list.sequence(),
        list: Sha256::digest(note.text()).into(),
        log: trust.log.name().to_owned(),
        head,
    };
    if let Some(seen) = seen {
        continues(seen, &new, &bundle)?;
    }
    let before = seen.map(|seen| seen.sequence);
    Ok(Accepted { list, signers, witnesses, index, before, seen: new })
}

/// Judges a signed list alone, as a log does before it takes it up: the steps `note` to `validity`.
/// A client uses [`check`].
pub fn check_unlogged(list: &[u8], trust: &Trust, now: UnixSeconds) -> Result<List, Error> {
    let note = Note::parse(list, LIST_BYTES).map_err(Error::Note)?;
    Ok(signed(&note, trust, now)?.0)
}

fn signed(note: &Note<'_>, trust: &Trust, now: UnixSeconds) -> Result<(List, Vec<String>), Error> {
    let signers = signers(note, trust)?;
    let list = List::parse(note.text())?;
    if list.origin() != trust.origin {
        let (found, expected) = (list.origin().to_owned(), trust.origin.clone());
        return Err(ListError::Origin { found, expected }.into());
    }
    list.is_valid_at(now)?;
    Ok((list, signers))
}

/// The names of the trusted keys that signed, if they are enough.
fn signers(note: &Note<'_>, trust: &Trust) -> Result<Vec<String>, SignatureError> {
    let signers = note.signers(&trust.releases.keys, |key, text, signature| {
        let name = || key.name().to_owned();
        let right = key.verifies(text.as_bytes(), signature);
        right.then(name).ok_or_else(|| SignatureError::Wrong { key: name() })
    })?;
    let (found, needed) = (signers.len(), trust.releases.threshold);
    if found < needed {
        return Err(SignatureError::Threshold { found, needed });
    }
    Ok(signers)
}

/// Whether what is shown now may follow what was accepted before.
fn continues(seen: &Seen, new: &Seen, bundle: &Bundle<'_>) -> Result<(), HistoryError> {
    if seen.origin != new.origin || seen.log != new.log {
        let found = format!("{} in the log {}", seen.origin, seen.log);
        return Err(HistoryError::Origin { found });
    }
    let sequence = new.sequence;
    if sequence < seen.sequence {
        return Err(HistoryError::Old { sequence, seen: seen.sequence });
    }
    if sequence == seen.sequence && seen.list != new.list {
        return Err(HistoryError::Forked { sequence });
    }
    let (from, to) = (&seen.head, &new.head);
    let proof = match from.size < to.size {
        true => bundle.consistency_from(from.size),
        false => Some([].as_slice()),
    };
    follows(from, to, proof.ok_or(HistoryError::NoConsistencyProof { from: from.size })?)
}

impl Accepted {
    /// What it says.
    pub fn list(&self) -> &List {
        &self.list
    }

    /// The releases whose enclaves may be talked to; none when all are withdrawn.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.list.accepted()
    }

    /// To be kept on disk before the list is used.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether nothing had been accepted before, so that its age could not be judged.
    pub fn is_first(&self) -> bool {
        self.before.is_none()
    }

    /// The walk.
    pub fn findings(&self) -> Vec<Finding> {
        let TreeHead { size, .. } = self.seen.head;
        let numbers: Vec<_> = self.releases().map(|release| release.number.to_string()).collect();
        let accepted = match numbers.is_empty() {
            true => "none: every release listed is withdrawn".to_owned(),
            false => numbers.join(", "),
        };
        let witnesses: Vec<_> = self.witnesses.iter().map(ToString::to_string).collect();
        let found = |step: Step| match step {
            Step::Bundle => "a list with its proofs".to_owned(),
            Step::Note => "a signed note".to_owned(),
            Step::Signatures => format!("signed by {}", self.signers.join(", ")),
            Step::List => format!(
                "{}, sequence {}, accepted releases: {accepted}",
                self.list.origin(),
                self.list.sequence()
            ),
            Step::Validity => {
                format!("{} to {}", self.list.not_before(), self.list.not_after())
            }
            Step::Checkpoint => format!("{}, {size} entries", self.seen.log),
            Step::Witnesses if witnesses.is_empty() => "none asked for".to_owned(),
            Step::Witnesses => witnesses.join(", "),
            Step::Inclusion => format!("entry {} of the log", self.index),
            Step::History => self.history(),
        };
        Step::ALL.into_iter().map(|step| Finding { step, found: found(step) }).collect()
    }

    fn history(&self) -> String {
        match self.before {
            None => {
                "nothing was accepted before: first use, an older list could not be told".into()
            }
            Some(before) => format!("continues what was accepted before, sequence {before}"),
        }
    }
}

impl fmt::Display for Cosigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.witness, self.time)
    }
}
