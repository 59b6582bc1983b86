//! What both directions of a session know together: one packet is understood by what went the other way before.

use super::merge::Merges;
use super::releases::Releases;
use super::subscriptions::Subscriptions;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use touchmark_mqtt::PacketId;

/// What the broker holds of a session. Shared by the connections of a session that the broker keeps.
pub(crate) type AtBroker = Arc<Mutex<Exchanged>>;

/// Shared by the two directions of one connection.
#[derive(Default)]
pub(crate) struct Exchange {
    pub(crate) merges: Merges,
    state: AtBroker,
}

/// See [`AtBroker`].
#[derive(Debug, Default)]
pub(crate) struct Exchanged {
    pub(crate) releases: Releases,
    pub(crate) subscriptions: Subscriptions,
    /// Identifiers of SUBSCRIBEs and UNSUBSCRIBEs that the gateway sent by itself: their answers are not the client's.
    pub(crate) ours: BTreeSet<PacketId>,
}

impl Exchanged {
    /// Another connection goes on with the session.
    pub(crate) fn resume(&mut self) {
        self.releases.resume();
        self.ours.clear();
    }
}

impl Exchange {
    /// Goes on with what is known of a session at the broker.
    pub(crate) fn of(state: AtBroker) -> Self {
        Self { merges: Merges::default(), state }
    }

    /// Held for a moment, never over an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, Exchanged> {
        locked(&self.state)
    }
}

pub(crate) fn locked(state: &Mutex<Exchanged>) -> MutexGuard<'_, Exchanged> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
