//! Rows as the wire types of the API: the one place where it is said that something is not known.

use crate::issuance::hierarchy::Hierarchy;
use touchmark_api::{Certificate, Decision, Device, KnownText, Party, Renewals, TokenInfo};
use touchmark_decisions::Verdict;
use touchmark_identity::Timestamp;
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, PartyRow, RenewalRow, TokenRow};
use touchmark_journal::{IdentityKind, TokenSubject};
use touchmark_x509::Certificate as X509;

fn known<T: ToString>(value: Option<&T>) -> KnownText {
    value.map(ToString::to_string).into()
}

/// A device.
pub(crate) fn device(row: &DeviceRow) -> Device {
    Device {
        id: row.device.to_string(),
        name: known(row.name.as_ref()),
        environment: known(row.scope.environment.as_ref()),
        model: known(row.model.as_ref()),
        owner: known(row.owner.as_ref()),
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

/// An operator or service.
pub(crate) fn party(row: &PartyRow) -> Party {
    Party {
        kind: match row.kind {
            IdentityKind::Operator => "operator",
            IdentityKind::Service | IdentityKind::Operational => "service",
        }
        .to_owned(),
        name: row.name.to_string(),
        environment: known(row.scope.environment.as_ref()),
        roles: row.roles.clone(),
        reach: (row.kind == IdentityKind::Operator).then(|| row.reach.as_str().to_owned()),
    }
}

/// How renewals went.
pub(crate) fn renewals(row: &RenewalRow) -> Renewals {
    Renewals {
        renewals: row.renewals,
        refused: row.refused,
        refused_since: row.refused_since,
        last_at: row.last_at.to_string(),
        last_outcome: match (&row.last_refusal, row.renewals) {
            (Some(code), _) => code.clone().into(),
            (None, 0) => KnownText::NONE,
            (None, _) => "renewed".to_owned().into(),
        },
        last_lead_s: row.last_lead_s,
        least_lead_s: row.least_lead_s,
        last_manner: row.last_manner.map(|manner| manner.as_str().to_owned()).into(),
        clone_alarms: row.clone_alarms,
        clone_alarm_at: row.clone_alarm_at.map(|at| at.to_string()),
    }
}

/// A token, as it stands now.
pub(crate) fn token(row: &TokenRow, now: Timestamp) -> TokenInfo {
    TokenInfo {
        token: row.token.to_string(),
        environment: known(row.scope.environment.as_ref()),
        kind: match row.kind {
            IdentityKind::Operational => "device",
            IdentityKind::Service => "service",
            IdentityKind::Operator => "operator",
        }
        .to_owned(),
        subject: match &row.subject {
            None => KnownText::NONE,
            Some(TokenSubject::Named(name)) => name.to_string().into(),
            Some(TokenSubject::Prefix(prefix)) => format!("{prefix}*").into(),
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
        reach: (row.kind == IdentityKind::Operator).then(|| row.reach.as_str().to_owned()),
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
        fingerprint: known(row.fingerprint.as_ref()),
        issuer: known(issuer.as_ref()),
        serial: row.serial.to_string(),
        spki: known(row.spki.as_ref()),
        state: state(row, now).to_owned(),
        not_before: row.validity.not_before().to_string(),
        not_after: row.validity.not_after().to_string(),
        profile: known(hierarchy.profile_name(row.profile_version).as_ref()),
        identity: known(row.identity.as_ref()),
        generation: row.generation,
        revoked_at: row.revoked_at.map(|at| at.to_string()),
        revocation_reason: row.revocation_reason.map(|reason| reason.to_string()),
        revoked_by: None,
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
        device: known(decision.device()),
        certificate: known(decision.certificate().as_ref()),
        action: decision.action.as_str().to_owned(),
        resource: decision.resource.as_ref().map(|r| r.as_str().to_owned()).into(),
        verdict: decision.verdict.as_str().to_owned(),
        reason: match decision.verdict {
            Verdict::Allow => String::new(),
            Verdict::Deny(reason) => reason.code().to_owned(),
        },
        policy: decision.policy.map(|version| hex::encode(version.0)).into(),
        rule: known(decision.rule.as_ref()),
        proof: decision.proof().map(|proof| proof.as_str().to_owned()).into(),
        tls: known(decision.tls().as_ref()),
        count: u64::from(decision.count),
    }
}
