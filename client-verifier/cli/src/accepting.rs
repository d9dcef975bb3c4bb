//! Which enclaves a command accepts: releases that the user names ([`crate::accept`]), or those of a
//! signed list ([`crate::lists`]), which is followed while the command runs.

use std::{future::pending, time::Duration};

use aegis_client::{Client, Followed, Releases, ReleasesError, Router, Trust};
use aegis_releases::Accepted;
use aegis_verifier::TrustAnchor;

use crate::{
    accept,
    agent::start::say,
    args::AcceptArgs,
    failure::Failure,
    lists,
    patience::{Wait, patiently},
};

/// Who says which enclaves are accepted.
pub enum Accepting {
    /// The user.
    Named(Trust),
    /// The signers of a list.
    Listed(TrustAnchor, Box<Releases>),
}

/// What is believed at the start, and the list that says so.
pub struct Believed {
    /// Goes to the client.
    pub trust: Trust,
    list: Option<(Releases, Accepted)>,
}

impl Accepting {
    /// What the command line says, with the files that it names.
    pub fn of(args: &AcceptArgs, anchor: TrustAnchor) -> Result<Self, Failure> {
        Ok(match &args.accept {
            Some(path) => Self::Named(Trust::new(anchor, &accept::read(path)?)?),
            None => Self::Listed(anchor, Box::new(lists::releases(&args.list)?)),
        })
    }

    /// What is believed now.
    pub async fn believe(&self, router: &Router) -> Result<Believed, Failure> {
        match self {
            Self::Named(trust) => Ok(Believed::named(trust)),
            Self::Listed(anchor, releases) => {
                Believed::listed(anchor, releases, releases.look(router).await?)
            }
        }
    }

    /// The same, as soon as the router can be reached.
    pub async fn believe_patiently(&self, router: &Router) -> Result<Believed, Failure> {
        let (anchor, releases) = match self {
            Self::Named(trust) => return Ok(Believed::named(trust)),
            Self::Listed(anchor, releases) => (anchor, releases),
        };
        let look = async || match releases.look(router).await {
            Ok(first) => Ok(first),
            Err(ReleasesError::Fetch(error)) => Err(Wait::of(error)),
            // What a file or a check says does not change by waiting.
            Err(error) => Err(Wait::Final(error.into())),
        };
        Believed::listed(anchor, releases, patiently(look).await?)
    }
}

impl Believed {
    fn named(trust: &Trust) -> Self {
        Self { trust: trust.clone(), list: None }
    }

    fn listed(anchor: &TrustAnchor, from: &Releases, list: Accepted) -> Result<Self, Failure> {
        say(&format!("the release list:\n{}", lists::walk(&list)));
        let trust = Trust::of_list(anchor.clone(), &list)?;
        Ok(Self { trust, list: Some((from.clone(), list)) })
    }

    /// The list, unless the user named what he accepts.
    pub fn list(&self) -> Option<&Accepted> {
        self.list.as_ref().map(|(_, list)| list)
    }

    /// Makes `client` believe each newer list. Never returns.
    pub async fn follow(self, client: &Client, every: Duration, tell: impl Fn(&Followed)) {
        match self.list {
            None => pending().await,
            Some((releases, first)) => {
                let anchor = self.trust.anchor().clone();
                releases.follow(client, anchor, first, every, tell).await;
            }
        }
    }
}
