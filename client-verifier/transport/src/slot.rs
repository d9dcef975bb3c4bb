//! One session, shared by everybody who asks, made anew when it no longer takes requests.
//!
//! Those who ask while it is being made wait for the same attempt and get the same error, so a
//! router that is away costs each of them one attempt's time and no more.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, Shared};

use crate::{Error, Session};

type Made = Result<Arc<Session>, Error>;

/// The session of one virtual key.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Shared<BoxFuture<'static, Made>>>>);

impl Slot {
    /// The open session, or the one that `make` makes.
    pub(crate) async fn session<F>(&self, make: impl FnOnce() -> F) -> Made
    where
        F: Future<Output = Made> + Send + 'static,
    {
        self.attempt(make).await
    }

    /// Makes the next to ask make a new session, unless that has happened already.
    pub(crate) fn forget(&self, session: &Arc<Session>) {
        let mut attempt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = attempt.as_ref().and_then(Shared::peek);
        if matches!(held, Some(Ok(held)) if Arc::ptr_eq(held, session)) {
            *attempt = None;
        }
    }

    /// Whether there is a session or one is being made.
    pub(crate) fn in_use(&self) -> bool {
        let attempt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempt.as_ref().is_some_and(usable)
    }

    fn attempt<F>(&self, make: impl FnOnce() -> F) -> Shared<BoxFuture<'static, Made>>
    where
        F: Future<Output = Made> + Send + 'static,
    {
        // What runs under the lock does not panic; a poisoned slot still holds a whole attempt.
        let mut attempt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*attempt {
            Some(made) if usable(made) => made.clone(),
            _ => {
                // A task of its own: it goes on when the one who asked first goes away.
                let task = tokio::spawn(make());
                let made = async { task.await.unwrap_or(Err(Error::NotSent)) };
                attempt.insert(made.boxed().shared()).clone()
            }
        }
    }
}

fn usable(attempt: &Shared<BoxFuture<'static, Made>>) -> bool {
    match attempt.peek() {
        None => true,
        Some(Ok(session)) => session.is_open(),
        Some(Err(_)) => false,
    }
}
