//! Where accepted releases come from, and how a client keeps up with them.

use std::{
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use aegis_releases::{Accepted, UnixSeconds};
use aegis_verifier::TrustAnchor;
use tokio::time::sleep;

use crate::{Client, Error, Router, StateError, StateFile, Trust, fetch};

/// Where lists are found.
#[derive(Debug, Clone)]
pub enum Source {
    /// At the router, which may withhold the newest until the last one ends.
    Router,
    /// In a file.
    File(PathBuf),
}

/// Lists of one product: from where, whose, and what is remembered of them.
#[derive(Debug, Clone)]
pub struct Releases {
    /// From where.
    pub source: Source,
    /// Whose word is taken.
    pub trust: aegis_releases::Trust,
    /// What is remembered.
    pub state: StateFile,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleasesError {
    /// The file.
    #[error("cannot read the release list {path}: {source}; give a bundle as `aegis release log bundle` writes it", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The router.
    #[error(transparent)]
    Fetch(#[from] Error),
    /// The list itself, or what is remembered.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What came of one look at the source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Followed {
    /// Another list is believed from now on.
    Changed(Box<Accepted>),
    /// No newer list: what was believed is believed until it ends.
    Kept(ReleasesError),
    /// It has ended: nothing is believed until there is another.
    Ended(ReleasesError),
}

impl ReleasesError {
    /// Whether a check refused, rather than the network or a file.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::State(StateError::Refused(_) | StateError::Damaged { .. }))
    }
}

impl Releases {
    /// The bytes that the source has now; nothing is believed.
    pub async fn fetch(&self, router: &Router) -> Result<Vec<u8>, ReleasesError> {
        match &self.source {
            Source::Router => Ok(fetch::releases(router).await?),
            Source::File(path) => std::fs::read(path)
                .map_err(|source| ReleasesError::Read { path: path.clone(), source }),
        }
    }

    /// The list that the source has now, checked and remembered.
    pub async fn look(&self, router: &Router) -> Result<Accepted, ReleasesError> {
        let bundle = self.fetch(router).await?;
        Ok(self.state.accept(&bundle, &self.trust, UnixSeconds::of(SystemTime::now()))?)
    }

    /// Looks at the source again and again, and makes `client` believe what it finds: after `first`,
    /// every `every`, and when the list believed ends. Never returns.
    pub async fn follow(
        &self,
        client: &Client,
        anchor: TrustAnchor,
        first: Accepted,
        every: Duration,
        tell: impl Fn(&Followed),
    ) {
        let mut believed = first;
        loop {
            let end = believed.list().not_after();
            let left = end.0.saturating_sub(UnixSeconds::of(SystemTime::now()).0);
            // A list that has ended is not waited for, but looked for at the usual pace.
            let left = if left == 0 { every } else { Duration::from_secs(left) };
            sleep(every.min(left)).await;
            let looked = self.look(client.router()).await;
            let ended = UnixSeconds::of(SystemTime::now()) >= end;
            let followed = match looked {
                Ok(found) if found.list() == believed.list() => continue,
                Ok(found) => match Trust::of_list(anchor.clone(), &found) {
                    Ok(trust) => {
                        client.believe(trust);
                        believed = found.clone();
                        Followed::Changed(Box::new(found))
                    }
                    // A list has at most as many releases as a client may accept, each once.
                    Err(_) => continue,
                },
                Err(error) if ended => {
                    client.believe(client.trust().without_releases());
                    Followed::Ended(error)
                }
                Err(error) => Followed::Kept(error),
            };
            tell(&followed);
        }
    }
}
