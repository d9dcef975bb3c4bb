//! What a malicious program sees and may change, wherever it sits.
//!
//! In the plaintext router it is shown whole HTTP messages. In the host's place it is shown every
//! piece of every leg as it passes: TLS records, control frames. It is the same value in both
//! places, and it is asked to do the same thing with what it is shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Which way something passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the user to the provider.
    Up,
    /// From the provider to the user.
    Down,
}

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Passing {
    /// Which way it goes.
    pub direction: Direction,
    /// Header fields, where the place can tell them apart: none on a wire of ciphertext.
    pub head: Vec<(String, Vec<u8>)>,
    /// A whole body, or a piece as it was cut on the wire.
    pub body: Vec<u8>,
}

impl Passing {
    /// A piece without a head, as a wire shows it.
    pub fn piece(direction: Direction, body: &[u8]) -> Self {
        Self { direction, head: Vec::new(), body: body.to_vec() }
    }
}

/// A malicious program: what it does with what it is shown.
pub trait Attacker: Send + Sync {
    /// Looks at something on its way, and may change its body.
    fn see(&self, passing: &mut Passing);

    /// The secrets that it has taken so far.
    fn taken(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// The time of day as the attacker's machine tells it; scenarios set it, so that no test waits.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Sets the hour of the day, 0 to 23.
    pub fn set_hour(&self, hour: u8) {
        self.0.store(u64::from(hour), Ordering::SeqCst);
    }

    /// The hour of the day.
    pub fn hour(&self) -> u8 {
        u8::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(u8::MAX)
    }
}
