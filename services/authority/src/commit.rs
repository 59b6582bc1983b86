//! Waiting for a durable commit without holding a thread.

use std::sync::Arc;
use tokio::sync::oneshot;
use touchmark_inventory::{Command, Receipt, Store, StoreFault};

/// The async side of [`Store::submit`].
#[derive(Clone)]
pub(crate) struct Commits(Arc<dyn Store>);

impl Commits {
    /// Commits to `store`.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Returns once the command is durable, or refused.
    ///
    /// # Errors
    /// As [`StoreFault`] says; after a storage fault it is unknown whether the command was stored.
    pub(crate) async fn commit(&self, command: Command) -> Result<Receipt, StoreFault> {
        #[cfg(feature = "faults")]
        if touchmark_faults::is_chosen("answer-before-commit")
            && crate::early_answer::is_enrolment_result(&command)
        {
            return Ok(crate::early_answer::answer_first(&self.0, command));
        }
        let (tell, told) = oneshot::channel();
        self.0.submit(
            command,
            Box::new(move |outcome| {
                // A caller that went away (a closed connection) does not undo what is durable.
                let _ = tell.send(outcome);
            }),
        );
        told.await.map_err(|_| StoreFault::Storage("the store stopped".into()))?
    }

    /// The rows.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0
    }
}
