//! Enrolment by token: the same token with the same request gets the same certificate until it is confirmed or
//! revoked, and whatever was lost between, the token is spent once.

mod initial;

pub(crate) use initial::InitialEnrolments;

use crate::entropy::random;
use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::issuance::{Enrolled, EnrolmentFault, Issuance, given_before};
use crate::operators::Operators;
use crate::sha256;
use crate::store::commit::Commits;
use std::sync::Arc;
use touchmark_enrol::{EnrolmentRequest, PresentedCredential};
use touchmark_identity::Name;
use touchmark_inventory::{CertificateRow, Conflict, Precondition, StoreFault, TokenFacts};
use touchmark_journal::IdentityKind;
use touchmark_listen::Clock;
use touchmark_ra::{EnrolmentFacts, Refusal, admit, name_asked};

pub(crate) struct Enrolments {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    issuance: Arc<Issuance>,
    operators: Arc<Operators>,
    clock: Clock,
}

impl Enrolments {
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        issuance: Arc<Issuance>,
        operators: Arc<Operators>,
        clock: Clock,
    ) -> Self {
        Self { commits, hierarchy, issuance, operators, clock }
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
        let username = &name_asked(&token, username, request)?;
        let identity = (trust.environment.name.clone(), token.kind, username.clone());
        let _turn = self.issuance.turn(identity).await;
        match self
            .enrol_in_turn(request, &secret, (token.kind, token.roles.is_some()), username, &trust, cause)
            .await
        {
            // Something moved between reading and committing: a revocation, or the commit of a request whose
            // caller went away. What it is for good is seen by reading once more.
            Err(EnrolmentFault::Store(StoreFault::Conflict(_))) => self
                .enrol_in_turn(request, &secret, (token.kind, token.roles.is_some()), username, &trust, cause)
                .await
                .map_err(refused_by_commit),
            outcome => outcome,
        }
    }

    async fn enrol_in_turn(
        &self,
        request: &EnrolmentRequest,
        secret: &[u8; 32],
        (kind, roles): (IdentityKind, bool),
        username: &Name,
        trust: &Trust,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let key = request.csr().public_key().spki_hash();
        let read = || -> Result<TokenFacts, EnrolmentFault> {
            let (store, environment) = (self.commits.store(), &trust.environment.name);
            Ok(store.token_facts(secret, environment, username, &key)?.ok_or(Refusal::Token)?)
        };
        let changes_roles = kind == IdentityKind::Operator && roles;
        let _turn = if changes_roles { Some(self.operators.turn.lock().await) } else { None };
        let mut facts = read()?;
        let on_it = |row: &CertificateRow| row.token == Some(facts.token.token);
        if let Some(before) = given_before(request, &facts.of.current, on_it, trust, self.clock.now())? {
            if let Some(again) = self.issuance.again(before, trust).await? {
                return Ok(again);
            }
            // It was burned just now, which gave the token's use back.
            facts = read()?;
        }
        let TokenFacts { token, party, only_burned, of } = facts;
        if let (IdentityKind::Operator, Some(party), Some(roles)) = (kind, &party, &token.roles)
            && self.operators.would_close_last_way_in(party, roles, token.reach)?
        {
            return Err(Refusal::LastWayIn.into());
        }
        let form = trust.form(kind).ok_or(EnrolmentFault::NoProfile)?;
        let facts = EnrolmentFacts {
            environment: &trust.environment,
            token: Some(&token),
            username,
            device: of.device.as_ref(),
            party: party.as_ref(),
            // Registered hardware makes a device without a certificate, which no token for new ones may take.
            only_burned,
            current: &of.current,
            issues: &of.issues,
            form,
        };
        let admitted = admit(request, &facts, cause, self.clock.now(), random())?;
        self.issuance.issue(admitted, trust, kind).await
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
