//! What can be wrong with a configuration, each as one sentence: the thing, the reason, the next
//! step.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has bytes that are no UTF-8.
    #[error("{}: line {line} is not UTF-8; save the file as UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Counts from 1.
        line: usize,
    },
    /// Not TOML, an unknown key, a missing key, a wrong type.
    #[error("line {line}: {reason}; `aegis-host run --help` shows a whole file")]
    Syntax {
        /// Counts from 1.
        line: usize,
        /// What the parser says, without values.
        reason: String,
    },
    /// One entry makes no sense.
    #[error("{entry}: {reason}; {next}")]
    Entry {
        /// Which one.
        entry: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        next: &'static str,
    },
    /// One of the above, in that file.
    #[error("{}: {error}", path.display())]
    In {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong in it.
        error: Box<ConfigError>,
    },
}

impl ConfigError {
    pub(crate) fn entry(
        entry: impl Into<String>,
        reason: impl Into<String>,
        next: &'static str,
    ) -> Self {
        Self::Entry { entry: entry.into(), reason: reason.into(), next }
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        Self::In { path: path.into(), error: Box::new(self) }
    }

    /// Whether the cause is outside the configuration: a file that is missing or unreadable.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::In { error, .. } => error.is_environment(),
            Self::NotText { .. } | Self::Syntax { .. } | Self::Entry { .. } => false,
        }
    }
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::NotText { path: path.into(), line }
    })
}

/// Reads a file whose content another parser judges.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|source| ConfigError::Unreadable { path: path.into(), source })
}
