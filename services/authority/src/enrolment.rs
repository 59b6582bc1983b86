//! Enrolment by token: the same token with the same request gets the same certificate until it is confirmed or
//! revoked, and whatever was lost between, the token is spent once.

mod initial;

pub(crate) use initial::InitialEnrolments;

use crate::commit::Commits;
use crate::entropy::random;
use crate::hierarchy::{Hierarchy, Trust};
use crate::issuance::{Enrolled, EnrolmentFault, Issuance, certificates_of};
use crate::sha256;
use std::sync::Arc;
use touchmark_enrol::{EnrolmentRequest, PresentedCredential};
use touchmark_identity::Name;
use touchmark_inventory::{CertificateRow, Conflict, Holder, Precondition, StoreFault, TokenRow};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_ra::{Admitted, EnrolmentFacts, Refusal, admit};

/// The use case.
pub(crate) struct Enrolments {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    issuance: Arc<Issuance>,
    clock: Clock,
}

impl Enrolments {
    /// Wires it.
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        issuance: Arc<Issuance>,
        clock: Clock,
    ) -> Self {
        Self { commits, hierarchy, issuance, clock }
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
        let _turn = self.issuance.turn(identity).await;
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
        self.issuance.issue(admitted, trust, token.kind).await
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
        self.issuance.again(row, trust).await
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
            (Some(device), _) => certificates_of(&**store, &Holder::Device(device.device))?,
            (None, kind @ (IdentityKind::Service | IdentityKind::Operator)) => {
                certificates_of(&**store, &Holder::Party { kind, name: username.clone() })?
            }
            (None, IdentityKind::Operational) => Vec::new(),
        };
        let form = trust.form(token.kind).ok_or(EnrolmentFault::NoProfile)?;
        let facts = EnrolmentFacts {
            environment: &trust.environment,
            token: Some(token),
            username,
            device: device.as_ref(),
            certificates: &certificates,
            form,
        };
        Ok(admit(request, &facts, cause, self.clock.now(), random())?)
    }
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
