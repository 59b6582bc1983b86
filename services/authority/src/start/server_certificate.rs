//! The authority's own server certificate: fresh at every start, renewed while it runs, so that one that expired
//! repairs itself and one that never restarts never expires.

use super::StartFault;
use crate::start::bootstrap::{OwnIdentities, OwnIdentity};
use touchmark_identity::{SpiffeId, Timestamp, Validity};
use touchmark_journal::IdentityKind;
use touchmark_listen::ServerIdentity;
use touchmark_ra::Proven;
use touchmark_x509::Certificate;

/// What EST and API show, and how it is made.
pub(crate) struct ServerCertificate {
    identity: ServerIdentity,
    own: OwnIdentities,
    hosts: Vec<String>,
}

/// The same for every certificate: token, request, admission, plan, record, sign, record.
async fn issue(own: &OwnIdentities, hosts: &[String]) -> Result<OwnIdentity, StartFault> {
    let name = SpiffeId::AUTHORITY.parse().expect("the word is a name");
    let made = own.enrol(IdentityKind::Service, &name, hosts.to_vec(), Vec::new()).await?;
    // We hold its key: that is the proof.
    own.issuance.proven(&made.enrolled.certificate.fingerprint(), Proven::Here, "bootstrap").await?;
    Ok(made)
}

impl ServerCertificate {
    /// A fresh one for these host names.
    ///
    /// # Errors
    /// [`StartFault`] when the way to a certificate is closed.
    pub(crate) async fn obtain(own: OwnIdentities, hosts: Vec<String>) -> Result<Self, StartFault> {
        let made = issue(&own, &hosts).await?;
        Ok(Self { identity: ServerIdentity::new(chain(&made), made.key.to_pkcs8())?, own, hosts })
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
        if !self.own.is_revoked(&shown)? && !is_due(shown.validity(), self.own.clock.now()) {
            return Ok(false);
        }
        let made = issue(&self.own, &self.hosts).await?;
        self.identity.swap(chain(&made), made.key.to_pkcs8())?;
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
