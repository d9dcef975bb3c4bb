//! The grants of this host that are open: the place that each has among its key's streams, and that
//! a stop waits for its end. The books do not depend on it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    drain::Piece,
    fleet::{Boot, EnclaveId, Fleet},
    limits::Permit,
};

/// What an open grant holds.
#[derive(Debug)]
pub(crate) struct OpenGrant {
    pub(crate) enclave: EnclaveId,
    pub(crate) boot: Boot,
    pub(crate) since: Instant,
    pub(crate) permit: Permit,
    pub(crate) piece: Piece,
}

/// All of them by their numbers.
#[derive(Debug, Default)]
pub(crate) struct OpenGrants(Mutex<HashMap<u64, OpenGrant>>);

impl OpenGrants {
    /// The enclave may have this grant from now on.
    pub(crate) fn begin(&self, number: u64, open: OpenGrant) {
        self.all().insert(number, open);
    }

    /// Its usage has arrived, so its place is free: an enclave asks for the next attempt before it
    /// hears that the last is booked.
    pub(crate) fn reported(&self, number: u64, boot: Boot) {
        if let Some(open) = self.all().get_mut(&number).filter(|open| open.boot == boot) {
            open.permit.release();
        }
    }

    /// Its usage is booked.
    pub(crate) fn end(&self, number: u64, boot: Boot) -> Option<OpenGrant> {
        let mut all = self.all();
        all.get(&number).filter(|open| open.boot == boot)?;
        all.remove(&number)
    }

    /// It was given up.
    pub(crate) fn lost(&self, number: u64) {
        drop(self.all().remove(&number));
    }

    /// Forgets those that nobody will report any more: of a boot that is gone, or past the deadline,
    /// whichever host gives them up.
    pub(crate) fn forget(&self, fleet: &Fleet, deadline: Duration, now: Instant) {
        self.all().retain(|_, open| {
            let in_time = now.saturating_duration_since(open.since) < deadline;
            in_time && fleet.may_report(open.enclave, open.boot, now)
        });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, OpenGrant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::{
        books::Scope,
        config::Enclave,
        drain::Work,
        fleet::GONE,
        keys::Key,
        legs::Place,
        limits::{LimitMap, Limiter, Limits},
    };

    const DAY: Duration = Duration::from_secs(86_400);
    const BOOT: Boot = Boot([1; 16]);

    /// A key with one stream, and a host with one enclave.
    struct One {
        limiter: Arc<Limiter>,
        limits: LimitMap,
        work: Work,
        fleet: Fleet,
        grants: OpenGrants,
        now: Instant,
    }

    impl One {
        fn new() -> Self {
            let one = Limits { streams: Some(1), ..Limits::default() };
            let place = Place::Vsock(16);
            Self {
                limiter: Arc::default(),
                limits: LimitMap::from([((Scope::Key, "a".to_owned()), one)]),
                work: Work::default(),
                fleet: Fleet::new(&[Enclave { name: "blue".into(), release: 7, place }]),
                grants: OpenGrants::default(),
                now: Instant::now(),
            }
        }

        fn permit(&self) -> Option<Permit> {
            let key = Key { name: "a".into(), tenant: "t".into(), ..Key::default() };
            self.limiter.request(&self.limits, &key, true, self.now).ok()
        }

        /// Grant 5 of the boot takes the one place.
        fn begin(&self) {
            let (permit, piece) = (self.permit().unwrap(), self.work.begin().unwrap());
            let (enclave, boot, since) = (EnclaveId(0), BOOT, self.now);
            self.grants.begin(5, OpenGrant { enclave, boot, since, permit, piece });
            assert!(self.permit().is_none());
        }
    }

    #[test]
    fn a_place_is_free_when_usage_arrives_and_the_grant_stays_until_it_is_booked() {
        let one = One::new();
        let _up = one.fleet.attach(EnclaveId(0), BOOT);
        one.begin();
        one.grants.reported(5, Boot([2; 16]));
        assert!(one.permit().is_none(), "another boot cannot free it");
        one.grants.reported(5, BOOT);
        let next = one.permit().unwrap();
        assert!(one.grants.end(5, Boot([2; 16])).is_none());
        drop(one.grants.end(5, BOOT).unwrap());
        assert!(one.permit().is_none(), "the place was given back twice");
        drop(next);
        assert!(one.permit().is_some());
    }

    #[test]
    fn places_past_the_deadline_are_free() {
        let one = One::new();
        let _up = one.fleet.attach(EnclaveId(0), BOOT);
        one.begin();
        one.grants.forget(&one.fleet, DAY, one.now + DAY - Duration::from_secs(1));
        assert!(one.permit().is_none());
        one.grants.forget(&one.fleet, DAY, one.now + DAY);
        assert!(one.permit().is_some());
    }

    #[test]
    fn places_of_a_boot_that_is_gone_or_replaced_are_free() {
        let one = One::new();
        let up = one.fleet.attach(EnclaveId(0), BOOT);
        one.begin();
        drop(up);
        one.grants.forget(&one.fleet, DAY, Instant::now());
        assert!(one.permit().is_none(), "an enclave that lives dials again at once");
        one.grants.forget(&one.fleet, DAY, Instant::now() + GONE);
        assert!(one.permit().is_some());
        let up = one.fleet.attach(EnclaveId(0), BOOT);
        one.begin();
        let _next = one.fleet.attach(EnclaveId(0), Boot([2; 16]));
        drop(up);
        one.grants.forget(&one.fleet, DAY, Instant::now());
        assert!(one.permit().is_some());
    }
}
