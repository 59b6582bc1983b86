//! What decision logs say about certificates: where they were used, that their keys were proven, and that older ones
//! are still about.
//!
//! Frames are kept first and counted after, under one lock per gateway: what a fault or a crash leaves between
//! the two is counted from the archive the next time.

#[cfg(test)]
pub(crate) mod tests;

use crate::audit::archive::{Accepted, Archive, ArchiveFault, Archives};
use crate::issuance::Issuance;
use crate::operators::Caller;
use crate::store::commit::Commits;
use std::sync::Arc;
use tokio::runtime::Handle;
use touchmark_identity::{EnvironmentName, Name, OrganisationName};
use touchmark_inventory::StoreFault;
use touchmark_journal::{IdentityKind, Scope};
use touchmark_ra::{Proven, Use};

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadFault {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    #[error(transparent)]
    Store(#[from] StoreFault),
}

pub(crate) struct DecisionIntake {
    /// Frames.
    pub(crate) archives: Archives,
    /// Rows.
    commits: Commits,
    /// First proofs, and uses of what was replaced.
    issuance: Arc<Issuance>,
    /// Who is accountable.
    pub(crate) organisation: OrganisationName,
}

impl DecisionIntake {
    pub(crate) fn new(
        archives: Archives,
        commits: Commits,
        issuance: Arc<Issuance>,
        organisation: OrganisationName,
    ) -> Self {
        Self { archives, commits, issuance, organisation }
    }

    /// Remembers a gateway's log key, for ever.
    ///
    /// # Errors
    /// [`UploadFault`].
    pub(crate) async fn register(self: &Arc<Self>, gateway: &Name, vkey: &str) -> Result<(), UploadFault> {
        let (intake, gateway, vkey) = (Arc::clone(self), gateway.clone(), vkey.to_owned());
        aside(move || Ok(intake.archives.register(&gateway, &vkey)?)).await
    }

    /// Archives frames, then counts what they say, and what earlier ones said that is not counted yet.
    ///
    /// # Errors
    /// [`UploadFault`]; frames that were kept are on disk and will be counted.
    pub(crate) async fn take(
        self: &Arc<Self>,
        gateway: &Caller,
        first_leaf: u64,
        frames: &[Vec<u8>],
        checkpoint: Option<&str>,
    ) -> Result<Accepted, UploadFault> {
        let (intake, gateway) = (Arc::clone(self), gateway.clone());
        let (frames, checkpoint) = (frames.to_vec(), checkpoint.map(ToOwned::to_owned));
        aside(move || {
            intake.archives.with(&gateway.name, |archive| {
                let accepted =
                    archive.accept(&gateway.environment, first_leaf, &frames, checkpoint.as_deref());
                let counted = intake.count(archive, &gateway.name, &gateway.environment);
                if let (Err(_), Err(fault)) = (&accepted, &counted) {
                    tracing::error!(gateway = %gateway.name, %fault, "decisions are kept but not counted yet");
                }
                let accepted = accepted?;
                counted.map(|()| accepted)
            })?
        })
        .await
    }

    /// Counts what a crash left archived but uncounted. An archive that is not in order is left aside.
    ///
    /// # Errors
    /// [`UploadFault`]: the rows, or the directory of the archives.
    pub(crate) async fn catch_up(self: &Arc<Self>) -> Result<(), UploadFault> {
        let intake = Arc::clone(self);
        aside(move || {
            let parties = intake.commits.store().parties()?;
            for gateway in intake.archives.gateways()? {
                let party =
                    parties.iter().find(|party| party.kind == IdentityKind::Service && party.name == gateway);
                let Some(home) = party.and_then(|party| party.scope.environment.as_ref()) else {
                    tracing::error!(%gateway, "there is a decision archive of a gateway that nobody registered");
                    continue;
                };
                match intake.archives.with(&gateway, |archive| intake.count(archive, &gateway, home)) {
                    Ok(Ok(())) => {}
                    Ok(Err(UploadFault::Store(fault))) => return Err(fault.into()),
                    Err(fault) | Ok(Err(UploadFault::Archive(fault))) => {
                        tracing::error!(%gateway, %fault, "the authority starts without a decision archive");
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// Brings rows and certificates up to what the archive holds. Only forwards: rows that are ahead of the
    /// archive stay as they are, and the audit says so. For a thread that may block.
    fn count(
        &self,
        archive: &mut Archive,
        gateway: &Name,
        environment: &EnvironmentName,
    ) -> Result<(), UploadFault> {
        let store = self.commits.store();
        let counted = store.sightings_position(gateway)?.unwrap_or((0, 0));
        let Some((tally, reached)) = archive.uncounted(counted)? else { return Ok(()) };
        // Proofs first: the position says that they were told, too.
        for witnessed in tally.proven() {
            let proven = Proven::AtGateway { environment: environment.clone(), witnessed: witnessed.clone() };
            Handle::current().block_on(self.issuance.proven(&witnessed.fingerprint, proven, "gateway"))?;
        }
        for witnessed in tally.superseded() {
            let proven = Proven::AtGateway { environment: environment.clone(), witnessed: witnessed.clone() };
            let of_ours = store
                .certificate_by_fingerprint(&witnessed.fingerprint)?
                .is_some_and(|row| proven.covers(&row, row.validity.not_after()));
            if of_ours {
                let look = self.issuance.look_at(&witnessed.fingerprint, Use::Other, gateway, "gateway");
                Handle::current().block_on(look)?;
            }
        }
        let scope = Scope { organisation: self.organisation.clone(), environment: Some(environment.clone()) };
        store.add_sightings(gateway, reached, &tally.rows(&scope, gateway))?;
        archive.counted(reached);
        Ok(())
    }
}

/// Runs work that waits for disks on a thread of its own.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadFault> + Send + 'static,
) -> Result<T, UploadFault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreFault::Storage("the authority stops".into()).into()),
        },
    }
}
