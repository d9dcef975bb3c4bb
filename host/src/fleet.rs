//! The enclaves of this host: which release each runs, and whether its control channel is up.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::config::Enclave;

/// An enclave that lives and has lost its channel has another one after less than this.
const DIALS_AGAIN: Duration = Duration::from_secs(1);

/// After this time without a channel a boot is taken for dead by what keeps no books.
pub(crate) const GONE: Duration = Duration::from_secs(60);

/// Position of an enclave in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnclaveId(pub usize);

/// One start of an enclave program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Boot(pub [u8; 16]);

impl std::fmt::Display for Boot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why no enclave could be picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPick {
    /// None is configured with a release that the client accepts.
    Release,
    /// Such enclaves exist, but none has a control channel.
    Enclave,
}

/// All enclaves.
#[derive(Debug)]
pub struct Fleet {
    slots: Vec<Slot>,
    turn: AtomicUsize,
    channels: AtomicU64,
}

#[derive(Debug)]
struct Slot {
    release: u32,
    channel: Mutex<Option<Channel>>,
    last: Mutex<Option<Last>>,
}

/// The last boot that an enclave showed.
#[derive(Debug, Clone, Copy)]
struct Last {
    boot: Boot,
    /// Since when it has no channel; none while it has one.
    gone: Option<Instant>,
}

#[derive(Debug)]
struct Channel {
    number: u64,
    replaced: Arc<Notify>,
}

/// Marks an enclave's control channel as up until it is dropped.
#[derive(Debug)]
pub struct Attached<'a> {
    slot: &'a Slot,
    number: u64,
    replaced: Arc<Notify>,
}

impl Fleet {
    /// Every enclave of the configuration, none of them up.
    pub fn new(enclaves: &[Enclave]) -> Self {
        let slot = |enclave: &Enclave| Slot {
            release: enclave.release,
            channel: Mutex::default(),
            last: Mutex::default(),
        };
        let slots = enclaves.iter().map(slot).collect();
        Self { slots, turn: AtomicUsize::new(0), channels: AtomicU64::new(0) }
    }

    /// Enclaves of an accepted release that answer, the one whose turn it is first.
    pub fn pick(&self, releases: &[u32]) -> Result<Vec<EnclaveId>, NoPick> {
        let accepted = |at: &usize| releases.contains(&self.slots[*at].release);
        let mut fitting: Vec<_> = (0..self.slots.len()).filter(accepted).collect();
        if fitting.is_empty() {
            return Err(NoPick::Release);
        }
        fitting.retain(|at| self.slots[*at].is_up());
        if fitting.is_empty() {
            return Err(NoPick::Enclave);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % fitting.len();
        fitting.rotate_left(turn);
        Ok(fitting.into_iter().map(EnclaveId).collect())
    }

    /// Waits until no enclave has had a control channel for [`DIALS_AGAIN`].
    pub async fn gone(&self) {
        let gone = |last: Last| last.is_gone(DIALS_AGAIN, Instant::now());
        while !self.slots.iter().all(|slot| slot.last().is_none_or(gone)) {
            sleep(DIALS_AGAIN).await;
        }
    }

    /// Whether that boot may still report what it was granted: no other has taken its place, and it
    /// has a channel or lost it less than [`GONE`] ago.
    pub(crate) fn may_report(&self, enclave: EnclaveId, boot: Boot, now: Instant) -> bool {
        let last = self.slots[enclave.0].last();
        last.is_some_and(|last| last.boot == boot && !last.is_gone(GONE, now))
    }

    /// The enclave has a control channel. One before it is told that it is replaced: an enclave has
    /// one channel, and it dials again only when it lost the last.
    pub fn attach(&self, enclave: EnclaveId, boot: Boot) -> Attached<'_> {
        let slot = &self.slots[enclave.0];
        let number = self.channels.fetch_add(1, Ordering::Relaxed);
        let replaced = Arc::new(Notify::new());
        let mut channel = slot.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Channel { number, replaced: Arc::clone(&replaced) };
        if let Some(old) = channel.replace(new) {
            old.replaced.notify_one();
        }
        *slot.last() = Some(Last { boot, gone: None });
        Attached { slot, number, replaced }
    }
}

impl Attached<'_> {
    /// Waits until the enclave has another channel.
    pub async fn replaced(&self) {
        self.replaced.notified().await;
    }
}

impl Last {
    /// Whether it has had no channel for so long.
    fn is_gone(self, long: Duration, now: Instant) -> bool {
        self.gone.is_some_and(|gone| now.saturating_duration_since(gone) >= long)
    }
}

impl Slot {
    fn is_up(&self) -> bool {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.is_some()
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        let mut channel = self.slot.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if channel.as_ref().is_some_and(|now| now.number == self.number) {
            *channel = None;
            if let Some(last) = self.slot.last().as_mut() {
                last.gone = Some(Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Boot, Enclave, EnclaveId, Fleet, NoPick};
    use crate::legs::Place;

    fn fleet(releases: &[u32]) -> Fleet {
        let enclave = |(at, release): (usize, &u32)| Enclave {
            name: format!("enclave-{at}"),
            release: *release,
            place: Place::Vsock(at as u32),
        };
        let enclaves: Vec<_> = releases.iter().enumerate().map(enclave).collect();
        Fleet::new(&enclaves)
    }

    #[test]
    fn only_an_accepted_release_that_is_up_is_picked() {
        let fleet = fleet(&[7, 8]);
        assert_eq!(fleet.pick(&[9]), Err(NoPick::Release));
        assert_eq!(fleet.pick(&[7, 8]), Err(NoPick::Enclave));
        let up = fleet.attach(EnclaveId(1), Boot([1; 16]));
        assert_eq!(fleet.pick(&[7]), Err(NoPick::Enclave));
        assert_eq!(fleet.pick(&[7, 8]), Ok(vec![EnclaveId(1)]));
        drop(up);
        assert_eq!(fleet.pick(&[8]), Err(NoPick::Enclave));
    }

    #[test]
    fn enclaves_of_one_release_take_turns() {
        let fleet = fleet(&[7, 7]);
        let _up =
            (fleet.attach(EnclaveId(0), Boot([1; 16])), fleet.attach(EnclaveId(1), Boot([1; 16])));
        let first = || fleet.pick(&[7]).unwrap()[0];
        assert_ne!(first(), first());
    }

    #[tokio::test]
    async fn a_new_channel_replaces_the_old_and_outlives_its_end() {
        let fleet = fleet(&[7]);
        let old = fleet.attach(EnclaveId(0), Boot([1; 16]));
        let _new = fleet.attach(EnclaveId(0), Boot([1; 16]));
        old.replaced().await;
        drop(old);
        assert!(fleet.pick(&[7]).is_ok());
    }
}
