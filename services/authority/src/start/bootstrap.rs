//! The product's own identities: its server certificate and the operator of this data directory. Both go
//! the same road as every device: token, request, admission, plan, record, sign, record.

use crate::issuance::{Enrolled, EnrolmentFault, Issuance, Shown};
use crate::operators::environments::bootstrap_actor;
use crate::operators::tokens::{NewTokenFault, Tokens};
use std::sync::Arc;
use std::time::Duration;
use touchmark_durable::WriteFault;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::Name;
use touchmark_inventory::{CertificateState, EnvironmentRow, Store, StoreFault};
use touchmark_journal::{IdentityKind, Reach, Scope, TokenSubject};
use touchmark_listen::Clock;
use touchmark_ra::{Act, Mandate, TokenOrder};
use touchmark_x509::csr::{CsrFault, UnprovenCsr};
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, KeyAlgorithm, SigningFault, SoftwareKey};

/// A bootstrap token is used at once.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Why an own identity did not come into being.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapFault {
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// Our own request.
    #[error(transparent)]
    Csr(#[from] CsrFault),
    #[error(transparent)]
    Token(#[from] NewTokenFault),
    /// The road.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentFault),
    /// What is known of an earlier certificate.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A file.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

/// An own identity with its key.
pub(crate) struct OwnIdentity {
    pub(crate) key: SoftwareKey,
    pub(crate) enrolled: Enrolled,
}

/// The mandate for what nobody could permit yet: there is no operator before the first environment, and afterwards only
/// our own two names come here. The data directory's owner started us on it.
pub(crate) fn bootstrapped<A: Act>(act: A) -> Mandate<A> {
    Mandate::permitted_unchecked(bootstrap_actor(), "bootstrap", act)
}

/// What makes our own identities, and tells what became of them.
#[derive(Clone)]
pub(crate) struct OwnIdentities {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) issuance: Arc<Issuance>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) environment: EnvironmentRow,
    pub(crate) clock: Clock,
}

impl OwnIdentities {
    /// Enrols a service or operator of ours.
    ///
    /// # Errors
    /// [`BootstrapFault`].
    pub(super) async fn enrol(
        &self,
        kind: IdentityKind,
        name: &Name,
        hosts: Vec<String>,
        roles: Vec<String>,
    ) -> Result<OwnIdentity, BootstrapFault> {
        let key = SoftwareKey::generate(KeyAlgorithm::P256)?;
        let request = certification_request(name.as_str(), None, &key)?;
        let csr = UnprovenCsr::from_der(&request)?.prove_possession()?;
        let order = TokenOrder {
            scope: Scope {
                organisation: self.environment.scope.organisation.clone(),
                environment: Some(self.environment.name.clone()),
            },
            kind,
            subject: TokenSubject::Named(name.clone()),
            uses: 1,
            lifetime: TOKEN_LIFETIME,
            model: None,
            hosts,
            roles: Some(roles),
            reach: Reach::Organisation,
            known: self.tokens.party(kind, name)?,
        };
        let token = self.tokens.create(bootstrapped(order)).await?;
        let credential =
            PresentedCredential::Token { username: name.clone().into(), password: token.password };
        let label = Some(self.environment.name.clone());
        let request = EnrolmentRequest::new(Intent::Enrol, csr, label, credential, None);
        let enrolled = self.issuance.enrol(request, Shown::default(), "bootstrap").await?;
        Ok(OwnIdentity { key, enrolled })
    }

    /// Whether one of ours was revoked.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(super) fn is_revoked(&self, certificate: &Certificate) -> Result<bool, StoreFault> {
        let row = self.store.certificate_by_fingerprint(&certificate.fingerprint())?;
        Ok(row.is_some_and(|row| row.state == CertificateState::Revoked))
    }
}
