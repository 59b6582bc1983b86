//! Succession: which certificate is the identity's current one, and what its predecessors become.
//!
//! A proof with the new key confirms the new certificate; one that was never proven is replaced at once.
//! No row that is dead is touched: each change demands the state that it was decided on.

use crate::fault::{EnrolmentFault, Notice};
use crate::holder::holder_actor;
use crate::recovery::recovery_actor;
use crate::refusal::Refusal;
use crate::renewal::Presented;
use crate::step::{Moment, Step};
use crate::trust::Trusts;
use core::time::Duration;
use std::sync::Arc;
use touchmark_identity::{Actor, CertificateId, EnvironmentName, Fingerprint, Name, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, DeviceRow, Facts, Precondition, Query, StoreFault,
};
use touchmark_journal::{
    CertificateConfirmed, CertificateSuperseded, Draft, Envelope, Event, IdentityKind, Standing,
};

/// How often something is decided again when rows change under it.
pub(crate) const TRIES: u8 = 4;

/// Before whom a key was proven.
#[derive(Clone, Debug)]
pub enum Proven {
    /// Before us, in a certificate's life: one that is over may only be renewed.
    Here,
    /// Before a gateway, which wrote it down. Its word is good for devices of its own environment.
    AtGateway {
        /// The gateway's.
        environment: EnvironmentName,
        /// What it wrote.
        witnessed: Witnessed,
    },
}

/// A certificate that a gateway saw proven, and what it took it for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Witnessed {
    pub fingerprint: Fingerprint,
    pub environment: EnvironmentName,
    pub handle: Name,
}

impl Proven {
    /// Whether this proof says anything about the certificate.
    pub fn covers(&self, row: &CertificateRow, now: Timestamp) -> bool {
        match self {
            Self::Here => row.validity.contains(now),
            Self::AtGateway { environment, witnessed } => {
                row.kind == IdentityKind::Operational
                    && row.scope.environment.as_ref() == Some(environment)
                    && witnessed.environment == *environment
                    && row.fingerprint == Some(witnessed.fingerprint)
                    && row.identity.as_ref().is_some_and(|identity| identity.name == witnessed.handle)
            }
        }
    }
}

/// Records that the key of this certificate was proven; nothing when that is known, when whoever says so has no say
/// about it, or while the device is held off. Gives the row as it was found last; `None` for none of ours. After a fault
/// a later use confirms it.
pub fn prove(
    fingerprint: Fingerprint,
    proven: Proven,
    cause: &'static str,
    trusts: Arc<Trusts>,
) -> Step<Option<CertificateRow>, StoreFault> {
    prove_again(fingerprint, proven, cause, trusts, TRIES)
}

fn prove_again(
    fingerprint: Fingerprint,
    proven: Proven,
    cause: &'static str,
    trusts: Arc<Trusts>,
    tries: u8,
) -> Step<Option<CertificateRow>, StoreFault> {
    Step::Read(
        Query::Certificate { fingerprint, alone: true, key: None },
        Box::new(move |facts: Option<Facts>, moment| {
            let Some(row) = facts.as_ref().and_then(Facts::certificate).cloned() else {
                return Ok(Step::Done(None));
            };
            if row.state != CertificateState::Issued {
                return Ok(Step::Done(Some(row)));
            }
            if !proven.covers(&row, moment.now) {
                let notice = match &proven {
                    Proven::Here => Notice::ProvenPastEnd(row.certificate),
                    Proven::AtGateway { environment, .. } => {
                        Notice::ProvenElsewhere(row.certificate, environment.clone())
                    }
                };
                return Ok(Step::Tell(notice, Box::new(move || Ok(Step::Done(Some(row))))));
            }
            let read = move |facts: Option<Facts>, moment: Moment| {
                let command = facts.and_then(|facts| confirm_facts(&facts, cause, &trusts, moment.now));
                let Some(command) = command else { return Ok(Step::Done(Some(row))) };
                let committed = move |outcome, _| match outcome {
                    // It, or a sibling, changed meanwhile: look again.
                    Err(StoreFault::Conflict(_)) if tries > 1 => {
                        Ok(prove_again(fingerprint, proven, cause, trusts, tries - 1))
                    }
                    Ok(_) | Err(StoreFault::Conflict(_)) => Ok(Step::Done(Some(row))),
                    Err(fault) => Err(fault),
                };
                Ok(Step::Commit(command, Box::new(committed)))
            };
            Ok(Step::Read(with_holder(fingerprint), Box::new(read)))
        }),
    )
}

/// The holder asks for it by name: the certificate of its connection, and no other. `meant` is the one that the request
/// names.
pub fn confirm_by_name(
    peer: Fingerprint,
    meant: Option<Fingerprint>,
    cause: &'static str,
    trusts: Arc<Trusts>,
) -> Step<(), EnrolmentFault> {
    by_name_again(peer, meant, cause, trusts, TRIES)
}

fn by_name_again(
    peer: Fingerprint,
    meant: Option<Fingerprint>,
    cause: &'static str,
    trusts: Arc<Trusts>,
    tries: u8,
) -> Step<(), EnrolmentFault> {
    let read = move |facts: Option<Facts>, moment: Moment| {
        let facts = facts.ok_or(Refusal::CertificateUnknown)?;
        Presented::of(&facts, &trusts)?.may_confirm(meant.as_ref(), moment.now)?;
        let Some(command) = confirm_facts(&facts, cause, &trusts, moment.now) else {
            return Ok(Step::Done(()));
        };
        let committed = move |outcome, _| match outcome {
            Ok(_) => Ok(Step::Done(())),
            Err(StoreFault::Conflict(_)) if tries > 1 => {
                Ok(by_name_again(peer, meant, cause, trusts, tries - 1))
            }
            Err(fault) => Err(fault.into()),
        };
        Ok(Step::Commit(command, Box::new(committed)))
    };
    Step::Read(with_holder(peer), Box::new(read))
}

/// When the certificate of the connection may be renewed at all: its row and environment.
pub fn may_be_renewed(peer: Fingerprint, trusts: Arc<Trusts>) -> Step<CertificateRow, EnrolmentFault> {
    let read = move |facts: Option<Facts>, moment: Moment| {
        let facts = facts.ok_or(Refusal::CertificateUnknown)?;
        let presented = Presented::of(&facts, &trusts)?;
        presented.may_renew(None, moment.now)?;
        Ok(Step::Done(presented.row.clone()))
    };
    Step::Read(with_holder(peer), Box::new(read))
}

pub(crate) fn with_holder(fingerprint: Fingerprint) -> Query {
    Query::Certificate { fingerprint, alone: false, key: None }
}

/// See [`confirm`].
pub(crate) fn confirm_facts(facts: &Facts, cause: &str, trusts: &Trusts, now: Timestamp) -> Option<Command> {
    let (row, of) = (facts.certificate()?, &facts.of);
    let profile = row.scope.environment.as_ref().and_then(|name| trusts.of(name)?.profiles.get(&row.kind));
    let overlap = profile.map(|profile| profile.overlap).unwrap_or_default();
    let actor = holder_actor(row).unwrap_or_else(recovery_actor);
    confirm(actor, cause, row, of.device.as_ref(), &of.current, overlap, now)
}

/// The command that confirms `proven` and supersedes the identity's other certificates that are not newer.
///
/// `siblings` are the current certificates of the same identity. `None` when there is nothing to record: it is
/// confirmed already, not in a state that a proof can change, or `device`, whose it is, is held off, which stops its
/// succession. On a conflict a sibling changed meanwhile: the caller reads again.
pub fn confirm(
    actor: Actor,
    cause: &str,
    proven: &CertificateRow,
    device: Option<&DeviceRow>,
    siblings: &[CertificateRow],
    overlap: Duration,
    now: Timestamp,
) -> Option<Command> {
    if proven.state != CertificateState::Issued
        || device.is_some_and(|device| device.standing != Standing::Active)
    {
        return None;
    }
    let envelope = Envelope { scope: proven.scope.clone(), actor, cause: cause.into(), at: now };
    let confirmed = Event::CertificateConfirmed(CertificateConfirmed { certificate: proven.certificate });
    let mut command = Command {
        preconditions: vec![still(proven)],
        entries: vec![Draft { envelope: envelope.clone(), event: confirmed, private: None }],
    };
    command.preconditions.extend(
        proven.device.map(|device| Precondition::DeviceStanding { device, standing: Standing::Active }),
    );
    // Two tokens used at once could give one generation twice: then the first that is proven is the one.
    let others = siblings.iter().filter(|row| {
        row.certificate != proven.certificate
            && row.identity == proven.identity
            && row.generation <= proven.generation
            && matches!(row.state, CertificateState::Issued | CertificateState::Confirmed)
    });
    for row in others {
        command.preconditions.push(still(row));
        command.entries.push(superseded(&envelope, row, proven.certificate, now.plus(overlap)));
    }
    Some(command)
}

/// Adds to the command that makes certificate `by` durable: it takes the place of every certificate of the same
/// identity that nobody proved yet, at once, so that an identity has one unconfirmed successor at most.
///
/// `siblings` are all certificates of the identity. On a conflict about one of them it was confirmed or revoked
/// meanwhile: the caller reads again.
pub fn take_place(
    command: &mut Command,
    envelope: &Envelope,
    by: CertificateId,
    siblings: &[CertificateRow],
    now: Timestamp,
) {
    let unconfirmed = |row: &&CertificateRow| row.state == CertificateState::Issued && row.certificate != by;
    for row in siblings.iter().filter(unconfirmed) {
        command.preconditions.push(still(row));
        command.entries.push(superseded(envelope, row, by, now));
    }
}

fn still(row: &CertificateRow) -> Precondition {
    Precondition::CertificateInState { certificate: row.certificate, state: row.state }
}

fn superseded(
    envelope: &Envelope,
    row: &CertificateRow,
    by: CertificateId,
    effective_at: Timestamp,
) -> Draft {
    let event = Event::CertificateSuperseded(CertificateSuperseded {
        certificate: row.certificate,
        by,
        effective_at,
    });
    Draft { envelope: envelope.clone(), event, private: None }
}
