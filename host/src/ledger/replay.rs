//! Reading a ledger back: which grants are open, which number comes next.

use std::{collections::BTreeMap, path::Path};

use super::{LOST, LedgerError, Line, Open, Source};

/// What a ledger's file said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Bytes of a last line that was not finished.
    pub torn_bytes: u64,
    /// Bytes of whole lines.
    pub whole_bytes: u64,
    /// Highest grant number given, 0 for none.
    pub last_grant: u64,
    /// Highest session number seen, 0 for none.
    pub last_session: u64,
    /// Grants without a settlement.
    pub open: BTreeMap<u64, Open>,
}

/// Reads all lines; a last one without its line end was torn, whatever it says.
pub(super) fn replay(path: &Path, bytes: &[u8]) -> Result<Replayed, LedgerError> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut replayed = Replayed {
        torn_bytes: (bytes.len() - whole) as u64,
        whole_bytes: whole as u64,
        last_grant: 0,
        last_session: 0,
        open: BTreeMap::new(),
    };
    for (at, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
        let taken = serde_json::from_slice(line)
            .map_err(|_| "it is no ledger line")
            .and_then(|line| replayed.take(line));
        taken.map_err(|rule| LedgerError::Corrupt { path: path.into(), line: at + 1, rule })?;
    }
    Ok(replayed)
}

impl Replayed {
    fn take(&mut self, line: Line) -> Result<(), &'static str> {
        match line {
            Line::Grant { at_ms, grant, terms } => {
                if grant != self.last_grant + 1 {
                    return Err("its grant number does not follow the one before");
                }
                self.last_grant = grant;
                self.last_session = self.last_session.max(terms.session);
                self.open.insert(grant, Open { at_ms, terms });
            }
            Line::Settle { at_ms: _, grant, request, tenant: _, key: _, outcome } => {
                let open = self.open.remove(&grant);
                let open = open.ok_or("it settles a grant that is not open")?;
                if open.terms.request != request {
                    return Err("it settles a grant of another request");
                }
                if outcome.source != LOST && Source::from_word(&outcome.source).is_none() {
                    return Err("its source is unknown");
                }
            }
        }
        Ok(())
    }
}
