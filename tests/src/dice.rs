//! Chance that can be repeated: the seed is printed, and `TOUCHMARK_SEED` sets it.

use std::time::SystemTime;

/// xorshift64*: enough to choose places.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Seeded from the clock, or from the environment.
    pub fn new() -> Self {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed =
            std::env::var("TOUCHMARK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(now);
        println!("TOUCHMARK_SEED={seed}");
        Self(seed | 1)
    }

    /// Anything below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as usize % end
    }

    /// Anything from 0 to 1.
    pub fn part(&mut self) -> f64 {
        self.below(1_000_001) as f64 / 1e6
    }
}

impl Default for Dice {
    fn default() -> Self {
        Self::new()
    }
}
