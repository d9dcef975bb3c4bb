//! How a session is ended from outside: when what the client believes has changed.
//!
//! Everything of a connection runs on the [`Executor`] of its session, so that cutting the session
//! drops its socket, whoever holds a stream of it.

use hyper::rt;
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// No further request; streams in flight finish.
    Retired,
    /// Nothing more: streams in flight break.
    Cut,
}

/// The switch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(watch::Sender<State>);

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        *self.0.borrow() == State::Open
    }

    /// Lets streams in flight finish.
    pub(crate) fn retire(&self) {
        self.0.send_if_modified(|state| {
            let open = *state == State::Open;
            if open {
                *state = State::Retired;
            }
            open
        });
    }

    /// Breaks streams in flight.
    pub(crate) fn cut(&self) {
        self.0.send_replace(State::Cut);
    }

    /// Whether nothing of the connection runs any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.receiver_count() == 0
    }

    pub(crate) fn executor(&self) -> Executor {
        Executor(self.0.subscribe())
    }
}

/// Runs futures until they end or the session is cut.
#[derive(Clone, Debug)]
pub(crate) struct Executor(watch::Receiver<State>);

impl Executor {
    pub(crate) fn spawn<F>(&self, work: F)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let mut state = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = work => {}
                // Without a sender nobody can cut it any more: then the work goes on to its end.
                Ok(_) = state.wait_for(|state| *state == State::Cut) => {}
            }
        });
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, work: F) {
        self.spawn(work);
    }
}
