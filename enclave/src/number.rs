//! The numbers by which host and clients know requests. A count would tell each tenant how busy the others
//! are, so what is shown is the count under a permutation that only this boot knows.

use aws_lc_rs::digest::{Context, SHA256};

/// Numbers shown are below 2^52: they pass whole through programs that keep numbers as floats.
const HALF_BITS: u32 = 26;
const HALF: u64 = (1 << HALF_BITS) - 1;
/// Rounds of the Feistel network: four make a strong permutation of a keyed function (Luby and
/// Rackoff, 1988).
const ROUNDS: u8 = 4;

/// The permutation of one boot.
pub(crate) struct Numbers(pub(crate) [u8; 32]);

impl Numbers {
    /// What is shown of a count below 2^52.
    pub(crate) fn shown(&self, count: u64) -> u64 {
        let (mut left, mut right) = (count >> HALF_BITS & HALF, count & HALF);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mixed(round, right));
        }
        left << HALF_BITS | right
    }

    /// The count behind a number that came back; 0, which no request has, for one never shown.
    pub(crate) fn count(&self, shown: u64) -> u64 {
        let (mut left, mut right) = (shown >> HALF_BITS, shown & HALF);
        if left > HALF {
            return 0;
        }
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mixed(round, left), left);
        }
        left << HALF_BITS | right
    }

    fn mixed(&self, round: u8, half: u64) -> u64 {
        let mut digest = Context::new(&SHA256);
        digest.update(&self.0);
        digest.update(&[round]);
        digest.update(&half.to_be_bytes());
        let first = digest.finish().as_ref().first_chunk().copied();
        u64::from_be_bytes(first.unwrap_or_default()) & HALF
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{HALF_BITS, Numbers};

    #[test]
    fn every_count_is_shown_as_a_number_of_its_own_and_found_again() {
        let numbers = Numbers([7; 32]);
        let counts = (0..5000).chain([1 << 26, (1 << 52) - 1]);
        let shown: BTreeSet<u64> = counts
            .map(|count| {
                let shown = numbers.shown(count);
                assert_eq!(numbers.count(shown), count);
                assert!(shown >> (2 * HALF_BITS) == 0);
                shown
            })
            .collect();
        assert_eq!(shown.len(), 5002);
        assert_eq!(numbers.count(1 << 52), 0);
        assert_eq!(numbers.count(u64::MAX), 0);
    }

    /// Neighbours are neither near each other nor in order, and another boot shows others.
    #[test]
    fn what_is_shown_does_not_tell_the_count() {
        let (one, two) = (Numbers([7; 32]), Numbers([8; 32]));
        let rising = |numbers: &Numbers| {
            (1..1000).filter(|count| numbers.shown(*count) < numbers.shown(count + 1)).count()
        };
        assert!((400..600).contains(&rising(&one)), "{}", rising(&one));
        let near =
            (1..1000).filter(|count| one.shown(*count).abs_diff(one.shown(count + 1)) < 1 << 40);
        assert!(near.count() < 10);
        assert!((1..1000).all(|count| one.shown(count) != two.shown(count)));
    }
}
