//! The places of a port: what each connection holds from its handshake to its end.

use crate::serve::WhenFull;
use crate::table::{ConnectionTable, Displaced, Entry, Holder, Share, WaitsFor};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places, with a rule for when they are all taken. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    /// [`WhenFull::Wait`].
    Kept(Arc<Semaphore>),
    /// [`WhenFull::Displace`].
    Given(Arc<ConnectionTable>),
}

/// One place, until this is dropped.
#[derive(Debug)]
pub(crate) enum Place {
    Kept(OwnedSemaphorePermit),
    /// Boxed: sessions hold the other kind, and are counted in thousands.
    Given(Box<(Entry, Displaced)>),
}

impl Places {
    pub(crate) fn new(most: usize, when_full: WhenFull) -> Self {
        match when_full {
            WhenFull::Wait => Self::Kept(Arc::new(Semaphore::new(most))),
            WhenFull::Displace => {
                let half = most.div_ceil(2);
                Self::Given(ConnectionTable::new(most, Share { silent: half, all: half }))
            }
        }
    }

    /// Returns when a place can be had. Safe to drop.
    pub(crate) async fn has_room(&self) {
        match self {
            Self::Kept(places) => drop(places.acquire().await),
            Self::Given(table) => table.has_room().await,
        }
    }

    /// A place, if one can be had without waiting.
    pub(crate) fn take_at_once(&self, holder: Holder) -> Option<Place> {
        match self {
            Self::Kept(places) => Arc::clone(places).try_acquire_owned().ok().map(Place::Kept),
            Self::Given(table) => Some(Place::Given(Box::new(table.enter(holder, WaitsFor::Peer)))),
        }
    }

    /// A place; `None` when there are no places any more.
    pub(crate) async fn take(&self, holder: Holder) -> Option<Place> {
        match self {
            Self::Kept(places) => Arc::clone(places).acquire_owned().await.ok().map(Place::Kept),
            Self::Given(_) => self.take_at_once(holder),
        }
    }
}

impl Place {
    /// Lets a connection run in this place; says whether it had to end for another.
    pub(crate) async fn hold(self, connection: impl Future<Output = ()>) -> bool {
        match self {
            Self::Kept(_place) => {
                connection.await;
                false
            }
            Self::Given(mut given) => tokio::select! {
                biased;
                () = connection => false,
                Ok(()) = &mut given.1 => true,
            },
        }
    }
}
