//! The road from a proven request to a logged certificate, with what a crash leaves at each step.

use crate::commit::Commits;
use crate::entropy::random;
use crate::feed::{Feeds, supersession};
use crate::hierarchy::{Hierarchy, Trust};
use crate::keyed_lock::KeyedLocks;
use crate::sha256;
use std::sync::Arc;
use touchmark_ca::{IssueFault, IssuedCertificate, LoggedCertificate, PlanFault, Recorded, issue, plan};
use touchmark_enrol::{EnrolmentRequest, PresentedCredential};
use touchmark_identity::{Actor, CertificateId, EnvironmentName, Name};
use touchmark_inventory::{
    CertificateRow, CertificateState, Command, Conflict, Holder, Precondition, StoreFault, TokenRow,
};
use touchmark_journal::{BurnCause, Draft, Envelope, Event, IdentityKind, Salt};
use touchmark_listen::Clock;
use touchmark_ra::{Admitted, EnrolmentFacts, Refusal, admit, burn, take_place};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;

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
}

/// The use case.
pub(crate) struct Enrolments {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    feeds: Arc<Feeds>,
    clock: Clock,
    /// One enrolment at a time per identity, whatever tokens it has.
    in_flight: KeyedLocks<(EnvironmentName, IdentityKind, Name)>,
}

impl Enrolments {
    /// Wires it.
    pub(crate) fn new(commits: Commits, hierarchy: Arc<Hierarchy>, feeds: Arc<Feeds>, clock: Clock) -> Self {
        Self { commits, hierarchy, feeds, clock, in_flight: KeyedLocks::default() }
    }

    /// Enrols by token. The same token with the same request gets the same certificate until it is
    /// confirmed or revoked.
    ///
    /// # Errors
    /// [`EnrolmentFault`]; a token is spent only by a certificate that is durable.
    pub(crate) async fn enrol(
        &self,
        request: &EnrolmentRequest,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let trust = match request.label() {
            Some(label) => self.hierarchy.trust_of(label),
            None => self.hierarchy.default_trust(),
        }
        .ok_or(EnrolmentFault::UnknownEnvironment)?;
        let PresentedCredential::Token { username, password } = request.credential() else {
            return Err(EnrolmentFault::NoCredential);
        };
        let secret = sha256(password.expose().as_bytes());
        let token = self.commits.store().token_by_secret(&secret)?.ok_or(Refusal::Token)?;
        let identity = (trust.environment.name.clone(), token.kind, username.clone());
        let _turn = self.in_flight.lock(identity).await;
        match self.enrol_in_turn(request, &secret, username, &trust, cause).await {
            // Something moved between reading and committing: a revocation, or the commit of a request whose
            // caller went away. What it is for good is seen by reading once more.
            Err(EnrolmentFault::Store(StoreFault::Conflict(_))) => {
                self.enrol_in_turn(request, &secret, username, &trust, cause).await.map_err(refused_by_commit)
            }
            outcome => outcome,
        }
    }

    async fn enrol_in_turn(
        &self,
        request: &EnrolmentRequest,
        secret: &[u8; 32],
        username: &Name,
        trust: &Trust,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let token = || -> Result<TokenRow, EnrolmentFault> {
            Ok(self.commits.store().token_by_secret(secret)?.ok_or(Refusal::Token)?)
        };
        if let Some(again) = self.answer_again(request, &token()?, username, trust).await? {
            return Ok(again);
        }
        // Read again: a burn gave a use back.
        let token = token()?;
        let admitted = self.admit(request, &token, username, trust, cause)?;
        let logged = self.issue(admitted, trust, token.kind).await?;
        let chain = [trust.issuing.certificate().clone(), trust.root.clone()];
        Ok(Enrolled { certificate: logged.certificate().clone(), chain })
    }

    /// The certificate that this very request got before, if it may be handed out again. An intent that
    /// nobody works on is burned, which gives the token's use back.
    async fn answer_again(
        &self,
        request: &EnrolmentRequest,
        token: &TokenRow,
        username: &Name,
        trust: &Trust,
    ) -> Result<Option<Enrolled>, EnrolmentFault> {
        let same = |row: &CertificateRow| {
            row.identity.as_ref().is_some_and(|identity| identity.name == *username)
                && row.scope.environment.as_ref() == Some(&trust.environment.name)
        };
        let row = self.commits.store().certificate_of_request(token.token, &request.csr().digest())?;
        let Some(row) = row.filter(same) else { return Ok(None) };
        match (row.state, &row.der) {
            (CertificateState::Issued, Some(der)) => Ok(Some(Enrolled {
                certificate: Certificate::from_der(der)?,
                chain: [trust.issuing.certificate().clone(), trust.root.clone()],
            })),
            (CertificateState::Intended, _) => {
                let command = burn(recovery_actor(), &row, BurnCause::Crash, self.clock.now());
                self.commits.commit(command).await?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn admit(
        &self,
        request: &EnrolmentRequest,
        token: &TokenRow,
        username: &Name,
        trust: &Trust,
        cause: &str,
    ) -> Result<Admitted, EnrolmentFault> {
        let store = self.commits.store();
        let device = match token.kind {
            IdentityKind::Operational => store.device_by_name(&trust.environment.name, username)?,
            IdentityKind::Service | IdentityKind::Operator => None,
        };
        let certificates = match (&device, token.kind) {
            (Some(device), _) => self.certificates_of(&Holder::Device(device.device))?,
            (None, kind @ (IdentityKind::Service | IdentityKind::Operator)) => {
                self.certificates_of(&Holder::Party { kind, name: username.clone() })?
            }
            (None, IdentityKind::Operational) => Vec::new(),
        };
        let profile = trust.profiles.get(&token.kind).ok_or(EnrolmentFault::NoProfile)?;
        let facts = EnrolmentFacts {
            environment: &trust.environment,
            token: Some(token),
            username,
            device: device.as_ref(),
            certificates: &certificates,
            extended_key_usages: profile.profile.extended_key_usages(),
        };
        Ok(admit(request, &facts, cause, self.clock.now(), random())?)
    }

    fn certificates_of(&self, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
        match holder {
            Holder::Device(device) => self.commits.store().certificates_of_device(*device),
            Holder::Party { kind, name } => self.commits.store().certificates_of_party(*kind, name),
        }
    }

    /// Plan, record, sign, record, hand out.
    async fn issue(
        &self,
        admitted: Admitted,
        trust: &Trust,
        kind: IdentityKind,
    ) -> Result<LoggedCertificate, EnrolmentFault> {
        let profile = trust.profiles.get(&kind).ok_or(EnrolmentFault::NoProfile)?;
        let Admitted { order, mut preconditions, mut entries, envelope } = admitted;
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
        let recorded = Recorded::assert_recorded(planned);
        match issue(recorded, &*trust.signer) {
            // A crash after signing leaves the intent with the very TBS that was signed: recovery revokes it.
            Ok(issued) => self.log(issued, envelope, &holder, &trust.environment.name).await,
            Err(fault) => {
                self.burn_now(certificate, BurnCause::SigningFault).await;
                Err(fault.into())
            }
        }
    }

    /// Makes the certificate durable, in the place of what the identity never proved.
    async fn log(
        &self,
        issued: IssuedCertificate,
        envelope: Envelope,
        holder: &Holder,
        environment: &EnvironmentName,
    ) -> Result<LoggedCertificate, EnrolmentFault> {
        let mine = issued.id();
        loop {
            let (event, private) = issued.event();
            let draft = Draft { envelope: envelope.clone(), event, private: Some((Salt(random()), private)) };
            // Refused when the device was revoked meanwhile: the certificate is dead and is not handed out.
            let alive =
                Precondition::CertificateInState { certificate: mine, state: CertificateState::Intended };
            let mut command = Command { preconditions: vec![alive], entries: vec![draft] };
            let siblings = self.certificates_of(holder)?;
            take_place(&mut command, &envelope, mine, &siblings, self.clock.now());
            let replaced = superseded_by(&command);
            match self.commits.commit(command).await {
                Ok(receipt) => {
                    self.announce(environment, &replaced);
                    return Ok(LoggedCertificate::assert_logged(issued, receipt.first_seq));
                }
                // A sibling was confirmed or revoked meanwhile, which happens once to each.
                Err(StoreFault::Conflict(Conflict {
                    failed: Precondition::CertificateInState { certificate, .. },
                })) if certificate != mine => {}
                Err(StoreFault::Conflict(_)) => return Err(Refusal::TokenVoid.into()),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Tells gateways what is refused from now on. Recorded already: a fault here takes nothing back.
    fn announce(&self, environment: &EnvironmentName, replaced: &[CertificateId]) {
        if replaced.is_empty() {
            return;
        }
        let read = || {
            let mut changes = Vec::with_capacity(replaced.len());
            for certificate in replaced {
                changes
                    .extend(self.commits.store().certificate(*certificate)?.as_ref().and_then(supersession));
            }
            Ok(changes)
        };
        if let Err(fault) = self.feeds.publish(environment, self.clock.now(), read) {
            tracing::error!(%fault, "a supersession is recorded but not in the feed");
        }
    }

    async fn burn_now(&self, certificate: CertificateId, cause: BurnCause) {
        let Ok(Some(row)) = self.commits.store().certificate(certificate) else { return };
        let command = burn(recovery_actor(), &row, cause, self.clock.now());
        if let Err(fault) = self.commits.commit(command).await {
            tracing::error!(%certificate, %fault, "an unsigned intent stays open until the next start");
        }
    }
}

/// Who burns what a crash left.
pub(crate) fn recovery_actor() -> Actor {
    Actor::automation("recovery".parse().expect("the word is a name"))
}

fn superseded_by(command: &Command) -> Vec<CertificateId> {
    let superseded = |draft: &Draft| match &draft.event {
        Event::CertificateSuperseded(superseded) => Some(superseded.certificate),
        _ => None,
    };
    command.entries.iter().filter_map(superseded).collect()
}

/// What the commit of an intent found, and reading again did not show, as the refusal that it means.
fn refused_by_commit(fault: EnrolmentFault) -> EnrolmentFault {
    let EnrolmentFault::Store(StoreFault::Conflict(Conflict { failed })) = fault else { return fault };
    match failed {
        Precondition::TokenUsable { .. } => Refusal::TokenUsed.into(),
        Precondition::KeyUsable { .. } => Refusal::Key.into(),
        Precondition::DeviceNameFree { name, .. } => Refusal::DeviceExists { name }.into(),
        failed => StoreFault::from(Conflict { failed }).into(),
    }
}

#[cfg(test)]
mod tests;
