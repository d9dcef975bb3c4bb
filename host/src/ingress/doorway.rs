//! What clients may take before they have shown a key, and what a wrong key costs: shared out by
//! address, so that one of them cannot shut out the others. An address is an IPv4 address or an IPv6
//! /64, which one customer of a network has whole.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::limits::Bucket;

/// Clients in the handshake or head at one time; a further one is turned away at once.
const UNKNOWN_CLIENTS: usize = 1024;
/// As many of these one address may take: a large office behind one address connects in turns.
const OF_ONE_ADDRESS: usize = 128;
/// Wrong keys of one address in a minute; then it is not asked for a key until some time has passed.
const WRONG_KEYS_PER_MINUTE: u32 = 60;
/// Addresses that are remembered. A table that is full forgets those that have nobody in the door.
const ADDRESSES: usize = 65_536;

/// The door, and who stands in it.
#[derive(Debug, Default)]
pub(super) struct Doorway(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: usize,
    by_address: HashMap<Address, Of>,
}

#[derive(Debug, Default)]
struct Of {
    taken: usize,
    wrong_keys: Option<Bucket>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Address {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// Why a client was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("too many clients without a key")]
    All,
    #[error("too many clients without a key from one address")]
    Address,
}

/// A place in the door until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    door: Arc<Doorway>,
    address: Address,
}

impl Doorway {
    /// Takes a place for a client from there.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Result<Place, Full> {
        let address = Address::from(from);
        let mut state = self.state();
        if state.taken >= UNKNOWN_CLIENTS {
            return Err(Full::All);
        }
        if state.by_address.len() >= ADDRESSES && !state.by_address.contains_key(&address) {
            state.by_address.retain(|_, of| of.taken > 0);
        }
        let of = state.by_address.entry(address).or_default();
        if of.taken >= OF_ONE_ADDRESS {
            return Err(Full::Address);
        }
        of.taken += 1;
        state.taken += 1;
        Ok(Place { door: Arc::clone(self), address })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Seconds until a key from this address is looked at again; none when it is looked at now.
    pub(super) fn wait_s(&self, now: Instant) -> Option<u32> {
        let mut state = self.door.state();
        let of = state.by_address.get_mut(&self.address)?;
        of.wrong_keys.as_ref()?;
        let bucket = Bucket::of(&mut of.wrong_keys, WRONG_KEYS_PER_MINUTE, now);
        bucket.needs(1.0, WRONG_KEYS_PER_MINUTE).err().map(|refusal| refusal.retry_after_s)
    }

    /// A key from this address was wrong.
    pub(super) fn wrong_key(&self, now: Instant) {
        if let Some(of) = self.door.state().by_address.get_mut(&self.address) {
            Bucket::of(&mut of.wrong_keys, WRONG_KEYS_PER_MINUTE, now).take();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.door.state();
        state.taken -= 1;
        if let Some(of) = state.by_address.get_mut(&self.address) {
            of.taken -= 1;
            if of.taken == 0 && of.wrong_keys.is_none() {
                state.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fill(door: &Arc<Doorway>, from: &str) -> Vec<Place> {
        (0..OF_ONE_ADDRESS).map(|_| door.enter(ip(from)).unwrap()).collect()
    }

    #[test]
    fn one_address_takes_its_share_and_leaves_the_rest() {
        let door = Arc::new(Doorway::default());
        let mut first = fill(&door, "192.0.2.1");
        assert_eq!(door.enter(ip("192.0.2.1")).unwrap_err(), Full::Address);
        assert_eq!(door.enter(ip("::ffff:192.0.2.1")).unwrap_err(), Full::Address);
        let _second = fill(&door, "2001:db8::1");
        assert_eq!(door.enter(ip("2001:db8::2")).unwrap_err(), Full::Address, "one /64");
        let _third = fill(&door, "2001:db8:0:1::1");
        first.pop();
        assert!(door.enter(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn all_addresses_together_have_an_end_and_nobody_is_remembered_for_ever() {
        let door = Arc::new(Doorway::default());
        let all: Vec<_> = (1..=8).map(|n| fill(&door, &format!("192.0.2.{n}"))).collect();
        assert_eq!(door.enter(ip("192.0.2.9")).unwrap_err(), Full::All);
        drop(all);
        assert!(door.state().by_address.is_empty());
    }

    #[test]
    fn wrong_keys_of_one_address_run_out_and_come_back() {
        let door = Arc::new(Doorway::default());
        let start = Instant::now();
        let place = door.enter(ip("192.0.2.1")).unwrap();
        for _ in 0..WRONG_KEYS_PER_MINUTE {
            assert_eq!(place.wait_s(start), None);
            place.wrong_key(start);
        }
        drop(place);
        let place = door.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(place.wait_s(start), Some(1));
        assert_eq!(door.enter(ip("192.0.2.2")).unwrap().wait_s(start), None);
        assert_eq!(place.wait_s(start + Duration::from_secs(1)), None);
    }
}
