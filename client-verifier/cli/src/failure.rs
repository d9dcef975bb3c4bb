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

/// What cannot be read is the environment's; what cannot be used is a mistake in the configuration.
impl From<aegis_client::ConfigError> for Failure {
    fn from(error: aegis_client::ConfigError) -> Self {
        match error {
            aegis_client::ConfigError::RouterRootsFile { .. } => Self::environment(error),
            error => Self::usage(error),
        }
    }
}

impl From<aegis_client::Error> for Failure {
    fn from(error: aegis_client::Error) -> Self {
        match error.is_away() {
            true => Self::environment(error),
            false => Self::refused(error),
        }
    }
}

impl From<aegis_client::StateError> for Failure {
    fn from(error: aegis_client::StateError) -> Self {
        match error {
            aegis_client::StateError::File { .. } => Self::environment(error),
            error => Self::refused(error),
        }
    }
}

impl From<aegis_client::ReleasesError> for Failure {
    fn from(error: aegis_client::ReleasesError) -> Self {
        match error {
            aegis_client::ReleasesError::Fetch(error) => error.into(),
            aegis_client::ReleasesError::State(error) => error.into(),
            error => Self::environment(error),
        }
    }
}
