//! How far a reader of the journal has come. What does not concern it is passed without reading.

use std::collections::BTreeMap;
use touchmark_inventory::Receipt;

/// Entries that are read at a time.
pub(super) const BATCH: usize = 512;
/// Commits kept that do not concern the reader and are ahead of one that was not heard of: those of one group, and room.
const AHEAD_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Place {
    /// The sequence number of the next entry.
    next: u64,
    /// Commits further on that do not concern it: first entry and end. Their callers wake in any order.
    ahead: BTreeMap<u64, u64>,
}

impl Place {
    pub(crate) fn at(next: u64) -> Self {
        Self { next, ahead: BTreeMap::new() }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// A commit that does not concern the reader.
    pub(crate) fn pass(&mut self, receipt: Receipt) {
        if receipt.first_seq <= self.next {
            self.next = self.next.max(end_of(receipt));
            self.join();
        } else if self.ahead.len() < AHEAD_MAX {
            self.ahead.insert(receipt.first_seq, end_of(receipt));
        }
    }

    /// All before `next` was read, and what follows may have been passed.
    pub(crate) fn reached(&mut self, next: u64) {
        self.next = self.next.max(next);
        self.ahead = self.ahead.split_off(&self.next);
        self.join();
    }

    fn join(&mut self) {
        while let Some(end) = self.ahead.remove(&self.next) {
            self.next = end;
        }
    }
}

pub(super) fn end_of(receipt: Receipt) -> u64 {
    receipt.first_seq + receipt.entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_that_touch_no_feed_are_passed_in_whatever_order_they_are_heard_of() {
        let receipt = |first_seq, entries| Receipt { first_seq, entries };
        let mut place = Place::at(10);
        for (heard, expected) in [
            (receipt(12, 2), 10),
            (receipt(17, 1), 10),
            (receipt(10, 2), 14),
            (receipt(14, 2), 16),
            (receipt(16, 1), 18),
            (receipt(19, 1), 18),
        ] {
            place.pass(heard);
            assert_eq!(place.next, expected, "{heard:?}");
        }
        for n in 0..2 * AHEAD_MAX as u64 {
            place.pass(receipt(100 + 2 * n, 1));
        }
        assert!(place.ahead.len() <= AHEAD_MAX);
    }
}
