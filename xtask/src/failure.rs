//! Why a command of this program ends early, and the exit code that says so.

use thiserror::Error;

/// Everything that ends a command early. The text names the thing, the reason and the next step.
#[derive(Debug, Error)]
pub enum Failure {
    /// A check looked and said no.
    #[error("{0}")]
    Refused(String),
    /// The command cannot mean anything as given.
    #[error("{0}")]
    Usage(String),
    /// The machine lacks something: a tool, a file, the network.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    /// 1 refused by a check, 2 usage, 3 environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Environment(_) => 3,
        }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Environment(format!("{}: {error}", path.display()))
    }
}
