//! A topic name as a PUBLISH carries it (MQTT 5.0 §4.7).

use crate::PolicyInputFault;
use crate::levels::{self, Wildcards};
use core::fmt;

/// A checked topic name, borrowed from the packet: no wildcard or control character, no empty, `.` or `..` level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Topic<'a>(&'a str);

impl<'a> Topic<'a> {
    /// Longest topic name in octets.
    pub const OCTETS_MAX: usize = levels::OCTETS_MAX;
    /// Most levels.
    pub const LEVELS_MAX: usize = levels::LEVELS_MAX;

    /// Checks a text.
    pub fn new(text: &'a str) -> Result<Self, PolicyInputFault> {
        levels::check(text, Wildcards::Refused)?;
        levels::check_filled(text)?;
        Ok(Self(text))
    }

    /// Checks octets from a packet.
    pub fn from_bytes(octets: &'a [u8]) -> Result<Self, PolicyInputFault> {
        Self::new(core::str::from_utf8(octets).map_err(|_| PolicyInputFault::NotUtf8)?)
    }

    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// True for `$...`: topics that belong to the broker.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyInputFault::*;

    #[test]
    fn a_topic_is_refused_before_anything_can_match_it() {
        let long = "a".repeat(1024);
        let too_long = "a".repeat(1025);
        let deep = ["a"; 32].join("/");
        let too_deep = ["a"; 33].join("/");
        let rows: &[(&str, &[u8], Result<(), PolicyInputFault>)] = &[
            ("plain", b"plant/pump-01/temperature", Ok(())),
            ("an empty level", b"a//b", Err(EmptyLevel)),
            ("an empty first level", b"/a", Err(EmptyLevel)),
            ("an empty last level", b"a/", Err(EmptyLevel)),
            ("two empty levels", b"/", Err(EmptyLevel)),
            ("a space and another alphabet", "a b/\u{e9}".as_bytes(), Ok(())),
            ("reserved, but a topic", b"$SYS/broker", Ok(())),
            ("longest", long.as_bytes(), Ok(())),
            ("one octet more", too_long.as_bytes(), Err(TooLong { octets: 1025, max: 1024 })),
            ("deepest", deep.as_bytes(), Ok(())),
            ("one level more", too_deep.as_bytes(), Err(TooDeep { levels: 33, max: 32 })),
            ("empty", b"", Err(Empty)),
            ("one-level wildcard", b"a/+", Err(Wildcard)),
            ("wildcard inside a level", b"a/b+c", Err(Wildcard)),
            ("rest wildcard", b"#", Err(Wildcard)),
            ("NUL", b"a/\0", Err(Control)),
            ("newline, which could forge a log line", b"a\nb", Err(Control)),
            ("C1 control", "a\u{85}".as_bytes(), Err(Control)),
            ("non-character", "a\u{ffff}".as_bytes(), Err(Control)),
            ("not UTF-8", b"a\xff", Err(NotUtf8)),
            ("surrogate in UTF-8", b"\xed\xa0\x80", Err(NotUtf8)),
            ("overlong slash", b"a\xc0\xafb", Err(NotUtf8)),
            ("climbing", b"plant/pump-01/../pump-02", Err(DotLevel)),
            ("staying", b"plant/./x", Err(DotLevel)),
            ("dots inside a level", b"plant/v1.2..3", Ok(())),
        ];
        for (name, octets, expected) in rows {
            assert_eq!(Topic::from_bytes(octets).map(drop), *expected, "{name}");
        }
    }
}
