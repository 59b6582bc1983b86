//! What decision logs say about certificates: where they were used, and that their keys were proven.

use crate::archive::{Accepted, ArchiveFault, Archives};
use crate::commit::Commits;
use crate::confirmation::Confirmations;
use crate::operators::Caller;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use touchmark_decisions::{Decision, Proof, Verdict};
use touchmark_identity::{EnvironmentName, Fingerprint, Name, OrganisationName};
use touchmark_inventory::{SightingRow, StoreFault};
use touchmark_journal::Scope;

/// Why an upload was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadFault {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Decisions of one gateway that were archived and not counted.
#[derive(Default)]
struct Late {
    environment: Option<EnvironmentName>,
    decisions: Vec<Decision>,
    position: (u32, u64),
}

/// The use case.
pub(crate) struct DecisionIntake {
    /// Frames.
    pub archives: Archives,
    /// Rows.
    pub commits: Commits,
    /// First proofs.
    pub confirmations: Arc<Confirmations>,
    /// Who is accountable.
    pub organisation: OrganisationName,
}

impl DecisionIntake {
    /// Archives frames, then counts what they say. Counting is repeated after a crash in between only for
    /// decisions at or after the stored position, so nothing counts twice.
    ///
    /// # Errors
    /// [`UploadFault`].
    pub(crate) async fn take(
        &self,
        gateway: &Caller,
        first_leaf: u64,
        frames: &[Vec<u8>],
        checkpoint: Option<&str>,
    ) -> Result<Accepted, UploadFault> {
        let accepted = self.archives.accept(&gateway.name, first_leaf, frames, checkpoint)?;
        self.count(&gateway.name, &gateway.environment, &accepted.decisions, accepted.position).await?;
        Ok(accepted)
    }

    /// Counts what a crash left archived but uncounted.
    ///
    /// # Errors
    /// [`UploadFault`].
    pub(crate) async fn catch_up(&self) -> Result<(), UploadFault> {
        let mut late: BTreeMap<Name, Late> = BTreeMap::new();
        let store = self.commits.store();
        let mut counted: BTreeMap<Name, (u32, u64)> = BTreeMap::new();
        for (gateway, _) in self.archives.positions()? {
            let position = store.sightings_position(&gateway)?.unwrap_or((0, 0));
            counted.insert(gateway, position);
        }
        self.archives.visit(|decision| {
            let position = counted.get(&decision.id.gateway).copied().unwrap_or((0, 0));
            if (decision.id.epoch, decision.id.sequence) < position {
                return;
            }
            let late = late.entry(decision.id.gateway.clone()).or_default();
            if let Some(session) = &decision.session {
                late.environment = Some(session.environment.clone());
            }
            late.position = (decision.id.epoch, decision.id.sequence + 1);
            late.decisions.push(decision);
        })?;
        for (gateway, late) in late {
            if let Some(environment) = late.environment {
                self.count(&gateway, &environment, &late.decisions, late.position).await?;
            }
        }
        Ok(())
    }

    async fn count(
        &self,
        gateway: &Name,
        environment: &EnvironmentName,
        decisions: &[Decision],
        position: (u32, u64),
    ) -> Result<(), UploadFault> {
        if decisions.is_empty() {
            return Ok(());
        }
        let store = self.commits.store();
        let counted = store.sightings_position(gateway)?.unwrap_or((0, 0));
        let fresh = decisions.iter().filter(|decision| (decision.id.epoch, decision.id.sequence) >= counted);
        let scope = Scope { organisation: self.organisation.clone(), environment: Some(environment.clone()) };
        let mut rows: BTreeMap<(Fingerprint, &'static str, String), SightingRow> = BTreeMap::new();
        let mut proven = BTreeSet::new();
        for decision in fresh {
            let Some(fingerprint) = decision.certificate() else { continue };
            if decision.proof() == Some(Proof::Mtls) {
                proven.insert(fingerprint);
            }
            add(&mut rows, &scope, gateway, fingerprint, decision);
        }
        let rows: Vec<SightingRow> = rows.into_values().collect();
        store.add_sightings(gateway, position, &rows)?;
        for fingerprint in proven {
            self.confirmations.proven(&fingerprint, "gateway").await?;
        }
        Ok(())
    }
}

fn add(
    rows: &mut BTreeMap<(Fingerprint, &'static str, String), SightingRow>,
    scope: &Scope,
    gateway: &Name,
    fingerprint: Fingerprint,
    decision: &Decision,
) {
    let action = decision.action.as_str();
    let resource = decision.resource.as_ref().map(|r| r.as_str().to_owned()).unwrap_or_default();
    let row = rows.entry((fingerprint, action, resource.clone())).or_insert_with(|| SightingRow {
        scope: scope.clone(),
        fingerprint,
        relying_party: gateway.clone(),
        action: action.to_owned(),
        resource,
        first: decision.at,
        last: decision.at,
        allowed: 0,
        denied: 0,
    });
    row.first = row.first.min(decision.at);
    row.last = row.last.max(decision.at);
    match decision.verdict {
        Verdict::Allow => row.allowed += u64::from(decision.count),
        Verdict::Deny(_) => row.denied += u64::from(decision.count),
    }
}
