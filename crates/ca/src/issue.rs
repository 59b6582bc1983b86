//! Issuing: the only place that uses an issuing key on a certificate, and only on a recorded plan.

use crate::plan::IssuancePlan;
use touchmark_identity::{CertificateId, DeviceId};
use touchmark_journal::{CertificateBody, CertificateIssued, Event, Private, Scope};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::{Certificate, Signer, SigningFault};

/// Proof that the intent inside is durable.
#[derive(Debug)]
pub struct Recorded<T>(T);

impl Recorded<IssuancePlan> {
    /// Declares that the plan's intent is in a durable commit. Called only with a store's receipt at hand.
    pub fn assert_recorded(plan: IssuancePlan) -> Self {
        Self(plan)
    }
}

/// Why a recorded plan did not become a certificate: its serial is spent, the intent must be burned.
#[derive(Debug, thiserror::Error)]
pub enum IssueFault {
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// The signature does not verify: a broken key or a broken device.
    #[error("the issuing key made a signature that does not verify")]
    Signature,
    /// What was signed is not what was planned.
    #[error("the signed certificate differs from its plan")]
    Differs,
    /// It cannot be read back.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// Signed; not to leave the house before its record is durable.
#[derive(Debug)]
pub struct IssuedCertificate {
    id: CertificateId,
    scope: Scope,
    device: Option<DeviceId>,
    certificate: Certificate,
}

/// Signs a recorded plan, once: the plan is consumed, so a retry needs a new plan and a new serial.
///
/// The signature is verified and the TBS compared with the plan before anything is returned: a fault in the
/// signer must not reach a device, nor leak the key (fault attacks on ECDSA).
///
/// # Errors
/// [`IssueFault`]; the intent must then be burned.
pub fn issue(plan: Recorded<IssuancePlan>, signer: &dyn Signer) -> Result<IssuedCertificate, IssueFault> {
    let plan = plan.0;
    let intended = plan.tbs().to_vec();
    let signature = signer.sign(&intended)?;
    signer
        .public_key()
        .verify(signer.algorithm(), &intended, &signature)
        .map_err(|_| IssueFault::Signature)?;
    // Whatever keeps the key: a certificate with the other form would be refused at every port.
    if !signer.public_key().is_low_s(&signature) {
        return Err(IssueFault::Signature);
    }
    let certificate = Certificate::from_der(&plan.tbs.into_certificate(signer.algorithm(), &signature))?;
    if certificate.tbs_der() != intended {
        return Err(IssueFault::Differs);
    }
    Ok(IssuedCertificate { id: plan.certificate, scope: plan.scope, device: plan.parts.device, certificate })
}

impl IssuedCertificate {
    /// The event and private part to record before the certificate is handed out.
    pub fn event(&self) -> (Event, Private) {
        let event = Event::CertificateIssued(CertificateIssued {
            certificate: self.id,
            fingerprint: self.certificate.fingerprint(),
        });
        (event, Private::Certificate(CertificateBody { der: self.certificate.der().to_vec() }))
    }

    /// The row's identifier.
    pub fn id(&self) -> CertificateId {
        self.id
    }

    /// The device it is for.
    pub fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// Organisation and environment.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// Recorded and in the journal: may be handed out.
#[derive(Debug)]
pub struct LoggedCertificate {
    id: CertificateId,
    certificate: Certificate,
    leaf: u64,
}

impl LoggedCertificate {
    /// Declares that the issued event is durable as leaf `leaf`. Called only with a store's receipt at hand.
    pub fn assert_logged(issued: IssuedCertificate, leaf: u64) -> Self {
        Self { id: issued.id, certificate: issued.certificate, leaf }
    }

    /// The row's identifier.
    pub fn id(&self) -> CertificateId {
        self.id
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its place in the journal's log.
    pub fn leaf(&self) -> u64 {
        self.leaf
    }
}
