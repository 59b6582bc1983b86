//! A pattern of topics as a policy names it, with its placeholders already filled in.

use crate::levels::{self, Wildcards};
use crate::{PolicyInputFault, Topic, TopicFilter};
use core::fmt;

/// A checked pattern in the grammar of MQTT filters, without `$share`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPattern(Box<str>);

impl TopicPattern {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, PolicyInputFault> {
        levels::check(text, Wildcards::Allowed)?;
        if text == "$share" || text.starts_with("$share/") {
            return Err(PolicyInputFault::Share);
        }
        Ok(Self(text.into()))
    }

    /// Every topic that is not the broker's own.
    pub(crate) fn everything() -> Self {
        Self("#".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is `topic` one of the topics meant?
    pub fn matches(&self, topic: &Topic<'_>) -> bool {
        levels::matches(&self.0, topic.as_str())
    }

    /// Is every topic that `filter` can match one of the topics meant?
    pub fn contains(&self, filter: &TopicFilter<'_>) -> bool {
        levels::contains(&self.0, filter.matching_part())
    }

    /// Can `filter` match any of the topics meant?
    pub fn overlaps(&self, filter: &TopicFilter<'_>) -> bool {
        levels::overlaps(&self.0, filter.matching_part())
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
