//! A text that may not be known: `null` in JSON, `no data` for people.

use crate::NO_DATA;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A text, or that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownText(Option<String>);

impl KnownText {
    /// What is not known.
    pub const NONE: Self = Self(None);

    /// The text, for programs.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text, or `no data`, for people.
    pub fn as_str(&self) -> &str {
        self.get().unwrap_or(NO_DATA)
    }
}

impl fmt::Display for KnownText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<&str> for KnownText {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for KnownText {
    fn from(text: String) -> Self {
        Self(Some(text))
    }
}

impl From<Option<String>> for KnownText {
    fn from(text: Option<String>) -> Self {
        Self(text)
    }
}

/// What is not known equals no text, `no data` included.
impl PartialEq<str> for KnownText {
    fn eq(&self, other: &str) -> bool {
        self.get() == Some(other)
    }
}

impl PartialEq<&str> for KnownText {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for KnownText {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_null_for_programs_and_words_for_people() {
        let known = KnownText::from("x200".to_owned());
        for (value, json, words) in [(&known, "\"x200\"", "x200"), (&KnownText::NONE, "null", "no data")] {
            assert_eq!(serde_json::to_string(value).unwrap(), json);
            assert_eq!(serde_json::from_str::<KnownText>(json).unwrap(), *value);
            assert_eq!(value.to_string(), words);
        }
        assert!(known == "x200" && KnownText::NONE != "no data");
        assert_eq!(KnownText::from("no data".to_owned()).get(), Some("no data"), "a text of its own");
    }
}
