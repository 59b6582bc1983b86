//! The span of a certificate, with both ends inside it (RFC 5280 §4.1.2.5).

use crate::Timestamp;
use core::time::Duration;

/// `not_after` does not lie after `not_before`, or lies past the year 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a validity ends after it begins, and before the year 10000")]
pub struct BadValidity;

/// Inclusive unix seconds; `not_before < not_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Validity {
    not_before_s: u64,
    not_after_s: u64,
}

impl Validity {
    /// From two unix seconds, both inside the span.
    ///
    /// # Errors
    /// [`BadValidity`] unless `not_before_s < not_after_s`, and the end lies before the year 10000.
    pub fn new(not_before_s: u64, not_after_s: u64) -> Result<Self, BadValidity> {
        let good = not_before_s < not_after_s && not_after_s <= Timestamp::MAX.unix_s();
        if good { Ok(Self { not_before_s, not_after_s }) } else { Err(BadValidity) }
    }

    /// First second of the span.
    pub fn not_before(self) -> Timestamp {
        Timestamp::from_unix_s(self.not_before_s)
    }

    /// Last second of the span.
    pub fn not_after(self) -> Timestamp {
        Timestamp::from_unix_s(self.not_after_s)
    }

    /// Whether `now` lies in the span. The whole of the last second counts.
    pub fn contains(self, now: Timestamp) -> bool {
        (self.not_before_s..=self.not_after_s).contains(&now.unix_s())
    }

    /// Length, counting both end seconds: a profile's lifetime bounds this value.
    pub fn lifetime(self) -> Duration {
        Duration::from_secs(self.not_after_s - self.not_before_s + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_inside_and_count() {
        let span = Validity::new(100, 199).unwrap();
        assert_eq!(span.lifetime(), Duration::from_secs(100));
        for (second, inside) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(span.contains(Timestamp::from_unix_s(second)), inside, "{second}");
        }
        assert!(span.contains(Timestamp::from_unix_ms(199_999)), "the last second is whole");
        assert_eq!(Validity::new(5, 5), Err(BadValidity));
        assert_eq!(Validity::new(0, u64::MAX), Err(BadValidity), "past what can be written");
        let last = Timestamp::MAX.unix_s();
        assert!(Validity::new(0, last).unwrap().contains(Timestamp::MAX));
        assert_eq!(Validity::new(0, last + 1), Err(BadValidity));
    }
}
