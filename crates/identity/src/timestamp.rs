//! A moment. Read from a clock once, at the edge, and handed down.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Text that is no RFC 3339 moment between 1970 and 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment: expected RFC 3339, like 2026-01-31T12:00:00Z")]
pub struct BadTimestamp;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Last millisecond of the year 9999: later moments cannot be written in RFC 3339 or X.509.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds; later than [`Timestamp::MAX`] is held at it.
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms.min(Self::MAX.0))
    }

    /// From whole seconds.
    pub fn from_unix_s(s: u64) -> Self {
        Self::from_unix_ms(s.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub fn unix_s(self) -> u64 {
        self.0 / 1000
    }

    /// This moment and `later` more, held at [`Timestamp::MAX`].
    pub fn plus(self, later: Duration) -> Self {
        Self::from_unix_ms(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Time passed since `earlier`; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads RFC 3339.
    ///
    /// # Errors
    /// [`BadTimestamp`] when the text is not RFC 3339, or lies before 1970 or after 9999 in UTC.
    pub fn parse(text: &str) -> Result<Self, BadTimestamp> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| BadTimestamp)?;
        let ms = moment.unix_timestamp_nanos().div_euclid(1_000_000);
        let ms = u64::try_from(ms).map_err(|_| BadTimestamp)?;
        if ms <= Self::MAX.0 { Ok(Self(ms)) } else { Err(BadTimestamp) }
    }
}

impl FromStr for Timestamp {
    type Err = BadTimestamp;
    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        Self::parse(text)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp(i64::try_from(self.unix_s()).unwrap_or(0))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (moment.date(), moment.time());
        let month = u8::from(date.month());
        write!(
            f,
            "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.0 % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_from_its_text() {
        let rows = [0, 1, 951_782_400_123, 1_700_000_000_000, 253_402_300_799_999];
        for ms in rows {
            let moment = Timestamp::from_unix_ms(ms);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment), "{ms}");
        }
        assert_eq!(Timestamp::from_unix_ms(951_782_400_123).to_string(), "2000-02-29T00:00:00.123Z");
        assert!(Timestamp::parse("yesterday").is_err());
        for outside in ["1969-12-31T23:59:59Z", "1969-12-31T23:59:59.9999Z", "9999-12-31T23:59:59-01:00"] {
            assert!(Timestamp::parse(outside).is_err(), "{outside}");
        }
    }
}
