//! The end of a host that is told to stop: nothing new begins, and what runs has time to end.
//!
//! A grant is open until its usage is on the books and acknowledged. A host that ended before would
//! leave that to the next start; the books would be right, but late.

use std::sync::Arc;

use tokio::sync::watch;

/// What a host has in hand: questions that it answers, and grants that are open.
#[derive(Debug, Default)]
pub(crate) struct Work(Arc<watch::Sender<InHand>>);

#[derive(Debug, Default)]
struct InHand {
    pieces: usize,
    /// Nothing may begin any more.
    stopped: bool,
}

/// One piece of work, until it is dropped.
#[derive(Debug)]
pub(crate) struct Piece(Arc<watch::Sender<InHand>>);

impl Work {
    /// Begins a piece of work; none once the host stops.
    pub(crate) fn begin(&self) -> Option<Piece> {
        let begun = self.0.send_if_modified(|all| {
            all.pieces += usize::from(!all.stopped);
            !all.stopped
        });
        begun.then(|| Piece(Arc::clone(&self.0)))
    }

    /// Lets nothing begin any more.
    pub(crate) fn stop(&self) {
        self.0.send_modify(|all| all.stopped = true);
    }

    /// Waits until all that began has ended.
    pub(crate) async fn ended(&self) {
        // The sender lives as long as this, so the wait has no other end.
        let _ = self.0.subscribe().wait_for(|all| all.pieces == 0).await;
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.send_modify(|all| all.pieces -= 1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn nothing_begins_after_the_stop_and_what_began_ends() {
        let work = Work::default();
        let [first, second] = [work.begin().unwrap(), work.begin().unwrap()];
        work.stop();
        let mut end = pin!(work.ended());
        assert!(poll!(&mut end).is_pending());
        assert!(work.begin().is_none());
        drop(first);
        assert!(poll!(&mut end).is_pending());
        drop(second);
        assert!(poll!(&mut end).is_ready());
    }
}
