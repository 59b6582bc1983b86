//! Rows as the wire types of the API: the one place where `no data` is said.

use crate::hierarchy::Hierarchy;
use touchmark_api::{Certificate, Decision, Device, NO_DATA, Renewals, TokenInfo};
use touchmark_decisions::Verdict;
use touchmark_identity::Timestamp;
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, RenewalRow, TokenRow};
use touchmark_journal::{IdentityKind, TokenSubject};
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
        renewals: None,
    }
}

/// A device with how its renewals went.
pub(crate) fn device_with_renewals(row: &DeviceRow, renewals: Option<&RenewalRow>) -> Device {
    Device { renewals: renewals.map(self::renewals), ..device(row) }
}

/// How renewals went.
pub(crate) fn renewals(row: &RenewalRow) -> Renewals {
    Renewals {
        renewals: row.renewals,
        refused: row.refused,
        refused_since: row.refused_since,
        last_at: row.last_at.to_string(),
        last_outcome: match (&row.last_refusal, row.renewals) {
            (Some(code), _) => code.clone(),
            (None, 0) => NO_DATA.to_owned(),
            (None, _) => "renewed".to_owned(),
        },
        last_lead_s: row.last_lead_s,
        least_lead_s: row.least_lead_s,
        last_manner: row.last_manner.map_or(NO_DATA, |manner| manner.as_str()).to_owned(),
        clone_alarms: row.clone_alarms,
        clone_alarm_at: row.clone_alarm_at.map(|at| at.to_string()),
    }
}

/// A token, as it stands now.
pub(crate) fn token(row: &TokenRow, now: Timestamp) -> TokenInfo {
    TokenInfo {
        token: row.token.to_string(),
        environment: or_no_data(row.scope.environment.as_ref()),
        kind: match row.kind {
            IdentityKind::Operational => "device",
            IdentityKind::Service => "service",
            IdentityKind::Operator => "operator",
        }
        .to_owned(),
        subject: match &row.subject {
            None => NO_DATA.to_owned(),
            Some(TokenSubject::Named(name)) => name.to_string(),
            Some(TokenSubject::Prefix(prefix)) => format!("{prefix}*"),
        },
        uses: row.uses,
        uses_max: row.uses_max,
        state: match row {
            row if row.void => "void",
            row if row.uses >= row.uses_max => "used",
            row if now > row.expires_at => "expired",
            _ => "usable",
        }
        .to_owned(),
        expires: row.expires_at.to_string(),
        created_by: row.created_by.to_string(),
        created_at: row.created_at.to_string(),
        model: row.model.as_ref().map(ToString::to_string),
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
