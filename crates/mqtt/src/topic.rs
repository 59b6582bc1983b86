//! Topic names and topic filters: syntax only (MQTT 5.0 §4.7, §4.8.2). Matching and permission live in policy.

use crate::{Fault, Text};

/// First level of a shared subscription (§4.8.2).
const SHARE: &str = "$share";

/// A topic to publish to: not empty, no wildcards [MQTT-3.3.2-2, MQTT-4.7.3-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicName<'a>(Text<'a>);

impl<'a> TopicName<'a> {
    /// A topic name from peer or caller.
    pub fn new(name: &'a str) -> Result<Self, Fault> {
        Text::new(name).and_then(Self::from_text)
    }

    pub(crate) fn from_text(text: Text<'a>) -> Result<Self, Fault> {
        let octets = text.as_str().as_bytes();
        if octets.is_empty() {
            return Err(Fault::Malformed { what: "empty topic name" });
        }
        if octets.iter().any(|c| matches!(c, b'+' | b'#')) {
            return Err(Fault::Malformed { what: "wildcard in a topic name" });
        }
        Ok(Self(text))
    }

    pub fn as_str(self) -> &'a str {
        self.0.as_str()
    }

    /// Its levels, split at `/`; empty levels are levels.
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.as_str().split('/')
    }

    /// See [`Text::discouraged`].
    pub fn discouraged(self) -> Option<char> {
        self.0.discouraged()
    }

    pub(crate) fn text(self) -> Text<'a> {
        self.0
    }
}

/// What a SUBSCRIBE asks for: a filter, perhaps behind `$share/NAME/`.
///
/// A shared subscription is recognised in 3.1.1 too, since brokers honour it there: whoever decides on
/// [`TopicFilter::pattern`] decides on what the broker will match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a> {
    whole: Text<'a>,
    share_name: Option<&'a str>,
    pattern: &'a str,
}

impl<'a> TopicFilter<'a> {
    /// A topic filter from peer or caller.
    pub fn new(filter: &'a str) -> Result<Self, Fault> {
        Text::new(filter).and_then(Self::from_text)
    }

    pub(crate) fn from_text(whole: Text<'a>) -> Result<Self, Fault> {
        let malformed = |what| Err(Fault::Malformed { what });
        let text = whole.as_str();
        let (share_name, pattern) = match text.strip_prefix(SHARE) {
            Some("") => return malformed("shared subscription without a name"),
            Some(rest) => match rest.strip_prefix('/') {
                Some(rest) => {
                    let Some((name, pattern)) = rest.split_once('/') else {
                        return malformed("shared subscription without a filter");
                    };
                    if name.is_empty() || name.contains(['+', '#']) {
                        return malformed("name of a shared subscription");
                    }
                    (Some(name), pattern)
                }
                // `$shared/x` is another topic.
                None => (None, text),
            },
            None => (None, text),
        };
        if pattern.is_empty() {
            return malformed("empty topic filter");
        }
        let mut levels = pattern.split('/').peekable();
        while let Some(level) = levels.next() {
            let wild = level.contains(['+', '#']);
            if wild && level.len() > 1 {
                return malformed("wildcard beside other characters in a level");
            }
            if level == "#" && levels.peek().is_some() {
                return malformed("`#` before the last level");
            }
        }
        Ok(Self { whole, share_name, pattern })
    }

    /// The whole filter as it stands in the packet.
    pub fn as_str(self) -> &'a str {
        self.whole.as_str()
    }

    /// NAME of `$share/NAME/...`.
    pub fn share_name(self) -> Option<&'a str> {
        self.share_name
    }

    /// The filter that topics are matched against, without `$share/NAME/`.
    pub fn pattern(self) -> &'a str {
        self.pattern
    }

    /// Levels of [`Self::pattern`].
    pub fn levels(self) -> impl Iterator<Item = &'a str> {
        self.pattern.split('/')
    }

    /// See [`Text::discouraged`].
    pub fn discouraged(self) -> Option<char> {
        self.whole.discouraged()
    }

    pub(crate) fn text(self) -> Text<'a> {
        self.whole
    }
}
