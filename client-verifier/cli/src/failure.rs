//! How the program ends when it cannot go on: one sentence and an exit code.

use std::process::ExitCode;

/// Exit codes of every Aegis program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Refused by a check.
    Refused = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Network, port, file, missing tool.
    Environment = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Last words and exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the shell sees.
    pub exit: Exit,
    /// One sentence: the thing, the reason, the next step.
    pub message: String,
}

impl Failure {
    /// Refused by a check.
    pub fn refused(message: impl ToString) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// Usage or configuration.
    pub fn usage(message: impl ToString) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Network, port, file, missing tool.
    pub fn environment(message: impl ToString) -> Self {
        Self::new(Exit::Environment, message)
    }

    fn new(exit: Exit, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { exit, message }
    }
}

impl From<aegis_client::ConfigError> for Failure {
    fn from(error: aegis_client::ConfigError) -> Self {
        Self::usage(error)
    }
}
