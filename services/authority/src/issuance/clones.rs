//! Clone alarms: a certificate is used although its successor's key was proven. People are told, and the device is
//! held off if its profile says so.

use crate::issuance::EnrolmentFault;
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::presented::PresentedRows;
use crate::store::commit::Commits;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use touchmark_identity::{CertificateId, Fingerprint, Name, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, StoreFault};
use touchmark_journal::{CloneResponse, Event};
use touchmark_listen::Clock;
use touchmark_ra::suspect_clone;

/// One certificate raises one alarm in so long, however often it is used.
const QUIET: Duration = Duration::from_secs(3600);
/// Certificates remembered for that; when there are more, the one that was quiet longest may ring again.
const REMEMBERED_MAX: usize = 4096;
/// How often it is decided again when rows change under it.
const TRIES: usize = 4;

/// What was done with the older certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It asked for a successor, which only the newest may.
    Renewal,
    /// Anything else: suspicious only once its overlap is over.
    Other,
}

pub(crate) struct CloneAlarms {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    clock: Clock,
    rang: Mutex<BTreeMap<CertificateId, Timestamp>>,
}

impl CloneAlarms {
    pub(crate) fn new(commits: Commits, hierarchy: Arc<Hierarchy>, clock: Clock) -> Self {
        Self { commits, hierarchy, clock, rang: Mutex::default() }
    }

    /// Looks at a use of a certificate whose key was proven to `seen_by`; does nothing where nothing is suspicious.
    ///
    /// # Errors
    /// [`StoreFault`]; the next use is looked at again.
    pub(crate) async fn look_at(
        &self,
        used: &Fingerprint,
        what: Use,
        seen_by: &Name,
        cause: &str,
    ) -> Result<(), StoreFault> {
        for _ in 0..TRIES {
            match self.look_once(used, what, seen_by, cause).await {
                // Its standing changed meanwhile.
                Err(StoreFault::Conflict(_)) => {}
                outcome => return outcome,
            }
        }
        Ok(())
    }

    async fn look_once(
        &self,
        used: &Fingerprint,
        what: Use,
        seen_by: &Name,
        cause: &str,
    ) -> Result<(), StoreFault> {
        let rows = match PresentedRows::read(&**self.commits.store(), &self.hierarchy, used, None) {
            Ok(rows) => rows,
            Err(EnrolmentFault::Store(fault)) => return Err(fault),
            // None of ours.
            Err(_) => return Ok(()),
        };
        let now = self.clock.now();
        let over = rows.facts.row.refused_from.is_some_and(|from| now >= from);
        if !was_superseded(&rows.facts.row) || !(over || what == Use::Renewal) {
            return Ok(());
        }
        let response = rows.trust.profiles.get(&rows.facts.row.kind).map(|profile| profile.on_clone);
        let response = response.unwrap_or(CloneResponse::Alarm);
        let Ok(presented) = rows.presented() else { return Ok(()) };
        let Some(command) = suspect_clone(&presented, seen_by, response, cause, now) else { return Ok(()) };
        if !self.ring(rows.facts.row.certificate, now) {
            return Ok(());
        }
        let holds = command.entries.iter().any(|draft| matches!(draft.event, Event::StandingChanged(_)));
        tracing::warn!(
            holder = %rows.facts.row.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
            certificate = %rows.facts.row.certificate, %seen_by, quarantined = holds,
            "an older certificate was used after a newer one: the key may have been copied",
        );
        if let Err(fault) = self.commits.commit(command).await {
            self.rang().remove(&rows.facts.row.certificate);
            return Err(fault);
        }
        Ok(())
    }

    /// Whether this certificate's alarm was quiet long enough.
    fn ring(&self, certificate: CertificateId, now: Timestamp) -> bool {
        let mut rang = self.rang();
        if rang.get(&certificate).is_some_and(|last| now.since(*last) < QUIET) {
            return false;
        }
        if rang.len() >= REMEMBERED_MAX {
            let oldest = rang.iter().min_by_key(|(_, at)| **at).map(|(certificate, _)| *certificate);
            oldest.map(|oldest| rang.remove(&oldest));
        }
        rang.insert(certificate, now);
        true
    }

    fn rang(&self) -> std::sync::MutexGuard<'_, BTreeMap<CertificateId, Timestamp>> {
        self.rang.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refused because another took its place, on the CRL or not.
pub(crate) fn was_superseded(row: &CertificateRow) -> bool {
    row.state == CertificateState::Superseded
        || (row.state == CertificateState::Revoked
            && row.revocation_reason == Some(RevocationReason::Superseded))
}
