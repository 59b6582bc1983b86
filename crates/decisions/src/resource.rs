//! What was acted on: a topic, a filter, an update path, a client id; as the peer spelled it, within a limit.

use core::fmt;
use std::sync::Arc;

/// A bounded text; cheap to clone. Also what a refused peer sent, so nothing is assumed of it but UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Arc<str>);

impl Resource {
    /// Longest text: what policies take as a topic. A longer one was denied and is kept in part.
    pub const OCTETS_MAX: usize = 1024;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(text: Arc<str>) -> Self {
        Self(text)
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl From<&str> for Resource {
    /// Cuts a text over the limit and marks the cut with `…`.
    fn from(text: &str) -> Self {
        const MARK: &str = "…";
        if text.len() <= Self::OCTETS_MAX {
            return Self(text.into());
        }
        let kept = text.floor_char_boundary(Self::OCTETS_MAX - MARK.len());
        let (kept, _) = text.split_at_checked(kept).unwrap_or_default();
        Self([kept, MARK].concat().into())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let rows = [
            ("empty", String::new(), 0, false),
            ("at the limit", "a".repeat(1024), 1024, false),
            ("over it", "a".repeat(1025), 1024, true),
            ("inside a character", "ä".repeat(600), 1023, true),
            ("far over it", "a".repeat(65_535), 1024, true),
        ];
        for (name, text, octets, cut) in rows {
            let resource = Resource::from(text.as_str());
            assert_eq!((resource.as_str().len(), resource.as_str().ends_with('…')), (octets, cut), "{name}");
        }
    }
}
