//! How long to wait after a failure: exponential, bounded by the certificate's life, with full jitter from the seed.
//!
//! In: the rules, what is known of the certificate, how often it failed. Out: spans. Chance is the device's seed,
//! drawn once; the same device in the same moment waits the same, and two devices do not.

use super::rules::Rules;
use core::time::Duration;
use touchmark_identity::{Timestamp, Validity};

/// Of short lives: the shortest pause is this part of it, the longest that.
const LIFE_PER_MIN: u32 = 50;
const LIFE_PER_MAX: u32 = 10;
/// So many failures with short pauses take about a life.
const BELIEVED_FAILURES: u32 = 20;
/// No life is so short that a server should be asked more often.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// After a server's word the fleet comes back within this, or a tenth of the wait: a server that gave each device a
/// place of its own would stand idle for longer.
const SPREAD: Duration = Duration::from_secs(10);
/// Longest Retry-After that is believed, and the pause of a banned device.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A device's draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeviceSeed([u8; 16]);

impl DeviceSeed {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self(seed)
    }

    /// The device's place among all renewals.
    pub(super) fn place(self) -> u16 {
        let [a, b, ..] = self.0;
        u16::from_be_bytes([a, b])
    }

    /// A share of `span` that differs from device to device and from moment to moment.
    fn share(self, span: Duration, now: Timestamp) -> Duration {
        let [_, _, seed @ ..] = self.0;
        let seed = seed.iter().fold(now.unix_ms(), |sum, octet| mix(sum ^ u64::from(*octet)));
        let span_ms = u128::from(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let share_ms = (u128::from(seed) * span_ms) >> 64;
        Duration::from_millis(u64::try_from(share_ms).unwrap_or(0))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads; keeps no secret.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What kind of pause a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Longer each time.
    Backoff,
    /// What the server said, and a little more.
    RetryAfter(Duration),
    /// The longest of the ordinary ones: an operator may help at any moment.
    Longest,
    /// The longest there is, but for bans: a person must come.
    ForAPerson,
    /// Once a day.
    Day,
}

/// The bounds of the pauses, for one certificate at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct PauseBounds {
    min: Duration,
    max: Duration,
    /// What is left of the certificate's life.
    left: Duration,
    ceiling: Duration,
}

impl PauseBounds {
    /// Short lives have short pauses. Once a certificate is long expired they grow back to the rules' own: after
    /// ten lives without a server nobody gains by asking every few seconds. Only the clock says how long, and it may be
    /// years ahead: failures must say so, too.
    pub(super) fn of(rules: &Rules, validity: Option<Validity>, failures: u32, now: Timestamp) -> Self {
        let ceiling = rules.backoff_max.max(PAUSE_MIN);
        let Some(validity) = validity else {
            return Self {
                min: rules.backoff_min.clamp(PAUSE_MIN, ceiling),
                max: ceiling,
                left: DAY,
                ceiling,
            };
        };
        let late = now.since(validity.not_after());
        let span =
            if failures < BELIEVED_FAILURES { validity.lifetime() } else { validity.lifetime().max(late) };
        let min = rules.backoff_min.min(span / LIFE_PER_MIN).clamp(PAUSE_MIN, ceiling);
        let max = (span / LIFE_PER_MAX).clamp(min, ceiling);
        Self { min, max, left: validity.not_after().since(now), ceiling }
    }

    /// How long to wait after the failure number `failures` (from 1).
    pub(super) fn pause(&self, kind: Pause, failures: u32, seed: DeviceSeed, now: Timestamp) -> Duration {
        match kind {
            Pause::Backoff => {
                // From half the shortest pause up to a limit that doubles.
                let doubled = self.min.saturating_mul(1 << failures.min(20)).min(self.max);
                let least = self.min / 2;
                least + seed.share(doubled.saturating_sub(least), now)
            }
            Pause::RetryAfter(wait) => {
                // A server that plans its load is obeyed, but not into the certificate's last half.
                let most = (self.left / 2).clamp(self.max, DAY.max(self.max));
                let wait = wait.min(most);
                wait + seed.share((wait / 10).max(self.min.min(SPREAD)), now)
            }
            Pause::Longest => self.max / 2 + seed.share(self.max / 2, now),
            Pause::ForAPerson => self.ceiling / 2 + seed.share(self.ceiling / 2, now),
            Pause::Day => DAY + seed.share(DAY / 24, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{BACKOFF_MAX, BACKOFF_MIN, Start};

    fn rules() -> Rules {
        Rules {
            identity: "pump-01".parse().unwrap(),
            environment: "lab".parse().unwrap(),
            start: Start::Token,
            pinned: Vec::new(),
            built_at: Timestamp::from_unix_s(0),
            backoff_min: BACKOFF_MIN,
            backoff_max: BACKOFF_MAX,
        }
    }

    fn pause_bounds(life_s: u64, now_s: u64, failures: u32) -> PauseBounds {
        let validity = Validity::new(1000, 1000 + life_s - 1).unwrap();
        PauseBounds::of(&rules(), Some(validity), failures, Timestamp::from_unix_s(1000 + now_s))
    }

    #[test]
    fn pauses_grow_to_a_limit_that_fits_the_life() {
        const DAY_S: u64 = 86_400;
        let rows: &[(&str, u64, u64, Pause, u32, u64, u64)] = &[
            // life, now, kind, failures, least and most seconds
            ("30 days, first", 30 * DAY_S, 0, Pause::Backoff, 1, 30, 120),
            ("30 days, third", 30 * DAY_S, 0, Pause::Backoff, 3, 30, 480),
            ("30 days, thousandth", 30 * DAY_S, 0, Pause::Backoff, 1000, 30, 3600),
            ("two minutes, first", 120, 80, Pause::Backoff, 1, 1, 5),
            ("two minutes, thousandth", 120, 80, Pause::Backoff, 1000, 1, 12),
            ("two minutes, and a clock ten years ahead", 120, 3650 * DAY_S, Pause::Backoff, 19, 1, 12),
            ("two minutes, expired for a week", 120, 7 * DAY_S, Pause::Backoff, 1000, 30, 3600),
            ("one second", 2, 0, Pause::Backoff, 9, 0, 1),
            ("the server's word", 30 * DAY_S, 0, Pause::RetryAfter(Duration::from_secs(600)), 1, 600, 660),
            ("a place in this minute", 30 * DAY_S, 0, Pause::RetryAfter(Duration::from_secs(20)), 1, 20, 30),
            (
                "an endless wait",
                30 * DAY_S,
                0,
                Pause::RetryAfter(Duration::MAX),
                1,
                DAY_S,
                DAY_S + DAY_S / 10,
            ),
            ("a wait beyond the life", 1000, 800, Pause::RetryAfter(Duration::from_secs(900)), 1, 100, 120),
            ("quarantined", 30 * DAY_S, 0, Pause::Longest, 9, 1800, 3600),
            ("a token is needed", 120, 0, Pause::ForAPerson, 9, 1800, 3600),
            ("banned", 120, 0, Pause::Day, 9, DAY_S, DAY_S + 3600),
        ];
        for (name, life_s, now_s, kind, failures, least, most) in rows {
            for seed in [[0; 16], [0xff; 16], [0x5a; 16]] {
                let now = Timestamp::from_unix_s(1000 + now_s);
                let pause = pause_bounds(*life_s, *now_s, *failures).pause(
                    *kind,
                    *failures,
                    DeviceSeed::new(seed),
                    now,
                );
                let span = Duration::from_secs(*least)..=Duration::from_secs(*most);
                assert!(span.contains(&pause), "{name}: {pause:?}");
            }
        }
    }

    #[test]
    fn a_thousand_devices_spread_over_the_whole_pause() {
        let now = Timestamp::from_unix_s(5000);
        let pause_bounds = pause_bounds(30 * 86_400, 4000, 10);
        let mut tenths = [0; 10];
        for device in 0u32..1000 {
            let mut seed = [0; 16];
            seed[12..].copy_from_slice(&device.to_be_bytes());
            let pause = pause_bounds.pause(Pause::Backoff, 10, DeviceSeed::new(seed), now);
            tenths[usize::try_from(pause.as_secs() / 361).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }
}
