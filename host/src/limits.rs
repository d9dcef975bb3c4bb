//! Rates and concurrency of keys, teams and tenants: buckets that fill with time, and permits that
//! are given back. A request must fit all limits that it comes under, or takes from none.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use aegis_wire::control::DenyCode;
use tokio::time::Instant;

use crate::{books::Scope, keys::Key, policy::Refusal};

/// What a key, a team or a tenant may do; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in and out in a minute. They are known when a request has ended, so the one that
    /// goes beyond passes, and the next waits until the excess has run off.
    pub tokens_per_minute: Option<u32>,
    /// Requests at one time.
    pub streams: Option<u32>,
    /// Sessions at one time.
    pub sessions: Option<u32>,
}

/// Limits by whose they are.
pub type LimitMap = BTreeMap<(Scope, String), Limits>;

/// What is used of the limits on this host.
#[derive(Debug, Default)]
pub struct Limiter(Mutex<HashMap<(Scope, String), Used>>);

#[derive(Debug, Default)]
struct Used {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    streams: u32,
    sessions: u32,
}

/// What is left of an amount for a minute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
}

/// What is given back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    all: Arc<Limiter>,
    holders: Vec<(Scope, String)>,
    of: Concurrent,
    /// Whether the place is still taken.
    held: bool,
    /// Whether it took a request out of the rates.
    counted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concurrent {
    Streams,
    Sessions,
}

/// Whose limits hold for a key.
fn holders(key: &Key) -> Vec<(Scope, String)> {
    let mut holders = vec![(Scope::Key, key.name.clone()), (Scope::Tenant, key.tenant.clone())];
    if !key.team.is_empty() {
        holders.push((Scope::Team, key.team.clone()));
    }
    holders
}

impl Limiter {
    /// Takes a place for a request; `counts` says whether it also counts as a request, which a
    /// further attempt at the same one does not.
    pub fn request(
        self: &Arc<Self>,
        limits: &LimitMap,
        key: &Key,
        counts: bool,
        now: Instant,
    ) -> Result<Permit, Refusal> {
        let holders = holders(key);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in &holders {
            let Some(limit) = limits.get(holder) else { continue };
            let used = all.entry(holder.clone()).or_default();
            if limit.streams.is_some_and(|most| used.streams >= most) {
                // Nobody knows when a stream ends.
                return Err(Refusal { code: DenyCode::Rate, retry_after_s: 1 });
            }
            if let Some(rate) = limit.tokens_per_minute {
                // What is over is paid back in time; anything left admits a request.
                Bucket::of(&mut used.tokens, rate, now).needs(f64::MIN_POSITIVE, rate)?;
            }
            if let Some(rate) = limit.requests_per_minute.filter(|_| counts) {
                Bucket::of(&mut used.requests, rate, now).needs(1.0, rate)?;
            }
        }
        for holder in &holders {
            let used = all.entry(holder.clone()).or_default();
            used.streams += 1;
            if let Some(bucket) = used.requests.as_mut().filter(|_| counts) {
                bucket.left -= 1.0;
            }
        }
        drop(all);
        let of = Concurrent::Streams;
        Ok(Permit { all: Arc::clone(self), holders, of, held: true, counted: counts })
    }

    /// Takes a place for a session; none when there are too many.
    pub fn session(self: &Arc<Self>, limits: &LimitMap, key: &Key) -> Option<Permit> {
        let holders = holders(key);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |holder: &(Scope, String)| {
            let most = limits.get(holder).and_then(|limit| limit.sessions);
            most.is_some_and(|most| all.get(holder).is_some_and(|used| used.sessions >= most))
        };
        // A limit of 0 closes a scope even before anybody was there.
        let closed = |holder: &(Scope, String)| {
            limits.get(holder).is_some_and(|limit| limit.sessions == Some(0))
        };
        if holders.iter().any(|holder| full(holder) || closed(holder)) {
            return None;
        }
        for holder in &holders {
            all.entry(holder.clone()).or_default().sessions += 1;
        }
        drop(all);
        let of = Concurrent::Sessions;
        Some(Permit { all: Arc::clone(self), holders, of, held: true, counted: false })
    }
}

impl Permit {
    /// These tokens were used under it.
    pub fn tokens(&self, limits: &LimitMap, tokens: u64, now: Instant) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in &self.holders {
            let Some(rate) = limits.get(holder).and_then(|limit| limit.tokens_per_minute) else {
                continue;
            };
            let used = all.entry(holder.clone()).or_default();
            Bucket::of(&mut used.tokens, rate, now).left -= tokens as f64;
        }
    }

    /// Gives the place back before this is dropped: what was used under it may still be told.
    pub fn release(&mut self) {
        if !std::mem::take(&mut self.held) {
            return;
        }
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in &self.holders {
            let Some(used) = all.get_mut(holder) else { continue };
            match self.of {
                Concurrent::Streams => used.streams = used.streams.saturating_sub(1),
                Concurrent::Sessions => used.sessions = used.sessions.saturating_sub(1),
            }
        }
    }

    /// Nothing was granted under it after all: the request counts in no rate.
    pub fn undo(self) {
        if !self.counted {
            return;
        }
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        for holder in &self.holders {
            // Never beyond full: the bucket is brought to its rate when it is looked at.
            if let Some(bucket) = all.get_mut(holder).and_then(|used| used.requests.as_mut()) {
                bucket.left += 1.0;
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.release();
    }
}

impl Bucket {
    /// The bucket as it is now; one that is new, or whose rate grew, begins full.
    pub(crate) fn of(slot: &mut Option<Self>, per_minute: u32, now: Instant) -> &mut Self {
        let full = f64::from(per_minute);
        let bucket = slot.get_or_insert(Self { left: full, at: now });
        let elapsed_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + elapsed_s * full / 60.0).min(full);
        bucket.at = now;
        bucket
    }

    /// One less in it.
    pub(crate) fn take(&mut self) {
        self.left -= 1.0;
    }

    /// Whether it has that much.
    pub(crate) fn needs(&self, amount: f64, per_minute: u32) -> Result<(), Refusal> {
        if self.left >= amount {
            return Ok(());
        }
        let wait_s = (amount - self.left) * 60.0 / f64::from(per_minute.max(1));
        let most = aegis_wire::limits::RETRY_AFTER_S;
        let retry_after_s = (wait_s.ceil().max(1.0) as u32).min(most);
        Err(Refusal { code: DenyCode::Rate, retry_after_s })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn key(name: &str, tenant: &str, team: &str) -> Key {
        Key { name: name.into(), tenant: tenant.into(), team: team.into(), ..Key::default() }
    }

    fn limits(scope: Scope, name: &str, limits: Limits) -> LimitMap {
        LimitMap::from([((scope, name.to_owned()), limits)])
    }

    #[test]
    fn a_rate_is_held_and_comes_back_with_time() {
        let all = Arc::new(Limiter::default());
        let two = Limits { requests_per_minute: Some(2), ..Limits::default() };
        let limits = limits(Scope::Key, "a", two);
        let start = Instant::now();
        let at = |s| {
            let now = start + Duration::from_secs(s);
            all.request(&limits, &key("a", "t", ""), true, now).map(|_| ())
        };
        assert_eq!((at(0), at(0)), (Ok(()), Ok(())));
        let refused = Refusal { code: DenyCode::Rate, retry_after_s: 30 };
        assert_eq!(at(0), Err(refused));
        assert_eq!((at(31), at(31).is_err()), (Ok(()), true));
    }

    #[test]
    fn a_further_attempt_is_no_request() {
        let all = Arc::new(Limiter::default());
        let one = Limits { requests_per_minute: Some(1), ..Limits::default() };
        let limits = limits(Scope::Tenant, "t", one);
        let (now, key) = (Instant::now(), key("a", "t", ""));
        assert!(all.request(&limits, &key, true, now).is_ok());
        assert!(all.request(&limits, &key, false, now).is_ok());
        assert!(all.request(&limits, &key, true, now).is_err());
    }

    #[test]
    fn a_request_that_was_not_granted_does_not_count() {
        let all = Arc::new(Limiter::default());
        let one = Limits { requests_per_minute: Some(1), streams: Some(1), ..Limits::default() };
        let limits = limits(Scope::Tenant, "t", one);
        let ask = |attempt| all.request(&limits, &key("a", "t", ""), attempt == 1, Instant::now());
        ask(1).unwrap().undo();
        let retry = ask(2).unwrap();
        retry.undo();
        let taken = ask(1).unwrap();
        drop(taken);
        assert!(ask(1).is_err(), "a retry gave back what it had not taken");
    }

    #[test]
    fn keys_of_one_team_share_its_places_and_give_them_back() {
        let all = Arc::new(Limiter::default());
        let two = Limits { streams: Some(2), ..Limits::default() };
        let limits = limits(Scope::Team, "t/red", two);
        let now = Instant::now();
        let ask = |name| all.request(&limits, &key(name, "t", "t/red"), true, now);
        let (first, _second) = (ask("a").unwrap(), ask("b").unwrap());
        assert_eq!(ask("c").unwrap_err().code, DenyCode::Rate);
        drop(first);
        assert!(ask("c").is_ok());
        assert!(all.request(&limits, &key("d", "t", "t/blue"), true, now).is_ok());
    }

    #[test]
    fn tokens_beyond_the_rate_are_paid_back_in_time() {
        let all = Arc::new(Limiter::default());
        let rate = Limits { tokens_per_minute: Some(600), ..Limits::default() };
        let limits = limits(Scope::Key, "a", rate);
        let start = Instant::now();
        let ask =
            |s| all.request(&limits, &key("a", "t", ""), true, start + Duration::from_secs(s));
        ask(0).unwrap().tokens(&limits, 900, start);
        assert_eq!(ask(0).unwrap_err().retry_after_s, 30);
        assert!(ask(29).is_err());
        assert!(ask(31).is_ok());
    }

    #[test]
    fn sessions_have_places_of_their_own() {
        let all = Arc::new(Limiter::default());
        let one = Limits { sessions: Some(1), ..Limits::default() };
        let limits = limits(Scope::Tenant, "t", one);
        let first = all.session(&limits, &key("a", "t", "")).unwrap();
        assert!(all.session(&limits, &key("b", "t", "")).is_none());
        assert!(all.session(&limits, &key("b", "u", "")).is_some());
        drop(first);
        assert!(all.session(&limits, &key("b", "t", "")).is_some());
        let none = super::LimitMap::from([(
            (Scope::Key, "z".to_owned()),
            Limits { sessions: Some(0), ..Limits::default() },
        )]);
        assert!(all.session(&none, &key("z", "t", "")).is_none());
    }
}
