//! QoS 2 messages between their PUBLISH and their PUBREL, by packet identifier: a broker may hold each until it is
//! released, so the right to its topic is asked for again then (MQTT 5.0 §4.3.3).
//!
//! In: what goes by in both directions of a session. Out: the topic behind a PUBREL. It is what the broker holds or
//! more, never less.

use std::collections::{BTreeMap, VecDeque};
use touchmark_mqtt::PacketId;

/// Messages of one session that wait for their release. Clients keep a handful in flight; all their topics together
/// weigh no more than one packet. Told to 5.0 clients as Receive Maximum.
pub(crate) const UNRELEASED_MAX: u16 = 256;
/// Identifiers remembered after their PUBCOMP: it may have been lost on the way, and the client releases once more.
const DONE_MAX: usize = 32;

/// Of one session at the broker, which may outlive a connection.
#[derive(Debug, Default)]
pub(crate) struct Releases {
    topics: BTreeMap<PacketId, Box<str>>,
    done: VecDeque<PacketId>,
    /// The last one held, unless it was held before.
    fresh: Option<PacketId>,
    /// The session at the broker is older than what is known here.
    resumed: bool,
}

/// Why a message cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// [`UNRELEASED_MAX`].
    Full,
    /// A message on another topic has this identifier and is not released.
    OtherTopic,
}

/// What a PUBREL is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Releasing {
    /// A message on this topic.
    Topic(Box<str>),
    /// A message that the broker has released already.
    Done,
    /// Nothing: the broker holds no message under this identifier.
    Nothing,
    /// Perhaps a message from before, on a topic that nobody here knows.
    Unknown,
}

impl Releases {
    /// The session at the broker was there before this connection.
    pub(crate) fn resume(&mut self) {
        self.resumed = true;
    }

    /// Octets of all topics.
    pub(crate) fn octets(&self) -> usize {
        self.topics.values().map(|topic| topic.len()).sum()
    }

    /// Holds a message that is about to go to the broker. Once more is no fault where the topic is the same.
    pub(crate) fn hold(&mut self, id: PacketId, topic: &str) -> Result<(), NotHeld> {
        self.fresh = None;
        match self.topics.get(&id) {
            Some(before) if **before == *topic => Ok(()),
            Some(_) => Err(NotHeld::OtherTopic),
            None if self.topics.len() >= usize::from(UNRELEASED_MAX) => Err(NotHeld::Full),
            None => {
                self.topics.insert(id, topic.into());
                self.fresh = Some(id);
                Ok(())
            }
        }
    }

    /// The message that was held last does not go to the broker; one that went before may be there.
    pub(crate) fn kept_back(&mut self, id: PacketId) {
        if self.fresh.take() == Some(id) {
            self.topics.remove(&id);
        }
    }

    /// Whether the broker may hold a message under this identifier.
    pub(crate) fn holds(&self, id: PacketId) -> bool {
        self.topics.contains_key(&id)
    }

    pub(crate) fn releasing(&self, id: PacketId) -> Releasing {
        match self.topics.get(&id) {
            Some(topic) => Releasing::Topic(topic.clone()),
            None if self.done.contains(&id) => Releasing::Done,
            None if self.resumed => Releasing::Unknown,
            None => Releasing::Nothing,
        }
    }

    /// PUBCOMP of the broker: the message is released.
    pub(crate) fn complete(&mut self, id: PacketId) {
        if self.topics.remove(&id).is_some() {
            if self.done.len() >= DONE_MAX {
                self.done.pop_front();
            }
            self.done.push_back(id);
        }
    }

    /// PUBREC of the broker that refuses: it holds nothing.
    pub(crate) fn refused(&mut self, id: PacketId) {
        self.topics.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    #[test]
    fn a_release_is_traced_to_its_topic() {
        let mut releases = Releases::default();
        assert_eq!(releases.releasing(id(1)), Releasing::Nothing, "a fresh session holds nothing");
        assert_eq!(releases.hold(id(1), "a"), Ok(()));
        assert_eq!(releases.hold(id(1), "a"), Ok(()), "sent again");
        assert_eq!(releases.hold(id(1), "b"), Err(NotHeld::OtherTopic));
        assert_eq!(releases.releasing(id(1)), Releasing::Topic("a".into()), "the first stands");
        releases.complete(id(1));
        assert_eq!(releases.releasing(id(1)), Releasing::Done);
        assert_eq!(releases.hold(id(1), "b"), Ok(()), "used again");
        assert_eq!(releases.releasing(id(1)), Releasing::Topic("b".into()));
        releases.refused(id(1));
        releases.resume();
        assert_eq!(releases.releasing(id(2)), Releasing::Unknown);
        releases.complete(id(3));
        assert_eq!(releases.releasing(id(3)), Releasing::Unknown, "a PUBCOMP of nothing teaches nothing");
        assert_eq!(releases.hold(id(4), "a"), Ok(()));
        releases.kept_back(id(4));
        assert!(!releases.holds(id(4)), "it never went to the broker");
        assert_eq!((releases.hold(id(4), "a"), releases.hold(id(4), "a")), (Ok(()), Ok(())));
        releases.kept_back(id(4));
        assert!(releases.holds(id(4)), "the first did");
    }

    #[test]
    fn what_waits_and_what_is_remembered_is_bounded() {
        let mut releases = Releases::default();
        let held = (1..1000).filter(|n| releases.hold(id(*n), "a").is_ok()).count();
        assert_eq!(held, usize::from(UNRELEASED_MAX));
        assert_eq!(releases.hold(id(999), "a"), Err(NotHeld::Full));
        (1..1000).for_each(|n| releases.complete(id(n)));
        assert_eq!((releases.topics.len(), releases.done.len()), (0, DONE_MAX));
        assert_eq!(releases.hold(id(999), "a"), Ok(()), "room again");
    }
}
