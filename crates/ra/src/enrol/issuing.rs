//! From an admitted order to a certificate that may be handed out: pace, plan, sign, record, with what a crash leaves.
//!
//! A key in this process signs before the one commit that records intent and certificate: a crash before it leaves
//! nothing that anybody was given. A key elsewhere signs after its intent is durable, and a second commit follows.

use super::{Asked, Enrolled, Enrolling, enrolled};
use crate::admission::Admitted;
use crate::confirmation::take_place;
use crate::fault::{EnrolmentFault, Notice};
use crate::initial::InitialRefusal;
use crate::issue_schedule::Urgency;
use crate::recovery::burn_intent;
use crate::refusal::Refusal;
use crate::step::{Moment, Step, sha256};
use crate::trust::Trust;
use std::sync::Arc;
use touchmark_ca::{
    IssuancePlan, IssueFault, IssuedCertificate, LoggedCertificate, Recorded, Signed, Unsigned, plan,
};
use touchmark_identity::{CertificateId, Timestamp, TokenId};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Conflict, Facts, Found, Precondition, Receipt, StoreFault,
};
use touchmark_journal::{BurnCause, Draft, Envelope, IdentityKind, Salt};
use touchmark_x509::SigningFault;

/// An order on its way to the key.
struct Job {
    asked: Asked,
    trust: Arc<Trust>,
    kind: IdentityKind,
    token: Option<TokenId>,
    certificate: CertificateId,
    envelope: Envelope,
    /// What must hold when a certificate is recorded after its intent.
    still: Vec<Precondition>,
    /// The identity's current certificates.
    current: Vec<CertificateRow>,
    /// What it means for the requester when the intent is killed before the certificate is recorded.
    on_death: Refusal,
}

impl Asked {
    pub(super) fn issue(self, admitted: Admitted, facts: Facts) -> Result<Enrolling, EnrolmentFault> {
        let (urgency, on_death) = match &facts.found {
            Found::Certificate(_) => (Urgency::Renewal, Refusal::Revoked),
            Found::Hardware(_) => (Urgency::First, InitialRefusal::HardwareVoid.into()),
            Found::Token { .. } => (Urgency::First, Refusal::TokenVoid),
        };
        let identity = admitted.order.parts().identity.clone();
        let paced = move |asked: Result<(), _>, moment: Moment| {
            asked.map_err(|retry_after| EnrolmentFault::TooMany { retry_after })?;
            let trust = self.trust(&facts)?;
            let Admitted { order, mut preconditions, still, mut entries, envelope } = admitted;
            let (kind, token) = (order.parts().kind, order.parts().token);
            let profile = trust.profiles.get(&kind).ok_or(EnrolmentFault::NoProfile)?;
            let incarnation = self.trusts.incarnation;
            let planned =
                plan(order, &profile.profile, &trust.issuing, incarnation, moment.now, moment.plan)?;
            let (authority_version, serial) = planned.serial();
            preconditions.push(Precondition::SerialFree { authority_version, serial });
            let (event, private) = planned.intent(sha256);
            let private = Some((Salt(moment.intent_salt), private));
            entries.push(Draft { envelope: envelope.clone(), event, private });
            let current = facts.of.current;
            let certificate = planned.certificate();
            let job =
                Job { asked: self, trust, kind, token, certificate, envelope, still, current, on_death };
            let intent = Command { preconditions, entries };
            let signed = move |signed: Result<Signed, IssueFault>, moment: Moment| match signed? {
                Signed::Issued(issued) => Ok(job.record(intent, issued, moment)),
                Signed::RecordFirst(planned) => Ok(job.record_first(intent, *planned)),
            };
            Ok(Step::Sign(Box::new(Unsigned::Planned(planned)), authority_version, Box::new(signed)))
        };
        Ok(Step::Pace(identity, urgency, Box::new(paced)))
    }
}

impl Job {
    /// Intent and certificate in one commit.
    fn record(self, intent: Command, issued: IssuedCertificate, moment: Moment) -> Enrolling {
        let before = intent.entries.len() as u64;
        let command = self.with_result(intent, &issued, moment);
        let committed = move |outcome: Result<Receipt, StoreFault>, _| match outcome {
            Ok(receipt) => Ok(self.logged(issued, receipt.first_seq + before)),
            Err(StoreFault::Conflict(conflict)) => self.asked.overtaken(conflict),
            Err(fault) => Err(fault.into()),
        };
        Step::Commit(command, Box::new(committed))
    }

    /// The intent alone. A crash before this commit leaves nothing; after it, an open intent that recovery burns.
    fn record_first(self, intent: Command, planned: IssuancePlan) -> Enrolling {
        let (authority_version, _) = planned.serial();
        let committed = move |outcome, _| match outcome {
            Ok(_) => {
                let recorded = Box::new(Unsigned::Recorded(Recorded::recorded_unchecked(planned)));
                // A crash after signing leaves the intent with the very TBS that was signed: recovery revokes it.
                let signed = move |signed, moment: Moment| {
                    let fault: IssueFault = match signed {
                        Ok(Signed::Issued(issued)) => return Ok(self.record_result(issued, moment)),
                        Ok(Signed::RecordFirst(_)) => SigningFault::Keeper.into(),
                        Err(fault) => fault,
                    };
                    Ok(self.burned(moment.now, BurnCause::SigningFault, |_| Err(fault.into())))
                };
                Ok(Step::Sign(recorded, authority_version, Box::new(signed)))
            }
            Err(StoreFault::Conflict(conflict)) => self.asked.overtaken(conflict),
            Err(fault) => Err(fault.into()),
        };
        Step::Commit(intent, Box::new(committed))
    }

    /// The certificate whose intent is durable. What it was admitted on must hold still: the certificate that it was
    /// asked with, and the device's standing.
    fn record_result(self, issued: IssuedCertificate, moment: Moment) -> Enrolling {
        let mine = issued.id();
        // Refused when the device was revoked meanwhile: the certificate is dead and is not handed out.
        let alive = Precondition::CertificateInState { certificate: mine, state: CertificateState::Intended };
        let preconditions = [vec![alive], self.still.clone()].concat();
        let command = Command { preconditions, entries: Vec::new() };
        let command = self.with_result(command, &issued, moment);
        let committed = move |outcome: Result<Receipt, StoreFault>, moment: Moment| {
            match outcome {
                Ok(receipt) => Ok(self.logged(issued, receipt.first_seq)),
                // The device or what it was asked with was held off or replaced meanwhile: reading again says which.
                Err(StoreFault::Conflict(conflict)) if self.still.contains(&conflict.failed) => {
                    Ok(self.burned(moment.now, BurnCause::Crash, |job| job.asked.overtaken(conflict)))
                }
                // A sibling was confirmed or revoked meanwhile, which happens once to each.
                Err(StoreFault::Conflict(Conflict {
                    failed: Precondition::CertificateInState { certificate, .. },
                })) if certificate != mine => {
                    let query = self.asked.query()?;
                    let read = move |facts: Option<Facts>, moment| {
                        let current = facts.map(|facts| facts.of.current).unwrap_or_default();
                        Ok(Self { current, ..self }.record_result(issued, moment))
                    };
                    Ok(Step::Read(query, Box::new(read)))
                }
                Err(StoreFault::Conflict(_)) => Err(self.on_death.into()),
                Err(fault) => Err(fault.into()),
            }
        };
        Step::Commit(command, Box::new(committed))
    }

    /// The certificate, in the place of what the identity never proved.
    fn with_result(&self, mut command: Command, issued: &IssuedCertificate, moment: Moment) -> Command {
        let (event, private) = issued.event();
        let private = Some((Salt(moment.result_salt), private));
        command.entries.push(Draft { envelope: self.envelope.clone(), event, private });
        take_place(&mut command, &self.envelope, issued.id(), &self.current, moment.now);
        command
    }

    fn logged(self, issued: IssuedCertificate, leaf: u64) -> Enrolling {
        let logged = LoggedCertificate::logged_unchecked(issued, leaf);
        let given: Enrolled = enrolled(logged.certificate().clone(), &self.trust, self.kind, true);
        Step::Done(given)
    }

    /// Burns the intent, and goes on whatever came of that: what stays open the upkeep burns.
    fn burned(
        self,
        now: Timestamp,
        cause: BurnCause,
        then: impl FnOnce(Self) -> Result<Enrolling, EnrolmentFault> + Send + 'static,
    ) -> Enrolling {
        let scope = self.envelope.scope.clone();
        let command = burn_intent(scope, self.certificate, self.token, cause, now);
        let committed = move |outcome, _| match outcome {
            Ok(_) => then(self),
            Err(fault) => {
                let notice = Notice::Unburned(self.certificate, fault);
                Ok(Step::Tell(notice, Box::new(move || then(self))))
            }
        };
        Step::Commit(command, Box::new(committed))
    }
}
