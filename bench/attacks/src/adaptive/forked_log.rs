//! A forked log: with the signer's and the log's keys the host shows this client a history of its own;
//! once with a witness that saw only the fork, once with a witness of the host's.

use std::io;

use super::Trial;
use super::Verdict;
use super::lists;
use super::lists::Publisher;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let user = trial.world.user()?;
    let mut publisher = Publisher::with_keys([1, 2, 3])?;
    let trust = publisher.trust()?;
    let state = trial.world.folder().join("forked.state");
    for honest in [publisher.list(1, &[], 1)?, publisher.list(2, &[8], 0)?] {
        if let Some(step) = lists::refused_at(&user, &trust, &state, &honest).await? {
            return Err(io::Error::other(format!("an honest list was refused: {step}")));
        }
    }
    let mut refused = Vec::new();
    for keys in [[1, 2, 3], [1, 2, 4]] {
        let mut fork = Publisher::with_keys(keys)?;
        // The withdrawal never happened here.
        fork.list(1, &[], 1)?;
        fork.list(2, &[], 0)?;
        let forked = fork.list(3, &[], 0)?;
        refused.push(lists::refused_at(&user, &trust, &state, &forked).await?);
    }
    Ok(lists::all_refused(refused))
}
