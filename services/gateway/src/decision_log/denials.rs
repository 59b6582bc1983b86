//! How many denials one session may write into the log: a device with a valid certificate must not fill the disk.
//!
//! In: moments. Out: whether there is room. A session beyond its rate ends. What certificates may use up before
//! they have a session is in `arrivals`.

use crate::allowance::{Allowance, Terms};
use touchmark_decisions::{Resource, Verdict};
use touchmark_identity::Timestamp;

/// Denials of one session: so many at once, and as many again in each second.
const SESSION: Terms = Terms { at_once: 50, one_every_ms: 20 };
/// Longest text of a denied act in the log: a device chooses it freely.
const DENIED_OCTETS_MAX: usize = 128;

/// The allowance of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denials(Allowance);

impl Denials {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Allowance::whole(&SESSION, now))
    }

    /// Takes a number of denials out of the allowance. `false` when there is not so much.
    pub(crate) fn spend(&mut self, denials: usize, now: Timestamp) -> bool {
        self.0.spend(&SESSION, denials, now)
    }
}

/// What an act was about, cut short if it was denied.
pub(crate) fn resource_of(verdict: Verdict, text: &str) -> Resource {
    match verdict {
        Verdict::Allow => Resource::from(text),
        Verdict::Deny(_) => denied_resource(text),
    }
}

/// What a denied act was about, cut short.
pub(crate) fn denied_resource(text: &str) -> Resource {
    const MARK: &str = "…";
    if text.len() <= DENIED_OCTETS_MAX {
        return Resource::from(text);
    }
    let kept = text.floor_char_boundary(DENIED_OCTETS_MAX - MARK.len());
    let (kept, _) = text.split_at_checked(kept).unwrap_or_default();
    Resource::from([kept, MARK].concat().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_text_is_cut_at_a_character() {
        let rows = [
            ("at the limit", "a".repeat(128), 128),
            ("over", "a".repeat(129), 128),
            ("ä", "ä".repeat(99), 127),
        ];
        for (name, text, octets) in rows {
            assert_eq!(denied_resource(&text).as_str().len(), octets, "{name}");
        }
    }
}
