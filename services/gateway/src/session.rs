//! Live sessions: what each may do now, and which of them a change of the feed concerns.

mod index;
mod review;
#[cfg(test)]
mod tests;

pub(crate) use index::{Entered, Sessions};
pub(crate) use review::Reviewer;

use crate::trust::{PathIdentity, Trust, TrustedPeer};
use arc_swap::ArcSwapOption;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;
use touchmark_decisions::{FeedPosition, SessionId};
use touchmark_identity::Timestamp;
use touchmark_policy::{DecisionTable, Denial, DenyReason};

/// One TLS connection of a device, from its opening to its end.
pub(crate) struct Session {
    id: SessionId,
    identity: Arc<PathIdentity>,
    /// What it may do; made anew when policy or scope change. `None` until it was judged.
    table: ArcSwapOption<DecisionTable>,
    /// Held while judged, so that an older judgement never replaces a newer one: where the feed stood then.
    judging: Mutex<Option<FeedPosition>>,
    /// The broker has a connection of it.
    at_broker: AtomicBool,
    /// Why it must end, once it must.
    ordered: OnceLock<DenyReason>,
    wake: Notify,
}

/// What judging a session looks at besides the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judge {
    /// It wants in.
    Admit,
    /// It is in.
    Review,
}

impl Session {
    pub(crate) fn new(id: SessionId, identity: Arc<PathIdentity>) -> Self {
        Self {
            id,
            identity,
            table: ArcSwapOption::empty(),
            judging: Mutex::new(None),
            at_broker: AtomicBool::new(false),
            ordered: OnceLock::new(),
            wake: Notify::new(),
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn identity(&self) -> &PathIdentity {
        &self.identity
    }

    /// The broker took a connection of it.
    pub(crate) fn began_at_broker(&self) {
        self.at_broker.store(true, Ordering::Release);
    }

    /// Whether it is connected to the broker and may stay.
    pub(crate) fn goes_on_at_broker(&self) -> bool {
        self.at_broker.load(Ordering::Acquire) && self.end_ordered().is_none()
    }

    /// The table in force. Without one nothing is permitted.
    pub(crate) fn table(&self) -> Option<Arc<DecisionTable>> {
        self.table.load_full()
    }

    /// Asks the trust again and takes over what it says now. Gives the peer and the answer to `connect`.
    pub(crate) fn judge(&self, trust: &Trust, judge: Judge, now: Timestamp) -> Result<TrustedPeer, Denial> {
        let mut position = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = match judge {
            Judge::Admit => trust.admit(&self.identity, now),
            Judge::Review => trust.review(&self.identity, now),
        };
        let peer = judged.map_err(Denial::because)?;
        self.table.store(Some(Arc::new(peer.specialise())));
        *position = Some(peer.position());
        Ok(peer)
    }

    /// Asks the trust again for one that is in. The table is made anew only when the feed has moved since.
    pub(crate) fn judge_again(&self, trust: &Trust, now: Timestamp) -> Result<(), Denial> {
        let mut position = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = trust.review(&self.identity, now).map_err(Denial::because)?;
        if *position != Some(peer.position()) {
            self.table.store(Some(Arc::new(peer.specialise())));
            *position = Some(peer.position());
        }
        Ok(())
    }

    /// Orders the end. The first reason stands.
    pub(crate) fn order_end(&self, reason: DenyReason) -> bool {
        let first = self.ordered.set(reason).is_ok();
        self.wake.notify_one();
        first
    }

    /// Why it must end, if it must.
    pub(crate) fn end_ordered(&self) -> Option<DenyReason> {
        self.ordered.get().copied()
    }

    /// Returns when the end is ordered. One task waits for it.
    pub(crate) async fn ended(&self) -> DenyReason {
        loop {
            if let Some(reason) = self.end_ordered() {
                return reason;
            }
            self.wake.notified().await;
        }
    }
}
