//! A stale release: the host goes on handing out a list in which a withdrawn release still stands, to
//! a client that has seen a newer one; and a list that has ended, to a client that has seen none.

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
    let (ended, old, new) =
        (publisher.list(1, &[], 5)?, publisher.list(2, &[], 1)?, publisher.list(3, &[8], 0)?);
    let state = trial.world.folder().join("stale.state");
    for honest in [&old, &new] {
        if let Some(step) = lists::refused_at(&user, &trust, &state, honest).await? {
            return Err(io::Error::other(format!("an honest list was refused: {step}")));
        }
    }
    let fresh = trial.world.folder().join("fresh.state");
    Ok(lists::all_refused(vec![
        lists::refused_at(&user, &trust, &state, &old).await?,
        lists::refused_at(&user, &trust, &fresh, &ended).await?,
    ]))
}
