//! Issuing: the only place that uses an issuing key on a certificate, and only on a plan.

use crate::plan::IssuancePlan;
use touchmark_identity::{CertificateId, DeviceId};
use touchmark_journal::{CertificateBody, CertificateIssued, Event, Private, Scope};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::{Certificate, KeyPlace, PublicKey, Signer, SigningFault};

/// Proof that the intent inside is durable.
#[derive(Debug)]
pub struct Recorded<T>(T);

impl Recorded<IssuancePlan> {
    /// Declares that the plan's intent is in a durable commit. Called only with a store's receipt at hand.
    pub fn recorded_unchecked(plan: IssuancePlan) -> Self {
        Self(plan)
    }
}

/// A plan on its way to the key.
#[derive(Debug)]
pub enum Unsigned {
    /// Its intent is not durable.
    Planned(IssuancePlan),
    Recorded(Recorded<IssuancePlan>),
}

/// What came of it.
#[derive(Debug)]
pub enum Signed {
    Issued(IssuedCertificate),
    /// Nothing was signed: the key lives elsewhere, and the intent has to be durable before.
    RecordFirst(Box<IssuancePlan>),
}

impl Unsigned {
    /// Signs a plan whose intent is durable, or, with a key in this process, one that is recorded together with its
    /// certificate: a crash before that commit leaves nothing that anybody was given.
    ///
    /// # Errors
    /// As [`issue`].
    pub fn sign(self, signer: &dyn Signer) -> Result<Signed, IssueFault> {
        match (self, signer.place()) {
            (Self::Planned(plan), KeyPlace::Outside) => Ok(Signed::RecordFirst(Box::new(plan))),
            (Self::Planned(plan), KeyPlace::Inside) => sign(plan, signer).map(Signed::Issued),
            (Self::Recorded(recorded), _) => issue(recorded, signer).map(Signed::Issued),
        }
    }
}

/// Why a recorded plan did not become a certificate: its serial is spent, the intent must be burned.
#[derive(Debug, thiserror::Error)]
pub enum IssueFault {
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// The signature does not verify under the issuing certificate, or has the larger s: another key, or a faulty
    /// provider.
    #[error(
        "the signature does not verify under the issuing certificate, or is not in its low-s form: is the key \
         another authority's?"
    )]
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
/// The certificate is read back, compared with the plan and verified before anything is returned: a fault in the
/// signer must not reach a device, nor leak the key (fault attacks on ECDSA).
///
/// # Errors
/// [`IssueFault`]; the intent must then be burned.
pub fn issue(plan: Recorded<IssuancePlan>, signer: &dyn Signer) -> Result<IssuedCertificate, IssueFault> {
    sign(plan.0, signer)
}

fn sign(plan: IssuancePlan, signer: &dyn Signer) -> Result<IssuedCertificate, IssueFault> {
    let intended = plan.tbs().to_vec();
    let signature = signer.sign(&intended)?;
    let der = plan.tbs.into_certificate(signer.algorithm(), &signature);
    let certificate = read_back(&der, &intended, &plan.issuer_key)?;
    Ok(IssuedCertificate { id: plan.certificate, scope: plan.scope, device: plan.parts.device, certificate })
}

/// The issuing certificate decides, not the key at hand: no device accepts what another key signed.
fn read_back(der: &[u8], intended: &[u8], issuer_key: &PublicKey) -> Result<Certificate, IssueFault> {
    let certificate = Certificate::from_der(der)?;
    if certificate.tbs_der() != intended {
        return Err(IssueFault::Differs);
    }
    let signature = certificate.signature();
    issuer_key
        .verify(certificate.signature_algorithm(), intended, signature)
        .map_err(|_| IssueFault::Signature)?;
    // Whatever keeps the key: a certificate with the other form would be refused at every port.
    if !issuer_key.is_low_s(signature) {
        return Err(IssueFault::Signature);
    }
    Ok(certificate)
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
    pub fn logged_unchecked(issued: IssuedCertificate, leaf: u64) -> Self {
        Self { id: issued.id, certificate: issued.certificate, leaf }
    }

    /// The row's identifier.
    pub fn id(&self) -> CertificateId {
        self.id
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its place in the journal's log.
    pub fn leaf(&self) -> u64 {
        self.leaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::create_root;
    use touchmark_identity::{Incarnation, Timestamp};
    use touchmark_x509::{KeyAlgorithm, SoftwareKey};

    /// Through [`issue`] the writer would have to be at fault; here two certificates of one key change places.
    #[test]
    fn a_good_signature_over_another_certificate_is_not_what_was_planned() {
        let (key, stranger) = [(); 2].map(|()| SoftwareKey::generate(KeyAlgorithm::P256).unwrap()).into();
        let made = |random| {
            let now = Timestamp::from_unix_s(1_800_000_000);
            create_root("example", &key, Incarnation::FIRST, now, [random; 16]).unwrap()
        };
        let (planned, other) = (made(1), made(2));
        let (own, strangers) = (key.public_key(), stranger.public_key());
        assert_eq!(read_back(planned.der(), planned.tbs_der(), own).unwrap(), planned);
        for (name, der, intended, issuer_key, said) in [
            ("another certificate", other.der(), planned.tbs_der(), own, "Differs"),
            ("one octet more", planned.der(), &[planned.tbs_der(), &[0]].concat(), own, "Differs"),
            ("nothing planned", planned.der(), &[], own, "Differs"),
            ("another issuer", planned.der(), planned.tbs_der(), strangers, "Signature"),
        ] {
            let fault = read_back(der, intended, issuer_key).unwrap_err();
            assert_eq!(format!("{fault:?}"), said, "{name}");
        }
    }
}
