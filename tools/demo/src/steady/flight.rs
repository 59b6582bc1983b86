//! Which messages are on their way, over whichever sessions there are: nothing is forgotten, and everything is counted.
//!
//! In: what a clock, the sessions and their ends say. Out: the next message for a session, and at the end the
//! [`Counts`]. A message that was on its way when its session ended is sent again; no I/O happens here.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;
use touchmark_mqtt::PacketId;

/// Messages made and not sent yet. When so many wait, the next are made later: none is dropped.
const WAITING_MAX: usize = 10_000;
/// Most messages in flight in one session, whatever the server allows: a second of the fastest sender.
const WINDOW_MAX: u16 = 1_000;

/// A session, by the order in which it was opened: 1, 2, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u32);

/// One message: its number, from 1, and which of the topics it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) topic: usize,
}

/// What happened to all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Different messages that left at least once.
    pub(crate) sent: u64,
    /// Messages that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Times that a message left once more, its session having ended before the acknowledgement.
    pub(crate) repeated: u64,
    /// Messages that the gateway refused.
    pub(crate) denied: u64,
    /// The longest time in which messages were there and none was acknowledged, also without any session.
    pub(crate) longest_gap: Duration,
}

#[derive(Debug)]
struct Outstanding {
    messages: BTreeMap<PacketId, Message>,
    last_id: u16,
    window: usize,
}

/// All messages between their making and their acknowledgement.
#[derive(Debug)]
pub(crate) struct Flight {
    topics: usize,
    numbers: u64,
    /// With whether it left before.
    waiting: VecDeque<(Message, bool)>,
    links: BTreeMap<LinkId, Outstanding>,
    counts: Counts,
    /// The last acknowledgement, or the first message since nothing was owed.
    quiet_since: Option<Instant>,
}

impl Flight {
    pub(crate) fn new(topics: usize) -> Self {
        Self {
            topics,
            numbers: 0,
            waiting: VecDeque::new(),
            links: BTreeMap::new(),
            counts: Counts::default(),
            quiet_since: None,
        }
    }

    /// Makes the next message for every topic.
    pub(crate) fn produce(&mut self, now: Instant) {
        if self.waiting.len() + self.topics > WAITING_MAX {
            return;
        }
        if self.open_messages() == 0 {
            self.quiet_since = Some(now);
        }
        self.numbers += 1;
        let number = self.numbers;
        self.waiting.extend((0..self.topics).map(|topic| (Message { number, topic }, false)));
    }

    /// A session begins.
    pub(crate) fn open(&mut self, link: LinkId, receive_maximum: u16) {
        let window = usize::from(receive_maximum.clamp(1, WINDOW_MAX));
        self.links.insert(link, Outstanding { messages: BTreeMap::new(), last_id: 0, window });
    }

    /// The next message for a session, if one waits and the session may take it.
    pub(crate) fn take(&mut self, link: LinkId) -> Option<(PacketId, Message)> {
        let outstanding = self.links.get_mut(&link)?;
        if outstanding.messages.len() >= outstanding.window {
            return None;
        }
        let (message, again) = self.waiting.pop_front()?;
        let id = outstanding.free_id();
        outstanding.messages.insert(id, message);
        match again {
            true => self.counts.repeated += 1,
            false => self.counts.sent += 1,
        }
        Some((id, message))
    }

    /// An acknowledgement came, or a refusal. One that nobody waits for is not counted.
    pub(crate) fn answered(&mut self, link: LinkId, id: PacketId, refused: bool, now: Instant) {
        let known = self.links.get_mut(&link).and_then(|outstanding| outstanding.messages.remove(&id));
        if known.is_none() {
            return;
        }
        match refused {
            true => self.counts.denied += 1,
            false => self.counts.acknowledged += 1,
        }
        self.heard(now);
    }

    fn heard(&mut self, now: Instant) {
        if let Some(since) = self.quiet_since.replace(now) {
            self.counts.longest_gap = self.counts.longest_gap.max(now.saturating_duration_since(since));
        }
    }

    /// A session is over: what it did not see acknowledged is sent again, oldest first.
    pub(crate) fn over(&mut self, link: LinkId) {
        let Some(outstanding) = self.links.remove(&link) else { return };
        let mut messages: Vec<_> = outstanding.messages.into_values().collect();
        messages.sort_unstable();
        messages.into_iter().rev().for_each(|message| self.waiting.push_front((message, true)));
    }

    /// Messages of one session that wait for their acknowledgement.
    pub(crate) fn outstanding(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, |outstanding| outstanding.messages.len())
    }

    fn on_its_way(&self) -> usize {
        self.links.values().map(|outstanding| outstanding.messages.len()).sum()
    }

    /// Messages that are not acknowledged, sent or not.
    pub(crate) fn open_messages(&self) -> usize {
        self.waiting.len() + self.on_its_way()
    }

    /// What happened until now. What is still on its way makes its wait count.
    pub(crate) fn counts(&mut self, now: Instant) -> Counts {
        if self.open_messages() > 0 {
            self.heard(now);
        }
        self.counts
    }
}

impl Outstanding {
    /// There is one: the window is far smaller than the number of identifiers.
    fn free_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            match PacketId::new(self.last_id) {
                Some(id) if !self.messages.contains_key(&id) => return id,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: LinkId = LinkId(1);
    const NEW: LinkId = LinkId(2);

    fn numbers(flight: &mut Flight, link: LinkId) -> Vec<(PacketId, u64)> {
        core::iter::from_fn(|| flight.take(link)).map(|(id, message)| (id, message.number)).collect()
    }

    #[test]
    fn what_a_lost_session_owed_is_sent_again_before_anything_new() {
        let now = Instant::now();
        let mut flight = Flight::new(1);
        flight.open(OLD, 3);
        (0..5).for_each(|_| flight.produce(now));
        let first = numbers(&mut flight, OLD);
        assert_eq!(first.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3], "the window is 3");
        flight.answered(OLD, first[1].0, false, now);
        flight.over(OLD);
        flight.open(NEW, 10);
        let again: Vec<_> = numbers(&mut flight, NEW);
        assert_eq!(again.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 3, 4, 5]);
        flight.answered(OLD, first[0].0, false, now);
        again.iter().for_each(|(id, _)| flight.answered(NEW, *id, false, now));
        let counts = flight.counts(now);
        assert_eq!((counts.sent, counts.acknowledged, counts.repeated), (5, 5, 2));
        assert_eq!(flight.open_messages(), 0);
    }

    #[test]
    fn a_session_that_hands_over_keeps_what_it_owes() {
        let now = Instant::now();
        let mut flight = Flight::new(1);
        flight.open(OLD, 10);
        flight.produce(now);
        let (id, _) = flight.take(OLD).unwrap();
        flight.open(NEW, 10);
        flight.produce(now);
        let (other, message) = flight.take(NEW).unwrap();
        assert_eq!((message.number, flight.outstanding(OLD), flight.outstanding(NEW)), (2, 1, 1));
        flight.answered(OLD, id, false, now);
        assert_eq!(flight.outstanding(OLD), 0);
        flight.answered(NEW, other, true, now);
        let counts = flight.counts(now);
        assert_eq!((counts.acknowledged, counts.denied, counts.repeated), (1, 1, 0));
    }

    #[test]
    fn the_longest_gap_counts_waiting_and_not_idleness() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut flight = Flight::new(1);
        flight.open(OLD, 10);
        for (sent, answered) in [(0, 5), (1000, 1030), (5000, 5007)] {
            flight.produce(at(sent));
            let (id, _) = flight.take(OLD).unwrap();
            flight.answered(OLD, id, false, at(answered));
        }
        assert_eq!(flight.counts(at(9000)).longest_gap, Duration::from_millis(30));
        flight.produce(at(9000));
        flight.take(OLD).unwrap();
        flight.over(OLD);
        flight.open(NEW, 10);
        flight.take(NEW).unwrap();
        assert_eq!(
            flight.counts(at(9100)).longest_gap,
            Duration::from_millis(100),
            "sent twice, never answered"
        );
    }

    #[test]
    fn identifiers_are_used_again_only_when_they_are_free() {
        let now = Instant::now();
        let mut flight = Flight::new(1);
        flight.open(OLD, 2);
        flight.produce(now);
        let (held, _) = flight.take(OLD).unwrap();
        for _ in 0..70_000 {
            flight.produce(now);
            let (id, _) = flight.take(OLD).unwrap();
            assert_ne!(id, held);
            flight.answered(OLD, id, false, now);
        }
        assert_eq!(flight.counts(now).acknowledged, 70_000);
    }

    #[test]
    fn a_jam_makes_messages_later_and_drops_none() {
        let mut flight = Flight::new(3);
        let now = Instant::now();
        (0..WAITING_MAX).for_each(|_| flight.produce(now));
        assert!(flight.open_messages() <= WAITING_MAX);
        flight.open(OLD, u16::MAX);
        let mut last = 0;
        let mut count = 0;
        while let Some((id, message)) = flight.take(OLD) {
            assert!(message.number == last || message.number == last + 1);
            last = message.number;
            count += 1;
            flight.answered(OLD, id, false, now);
        }
        assert_eq!(count, last * 3);
    }
}
