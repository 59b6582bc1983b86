//! How long a gateway may go on with an old feed. Only a class named in configuration widens trust.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How a gateway weighs old status against stopped work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StalenessClass {
    /// New peers are refused after 5 minutes, sessions end after 15.
    Strict,
    /// An alarm after 5 minutes; new peers are refused after 24 hours, sessions end after 72.
    #[default]
    Standard,
    /// An alarm after 5 minutes, and nothing else: stopping would hurt people.
    LifeSafety,
}

/// What the age of the feed demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Nothing.
    Fresh,
    /// Tell an operator; decide as usual.
    Alarm,
    /// Refuse new peers; sessions go on.
    DenyNew,
    /// Refuse new peers and end all sessions.
    CutSessions,
}

impl StalenessClass {
    const ALL: [Self; 3] = [Self::Strict, Self::Standard, Self::LifeSafety];

    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::LifeSafety => "life-safety",
        }
    }

    /// What an age demands; a limit counts from its own moment on.
    pub fn verdict(self, age: Duration) -> Freshness {
        let (deny_new, cut) = match self {
            Self::Strict => (5 * MINUTE, 15 * MINUTE),
            Self::Standard => (24 * HOUR, 72 * HOUR),
            Self::LifeSafety => (Duration::MAX, Duration::MAX),
        };
        if age >= cut {
            Freshness::CutSessions
        } else if age >= deny_new {
            Freshness::DenyNew
        } else if age >= 5 * MINUTE {
            Freshness::Alarm
        } else {
            Freshness::Fresh
        }
    }
}

impl fmt::Display for StalenessClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown staleness class; one of: strict, standard, life-safety")]
pub struct UnknownClass;

impl FromStr for StalenessClass {
    type Err = UnknownClass;
    fn from_str(word: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.as_str() == word).ok_or(UnknownClass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_changes_its_verdict_at_its_own_moments() {
        use Freshness::*;
        use StalenessClass::*;
        let rows: &[(StalenessClass, u64, Freshness)] = &[
            (Strict, 0, Fresh),
            (Strict, 5 * 60 - 1, Fresh),
            (Strict, 5 * 60 + 1, DenyNew),
            (Strict, 15 * 60 - 1, DenyNew),
            (Strict, 15 * 60 + 1, CutSessions),
            (Standard, 5 * 60 - 1, Fresh),
            (Standard, 5 * 60 + 1, Alarm),
            (Standard, 24 * 3600 - 1, Alarm),
            (Standard, 24 * 3600 + 1, DenyNew),
            (Standard, 72 * 3600 - 1, DenyNew),
            (Standard, 72 * 3600 + 1, CutSessions),
            (LifeSafety, 5 * 60 - 1, Fresh),
            (LifeSafety, 5 * 60 + 1, Alarm),
            (LifeSafety, 365 * 24 * 3600, Alarm),
        ];
        for (class, age_s, expected) in rows {
            assert_eq!(class.verdict(Duration::from_secs(*age_s)), *expected, "{class} at {age_s} s");
        }
    }

    #[test]
    fn a_class_is_read_by_its_word_and_nothing_else() {
        for class in StalenessClass::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
        }
        assert_eq!("lenient".parse::<StalenessClass>(), Err(UnknownClass));
        assert_eq!(StalenessClass::default(), StalenessClass::Standard);
    }
}
