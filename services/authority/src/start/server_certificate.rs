//! The authority's own server certificate: fresh at every start, renewed while it runs, so that one that expired
//! repairs itself and one that never restarts never expires.

use super::StartFault;
use crate::config::AuthorityConfig;
use crate::http::Shell;
use crate::issuance::confirmation::{Confirmations, Proven};
use crate::issuance::enrolment::Enrolments;
use crate::operators::tokens::Tokens;
use crate::start::bootstrap::{OwnIdentity, own_identity};
use std::sync::Arc;
use touchmark_identity::{SpiffeId, Timestamp, Validity};
use touchmark_inventory::{CertificateState, EnvironmentRow, Store};
use touchmark_journal::IdentityKind;
use touchmark_listen::{Clock, ServerIdentity};
use touchmark_x509::Certificate;

/// What EST and API show, and how it is made.
pub(crate) struct ServerCertificate {
    identity: ServerIdentity,
    issuance: OwnIssuance,
}

/// The same for every certificate: token, request, admission, plan, record, sign, record.
struct OwnIssuance {
    tokens: Arc<Tokens>,
    enrolments: Arc<Enrolments>,
    confirmations: Arc<Confirmations>,
    store: Arc<dyn Store>,
    environment: EnvironmentRow,
    hosts: Vec<String>,
    clock: Clock,
}

impl OwnIssuance {
    async fn issue(&self) -> Result<OwnIdentity, StartFault> {
        let name = SpiffeId::AUTHORITY.parse().expect("the word is a name");
        let own = own_identity(
            &self.tokens,
            &self.enrolments,
            &self.environment,
            IdentityKind::Service,
            &name,
            self.hosts.clone(),
            Vec::new(),
        )
        .await?;
        // We hold its key: that is the proof.
        self.confirmations.proven(&own.enrolled.certificate.fingerprint(), Proven::Here, "bootstrap").await?;
        Ok(own)
    }
}

impl ServerCertificate {
    /// A fresh one.
    ///
    /// # Errors
    /// [`StartFault`] when the way to a certificate is closed.
    pub(crate) async fn obtain(
        shell: &Shell,
        environment: &EnvironmentRow,
        config: &AuthorityConfig,
    ) -> Result<Self, StartFault> {
        let issuance = OwnIssuance {
            tokens: shell.tokens.clone(),
            enrolments: shell.enrolments.clone(),
            confirmations: shell.confirmations.clone(),
            store: shell.operators.commits.store().clone(),
            environment: environment.clone(),
            hosts: config.names(),
            clock: shell.clock.clone(),
        };
        let own = issuance.issue().await?;
        Ok(Self { identity: ServerIdentity::new(chain(&own), own.key.to_pkcs8())?, issuance })
    }

    /// For the ports; a renewal is seen by all.
    pub(super) fn identity(&self) -> &ServerIdentity {
        &self.identity
    }

    /// Renews it in the last third of its life, and at once when it was revoked: gateways refuse it then. Says whether
    /// it did.
    ///
    /// # Errors
    /// [`StartFault`]; the old one is shown further.
    pub(crate) async fn renew_if_due(&self) -> Result<bool, StartFault> {
        let shown = Certificate::from_der(&self.identity.leaf_der())?;
        let row = self.issuance.store.certificate_by_fingerprint(&shown.fingerprint())?;
        let revoked = row.is_some_and(|row| row.state == CertificateState::Revoked);
        if !revoked && !is_due(shown.validity(), self.issuance.clock.now()) {
            return Ok(false);
        }
        let own = self.issuance.issue().await?;
        self.identity.swap(chain(&own), own.key.to_pkcs8())?;
        Ok(true)
    }
}

fn chain(own: &OwnIdentity) -> Vec<Vec<u8>> {
    let [issuing, _] = &own.enrolled.chain;
    vec![own.enrolled.certificate.der().to_vec(), issuing.der().to_vec()]
}

/// In the last third of its life, or past it; also before it, where it was made by a clock that was ahead.
pub(super) fn is_due(validity: Validity, now: Timestamp) -> bool {
    now < validity.not_before() || validity.not_after().since(now) < validity.lifetime() / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_late_in_its_life_after_it_and_before_it() {
        const DAY_S: u64 = 86_400;
        let validity = Validity::new(100 * DAY_S, 130 * DAY_S).unwrap();
        let rows = [(0, true), (99, true), (100, false), (119, false), (121, true), (130, true), (999, true)];
        for (day, expected) in rows {
            assert_eq!(is_due(validity, Timestamp::from_unix_s(day * DAY_S)), expected, "day {day}");
        }
    }
}
