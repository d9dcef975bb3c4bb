//! The ledger: a `grant` line before a grant leaves the host, and exactly one `settle` line for
//! each grant. JSON lines, appended with one write each, never changed.
//!
//! A line that a crash or a full disk tore was not acted upon: its grant was not sent, its usage
//! not acknowledged. That is reported, and it is cut off before the next line. Anything else that
//! cannot be read refuses the start. Lines reach the operating system, so they outlive this process
//! however it ends; they are not forced to the disk one by one.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use aegis_wire::control::{Slot, Source, Usage};
use serde::{Deserialize, Serialize};

use crate::fleet::Boot;

mod check;
mod replay;

pub use replay::Replayed;

/// Counts by the words of [`Slot`]; an absent count was not reported.
pub type Counts = BTreeMap<String, u32>;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened, read or written.
    #[error("ledger {}: {source}; check the path and its permissions", path.display())]
    File {
        /// The ledger.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It does not exist, and its folder is missing or takes no files.
    #[error("ledger {}: its folder takes no file: {source}; make the folder or name another", path.display())]
    Folder {
        /// The ledger.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("ledger {}: not a regular file; name a file", path.display())]
    NoFile {
        /// The ledger.
        path: PathBuf,
    },
    /// Another process has it.
    #[error("ledger {}: another host is using it; stop that one or name another file", path.display())]
    InUse {
        /// The ledger.
        path: PathBuf,
    },
    /// A whole line makes no sense.
    #[error("ledger {} line {line}: {rule}; move the file away after finding out who changed it", path.display())]
    Corrupt {
        /// The ledger.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
        /// What is wrong with it.
        rule: &'static str,
    },
}

/// What a grant was given for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// `BOOT-REQUEST`.
    pub request: String,
    /// Counts from 1.
    pub attempt: u8,
    /// Session number.
    pub session: u64,
    /// Whose key.
    pub tenant: String,
    /// Which key.
    pub key: String,
    /// Name of the enclave.
    pub enclave: String,
    /// Its release.
    pub release: u32,
    /// Name in the provider table.
    pub provider: String,
    /// Kind of endpoint.
    pub class: String,
    /// Whose credential.
    pub custody: String,
    /// Account number, 0 in client custody.
    pub account: u32,
}

/// How a grant ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// A word of [`Source`], or `lost` when the enclave never said.
    pub source: String,
    /// First digit of the status.
    pub status_class: u8,
    /// Reported counts.
    pub counts: Counts,
    /// Model label.
    pub label: String,
    /// From dispatch to the first byte.
    pub first_byte_ms: u32,
    /// From dispatch to the end.
    pub total_ms: u32,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
enum Line {
    Grant {
        at_ms: u64,
        grant: u64,
        terms: Terms,
    },
    Settle {
        at_ms: u64,
        grant: u64,
        request: String,
        tenant: String,
        key: String,
        outcome: Outcome,
    },
}

/// A grant that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// When it was given.
    pub at_ms: u64,
    /// For what.
    pub terms: Terms,
}

/// A grant that was settled without the enclave's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its number.
    pub grant: u64,
    /// What it was given for.
    pub terms: Terms,
}

/// What became of a usage report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is on the books now.
    Now(Terms),
    /// The grant was settled before; nothing was written.
    Before,
    /// This ledger never gave such a grant to that boot.
    Unknown,
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Length of the file's whole lines.
    whole_bytes: u64,
    last_grant: u64,
    open: BTreeMap<u64, Open>,
}

impl Ledger {
    /// Opens or creates the file, reads it, and takes it for this process alone.
    pub fn open(path: &Path) -> Result<(Self, Replayed), LedgerError> {
        let failed = |source| LedgerError::File { path: path.into(), source };
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true);
        let mut file = private(options).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(LedgerError::NoFile { path: path.into() });
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut bytes = Vec::new();
        file.rewind().map_err(failed)?;
        file.read_to_end(&mut bytes).map_err(failed)?;
        let replayed = replay::replay(path, &bytes)?;
        let ledger = Self {
            path: path.into(),
            file,
            whole_bytes: replayed.whole_bytes,
            last_grant: replayed.last_grant,
            open: replayed.open.clone(),
        };
        Ok((ledger, replayed))
    }

    /// Puts a new grant on the books and returns its number. The grant may be sent only after.
    pub fn grant(&mut self, at_ms: u64, terms: Terms) -> Result<u64, LedgerError> {
        let grant = self.last_grant + 1;
        self.append(&Line::Grant { at_ms, grant, terms: terms.clone() })?;
        self.last_grant = grant;
        self.open.insert(grant, Open { at_ms, terms });
        Ok(grant)
    }

    /// Applies a usage report at most once.
    pub fn settle(
        &mut self,
        at_ms: u64,
        boot: Boot,
        usage: &Usage,
    ) -> Result<Settled, LedgerError> {
        let Some(open) = self.open.get(&usage.grant) else {
            let given = (1..=self.last_grant).contains(&usage.grant);
            return Ok(if given { Settled::Before } else { Settled::Unknown });
        };
        if !open.terms.is_of(boot) {
            return Ok(Settled::Unknown);
        }
        let terms = open.terms.clone();
        self.close(at_ms, usage.grant, Outcome::reported(usage))?;
        Ok(Settled::Now(terms))
    }

    /// Settles as lost what this enclave was granted in other boots than the one that runs now.
    pub fn enclave_restarted(
        &mut self,
        at_ms: u64,
        enclave: &str,
        boot: Boot,
    ) -> Result<Vec<Lost>, LedgerError> {
        self.lose(at_ms, |open| open.terms.enclave == enclave && !open.terms.is_of(boot))
    }

    /// Settles as lost what was granted at that time or before.
    pub fn expire(&mut self, at_ms: u64, granted_until_ms: u64) -> Result<Vec<Lost>, LedgerError> {
        self.lose(at_ms, |open| open.at_ms <= granted_until_ms)
    }

    fn lose(
        &mut self,
        at_ms: u64,
        is_lost: impl Fn(&Open) -> bool,
    ) -> Result<Vec<Lost>, LedgerError> {
        let lost = self.open.iter().filter(|(_, open)| is_lost(open));
        let lost: Vec<_> =
            lost.map(|(grant, open)| Lost { grant: *grant, terms: open.terms.clone() }).collect();
        for Lost { grant, .. } in &lost {
            self.close(at_ms, *grant, Outcome::lost())?;
        }
        Ok(lost)
    }

    fn close(&mut self, at_ms: u64, grant: u64, outcome: Outcome) -> Result<(), LedgerError> {
        let Some(Open { terms, .. }) = self.open.get(&grant) else {
            return Ok(());
        };
        self.append(&Line::Settle {
            at_ms,
            grant,
            request: terms.request.clone(),
            tenant: terms.tenant.clone(),
            key: terms.key.clone(),
            outcome,
        })?;
        self.open.remove(&grant);
        Ok(())
    }

    /// One line, one write. What a failed write left behind is cut off before the next line, so
    /// that a disk that was full for a while does not spoil the file.
    fn append(&mut self, line: &Line) -> Result<(), LedgerError> {
        let written = self.write(line);
        written.map_err(|source| LedgerError::File { path: self.path.clone(), source })
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        match self.file.metadata()?.len().cmp(&self.whole_bytes) {
            Ordering::Equal => {}
            Ordering::Greater => self.file.set_len(self.whole_bytes)?,
            Ordering::Less => return Err(io::Error::other("somebody else cut the file")),
        }
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let written = self.file.write(&bytes)?;
        if written != bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.whole_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// The file tells who used the router when: for this user alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

impl Terms {
    fn is_of(&self, boot: Boot) -> bool {
        let given = self.request.split_once('-').map(|(boot, _)| boot);
        given == Some(&boot.to_string())
    }
}

impl Outcome {
    /// As the enclave reported it.
    pub fn reported(usage: &Usage) -> Self {
        let Usage { grant: _, status_class, source, counts: _, label, first_byte_ms, total_ms } =
            usage;
        Self {
            source: source.word().into(),
            status_class: *status_class,
            counts: counts(usage),
            label: label.as_str().into(),
            first_byte_ms: *first_byte_ms,
            total_ms: *total_ms,
        }
    }

    /// Without the enclave's word.
    pub fn lost() -> Self {
        Self {
            source: LOST.into(),
            status_class: 0,
            counts: Counts::new(),
            label: String::new(),
            first_byte_ms: 0,
            total_ms: 0,
        }
    }
}

/// The source of a grant that was settled without the enclave's word.
pub const LOST: &str = "lost";

/// The counts of a report, by name.
fn counts(usage: &Usage) -> Counts {
    let named = |slot: &Slot| Some((slot.word().to_owned(), usage.counts[*slot as usize]?));
    Slot::ALL.iter().filter_map(named).collect()
}
