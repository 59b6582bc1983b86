//! Carries out the steps of a use case: what answers at once in one hop off the runtime's workers, commits and turns
//! without holding a thread.

use super::IdentityKey;
use super::Issuance;
use super::keyed_lock::Turn as Held;
use crate::entropy::random;
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedMutexGuard;
use touchmark_identity::AuthorityVersionId;
use touchmark_inventory::{PartyRow, Store, StoreFault};
use touchmark_journal::Reach;
use touchmark_ra::{Memory, Moment, Notice, Step, Turn, World};
use touchmark_x509::Signer;

/// One use case under way.
struct Case {
    issuance: Arc<Issuance>,
    /// Kept to its end.
    turns: Vec<(Held<IdentityKey>, Option<OwnedMutexGuard<()>>)>,
}

impl Issuance {
    /// Carries out a use case; `begin` is done off the runtime's workers, too.
    pub(super) async fn run<T, E>(
        self: &Arc<Self>,
        begin: impl FnOnce() -> Result<Step<T, E>, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        let case = Case { issuance: Arc::clone(self), turns: Vec::new() };
        let (mut case, mut step) = self.aside(case, begin).await?;
        loop {
            step = match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Commit(command, then) => {
                    let outcome = self.commits.commit(command).await;
                    then(outcome, case.moment())?
                }
                Step::Turn(turn, then) => {
                    case.wait_for(&turn).await;
                    then(true, case.moment())?
                }
                more => {
                    let (same, next) = self.aside(case, move || Ok(more)).await?;
                    case = same;
                    next
                }
            };
        }
    }

    /// One hop: on a thread that may block, as many at once as there are cores.
    async fn aside<T, E>(
        &self,
        mut case: Case,
        begin: impl FnOnce() -> Result<Step<T, E>, E> + Send + 'static,
    ) -> Result<(Case, Step<T, E>), E>
    where
        T: Send + 'static,
        E: From<StoreFault> + Send + 'static,
    {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.aside).acquire_owned().await;
        let work = move || {
            let next = begin().and_then(|step| step.advance(&mut case));
            drop(permit);
            next.map(|next| (case, next))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreFault::Storage("the authority stops".into()).into()),
            },
        }
    }
}

impl Case {
    async fn wait_for(&mut self, turn: &Turn) {
        let identity = self.issuance.in_flight.lock(turn.identity.clone()).await;
        let roles = match turn.changes_roles {
            true => Some(Arc::clone(&self.issuance.operators.turn).lock_owned().await),
            false => None,
        };
        self.turns.push((identity, roles));
    }
}

impl World for Case {
    fn store(&self) -> &dyn Store {
        &**self.issuance.commits.store()
    }

    fn moment(&mut self) -> Moment {
        Moment::new(self.issuance.clock.now(), random())
    }

    fn memory(&self) -> &Mutex<Memory> {
        &self.issuance.memory
    }

    fn take_turn(&mut self, turn: &Turn) -> bool {
        let Some(identity) = self.issuance.in_flight.try_lock(turn.identity.clone()) else { return false };
        let roles = match turn.changes_roles {
            true => match Arc::clone(&self.issuance.operators.turn).try_lock_owned() {
                Ok(roles) => Some(roles),
                Err(_) => return false,
            },
            false => None,
        };
        self.turns.push((identity, roles));
        true
    }

    fn signer(&self, version: AuthorityVersionId) -> Option<Arc<dyn Signer>> {
        self.issuance.hierarchy.signer(version)
    }

    fn closes_last_way_in(
        &self,
        party: &PartyRow,
        roles: &[String],
        reach: Reach,
    ) -> Result<bool, StoreFault> {
        self.issuance.operators.would_close_last_way_in(party, roles, reach)
    }

    fn tell(&self, notice: &Notice) {
        match notice {
            Notice::CloneSuspected { holder, certificate, seen_by, quarantined } => tracing::warn!(
                holder = %holder.as_ref().map(ToString::to_string).unwrap_or_default(),
                %certificate, %seen_by, quarantined,
                "an older certificate was used after a newer one: the key may have been copied",
            ),
            Notice::CloneUnrecorded(fault) => {
                tracing::error!(%fault, "a clone is suspected, which could not be recorded");
            }
            // Its holder may do so as often as it likes.
            Notice::ProvenPastEnd(certificate) => {
                tracing::debug!(%certificate, "proven past its end: it may only be renewed");
            }
            Notice::ProvenElsewhere(certificate, environment) => {
                tracing::warn!(%certificate, %environment, "a proof by a gateway that has no say about it");
            }
            Notice::Unburned(certificate, fault) => {
                tracing::error!(%certificate, %fault, "an unsigned intent stays open until the upkeep burns it");
            }
        }
    }
}
