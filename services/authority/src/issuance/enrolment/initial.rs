//! Enrolment by a maker's initial certificate: the same certificate with the same request gets the same answer while
//! nobody proved that, and what it opens is decided by rows, again in the commit.

use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::issuance::makers::Makers;
use crate::issuance::{Enrolled, EnrolmentFault, Issuance, given_before};
use crate::sha256;
use crate::store::commit::Commits;
use std::sync::Arc;
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::Fingerprint;
use touchmark_inventory::{
    CertificateRow, Conflict, ExpectedFacts, HolderFacts, MakerRow, Precondition, StoreFault,
};
use touchmark_journal::IdentityKind;
use touchmark_listen::{Clock, PeerChain};
use touchmark_ra::{InitialFacts, InitialRefusal, Refusal, admit_initial};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::VerifiedPath;

pub(crate) struct InitialEnrolments {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    makers: Arc<Makers>,
    issuance: Arc<Issuance>,
    clock: Clock,
}

/// An initial certificate that leads to a maker, and the hardware that it names.
struct MakerEvidence {
    path: VerifiedPath,
    maker: MakerRow,
    hardware_id: HardwareId,
}

impl InitialEnrolments {
    pub(crate) fn new(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        makers: Arc<Makers>,
        issuance: Arc<Issuance>,
        clock: Clock,
    ) -> Self {
        Self { commits, hierarchy, makers, issuance, clock }
    }

    /// Enrols on the word of `chain`, whose key this very connection proved.
    ///
    /// # Errors
    /// [`EnrolmentFault`].
    pub(crate) async fn enrol(
        &self,
        request: &EnrolmentRequest,
        chain: &PeerChain,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let trust = match request.label() {
            Some(label) => self.hierarchy.trust_of(label),
            None => self.hierarchy.default_trust(),
        }
        .ok_or(EnrolmentFault::UnknownEnvironment)?;
        // One of ours: it has a way of its own, which is renewal.
        if self.commits.store().certificate_by_fingerprint(&Fingerprint(sha256(&chain.leaf)))?.is_some() {
            return Err(EnrolmentFault::NoCredential);
        }
        let (path, maker) = self.makers.path(&trust.environment.name, chain, self.clock.now())?;
        let hardware_id =
            HardwareId::of(path.leaf()).map_err(|bad| Refusal::from(InitialRefusal::from(bad)))?;
        let evidence = MakerEvidence { path, maker, hardware_id };
        let found = self.expected(request, &evidence, &trust)?;
        let name = found.and_then(|facts| facts.of.device).and_then(|device| device.name);
        let name = name.ok_or_else(|| Refusal::from(InitialRefusal::HardwareUnknown))?;
        let identity = (trust.environment.name.clone(), IdentityKind::Operational, name);
        let _turn = self.issuance.turn(identity).await;
        match self.enrol_in_turn(request, &evidence, &trust, cause).await {
            // A revocation, a withdrawal or a confirmation came between reading and committing: read once more.
            Err(EnrolmentFault::Store(StoreFault::Conflict(_))) => {
                self.enrol_in_turn(request, &evidence, &trust, cause).await.map_err(refused_by_commit)
            }
            // Revoked between intent and result: what was registered is void by that.
            Err(EnrolmentFault::Refused(Refusal::TokenVoid)) => {
                Err(Refusal::from(InitialRefusal::HardwareVoid).into())
            }
            outcome => outcome,
        }
    }

    async fn enrol_in_turn(
        &self,
        request: &EnrolmentRequest,
        evidence: &MakerEvidence,
        trust: &Trust,
        cause: &'static str,
    ) -> Result<Enrolled, EnrolmentFault> {
        let profile = trust.profiles.get(&IdentityKind::Operational).ok_or(EnrolmentFault::NoProfile)?;
        let form = trust.form(IdentityKind::Operational).ok_or(EnrolmentFault::NoProfile)?;
        let admit = |found: &Option<ExpectedFacts>| {
            let none = HolderFacts::default();
            let of = found.as_ref().map_or(&none, |facts| &facts.of);
            let facts = InitialFacts {
                environment: &trust.environment,
                path: &evidence.path,
                maker: &evidence.maker,
                hardware: found.as_ref().map(|facts| &facts.hardware),
                device: of.device.as_ref(),
                current: &of.current,
                issues: &of.issues,
                lifetime: profile.profile.lifetime,
                form,
            };
            admit_initial(request, &facts, cause, self.clock.now())
        };
        // Before an earlier answer is repeated: a device that was quarantined meanwhile gets none. One that is given
        // no other certificate yet may have its last once more.
        let mut rows = self.expected(request, evidence, trust)?;
        let mut admitted = admit(&rows);
        if !matches!(admitted, Ok(_) | Err(Refusal::TooSoon { .. })) {
            return Err(admitted.map(drop).err().map_or(EnrolmentFault::NoCredential, Into::into));
        }
        let on_its_word = |row: &CertificateRow| row.token.is_none();
        let current = rows.as_ref().map_or(&[][..], |facts| &facts.of.current);
        if let Some(before) = given_before(request, current, on_its_word, trust, self.clock.now())? {
            if let Some(again) = self.issuance.again(before, trust).await? {
                return Ok(again);
            }
            // It was burned just now.
            rows = self.expected(request, evidence, trust)?;
            admitted = admit(&rows);
        }
        self.issuance.issue(admitted?, trust, IdentityKind::Operational).await
    }

    fn expected(
        &self,
        request: &EnrolmentRequest,
        evidence: &MakerEvidence,
        trust: &Trust,
    ) -> Result<Option<ExpectedFacts>, StoreFault> {
        let (environment, hardware_id) = (&trust.environment.name, evidence.hardware_id.as_str());
        let key = request.csr().public_key().spki_hash();
        self.commits.store().expected_facts(environment, evidence.maker.maker, hardware_id, &key)
    }
}

/// What the commit of an intent found, and reading again did not show, as the refusal that it means.
fn refused_by_commit(fault: EnrolmentFault) -> EnrolmentFault {
    match fault {
        EnrolmentFault::Store(StoreFault::Conflict(Conflict { failed })) => match failed {
            Precondition::KeyUsable { .. } => Refusal::Key.into(),
            Precondition::HardwareUsable { .. } => Refusal::from(InitialRefusal::HardwareVoid).into(),
            failed => StoreFault::from(Conflict { failed }).into(),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;
