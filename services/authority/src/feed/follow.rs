//! The feeds follow the journal: each entry is projected once, in order, at its sequence number.
//!
//! An entry that cannot be projected or published holds up those behind it, and is tried again: with the next commit that
//! touches a feed, and by the upkeep each second. Nothing that is recorded is left out.

use super::place::BATCH;
use super::place::{Place, end_of};
use super::{Feeds, PublishFault, lock, own_anchors};
use crate::issuance::hierarchy::Hierarchy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use touchmark_inventory::{Receipt, Store};
use touchmark_journal::Event;
use touchmark_listen::Clock;
use touchmark_projections::{concerns_feed, feed_changes};

/// The one reader of the journal that the feeds have.
pub(crate) struct Follower {
    feeds: Arc<Feeds>,
    hierarchy: Arc<Hierarchy>,
    store: Arc<dyn Store>,
    clock: Clock,
    place: Mutex<Place>,
}

impl Follower {
    /// `next` is a length of the journal from before the feeds were loaded.
    pub(crate) fn new(
        feeds: Arc<Feeds>,
        hierarchy: Arc<Hierarchy>,
        store: Arc<dyn Store>,
        clock: Clock,
        next: u64,
    ) -> Self {
        Self { feeds, hierarchy, store, clock, place: Mutex::new(Place::at(next)) }
    }

    /// Follows a commit that is durable; `concerned` if any of its events touches a feed.
    ///
    /// # Errors
    /// [`PublishFault`]; it is tried again.
    pub(crate) fn committed(&self, receipt: Receipt, concerned: bool) -> Result<(), PublishFault> {
        let mut place = lock(&self.place);
        if !concerned {
            place.pass(receipt);
            return Ok(());
        }
        if place.next() >= end_of(receipt) {
            return Ok(());
        }
        self.read_on(&mut place)
    }

    /// Follows whatever was committed since.
    ///
    /// # Errors
    /// [`PublishFault`] of the first entry that failed; the next call begins there.
    pub(crate) fn catch_up(&self) -> Result<(), PublishFault> {
        self.read_on(&mut lock(&self.place))
    }

    /// Whether the feeds say what a commit recorded.
    pub(crate) fn has_followed(&self, receipt: Receipt) -> bool {
        lock(&self.place).next() >= end_of(receipt)
    }

    /// Does something while nothing is followed.
    pub(crate) fn while_still<T>(&self, act: impl FnOnce() -> T) -> T {
        let _place = lock(&self.place);
        act()
    }

    fn read_on(&self, place: &mut Place) -> Result<(), PublishFault> {
        loop {
            let entries = self.store.journal_from(place.next(), BATCH)?;
            let Some(last) = entries.last().map(|stored| stored.entry.seq) else { break };
            let mut changes = BTreeMap::<_, Vec<_>>::new();
            for stored in entries.iter().filter(|stored| concerns_feed(&stored.entry.event)) {
                let (scope, event): (_, &Event) = (&stored.entry.envelope.scope, &stored.entry.event);
                // An environment that is being created opens its feed with all that is recorded.
                let trust = scope.environment.as_ref().and_then(|name| self.hierarchy.trust_of(name));
                let Some(trust) = trust.filter(|trust| self.feeds.of(&trust.environment.name).is_ok()) else {
                    continue;
                };
                let name = &trust.environment.name;
                let of_it = feed_changes(event, name, &own_anchors(&trust), &*self.store)?;
                changes.entry(name.clone()).or_default().extend(of_it);
            }
            for (environment, changes) in changes {
                self.feeds.publish(&environment, self.clock.now(), changes)?;
            }
            place.reached(last + 1);
        }
        Ok(())
    }
}
