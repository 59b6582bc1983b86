//! A topic filter as a SUBSCRIBE carries it (MQTT 5.0 §4.7.1, shared subscriptions §4.8.2).

use crate::levels::{self, Wildcards};
use crate::{PolicyInputFault, Topic};
use core::fmt;

/// A checked filter, borrowed from the packet.
///
/// `$share/GROUP/FILTER` is decided by its FILTER: the group shares the load, it widens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a> {
    text: &'a str,
    share: Option<&'a str>,
    filter: &'a str,
}

impl<'a> TopicFilter<'a> {
    /// Checks a text.
    pub fn new(text: &'a str) -> Result<Self, PolicyInputFault> {
        // Bounds the whole, the group name included; the same rules hold for the part that is decided.
        levels::check(text, Wildcards::Allowed)?;
        let Some(("$share", rest)) = text.split_once('/') else {
            if text == "$share" {
                return Err(PolicyInputFault::Share);
            }
            levels::check_filled(text)?;
            return Ok(Self { text, share: None, filter: text });
        };
        let (group, filter) = rest.split_once('/').ok_or(PolicyInputFault::Share)?;
        if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
            return Err(PolicyInputFault::Share);
        }
        // One prefix only: a broker that unwraps twice would see another filter than the one decided here.
        if filter == "$share" || filter.starts_with("$share/") {
            return Err(PolicyInputFault::Share);
        }
        levels::check_filled(filter)?;
        Ok(Self { text, share: Some(group), filter })
    }

    /// Whether a message on `topic` comes by this filter.
    pub fn matches(&self, topic: &Topic<'_>) -> bool {
        levels::matches(self.filter, topic.as_str())
    }

    /// Checks octets from a packet.
    pub fn from_bytes(octets: &'a [u8]) -> Result<Self, PolicyInputFault> {
        Self::new(core::str::from_utf8(octets).map_err(|_| PolicyInputFault::NotUtf8)?)
    }

    /// The text as sent, with `$share/GROUP/` where it was there.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The group of a shared subscription.
    pub fn share_group(&self) -> Option<&'a str> {
        self.share
    }

    /// The filter that topics are held against.
    pub fn matching_part(&self) -> &'a str {
        self.filter
    }

    /// True when only `$...` topics can match.
    pub fn is_reserved(&self) -> bool {
        self.filter.starts_with('$')
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyInputFault::*;

    #[test]
    fn a_filter_is_decided_by_the_part_that_matches_topics() {
        type Parts<'a> = Result<(Option<&'a str>, &'a str), PolicyInputFault>;
        let rows: &[(&str, &str, Parts<'_>)] = &[
            ("plain", "cmd/pump-01/#", Ok((None, "cmd/pump-01/#"))),
            ("wildcards", "+/+/x/#", Ok((None, "+/+/x/#"))),
            ("shared", "$share/workers/cmd/#", Ok((Some("workers"), "cmd/#"))),
            ("share is a word of its own", "$shared/a", Ok((None, "$shared/a"))),
            ("shared without a filter", "$share/workers", Err(Share)),
            ("shared with an empty filter", "$share/workers/", Err(Share)),
            ("shared without a group", "$share//a", Err(Share)),
            ("shared by nobody", "$share", Err(Share)),
            ("wildcard as a group", "$share/+/a", Err(Share)),
            ("shared twice", "$share/a/$share/b/c", Err(Share)),
            ("rest before the end", "a/#/b", Err(Wildcard)),
            ("rest twice", "a/#/#", Err(Wildcard)),
            ("wildcard in company", "a/b#", Err(Wildcard)),
            ("climbing", "cmd/../#", Err(DotLevel)),
            ("an empty level", "cmd//#", Err(EmptyLevel)),
            ("an empty last level", "cmd/", Err(EmptyLevel)),
            ("an empty level behind a group", "$share/w/cmd//x", Err(EmptyLevel)),
            ("NUL", "a\0", Err(Control)),
            ("empty", "", Err(Empty)),
        ];
        for (name, text, expected) in rows {
            let parts = TopicFilter::new(text).map(|f| (f.share_group(), f.matching_part()));
            assert_eq!(parts, *expected, "{name}");
        }
        assert_eq!(TopicFilter::from_bytes(b"\xff"), Err(NotUtf8));
    }
}
