//! CRLs: which of them an entry makes another of.

use std::collections::BTreeSet;
use touchmark_identity::{AuthorityVersionId, CertificateId};
use touchmark_inventory::{Store, StoreFault};
use touchmark_journal::{Event, RevokedCertificate};

/// A CRL: the authority version that signs it, and the shard.
pub type CrlName = (AuthorityVersionId, u32);

/// The certificates that an event puts on CRLs, if it is one that does: those revoked, and the one burned. A new event has
/// to say here what it means.
fn listed(event: &Event) -> Option<(&[RevokedCertificate], Option<CertificateId>)> {
    match event {
        Event::CertificatesRevoked(e) => Some((&e.certificates, None)),
        Event::HolderRevoked(e) => Some((&e.certificates, None)),
        Event::CertificateRevoked(e) => Some((&e.certificates, None)),
        Event::CertificateBurned(e) => Some((&[], Some(e.certificate))),
        Event::AuthorityCreated(_)
        | Event::EnvironmentCreated(_)
        | Event::ProfileActivated(_)
        | Event::PartyRegistered(_)
        | Event::TokenCreated(_)
        | Event::TokenVoided(_)
        | Event::DeviceRegistered(_)
        | Event::CertificateIntended(_)
        | Event::CertificateIssued(_)
        | Event::CertificateConfirmed(_)
        | Event::CertificateSuperseded(_)
        | Event::StandingChanged(_)
        | Event::PolicyActivated(_)
        | Event::MakerRegistered(_)
        | Event::MakerWithdrawn(_)
        | Event::CrlPublished(_)
        | Event::EnforcementReported(_)
        | Event::Refused(_)
        | Event::Started(_)
        | Event::RenewalRefused(_)
        | Event::CloneSuspected(_)
        | Event::PartyCloneSuspected(_)
        | Event::HardwareRegistered(_)
        | Event::GatewayDeclared(_) => None,
    }
}

/// Whether an event can put a certificate on a CRL. A command that is to revoke names its certificates only once it is
/// committed.
pub fn concerns_crls(event: &Event) -> bool {
    listed(event).is_some()
}

/// The CRLs that an entry changes.
///
/// # Errors
/// [`StoreFault`] when rows cannot be read.
pub fn crl_changes(event: &Event, rows: &dyn Store) -> Result<BTreeSet<CrlName>, StoreFault> {
    let Some((revoked, burned)) = listed(event) else { return Ok(BTreeSet::new()) };
    let mut changed = BTreeSet::new();
    for certificate in revoked.iter().map(|revoked| revoked.certificate).chain(burned) {
        changed.extend(rows.certificate(certificate)?.map(|row| (row.authority_version, row.crl_shard)));
    }
    Ok(changed)
}
