//! Waiting for a durable commit without holding a thread; what follows the journal is told of each.

use crate::feed::{Follower, Place, PublishFault};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use touchmark_inventory::{Command, Receipt, Store, StoreFault};
use touchmark_projections::{concerns_crls, concerns_feed};

/// The async side of [`Store::submit`].
#[derive(Clone)]
pub(crate) struct Commits {
    store: Arc<dyn Store>,
    followers: Arc<Followers>,
}

#[derive(Default)]
struct Followers {
    /// Set once there are feeds.
    feeds: OnceLock<Follower>,
    /// How far the CRLs have followed.
    crls: OnceLock<Arc<Mutex<Place>>>,
    /// For the journal's log.
    recorded: Notify,
}

impl Commits {
    /// Commits to `store`.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, followers: Arc::default() }
    }

    /// From now on the feeds follow each commit.
    pub(crate) fn feed(&self, follower: Follower) {
        // There is one set of feeds.
        let _ = self.followers.feeds.set(follower);
    }

    /// From now on the CRLs hear of what they need not read.
    pub(crate) fn pass_to_crls(&self, place: Arc<Mutex<Place>>) {
        // There is one set of CRLs.
        let _ = self.followers.crls.set(place);
    }

    /// Returns once the command is durable and the feeds say so, or once it is refused.
    ///
    /// # Errors
    /// As [`StoreFault`] says; after a storage fault it is unknown whether the command was stored. A feed that cannot
    /// follow yet is no error here: see [`Commits::is_fed`].
    pub(crate) async fn commit(&self, command: Command) -> Result<Receipt, StoreFault> {
        #[cfg(feature = "faults")]
        if touchmark_faults::is_chosen("answer-before-commit")
            && crate::http::early_answer::is_enrolment_result(&command)
        {
            return Ok(crate::http::early_answer::answer_first(&self.store, command));
        }
        let concerned = command.entries.iter().any(|draft| concerns_feed(&draft.event));
        let lists = command.entries.iter().any(|draft| concerns_crls(&draft.event));
        let (tell, told) = oneshot::channel();
        let followers = self.followers.clone();
        self.store.submit(
            command,
            Box::new(move |outcome| {
                followers.recorded.notify_one();
                // A caller that went away (a closed connection) does not undo what is durable.
                let _ = tell.send(outcome);
            }),
        );
        let receipt = told.await.map_err(|_| StoreFault::Storage("the store stopped".into()))??;
        if let Some(place) = self.followers.crls.get().filter(|_| !lists) {
            place.lock().unwrap_or_else(PoisonError::into_inner).pass(receipt);
        }
        if let Some(Err(fault)) = self.followers.feeds.get().map(|feeds| feeds.committed(receipt, concerned))
        {
            tracing::error!(%fault, "recorded, but the feeds do not say so yet; it is tried again");
        }
        Ok(receipt)
    }

    /// That the feeds say what a commit recorded.
    ///
    /// # Errors
    /// [`PublishFault::Behind`].
    pub(crate) fn is_fed(&self, receipt: Receipt) -> Result<(), PublishFault> {
        match self.followers.feeds.get() {
            Some(feeds) if !feeds.has_followed(receipt) => Err(PublishFault::Behind),
            _ => Ok(()),
        }
    }

    /// Tries again what the feeds could not follow, and follows commits whose caller went away.
    ///
    /// # Errors
    /// [`PublishFault`].
    pub(crate) fn catch_up(&self) -> Result<(), PublishFault> {
        self.followers.feeds.get().map_or(Ok(()), Follower::catch_up)
    }

    /// Does something while no commit is followed.
    pub(crate) fn while_feeds_stand<T>(&self, act: impl FnOnce() -> T) -> T {
        match self.followers.feeds.get() {
            Some(feeds) => feeds.while_still(act),
            None => act(),
        }
    }

    /// Returns with the next commit, or after `wait`.
    pub(crate) async fn recorded(&self, wait: Duration) {
        // Either way it is time to look.
        let _ = tokio::time::timeout(wait, self.followers.recorded.notified()).await;
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}
