//! Rows as the wire types of the API: the one place where `no data` is said.

use crate::hierarchy::Hierarchy;
use touchmark_api::{Certificate, Decision, Device, NO_DATA};
use touchmark_decisions::Verdict;
use touchmark_identity::Timestamp;
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow};
use touchmark_x509::Certificate as X509;

fn or_no_data<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| NO_DATA.to_owned(), ToString::to_string)
}

/// A device.
pub(crate) fn device(row: &DeviceRow) -> Device {
    Device {
        id: row.device.to_string(),
        name: or_no_data(row.name.as_ref()),
        environment: or_no_data(row.scope.environment.as_ref()),
        model: or_no_data(row.model.as_ref()),
        owner: or_no_data(row.owner.as_ref()),
        standing: row.standing.as_str().to_owned(),
        standing_until: row.standing_until.map(|until| until.to_string()),
        registered_at: row.registered_at.to_string(),
    }
}

/// The state as a reader means it: a live certificate past its end is expired.
pub(crate) fn state(row: &CertificateRow, now: Timestamp) -> &'static str {
    match row.state {
        CertificateState::Issued | CertificateState::Confirmed if now > row.validity.not_after() => "expired",
        state => state.as_str(),
    }
}

/// A certificate.
pub(crate) fn certificate(row: &CertificateRow, hierarchy: &Hierarchy, now: Timestamp) -> Certificate {
    let issuer = row
        .scope
        .environment
        .as_ref()
        .and_then(|environment| hierarchy.trust_of(environment))
        .and_then(|trust| trust.issuing.certificate().common_name().map(str::to_owned));
    Certificate {
        id: row.certificate.to_string(),
        fingerprint: or_no_data(row.fingerprint.as_ref()),
        issuer: or_no_data(issuer.as_ref()),
        serial: row.serial.to_string(),
        spki: or_no_data(row.spki.as_ref()),
        state: state(row, now).to_owned(),
        not_before: row.validity.not_before().to_string(),
        not_after: row.validity.not_after().to_string(),
        profile: or_no_data(hierarchy.profile_name(row.profile_version).as_ref()),
        identity: or_no_data(row.identity.as_ref()),
        generation: row.generation,
        revoked_at: row.revoked_at.map(|at| at.to_string()),
        revocation_reason: row.revocation_reason.map(|reason| reason.to_string()),
        pem: None,
    }
}

/// A certificate with its bytes.
pub(crate) fn certificate_with_pem(
    row: &CertificateRow,
    hierarchy: &Hierarchy,
    now: Timestamp,
) -> Certificate {
    let pem = row.der.as_deref().and_then(|der| X509::from_der(der).ok()).map(|c| c.to_pem());
    Certificate { pem, ..certificate(row, hierarchy, now) }
}

/// A decision.
pub(crate) fn decision(decision: &touchmark_decisions::Decision) -> Decision {
    Decision {
        id: decision.id.to_string(),
        at: decision.at.to_string(),
        gateway: decision.id.gateway.to_string(),
        device: or_no_data(decision.device()),
        certificate: or_no_data(decision.certificate().as_ref()),
        action: decision.action.as_str().to_owned(),
        resource: decision.resource.as_ref().map_or_else(|| NO_DATA.into(), |r| r.as_str().to_owned()),
        verdict: decision.verdict.as_str().to_owned(),
        reason: match decision.verdict {
            Verdict::Allow => String::new(),
            Verdict::Deny(reason) => reason.code().to_owned(),
        },
        policy: decision.policy.map_or_else(|| NO_DATA.into(), |version| hex::encode(version.0)),
        rule: or_no_data(decision.rule.as_ref()),
        proof: decision.proof().map_or(NO_DATA, |proof| proof.as_str()).to_owned(),
        tls: or_no_data(decision.tls().as_ref()),
        count: u64::from(decision.count),
    }
}
