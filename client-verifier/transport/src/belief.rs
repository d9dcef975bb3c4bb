//! What a client believes now, and the sessions that were verified under it.
//!
//! When the belief changes, no session verified under the old one takes a further request. Streams
//! in flight finish where the enclave is still accepted, and break where it is not: a withdrawn
//! release is not talked to any longer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Attested, Session, Trust, gate::Gate};

/// The belief and what hangs on it.
pub(crate) struct Belief(Mutex<Inner>);

struct Inner {
    trust: Trust,
    /// Counts changes.
    generation: u64,
    live: Vec<Live>,
}

/// A session that may have streams in flight.
struct Live {
    gate: Gate,
    attested: Attested,
}

impl Belief {
    pub(crate) fn new(trust: Trust) -> Self {
        Self(Mutex::new(Inner { trust, generation: 0, live: Vec::new() }))
    }

    /// The belief, and its number for [`Self::admit`].
    pub(crate) fn now(&self) -> (Trust, u64) {
        let inner = self.lock();
        (inner.trust.clone(), inner.generation)
    }

    /// Takes up a session that was verified under the belief of this number; not if that has
    /// changed since.
    pub(crate) fn admit(&self, session: &Session, generation: u64) -> bool {
        let mut inner = self.lock();
        if inner.generation != generation {
            return false;
        }
        inner.live.retain(|live| !live.gate.is_idle());
        let (gate, attested) = (session.gate().clone(), session.attested().clone());
        inner.live.push(Live { gate, attested });
        true
    }

    /// Changes the belief, and ends what was verified under the old one.
    pub(crate) fn change(&self, trust: Trust) {
        let mut inner = self.lock();
        inner.generation += 1;
        for live in &inner.live {
            match trust.still_accepts(&live.attested) {
                true => live.gate.retire(),
                false => live.gate.cut(),
            }
        }
        // Retired ones stay: a later change may cut what is in flight on them.
        inner.live.retain(|live| !live.gate.is_idle());
        inner.trust = trust;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change under the lock is whole before anything could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
