//! Rows as the wire types of the API.

use crate::issuance::hierarchy::Hierarchy;
use std::str::FromStr;
use touchmark_api::{
    Certificate, Decision, Device, Party, Renewals, SubjectKind, TokenInfo, TokenState, Word,
};
use touchmark_decisions::Verdict;
use touchmark_identity::Timestamp;
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, PartyRow, RenewalRow, TokenRow};
use touchmark_journal::{IdentityKind, Reach, TokenSubject};
use touchmark_x509::Certificate as X509;

/// The word of an enum of the core, as the API has it: a test holds that it has them all.
pub(crate) fn word<T: FromStr>(word: &str) -> Word<T> {
    Word::of(word)
}

/// A device.
pub(crate) fn device(row: &DeviceRow) -> Device {
    Device {
        id: row.device,
        name: row.name.clone(),
        environment: row.scope.environment.clone(),
        model: row.model.clone(),
        owner: row.owner.clone(),
        standing: word(row.standing.as_str()),
        standing_until: row.standing_until,
        registered_at: row.registered_at,
        renewals: None,
    }
}

/// What a party, or what a token enrols, is called.
pub(crate) fn subject_kind(kind: IdentityKind) -> Word<SubjectKind> {
    Word::Known(match kind {
        IdentityKind::Operational => SubjectKind::Device,
        IdentityKind::Service => SubjectKind::Service,
        IdentityKind::Operator => SubjectKind::Operator,
    })
}

/// Where roles hold: only an operator's do somewhere.
fn reach(kind: IdentityKind, reach: Reach) -> Option<Word<touchmark_api::Reach>> {
    (kind == IdentityKind::Operator).then(|| word(reach.as_str()))
}

/// A device with how its renewals went.
pub(crate) fn device_with_renewals(row: &DeviceRow, renewals: Option<&RenewalRow>) -> Device {
    Device { renewals: renewals.map(self::renewals), ..device(row) }
}

/// An operator or service.
pub(crate) fn party(row: &PartyRow) -> Party {
    Party {
        kind: subject_kind(row.kind),
        name: row.name.clone(),
        environment: row.scope.environment.clone(),
        roles: row.roles.clone(),
        reach: reach(row.kind, row.reach),
    }
}

/// How renewals went.
pub(crate) fn renewals(row: &RenewalRow) -> Renewals {
    Renewals {
        renewals: row.renewals,
        refused: row.refused,
        refused_since: row.refused_since,
        last_at: row.last_at,
        last_outcome: match (&row.last_refusal, row.renewals) {
            (Some(code), _) => Some(code.clone()),
            (None, 0) => None,
            (None, _) => Some("renewed".to_owned()),
        },
        last_lead_s: row.last_lead_s,
        least_lead_s: row.least_lead_s,
        last_manner: row.last_manner.map(|manner| word(manner.as_str())),
        clone_alarms: row.clone_alarms,
        clone_alarm_at: row.clone_alarm_at,
    }
}

/// A token, as it stands now.
pub(crate) fn token(row: &TokenRow, now: Timestamp) -> TokenInfo {
    TokenInfo {
        token: row.token,
        environment: row.scope.environment.clone(),
        kind: subject_kind(row.kind),
        subject: row.subject.as_ref().map(|subject| match subject {
            TokenSubject::Named(name) => name.to_string(),
            TokenSubject::Prefix(prefix) => format!("{prefix}*"),
        }),
        uses: row.uses,
        uses_max: row.uses_max,
        state: Word::Known(match row {
            row if row.void => TokenState::Void,
            row if row.uses >= row.uses_max => TokenState::Used,
            row if now > row.expires_at => TokenState::Expired,
            _ => TokenState::Usable,
        }),
        expires: row.expires_at,
        created_by: row.created_by.clone(),
        created_at: row.created_at,
        model: row.model.clone(),
        reach: reach(row.kind, row.reach),
    }
}

/// The state as a reader means it: a live certificate past its end is expired.
fn state(row: &CertificateRow, now: Timestamp) -> Word<touchmark_api::CertificateState> {
    match row.state {
        CertificateState::Issued | CertificateState::Confirmed if now > row.validity.not_after() => {
            Word::Known(touchmark_api::CertificateState::Expired)
        }
        state => word(state.as_str()),
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
        id: row.certificate,
        fingerprint: row.fingerprint,
        issuer,
        serial: row.serial,
        spki: row.spki,
        state: state(row, now),
        not_before: row.validity.not_before(),
        not_after: row.validity.not_after(),
        profile: hierarchy.profile_name(row.profile_version),
        identity: row.identity.clone(),
        generation: row.generation,
        revoked_at: row.revoked_at,
        revocation_reason: row.revocation_reason.map(Word::Known),
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
        id: decision.id.clone(),
        at: decision.at,
        gateway: decision.id.gateway.clone(),
        device: decision.device().cloned(),
        certificate: decision.certificate(),
        action: word(decision.action.as_str()),
        resource: decision.resource.as_ref().map(ToString::to_string),
        verdict: word(decision.verdict.as_str()),
        reason: match decision.verdict {
            Verdict::Allow => String::new(),
            Verdict::Deny(reason) => reason.code().to_owned(),
        },
        policy: decision.policy.map(|version| hex::encode(version.0)),
        rule: decision.rule.as_ref().map(ToString::to_string),
        proof: decision.proof().map(|proof| word(proof.as_str())),
        tls: decision.tls().map(|tls| tls.to_string()),
        count: u64::from(decision.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_decisions as decisions;
    use touchmark_journal as journal;

    #[test]
    fn the_api_has_every_word_of_the_core() {
        fn has<T: FromStr + std::fmt::Debug>(words: &[&str]) {
            for known in words {
                assert!(matches!(word::<T>(known), Word::Known(_)), "{known}");
            }
        }
        use CertificateState::{Burned, Confirmed, Intended, Issued, Revoked, Superseded};
        use journal::{CloneResponse, RenewalManner, Standing};
        use touchmark_identity::ActorKind;
        let states = [Intended, Issued, Confirmed, Superseded, Revoked, Burned];
        has::<touchmark_api::CertificateState>(&states.map(CertificateState::as_str));
        let standings = [Standing::Active, Standing::Quarantined, Standing::Banned];
        has::<touchmark_api::Standing>(&standings.map(Standing::as_str));
        let manners = [RenewalManner::Automatic, RenewalManner::Manual, RenewalManner::Unknown];
        has::<touchmark_api::RenewalManner>(&manners.map(RenewalManner::as_str));
        has::<touchmark_api::Reach>(&[Reach::Environment, Reach::Organisation].map(Reach::as_str));
        let kinds = [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator];
        has::<touchmark_api::IdentityKind>(&kinds.map(IdentityKind::as_str));
        let clones = [CloneResponse::Alarm, CloneResponse::Quarantine];
        has::<touchmark_api::CloneResponse>(&clones.map(CloneResponse::as_str));
        let proofs = [decisions::Proof::Mtls, decisions::Proof::Bridged, decisions::Proof::None];
        has::<touchmark_api::Proof>(&proofs.map(decisions::Proof::as_str));
        use touchmark_policy::Action;
        let actions = [Action::Connect, Action::Publish, Action::Subscribe, Action::RequestUpdate];
        has::<touchmark_api::Action>(&actions.map(Action::as_str));
        has::<touchmark_api::RevokerKind>(&[ActorKind::Person, ActorKind::Automation].map(ActorKind::as_str));
        use touchmark_status::StalenessClass::{LifeSafety, Standard, Strict};
        let classes = [Strict, Standard, LifeSafety];
        has::<touchmark_api::Staleness>(&classes.map(touchmark_status::StalenessClass::as_str));
    }
}
