//! Who may do what, and how often. Every refusal is one of the protocol's deny codes.

use std::sync::{Mutex, PoisonError};

use aegis_wire::control::{Authorize, Class, Custody, DenyCode};
use tokio::time::Instant;

use crate::{
    accounts::{Account, Accounts},
    keys::{Key, KeyId, Keys},
};

/// What clients may ask for.
#[derive(Debug)]
pub struct Policy {
    keys: Keys,
    accounts: Accounts,
    custodies: Vec<Custody>,
    buckets: Mutex<Vec<Bucket>>,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The reason on the wire.
    pub code: DenyCode,
    /// Seconds to wait; 0 says nothing.
    pub retry_after_s: u32,
}

/// Requests that a key may still make; refilled with time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Policy {
    /// A policy whose limits are untouched at `now`.
    pub fn new(keys: Keys, accounts: Accounts, custodies: Vec<Custody>, now: Instant) -> Self {
        let full = |key: &Key| Bucket {
            left: f64::from(key.requests_per_minute.unwrap_or_default()),
            at: now,
        };
        let buckets = Mutex::new(keys.0.iter().map(full).collect());
        Self { keys, accounts, custodies, buckets }
    }

    /// The keys it knows.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether that key may make that attempt, and with which account; none in client custody.
    pub fn decide(
        &self,
        key: KeyId,
        asked: &Authorize,
        now: Instant,
    ) -> Result<Option<&Account>, Refusal> {
        let holder = self.keys.by_id(key).ok_or(DenyCode::Key)?;
        if !self.custodies.contains(&asked.custody) {
            return Err(DenyCode::Custody.into());
        }
        if !holder.may_use(asked) {
            return Err(DenyCode::Endpoint.into());
        }
        let account = match asked.custody {
            Custody::Client => None,
            Custody::Host | Custody::Sealed => {
                let owner = (asked.custody == Custody::Sealed).then_some(asked.owner);
                let (tenant, attempt) = (&holder.tenant, asked.attempt);
                let chosen = self.accounts.choose(asked.provider, owner, tenant, attempt);
                Some(chosen.ok_or(DenyCode::Account)?)
            }
        };
        // A retry is the same request.
        if asked.attempt == 1
            && let Some(per_minute) = holder.requests_per_minute
        {
            self.draw(key, f64::from(per_minute), now)?;
        }
        Ok(account)
    }

    /// Takes one request out of a key's bucket.
    fn draw(&self, key: KeyId, per_minute: f64, now: Instant) -> Result<(), Refusal> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get_mut(key.0) else {
            return Err(DenyCode::Key.into());
        };
        let elapsed_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + elapsed_s * per_minute / 60.0).min(per_minute);
        bucket.at = now;
        if bucket.left < 1.0 {
            let wait_s = (1.0 - bucket.left) * 60.0 / per_minute;
            return Err(Refusal {
                code: DenyCode::Rate,
                // At most 60 s, because a bucket fills by at least one request in a minute.
                retry_after_s: wait_s.ceil() as u32,
            });
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

impl Key {
    fn may_use(&self, asked: &Authorize) -> bool {
        let providers = self.providers.as_ref();
        let class = match &self.classes {
            Some(classes) => classes.contains(&asked.class),
            None => asked.custody == Custody::Client || !leaves_objects(asked.class),
        };
        class && providers.is_none_or(|allowed| allowed.contains(&asked.provider))
    }
}

/// Classes whose objects stay in the provider account, where one tenant could read another's: in
/// host custody a key has them only by name.
fn leaves_objects(class: Class) -> bool {
    match class {
        Class::File | Class::Batch | Class::Stored => true,
        Class::Generate | Class::Count | Class::List => false,
        Class::Embed | Class::Media | Class::Realtime => false,
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
    use std::time::Duration;

    use super::{
        Account, Accounts, Authorize, Class, Custody, DenyCode, Instant, Key, KeyId, Keys, Policy,
        Refusal,
    };
    use crate::secret::Secret;

    fn key() -> Key {
        Key {
            name: "laptop".into(),
            tenant: "acme".into(),
            digest: [0; 32],
            providers: None,
            classes: None,
            requests_per_minute: None,
        }
    }

    fn asked(provider: u16, class: Class, custody: Custody) -> Authorize {
        Authorize { session: 7, request: 1, attempt: 1, provider, class, custody, owner: [0; 32] }
    }

    fn policy(key: Key, custodies: &[Custody]) -> Policy {
        let credential = Secret::new("sk-made-up".into());
        let account = Account { number: 4, provider: 0, credential, owner: None };
        let (keys, accounts) = (Keys(vec![key]), Accounts(vec![account]));
        Policy::new(keys, accounts, custodies.into(), Instant::now())
    }

    fn decide(policy: &Policy, asked: &Authorize) -> Result<Option<u32>, DenyCode> {
        let decision = policy.decide(KeyId(0), asked, Instant::now());
        decision.map(|a| a.map(|a| a.number)).map_err(|refusal| refusal.code)
    }

    const BOTH: &[Custody] = Custody::ALL;

    #[test]
    fn host_custody_takes_an_account_and_client_custody_none() {
        let policy = policy(key(), BOTH);
        let ask = |provider, custody| decide(&policy, &asked(provider, Class::Generate, custody));
        assert_eq!(ask(0, Custody::Host), Ok(Some(4)));
        assert_eq!(ask(0, Custody::Client), Ok(None));
        assert_eq!(ask(1, Custody::Client), Ok(None));
        assert_eq!(ask(1, Custody::Host), Err(DenyCode::Account));
    }

    #[test]
    fn a_custody_that_is_not_served_is_refused() {
        let policy = policy(key(), &[Custody::Client]);
        let ask = asked(0, Class::Generate, Custody::Host);
        assert_eq!(decide(&policy, &ask), Err(DenyCode::Custody));
    }

    #[test]
    fn a_key_is_held_to_its_providers_and_classes() {
        let mut narrow = key();
        narrow.providers = Some(vec![1]);
        narrow.classes = Some(vec![Class::Count]);
        let policy = policy(narrow, BOTH);
        let ask = |provider, class| decide(&policy, &asked(provider, class, Custody::Client));
        assert_eq!(ask(1, Class::Count), Ok(None));
        assert_eq!(ask(0, Class::Count), Err(DenyCode::Endpoint));
        assert_eq!(ask(1, Class::Generate), Err(DenyCode::Endpoint));
    }

    #[test]
    fn what_stays_in_a_shared_account_needs_the_class_by_name() {
        let mut named = key();
        named.classes = Some(vec![Class::File]);
        for class in [Class::File, Class::Batch, Class::Stored] {
            let (host, client) = (asked(0, class, Custody::Host), asked(0, class, Custody::Client));
            assert_eq!(decide(&policy(key(), BOTH), &host), Err(DenyCode::Endpoint));
            assert_eq!(decide(&policy(key(), BOTH), &client), Ok(None));
        }
        let file = asked(0, Class::File, Custody::Host);
        assert_eq!(decide(&policy(named, BOTH), &file), Ok(Some(4)));
    }

    #[test]
    fn a_rate_is_held_and_comes_back_with_time() {
        let mut limited = key();
        limited.requests_per_minute = Some(2);
        let policy = policy(limited, BOTH);
        let (start, ask) = (Instant::now(), asked(0, Class::Generate, Custody::Client));
        let at = |s| {
            let now = start + Duration::from_secs(s);
            policy.decide(KeyId(0), &ask, now).map(|_| ())
        };
        assert_eq!((at(0), at(0)), (Ok(()), Ok(())));
        let refused = at(0).unwrap_err();
        let Refusal { code, retry_after_s } = refused;
        assert_eq!((code, retry_after_s), (DenyCode::Rate, 30));
        assert_eq!((at(31), at(31).is_err()), (Ok(()), true));
    }

    #[test]
    fn a_retry_does_not_count_against_the_rate() {
        let mut limited = key();
        limited.requests_per_minute = Some(1);
        let policy = policy(limited, BOTH);
        let mut ask = asked(0, Class::Generate, Custody::Client);
        let attempts = (1..=4).map(|attempt| {
            ask.attempt = attempt;
            decide(&policy, &ask)
        });
        assert!(attempts.collect::<Vec<_>>().iter().all(|granted| *granted == Ok(None)));
    }

    #[test]
    fn a_refused_request_does_not_count_against_the_rate() {
        let mut limited = key();
        limited.requests_per_minute = Some(1);
        let policy = policy(limited, BOTH);
        let no_account = asked(1, Class::Generate, Custody::Host);
        assert_eq!(decide(&policy, &no_account), Err(DenyCode::Account));
        assert_eq!(decide(&policy, &asked(0, Class::List, Custody::Host)), Ok(Some(4)));
    }
}
