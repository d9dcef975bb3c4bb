//! Trying again while a router is away, and only then.

use std::time::Duration;

use aegis_client::Error;
use tokio::time::sleep;

use crate::failure::Failure;

/// First pause between two attempts to reach a router that is away; each next is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why something did not work: to be tried again, or not.
pub enum Wait {
    /// The router is away.
    Away(Error),
    /// What waiting does not change.
    Final(Failure),
}

impl Wait {
    /// Which of both it is.
    pub fn of(error: Error) -> Self {
        match error.is_away() {
            true => Self::Away(error),
            false => Self::Final(Failure::refused(error)),
        }
    }
}

/// Tries until the router can be reached, and says each time that it cannot.
pub async fn patiently<T>(attempt: impl AsyncFn() -> Result<T, Wait>) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Wait::Final(failure)) => return Err(failure),
            Err(Wait::Away(error)) => {
                let wait = error.retry_after().unwrap_or(pause).min(LONGEST_PAUSE);
                eprintln!("aegis: {error}; trying again in {wait:?}");
                sleep(wait).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}
