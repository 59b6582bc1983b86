//! What happens next: events in the order of their time, and in the order of their making within a millisecond.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use touchmark_identity::Timestamp;

/// A queue of events.
#[derive(Debug)]
pub(super) struct Timeline<E> {
    order: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, E>,
    made: u64,
}

impl<E> Default for Timeline<E> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), events: BTreeMap::new(), made: 0 }
    }
}

impl<E> Timeline<E> {
    /// Lets `event` happen at `at`.
    pub(super) fn add(&mut self, at: Timestamp, event: E) {
        self.made += 1;
        self.order.push(Reverse((at.unix_ms(), self.made)));
        self.events.insert(self.made, event);
    }

    /// The next event and its time.
    pub(super) fn next(&mut self) -> Option<(Timestamp, E)> {
        let Reverse((ms, number)) = self.order.pop()?;
        let event = self.events.remove(&number)?;
        Some((Timestamp::from_unix_ms(ms), event))
    }
}
