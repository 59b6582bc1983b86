//! Opaque names: what may stand in a SPIFFE path, a client id, a topic, a file name, without escaping anywhere.

use core::fmt;
use core::str::FromStr;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing was given.
    #[error("a name cannot be empty")]
    Empty,
    /// More than [`Name::OCTETS_MAX`] (or a host name's 253).
    #[error("a name has at most {max} characters, this one has {octets}")]
    TooLong {
        /// Length as given.
        octets: usize,
        /// Longest that is accepted.
        max: usize,
    },
    /// A character outside the grammar, or one that may not stand at an end.
    #[error("a name is made of a-z, 0-9, `.`, `_` and `-`, and starts and ends with a letter or digit")]
    Character,
    /// `..` anywhere: refused so that no name can climb a path.
    #[error("a name cannot hold `..`")]
    DoubleDot,
}

/// An opaque name, `[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?` without `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Longest name: fits an X.520 common name (64) and a file name with suffixes.
    pub const OCTETS_MAX: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str, max: usize, inner: impl Fn(u8) -> bool) -> Result<(), BadName> {
    let octets = text.as_bytes();
    let (Some(first), Some(last)) = (octets.first(), octets.last()) else { return Err(BadName::Empty) };
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if octets.len() > max {
        return Err(BadName::TooLong { octets: octets.len(), max });
    }
    if text.contains("..") {
        return Err(BadName::DoubleDot);
    }
    let good =
        alphanumeric(*first) && alphanumeric(*last) && octets.iter().all(|c| alphanumeric(*c) || inner(*c));
    if good { Ok(()) } else { Err(BadName::Character) }
}

impl FromStr for Name {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        check(text, Self::OCTETS_MAX, |c| matches!(c, b'.' | b'_' | b'-'))?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The beginning of names, or a whole one: `[a-z0-9][a-z0-9._-]{0,62}` without `..`, so it may end where a name goes on, as
/// `pump-` does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamePrefix(Box<str>);

impl NamePrefix {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` starts so, and goes on.
    pub fn begins(&self, name: &Name) -> bool {
        name.as_str().strip_prefix(self.as_str()).is_some_and(|rest| !rest.is_empty())
    }
}

impl From<Name> for NamePrefix {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

impl FromStr for NamePrefix {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        // Whole, or with a letter after it, it must be a name.
        match text.parse::<Name>() {
            Err(BadName::Character) => format!("{text}a").parse::<Name>().map(drop)?,
            whole => drop(whole?),
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NamePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Name);

        impl $name {
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name_newtype!(
    /// An environment: a trust domain inside an organisation, with its own issuing authority.
    EnvironmentName
);
name_newtype!(
    /// The party that is accountable for everything in a row.
    OrganisationName
);

/// A trust domain (SPIFFE-ID §2.1): the host part of every identity's URI in one environment; never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// Longest host name (RFC 1035 §2.3.4).
    pub const OCTETS_MAX: usize = 253;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        check(text, Self::OCTETS_MAX, |c| matches!(c, b'.' | b'-'))?;
        // Some verifiers refuse a URI host of one label: a full name is required.
        if !text.contains('.') {
            return Err(BadName::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_what_a_name_may_start_with() {
        let (longest, longer) = ("a".repeat(64), "a".repeat(65));
        for (text, good) in [
            ("pump", true),
            ("pump-", true),
            ("pump.", true),
            ("pump_", true),
            ("p", true),
            ("pump--", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("", false),
            ("-pump", false),
            ("pump..", false),
            ("Pump-", false),
            ("pump*", false),
            ("pump ", false),
        ] {
            assert_eq!(text.parse::<NamePrefix>().is_ok(), good, "{text:?}");
        }
        let prefix: NamePrefix = "pump-".parse().unwrap();
        for (name, begins) in [("pump-1", true), ("pump-", false), ("pump1", false), ("xpump-1", false)] {
            assert_eq!(name.parse().is_ok_and(|name| prefix.begins(&name)), begins, "{name}");
        }
    }

    #[test]
    fn a_name_is_only_what_needs_no_escaping_anywhere() {
        let long = "a".repeat(64);
        let too_long = "a".repeat(65);
        let rows: &[(&str, &str, Result<(), BadName>)] = &[
            ("plain", "pump-01", Ok(())),
            ("one character", "a", Ok(())),
            ("longest", &long, Ok(())),
            ("one more", &too_long, Err(BadName::TooLong { octets: 65, max: 64 })),
            ("empty", "", Err(BadName::Empty)),
            ("capital", "Pump", Err(BadName::Character)),
            ("slash", "a/b", Err(BadName::Character)),
            ("climbing", "a..b", Err(BadName::DoubleDot)),
            ("percent", "a%2eb", Err(BadName::Character)),
            ("NUL", "a\0b", Err(BadName::Character)),
            ("wildcard +", "a+b", Err(BadName::Character)),
            ("wildcard #", "#", Err(BadName::Character)),
            ("leading dot", ".a", Err(BadName::Character)),
            ("trailing dash", "a-", Err(BadName::Character)),
            ("Cyrillic look-alike", "pum\u{0440}", Err(BadName::Character)),
            ("right-to-left mark", "a\u{202e}b", Err(BadName::Character)),
        ];
        for (name, text, expected) in rows {
            assert_eq!(text.parse::<Name>().map(drop), *expected, "{name}");
        }
    }

    #[test]
    fn a_trust_domain_is_a_full_host_name() {
        let rows = [("lab.touchmark.internal", true), ("lab", false), ("a_b.c", false), ("a..b", false)];
        for (text, good) in rows {
            assert_eq!(text.parse::<TrustDomain>().is_ok(), good, "{text}");
        }
    }
}
