//! Reproducible bytes for large bodies: both ends compute them, nobody stores them.

/// An endless stream of pseudo-random bytes in which byte `i` depends on the seed and `i` only,
/// so that it does not matter in which pieces the stream is read.
#[derive(Clone, Debug)]
pub struct PseudoRandom {
    seed: u64,
    position_bytes: u64,
}

impl PseudoRandom {
    /// The stream of `seed`, at its beginning.
    pub fn new(seed: u64) -> Self {
        Self { seed, position_bytes: 0 }
    }

    /// Writes the next `buffer.len()` bytes of the stream.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut rest = buffer;
        while !rest.is_empty() {
            let word = mix(self.seed, self.position_bytes / 8).to_le_bytes();
            let skip = (self.position_bytes % 8) as usize;
            let take = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(take);
            now.copy_from_slice(&word[skip..skip + take]);
            self.position_bytes += take as u64;
            rest = later;
        }
    }

    /// The next `length_bytes` bytes of the stream.
    pub fn take(&mut self, length_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; length_bytes];
        self.fill(&mut bytes);
        bytes
    }
}

/// The finaliser of SplitMix64 over a counter.
fn mix(seed: u64, counter: u64) -> u64 {
    let mut z = seed.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let whole = PseudoRandom::new(7).take(1000);
        let mut source = PseudoRandom::new(7);
        let mut pieces = Vec::new();
        for size in [0, 1, 7, 8, 9, 3, 972] {
            pieces.extend(source.take(size));
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(PseudoRandom::new(1).take(64), PseudoRandom::new(2).take(64));
    }

    #[test]
    fn first_word_is_splitmix64() {
        // The published first output of SplitMix64 for seed 0.
        assert_eq!(PseudoRandom::new(0).take(8), 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
    }
}
