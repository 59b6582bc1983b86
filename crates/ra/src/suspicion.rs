//! What follows by itself: a certificate that is used although its successor was proven, and one whose overlap is over.

use crate::confirmation::{TRIES, with_holder};
use crate::fault::Notice;
use crate::refusal::Refusal;
use crate::renewal::Presented;
use crate::step::{Moment, Step};
use crate::trust::Trusts;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use touchmark_identity::{Actor, CertificateId, Fingerprint, Name, RevocationReason, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Facts, Precondition, REVOKED_IN_ONE_EVENT, StoreFault,
};
use touchmark_journal::{
    CertificatesRevoked, CloneResponse, CloneSuspected, Draft, Envelope, Event, PartyCloneSuspected,
    PartyName, RevokedCertificate, Standing, StandingChanged,
};

/// One certificate raises one alarm in so long, however often it is used.
const QUIET: Duration = Duration::from_secs(3600);
/// Certificates remembered for that; when there are more, the one that was quiet longest may ring again.
const REMEMBERED_MAX: usize = 4096;

/// What was done with the older certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It asked for a successor, which only the newest may.
    Renewal,
    /// Anything else: suspicious only once its overlap is over.
    Other,
}

/// When each certificate rang last.
#[derive(Debug, Default)]
pub(crate) struct Alarms(BTreeMap<CertificateId, Timestamp>);

impl Alarms {
    /// Whether this certificate's alarm was quiet long enough.
    pub(crate) fn ring(&mut self, certificate: CertificateId, now: Timestamp) -> bool {
        if self.0.get(&certificate).is_some_and(|last| now.since(*last) < QUIET) {
            return false;
        }
        if self.0.len() >= REMEMBERED_MAX {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(certificate, _)| *certificate);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(certificate, now);
        true
    }

    pub(crate) fn unring(&mut self, certificate: CertificateId) {
        self.0.remove(&certificate);
    }
}

/// Refused because another took its place, on the CRL or not.
pub fn was_superseded(row: &CertificateRow) -> bool {
    row.state == CertificateState::Superseded
        || (row.state == CertificateState::Revoked
            && row.revocation_reason == Some(RevocationReason::Superseded))
}

/// Whether a refused renewal may be a thief's, or come from somebody robbed: only the newest certificate may ask for a
/// successor. A superseded one may have been revoked for just that.
pub(crate) fn is_suspicious(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Superseded { newer: Some(_) } | Refusal::Revoked)
}

/// Looks at a use of a certificate whose key was proven to `seen_by`; records nothing where nothing is suspicious. After
/// a fault the next use is looked at again.
pub fn look_at_use(
    used: Fingerprint,
    what: Use,
    seen_by: Name,
    cause: &'static str,
    trusts: Arc<Trusts>,
) -> Step<(), StoreFault> {
    look(Look { used, what, seen_by, cause, trusts }, TRIES, Box::new(|looked| looked.map(Step::Done)))
}

pub(crate) struct Look {
    pub(crate) used: Fingerprint,
    pub(crate) what: Use,
    pub(crate) seen_by: Name,
    pub(crate) cause: &'static str,
    pub(crate) trusts: Arc<Trusts>,
}

/// What follows a look, whether or not there was anything to see.
pub(crate) type Looked<T, E> = Box<dyn FnOnce(Result<(), StoreFault>) -> Result<Step<T, E>, E> + Send>;

pub(crate) fn look<T: 'static, E: 'static>(look: Look, tries: u8, then: Looked<T, E>) -> Step<T, E> {
    let used = look.used;
    let read = move |facts: Option<Facts>, moment: Moment| {
        let suspected = facts.as_ref().and_then(|facts| look.suspects(facts, moment.now));
        let Some((row, command)) = suspected else { return then(Ok(())) };
        let certificate = row.certificate;
        let ring = move |rings: bool, _| {
            if !rings {
                return then(Ok(()));
            }
            let quarantined =
                command.entries.iter().any(|draft| matches!(draft.event, Event::StandingChanged(_)));
            let (holder, seen_by) = (row.identity, look.seen_by.clone());
            let notice = Notice::CloneSuspected { holder, certificate, seen_by, quarantined };
            let committed = move |outcome, _| match outcome {
                Ok(_) => then(Ok(())),
                // Its standing changed meanwhile.
                Err(StoreFault::Conflict(_)) if tries > 1 => {
                    Ok(Step::Unring(certificate, Box::new(move || Ok(self::look(look, tries - 1, then)))))
                }
                Err(fault) => {
                    let fault = if matches!(fault, StoreFault::Conflict(_)) { Ok(()) } else { Err(fault) };
                    Ok(Step::Unring(certificate, Box::new(move || then(fault))))
                }
            };
            Ok(Step::Tell(notice, Box::new(move || Ok(Step::Commit(command, Box::new(committed))))))
        };
        Ok(Step::Ring(certificate, Box::new(ring)))
    };
    Step::Read(with_holder(used), Box::new(read))
}

impl Look {
    fn suspects(&self, facts: &Facts, now: Timestamp) -> Option<(CertificateRow, Command)> {
        let row = facts.certificate()?;
        let over = row.refused_from.is_some_and(|from| now >= from);
        if !was_superseded(row) || !(over || self.what == Use::Renewal) {
            return None;
        }
        let presented = Presented::of(facts, &self.trusts).ok()?;
        let profile = self.trusts.of(row.scope.environment.as_ref()?)?.profiles.get(&row.kind)?;
        let command = suspect_clone(&presented, &self.seen_by, profile.on_clone, self.cause, now)?;
        Some((row.clone(), command))
    }
}

/// Records that an older certificate was used after a newer one, and holds the device off if its profile says so.
/// `None` when there is nothing to suspect: no newer certificate that was proven.
///
/// Which of the two is the thief nobody knows: quarantine holds both off until a person looked. Operators and services
/// have no standing: of them people are told.
pub fn suspect_clone(
    presented: &Presented<'_>,
    seen_by: &Name,
    response: CloneResponse,
    cause: &str,
    now: Timestamp,
) -> Option<Command> {
    let newer = presented.newer()?;
    let actor = Actor::automation("clone-alarm".parse().expect("the word is a name"));
    let envelope = Envelope { scope: presented.row.scope.clone(), actor, cause: cause.into(), at: now };
    let (older, seen_by) = (presented.row.certificate, seen_by.clone());
    let Some(device) = presented.device else {
        let name = presented.row.identity.as_ref()?.name.clone();
        let party = PartyName { kind: presented.row.kind, name };
        let event = Event::PartyCloneSuspected(PartyCloneSuspected { party, older, newer, seen_by });
        let entries = vec![Draft { envelope, event, private: None }];
        return Some(Command { preconditions: Vec::new(), entries });
    };
    let alarm = Event::CloneSuspected(CloneSuspected { device: device.device, older, newer, seen_by });
    let mut command = Command {
        preconditions: Vec::new(),
        entries: vec![Draft { envelope: envelope.clone(), event: alarm, private: None }],
    };
    if response == CloneResponse::Quarantine && device.standing == Standing::Active {
        let held = StandingChanged { device: device.device, standing: Standing::Quarantined, until: None };
        command
            .preconditions
            .push(Precondition::DeviceStanding { device: device.device, standing: Standing::Active });
        command.entries.push(Draft { envelope, event: Event::StandingChanged(held), private: None });
    }
    Some(command)
}

/// Revokes superseded certificates of one environment whose overlap is over: for profiles that want it on the CRL.
/// At most a thousand at once; `None` when there is nothing to do.
pub fn revoke_superseded(rows: &[CertificateRow], now: Timestamp) -> Option<Command> {
    let due = |row: &&CertificateRow| {
        row.state == CertificateState::Superseded
            && row.spki.is_some()
            && row.refused_from.is_some_and(|from| now >= from)
    };
    let dying: Vec<&CertificateRow> = rows.iter().filter(due).take(REVOKED_IN_ONE_EVENT).collect();
    let scope = dying.first()?.scope.clone();
    let still = |row: &&CertificateRow| Precondition::CertificateInState {
        certificate: row.certificate,
        state: CertificateState::Superseded,
    };
    let revoked = |row: &&CertificateRow| {
        row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki })
    };
    let event = Event::CertificatesRevoked(CertificatesRevoked {
        // Not the device's end: its tokens and its newer certificate stay.
        device: None,
        certificates: dying.iter().filter_map(revoked).collect(),
        reason: RevocationReason::Superseded,
    });
    let actor = Actor::automation("supersession".parse().expect("the word is a name"));
    let envelope = Envelope { scope, actor, cause: "profile/revoke-superseded".into(), at: now };
    Some(Command {
        preconditions: dying.iter().map(still).collect(),
        entries: vec![Draft { envelope, event, private: None }],
    })
}
