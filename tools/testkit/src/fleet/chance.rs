//! Chance from a seed: the same seed draws the same.

use core::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014): spreads well, keeps no secret.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// One of several independent sources under one seed.
    pub(super) fn new(seed: u64, source: u64) -> Self {
        let mut chance = Self(seed ^ source.wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.draw();
        chance
    }

    /// Sixty-four bits.
    pub(super) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// Yes, so often in a thousand.
    pub(super) fn hits(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// A span in `[least, most)`, in milliseconds.
    pub(super) fn span(&mut self, least: Duration, most: Duration) -> Duration {
        let width = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.below(width))
    }

    /// As many octets as wanted.
    pub(super) fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0; N];
        for part in octets.chunks_mut(8) {
            let drawn = self.draw().to_be_bytes();
            for (to, from) in part.iter_mut().zip(drawn) {
                *to = from;
            }
        }
        octets
    }
}
