//! Open sessions: the number in a preface, and whose it is. The enclave repeats that number in
//! `Authorize`; only the enclave that was given it is believed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{fleet::EnclaveId, keys::KeyId, limits::Permit};

/// An open session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its number.
    pub number: u64,
    /// Who opened it.
    pub key: KeyId,
    /// Where it ends.
    pub enclave: EnclaveId,
}

/// All open sessions.
#[derive(Debug)]
pub struct Sessions(Mutex<State>);

#[derive(Debug)]
struct State {
    next: u64,
    open: HashMap<u64, Session>,
}

impl Sessions {
    /// Numbers begin at one that the store gave to this start alone: an enclave may still speak of
    /// sessions of the host before.
    pub fn new(next: u64) -> Self {
        let open = HashMap::new();
        Self(Mutex::new(State { next, open }))
    }

    /// Opens one; it ends when the value returned is dropped.
    pub fn open(self: &Arc<Self>, key: KeyId, enclave: EnclaveId) -> OpenSession {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = state.next;
        state.next += 1;
        let session = Session { number, key, enclave };
        state.open.insert(number, session);
        OpenSession { session, all: Arc::clone(self), permit: None }
    }

    /// The open session of that number.
    pub fn find(&self, number: u64) -> Option<Session> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.get(&number).copied()
    }
}

/// Keeps a session open.
#[derive(Debug)]
pub struct OpenSession {
    /// The session.
    pub session: Session,
    all: Arc<Sessions>,
    /// Its place among the key's sessions.
    permit: Option<Permit>,
}

impl OpenSession {
    /// Gives this place back when the session ends.
    pub fn with(mut self, permit: Option<Permit>) -> Self {
        self.permit = permit;
        self
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        let mut state = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(&self.session.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{EnclaveId, KeyId, Sessions};

    #[test]
    fn a_session_is_known_exactly_while_it_is_open() {
        let sessions = Arc::new(Sessions::new(1));
        let first = sessions.open(KeyId([0; 32]), EnclaveId(0));
        let second = sessions.open(KeyId([1; 32]), EnclaveId(0));
        assert_eq!(second.session.number, first.session.number + 1);
        let number = first.session.number;
        assert_eq!(sessions.find(number).map(|s| s.key), Some(KeyId([0; 32])));
        drop(first);
        assert_eq!(sessions.find(number), None);
    }
}
