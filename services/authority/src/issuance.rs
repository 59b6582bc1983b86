//! From an admitted order to a logged certificate, whatever protocol it came by, with what a crash leaves at each
//! step: plan, record, sign, record, hand out.

pub(crate) mod clones;
pub(crate) mod confirmation;
pub(crate) mod enrolment;
pub(crate) mod hierarchy;
pub(crate) mod keyed_lock;
pub(crate) mod makers;
pub(crate) mod presented;
pub(crate) mod recovery;
pub(crate) mod renewal;
pub(crate) mod renewal_hints;
pub(crate) mod schedule;

use crate::entropy::random;
use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::issuance::keyed_lock::{KeyedLocks, Turn};
use crate::issuance::schedule::Schedule;
use crate::sha256;
use crate::store::commit::Commits;
use std::sync::Arc;
use std::time::Duration;
use touchmark_ca::{IssueFault, IssuedCertificate, LoggedCertificate, PlanFault, Recorded, issue, plan};
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{Actor, CertificateId, EnvironmentName, Name, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Conflict, Holder, Precondition, Store, StoreFault,
};
use touchmark_journal::{BurnCause, Draft, Envelope, IdentityKind, Salt};
use touchmark_listen::Clock;
use touchmark_ra::{Admitted, Refusal, Urgency, burn, take_place};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::csr::Granted;

/// Why no certificate was handed out.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentFault {
    /// The RA said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such environment.
    #[error("no environment has this name")]
    UnknownEnvironment,
    /// Neither a token nor anything else that enrols was presented.
    #[error("no credential was presented")]
    NoCredential,
    /// The environment has no profile for what the token enrols.
    #[error("the environment has no profile for this")]
    NoProfile,
    /// Too many at once; this identity has a place of its own after so long.
    #[error("more certificates are asked for than can be made now; come back in {} s", retry_after.as_secs())]
    TooMany {
        /// When to come back.
        retry_after: Duration,
    },
    /// Storage: the same request may be sent again and gets the same certificate.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Planning failed: an operator must act.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// Signing failed: an operator must act.
    #[error(transparent)]
    Issue(#[from] IssueFault),
    /// A stored certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// What the device is given.
#[derive(Debug)]
pub(crate) struct Enrolled {
    /// Its certificate.
    pub certificate: Certificate,
    /// Issuing certificate and root.
    pub chain: [Certificate; 2],
    /// Where it is good.
    pub environment: EnvironmentName,
    /// What it is for.
    pub kind: IdentityKind,
    /// Whether it was made just now, rather than given once more.
    pub fresh: bool,
}

/// An identity, whatever it brings to prove itself.
pub(crate) type IdentityKey = (EnvironmentName, IdentityKind, Name);

/// The use case that every protocol ends in.
pub(crate) struct Issuance {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    schedule: Schedule,
    clock: Clock,
    /// One certificate at a time per identity, on whosever word.
    in_flight: KeyedLocks<IdentityKey>,
}

impl Issuance {
    pub(crate) fn new(commits: Commits, hierarchy: Arc<Hierarchy>, schedule: Schedule, clock: Clock) -> Self {
        Self { commits, hierarchy, schedule, clock, in_flight: KeyedLocks::default() }
    }

    /// Waits until nobody else works on this identity.
    pub(crate) async fn turn(&self, identity: IdentityKey) -> Turn<IdentityKey> {
        self.in_flight.lock(identity).await
    }

    /// A certificate that was issued before, if it may be handed out again. An intent that nobody works on is
    /// burned; for the caller who holds the identity's turn.
    ///
    /// # Errors
    /// [`EnrolmentFault`].
    pub(crate) async fn again(
        &self,
        row: CertificateRow,
        trust: &Trust,
    ) -> Result<Option<Enrolled>, EnrolmentFault> {
        match (row.state, &row.der) {
            (CertificateState::Issued, Some(der)) => Ok(Some(Enrolled {
                certificate: Certificate::from_der(der)?,
                chain: trust.above(),
                environment: trust.environment.name.clone(),
                kind: row.kind,
                fresh: false,
            })),
            (CertificateState::Intended, _) => {
                self.commits.commit(burn(recovery_actor(), &row, BurnCause::Crash, self.clock.now())).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Plan, record, sign, record, hand out.
    ///
    /// # Errors
    /// [`EnrolmentFault`]; the same request may be sent again.
    pub(crate) async fn issue(
        &self,
        admitted: Admitted,
        trust: &Trust,
        kind: IdentityKind,
    ) -> Result<Enrolled, EnrolmentFault> {
        let profile = trust.profiles.get(&kind).ok_or(EnrolmentFault::NoProfile)?;
        // And what it means for the requester when the certificate is killed between the two commits.
        let (urgency, on_death) = match admitted.order.parts().renewal {
            Some(_) => (Urgency::Renewal, Refusal::Revoked),
            None => (Urgency::First, Refusal::TokenVoid),
        };
        self.schedule
            .ask(&admitted.order.parts().identity, urgency)
            .map_err(|retry_after| EnrolmentFault::TooMany { retry_after })?;
        let Admitted { order, mut preconditions, still, mut entries, envelope } = admitted;
        let holder = match order.parts().device {
            Some(device) => Holder::Device(device),
            None => Holder::Party { kind, name: order.parts().identity.name.clone() },
        };
        let planned = plan(
            order,
            &profile.profile,
            &trust.issuing,
            self.hierarchy.incarnation(),
            self.clock.now(),
            random(),
        )?;
        let (authority_version, serial) = planned.serial();
        preconditions.push(Precondition::SerialFree { authority_version, serial });
        let (event, private) = planned.intent(sha256);
        entries.push(Draft { envelope: envelope.clone(), event, private: Some((Salt(random()), private)) });
        // A crash before this commit leaves nothing; after it, an open intent that recovery burns.
        self.commits.commit(Command { preconditions, entries }).await?;
        let certificate = planned.certificate();
        let recorded = Recorded::recorded_unchecked(planned);
        match issue(recorded, &*trust.signer) {
            // A crash after signing leaves the intent with the very TBS that was signed: recovery revokes it.
            Ok(issued) => {
                let to_log = ToLog { issued, envelope, still, holder, on_death };
                let logged = self.log(to_log).await?;
                Ok(Enrolled {
                    certificate: logged.certificate().clone(),
                    chain: trust.above(),
                    environment: trust.environment.name.clone(),
                    kind,
                    fresh: true,
                })
            }
            Err(fault) => {
                self.burn_now(certificate, BurnCause::SigningFault).await;
                Err(fault.into())
            }
        }
    }

    /// Makes the certificate durable, in the place of what the identity never proved. What it was admitted on must
    /// hold still: the certificate that it was asked with, and the device's standing.
    async fn log(&self, to_log: ToLog) -> Result<LoggedCertificate, EnrolmentFault> {
        let ToLog { issued, envelope, still, holder, on_death } = to_log;
        let mine = issued.id();
        loop {
            let (event, private) = issued.event();
            let draft = Draft { envelope: envelope.clone(), event, private: Some((Salt(random()), private)) };
            // Refused when the device was revoked meanwhile: the certificate is dead and is not handed out.
            let alive =
                Precondition::CertificateInState { certificate: mine, state: CertificateState::Intended };
            let mut preconditions = vec![alive];
            preconditions.extend(still.iter().cloned());
            let mut command = Command { preconditions, entries: vec![draft] };
            let siblings = self.commits.store().current_certificates(&holder)?;
            take_place(&mut command, &envelope, mine, &siblings, self.clock.now());
            match self.commits.commit(command).await {
                Ok(receipt) => {
                    return Ok(LoggedCertificate::logged_unchecked(issued, receipt.first_seq));
                }
                // Revoked meanwhile, the device or what it was asked with held off or replaced: whoever asks
                // again hears which.
                Err(StoreFault::Conflict(conflict)) if still.contains(&conflict.failed) => {
                    self.burn_now(mine, BurnCause::Crash).await;
                    return Err(StoreFault::Conflict(conflict).into());
                }
                // A sibling was confirmed or revoked meanwhile, which happens once to each.
                Err(StoreFault::Conflict(Conflict {
                    failed: Precondition::CertificateInState { certificate, .. },
                })) if certificate != mine => {}
                Err(StoreFault::Conflict(_)) => return Err(on_death.into()),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Burns intents that nobody works on any more: a fault or a caller that went away came between the two commits.
    /// Gives how many. `older_than` is far more than the way from one commit to the other takes.
    ///
    /// # Errors
    /// [`StoreFault`]; the next turn goes on.
    pub(crate) async fn burn_stranded(&self, older_than: Duration) -> Result<usize, StoreFault> {
        let now = self.clock.now();
        let store = self.commits.store();
        let mut burned = 0;
        for row in store.open_intents()? {
            let (Some(environment), Some(identity)) = (&row.scope.environment, &row.identity) else {
                continue;
            };
            if now.since(row.intended_at) < older_than {
                continue;
            }
            let _turn = self.turn((environment.clone(), row.kind, identity.name.clone())).await;
            if store.certificate(row.certificate)?.is_some_and(|row| row.state == CertificateState::Intended)
            {
                self.commits.commit(burn(recovery_actor(), &row, BurnCause::Crash, now)).await?;
                burned += 1;
            }
        }
        Ok(burned)
    }

    async fn burn_now(&self, certificate: CertificateId, cause: BurnCause) {
        let Ok(Some(row)) = self.commits.store().certificate(certificate) else { return };
        let command = burn(recovery_actor(), &row, cause, self.clock.now());
        if let Err(fault) = self.commits.commit(command).await {
            tracing::error!(%certificate, %fault, "an unsigned intent stays open until the next start");
        }
    }
}

/// Signed, and on its way into the journal.
struct ToLog {
    issued: IssuedCertificate,
    envelope: Envelope,
    /// What must hold still.
    still: Vec<Precondition>,
    holder: Holder,
    /// What it means for the requester when the intent was killed meanwhile.
    on_death: Refusal,
}

/// What an earlier request for the same key was given on the same word, and has not been proven yet. A request that is
/// signed anew is the same request: only its key is taken.
///
/// # Errors
/// [`EnrolmentFault`]: the request asks for other names than the certificate has.
pub(crate) fn given_before(
    request: &EnrolmentRequest,
    current: &[CertificateRow],
    on_the_same_word: impl Fn(&CertificateRow) -> bool,
    trust: &Trust,
    now: Timestamp,
) -> Result<Option<CertificateRow>, EnrolmentFault> {
    let key = request.csr().public_key().spki_hash();
    let same = |row: &&CertificateRow| {
        matches!(row.state, CertificateState::Intended | CertificateState::Issued)
            && row.spki == Some(key)
            && row.scope.environment.as_ref() == Some(&trust.environment.name)
            && on_the_same_word(row)
            && may_come_again(row, now)
    };
    let Some(row) = current.iter().find(same) else { return Ok(None) };
    if let (Some(der), Some(identity)) = (&row.der, &row.identity) {
        let certificate = Certificate::from_der(der)?;
        let granted = Granted {
            common_name: identity.name.as_str(),
            uri: &identity.to_string(),
            dns: certificate.dns_sans(),
            ips: certificate.ip_sans(),
            scope: certificate.scope(),
            form: trust.form(row.kind).ok_or(EnrolmentFault::NoProfile)?,
        };
        request.csr().within(&granted).map_err(Refusal::from)?;
    }
    Ok(Some(row.clone()))
}

/// All certificates of an identity, newest first.
///
/// # Errors
/// [`StoreFault`].
pub(crate) fn certificates_of(store: &dyn Store, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
    match holder {
        Holder::Device(device) => store.certificates_of_device(*device),
        Holder::Party { kind, name } => store.certificates_of_party(*kind, name),
    }
}

/// Whether what an earlier, lost answer held is still of use: one that is over, asked for again in the old one's grace,
/// would be handed out for ever and never serve.
fn may_come_again(before: &CertificateRow, now: Timestamp) -> bool {
    before.state != CertificateState::Issued || now <= before.validity.not_after()
}

/// Who burns what a crash left.
pub(crate) fn recovery_actor() -> Actor {
    Actor::automation("recovery".parse().expect("the word is a name"))
}
