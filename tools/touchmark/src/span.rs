//! Lengths of time as people write them: `90s`, `15m`, `24h`, `30d`, and back.

use core::time::Duration;

const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
/// A hundred years: longer is a slip of the finger.
const SPAN_S_MAX: u64 = 100 * 366 * 86_400;

/// For clap: a number with a unit.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let expected = || "expected a number and a unit, like 90s, 15m, 24h, 30d or 2w".to_owned();
    if unit == "ms" {
        return digits.parse().map(Duration::from_millis).map_err(|_| expected());
    }
    let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let whole = seconds.ok_or_else(expected)?.checked_mul(number).filter(|s| *s <= SPAN_S_MAX);
    whole.map(Duration::from_secs).ok_or_else(|| "longer than a hundred years".to_owned())
}

/// The same, at least a second: what ends at once is a slip of the finger.
pub(crate) fn some(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        span if span < Duration::from_secs(1) => Err("at least 1s".to_owned()),
        span => Ok(span),
    }
}

/// The same, as long as device certificates live.
pub(crate) fn device_lifetime(text: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(825 * 86_400);
    match parse(text)? {
        span if span < Duration::from_secs(30) || span > most => Err("from 30s to 825d".to_owned()),
        span => Ok(span),
    }
}

/// For clap: a DNS name in lower case, or an address, as a certificate carries it.
pub(crate) fn host(text: &str) -> Result<String, String> {
    if text.parse::<core::net::IpAddr>().is_ok() || touchmark_identity::is_dns_name(text) {
        return Ok(text.to_owned());
    }
    Err("expected a DNS name in lower case or an IP address, without port".to_owned())
}

/// The two largest units: `29d 23h`.
pub(crate) fn words(seconds: u64) -> String {
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, size) in UNITS.into_iter().skip(1) {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_second_at_least() {
        for (text, good) in
            [("0s", false), ("0d", false), ("999ms", false), ("1s", true), ("1000ms", true), ("2w", true)]
        {
            assert_eq!(some(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn spans_are_read_with_their_unit() {
        let rows: &[(&str, Option<u64>)] = &[
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("24h", Some(86_400)),
            ("30d", Some(2_592_000)),
            ("2w", Some(1_209_600)),
            ("30", None),
            ("d", None),
            ("-1s", None),
            ("1y", None),
            ("", None),
            ("99999999999999d", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(parse("250ms").ok(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn spans_are_told_in_two_units() {
        let rows = [(0, "0s"), (61, "1m 1s"), (2_591_999, "29d 23h"), (86_400, "1d")];
        for (seconds, text) in rows {
            assert_eq!(words(seconds), text);
        }
    }
}
