//! Who may do what, and how often. Every refusal is one of the protocol's deny codes.

use std::sync::Arc;

use aegis_wire::control::{Authorize, Custody, DenyCode};
use tokio::time::Instant;

use crate::{
    accounts::Account,
    directory::Directory,
    keys::Key,
    limits::{Limiter, Permit},
};

/// What clients may ask for.
#[derive(Debug)]
pub struct Policy {
    custodies: Vec<Custody>,
    limiter: Arc<Limiter>,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The reason on the wire.
    pub code: DenyCode,
    /// Seconds to wait; 0 says nothing.
    pub retry_after_s: u32,
}

/// What an attempt was given.
#[derive(Debug)]
pub struct Allowed<'a> {
    /// Whose credential it gets; none in client custody.
    pub account: Option<&'a Account>,
    /// Its place among the key's requests.
    pub permit: Permit,
}

impl Policy {
    /// A policy whose limits are untouched.
    pub fn new(custodies: Vec<Custody>) -> Self {
        Self { custodies, limiter: Arc::default() }
    }

    /// What is used of limits on this host.
    pub fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    /// Whether that key may make that attempt, and with which account.
    pub fn decide<'a>(
        &self,
        directory: &'a Directory,
        key: &Key,
        asked: &Authorize,
        now: Instant,
    ) -> Result<Allowed<'a>, Refusal> {
        if !self.custodies.contains(&asked.custody) {
            return Err(DenyCode::Custody.into());
        }
        if !key.may_use(asked) {
            return Err(DenyCode::Endpoint.into());
        }
        let account = match asked.custody {
            Custody::Client => None,
            Custody::Host | Custody::Sealed => {
                let owner = (asked.custody == Custody::Sealed).then_some(asked.owner);
                let accounts = &directory.accounts;
                let chosen = accounts.choose(asked.provider, owner, &key.tenant, asked.attempt);
                Some(chosen.ok_or(DenyCode::Account)?)
            }
        };
        // A retry is the same request.
        let counts = asked.attempt == 1;
        let permit = self.limiter.request(&directory.limits, key, counts, now)?;
        Ok(Allowed { account, permit })
    }
}

impl Key {
    fn may_use(&self, asked: &Authorize) -> bool {
        let providers = self.providers.as_ref();
        let class = match &self.classes {
            Some(classes) => classes.contains(&asked.class),
            None => asked.custody == Custody::Client || !asked.class.is_account_scoped(),
        };
        class && providers.is_none_or(|allowed| allowed.contains(&asked.provider))
    }
}

impl From<DenyCode> for Refusal {
    fn from(code: DenyCode) -> Self {
        let retry_after_s = 0;
        Self { code, retry_after_s }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_wire::control::Class;

    use super::*;
    use crate::{
        accounts::{Accounts, State},
        books::Scope,
        limits::Limits,
        secret::Secret,
    };

    fn key() -> Key {
        Key { name: "laptop".into(), tenant: "acme".into(), ..Key::default() }
    }

    fn asked(provider: u16, class: Class, custody: Custody) -> Authorize {
        Authorize { session: 7, request: 1, attempt: 1, provider, class, custody, owner: [0; 32] }
    }

    fn directory() -> Directory {
        let account = Account {
            number: 4,
            provider: 0,
            credential: Secret::new("sk-made-up".into()),
            owner: None,
            state: State::Active,
            weight: 1,
            priority: 0,
        };
        Directory { accounts: Accounts(vec![account]), ..Directory::default() }
    }

    fn limited(directory: &mut Directory) {
        let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
        directory.limits.insert((Scope::Key, "laptop".into()), limits);
    }

    fn decide(
        policy: &Policy,
        directory: &Directory,
        key: &Key,
        asked: &Authorize,
    ) -> Result<Option<u32>, DenyCode> {
        let decision = policy.decide(directory, key, asked, Instant::now());
        decision.map(|a| a.account.map(|a| a.number)).map_err(|refusal| refusal.code)
    }

    fn both() -> Policy {
        Policy::new(Custody::ALL.into())
    }

    #[test]
    fn host_custody_takes_an_account_and_client_custody_none() {
        let (policy, directory) = (both(), directory());
        let ask = |provider, custody| {
            decide(&policy, &directory, &key(), &asked(provider, Class::Generate, custody))
        };
        assert_eq!(ask(0, Custody::Host), Ok(Some(4)));
        assert_eq!(ask(0, Custody::Client), Ok(None));
        assert_eq!(ask(1, Custody::Client), Ok(None));
        assert_eq!(ask(1, Custody::Host), Err(DenyCode::Account));
    }

    #[test]
    fn a_custody_that_is_not_served_is_refused() {
        let policy = Policy::new(vec![Custody::Client]);
        let ask = asked(0, Class::Generate, Custody::Host);
        assert_eq!(decide(&policy, &directory(), &key(), &ask), Err(DenyCode::Custody));
    }

    #[test]
    fn a_key_is_held_to_its_providers_and_classes() {
        let (providers, classes) = (Some(vec![1]), Some(vec![Class::Count]));
        let narrow = Key { providers, classes, ..key() };
        let (policy, directory) = (both(), directory());
        let ask = |provider, class| {
            decide(&policy, &directory, &narrow, &asked(provider, class, Custody::Client))
        };
        assert_eq!(ask(1, Class::Count), Ok(None));
        assert_eq!(ask(0, Class::Count), Err(DenyCode::Endpoint));
        assert_eq!(ask(1, Class::Generate), Err(DenyCode::Endpoint));
    }

    #[test]
    fn what_stays_in_a_shared_account_needs_the_class_by_name() {
        let named = Key { classes: Some(vec![Class::File]), ..key() };
        let (policy, directory) = (both(), directory());
        for class in [Class::File, Class::Batch, Class::Stored] {
            let (host, client) = (asked(0, class, Custody::Host), asked(0, class, Custody::Client));
            assert_eq!(decide(&policy, &directory, &key(), &host), Err(DenyCode::Endpoint));
            assert_eq!(decide(&policy, &directory, &key(), &client), Ok(None));
        }
        let file = asked(0, Class::File, Custody::Host);
        assert_eq!(decide(&policy, &directory, &named, &file), Ok(Some(4)));
    }

    #[test]
    fn a_retry_does_not_count_against_the_rate() {
        let (policy, mut directory) = (both(), directory());
        limited(&mut directory);
        let mut ask = asked(0, Class::Generate, Custody::Client);
        for attempt in 1..=4 {
            ask.attempt = attempt;
            assert_eq!(decide(&policy, &directory, &key(), &ask), Ok(None), "{attempt}");
        }
        ask.attempt = 1;
        assert_eq!(decide(&policy, &directory, &key(), &ask), Err(DenyCode::Rate));
    }

    #[test]
    fn a_refused_request_does_not_count_against_the_rate() {
        let (policy, mut directory) = (both(), directory());
        limited(&mut directory);
        let no_account = asked(1, Class::Generate, Custody::Host);
        assert_eq!(decide(&policy, &directory, &key(), &no_account), Err(DenyCode::Account));
        let list = asked(0, Class::List, Custody::Host);
        assert_eq!(decide(&policy, &directory, &key(), &list), Ok(Some(4)));
    }
}
