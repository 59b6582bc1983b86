//! The one function from entries to rows, used at commit and at replay.
//!
//! It sees one entry and no row, so replay in order gives exactly the rows that commits gave.
//! An erased private part leaves the fields that came from it empty.

use crate::change::Change;
use crate::rows::*;
use touchmark_identity::{CertificateId, DeviceId, RevocationReason};
use touchmark_journal::Reach;
use touchmark_journal::{
    CertificatesRevoked, CloneResponse, Entry, Event, IdentityKind, Private, RevokedCertificate, Scope,
    Standing,
};

/// An entry that cannot be turned into rows: it was not written by this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprojectable {
    /// The private part belongs to another kind of event.
    #[error("journal entry {seq} carries the private part of another event")]
    ForeignPrivate {
        /// Place in the journal.
        seq: u64,
    },
    /// The event needs an environment and the envelope has none.
    #[error("journal entry {seq} has no environment")]
    NoEnvironment {
        /// Place in the journal.
        seq: u64,
    },
}

/// The changes that `entry` makes to the rows, in order.
///
/// # Errors
/// [`Unprojectable`] for an entry that no command of ours could have made.
pub fn project(entry: &Entry) -> Result<Vec<Change>, Unprojectable> {
    let seq = entry.seq;
    let scope = || entry.envelope.scope.clone();
    let at = entry.envelope.at;
    let foreign = || Unprojectable::ForeignPrivate { seq };
    Ok(match &entry.event {
        Event::AuthorityCreated(e) => vec![Change::AddAuthority(AuthorityRow {
            authority_version: e.authority_version,
            scope: scope(),
            kind: e.kind,
            name: e.name.clone(),
            certificate: e.certificate.clone(),
            parent: e.parent,
            crl_shards: e.crl_shards,
            created_at: at,
        })],
        Event::EnvironmentCreated(e) => vec![Change::AddEnvironment(EnvironmentRow {
            scope: scope(),
            name: e.name.clone(),
            trust_domain: e.trust_domain.clone(),
            default: e.default,
            created_at: at,
        })],
        Event::ProfileActivated(e) => vec![Change::AddProfile(ProfileRow {
            profile_version: e.profile_version,
            scope: scope(),
            name: e.name.clone(),
            kind: e.kind,
            lifetime_s: e.lifetime_s,
            overlap_s: e.overlap_s,
            grace_s: e.renewal.map_or(e.lifetime_s / 3, |rules| rules.grace_s),
            on_clone: e.renewal.map_or(CloneResponse::Alarm, |rules| rules.on_clone),
            revoke_superseded: e.renewal.is_some_and(|rules| rules.revoke_superseded),
            activated_at: at,
        })],
        Event::PartyRegistered(e) => vec![Change::PutParty(PartyRow {
            scope: scope(),
            kind: e.kind,
            name: e.name.clone(),
            roles: e.roles.clone(),
            reach: e.reach.unwrap_or(Reach::Organisation),
            owner: e.owner.clone(),
            registered_at: at,
            clone_alarms: 0,
            clone_alarm_at: None,
        })],
        Event::TokenCreated(e) => {
            let private = match &entry.private {
                None => None,
                Some(Private::Token(token)) => Some(token),
                Some(_) => return Err(foreign()),
            };
            vec![Change::AddToken(TokenRow {
                token: e.token,
                scope: scope(),
                kind: e.kind,
                subject: private.map(|p| p.subject.clone()),
                secret_sha256: private.map(|p| p.secret_sha256),
                model: private.and_then(|p| p.model.clone()),
                hosts: private.map(|p| p.hosts.clone()).unwrap_or_default(),
                uses_max: e.uses,
                uses: 0,
                expires_at: e.expires_at,
                created_by: entry.envelope.actor.name.clone(),
                created_at: at,
                void: false,
                roles: e.roles.clone(),
                reach: e.reach.unwrap_or(Reach::Organisation),
            })]
        }
        Event::DeviceRegistered(e) => {
            let private = match &entry.private {
                None => None,
                Some(Private::Device(device)) => Some(device),
                Some(_) => return Err(foreign()),
            };
            if entry.envelope.scope.environment.is_none() {
                return Err(Unprojectable::NoEnvironment { seq });
            }
            let mut changes = vec![Change::AddDevice(DeviceRow {
                device: e.device,
                scope: scope(),
                name: private.map(|p| p.name.clone()),
                model: private.and_then(|p| p.model.clone()),
                owner: private.map(|p| p.owner.clone()),
                standing: Standing::Active,
                standing_until: None,
                registered_at: at,
                revoked_at: None,
            })];
            // Where nothing must be hidden, the handle is the device's name.
            changes.extend(private.map(|p| {
                Change::PutIdentity(IdentityRow {
                    scope: scope(),
                    kind: IdentityKind::Operational,
                    handle: p.name.clone(),
                    device: Some(e.device),
                    generation: 0,
                })
            }));
            changes
        }
        Event::CertificateIntended(e) => {
            let private = match &entry.private {
                None => None,
                Some(Private::Intent(intent)) => Some(intent),
                Some(_) => return Err(foreign()),
            };
            let row = CertificateRow {
                certificate: e.certificate,
                scope: scope(),
                device: e.device,
                kind: e.kind,
                identity: private.map(|p| p.identity.clone()),
                authority_version: e.authority_version,
                serial: e.serial,
                spki: private.map(|p| p.spki),
                profile_version: e.profile_version,
                validity: e.validity,
                state: CertificateState::Intended,
                csr_sha256: private.map(|p| p.csr_sha256),
                der: None,
                fingerprint: None,
                token: e.token,
                replaces: e.replaces,
                generation: e.generation,
                crl_shard: e.crl_shard,
                intended_at: at,
                confirmed_at: None,
                refused_from: None,
                revoked_at: None,
                revocation_reason: None,
            };
            let mut changes = vec![Change::AddCertificate(Box::new(row))];
            changes.extend(private.map(|p| {
                Change::PutIdentity(IdentityRow {
                    scope: scope(),
                    kind: e.kind,
                    handle: p.identity.name.clone(),
                    device: e.device,
                    generation: e.generation,
                })
            }));
            changes.extend(e.token.map(Change::CountTokenUse));
            changes.extend(e.device.zip(e.renewal).map(|(device, facts)| Change::CountRenewal {
                scope: scope(),
                device,
                at,
                lead_s: facts.lead_s,
                manner: facts.manner,
            }));
            changes
        }
        Event::CertificateIssued(e) => {
            let der = match &entry.private {
                None => None,
                Some(Private::Certificate(body)) => Some(body.der.clone()),
                Some(_) => return Err(foreign()),
            };
            vec![Change::SetIssued { certificate: e.certificate, fingerprint: e.fingerprint, der }]
        }
        Event::CertificateBurned(e) => {
            let mut changes = vec![Change::SetBurned { certificate: e.certificate, at }];
            changes.extend(e.token.map(Change::RefundTokenUse));
            changes
        }
        Event::CertificateConfirmed(e) => vec![Change::SetConfirmed { certificate: e.certificate, at }],
        Event::CertificateSuperseded(e) => {
            vec![Change::SetSuperseded { certificate: e.certificate, refused_from: e.effective_at }]
        }
        Event::CertificatesRevoked(e) => {
            let mut changes = revoked(entry, &e.certificates, e.reason, denies_keys(e));
            if let Some(device) = e.device {
                let environment = scope().environment.ok_or(Unprojectable::NoEnvironment { seq })?;
                changes.push(Change::VoidTokensOfDevice { environment, device, any_kind: true });
                changes.push(Change::VoidHardwareOfDevice(device));
            }
            changes
        }
        Event::HolderRevoked(e) => {
            let environment = scope().environment.ok_or(Unprojectable::NoEnvironment { seq })?;
            let mut changes = revoked(entry, &e.certificates, e.reason, true);
            if let Some(device) = e.device {
                let environment = environment.clone();
                changes.push(Change::VoidTokensOfDevice { environment, device, any_kind: false });
                changes.push(Change::VoidHardwareOfDevice(device));
                changes.push(Change::SetDeviceRevoked { device, at });
            }
            changes.extend(e.party.clone().map(|party| Change::VoidTokensOfParty { environment, party }));
            changes
        }
        Event::CertificateRevoked(e) => revoked(entry, &e.certificates, e.reason, true),
        Event::StandingChanged(e) => {
            vec![Change::SetStanding { device: e.device, standing: e.standing, until: e.until }]
        }
        Event::PolicyActivated(e) => vec![Change::PutPolicy(PolicyRow {
            scope: scope(),
            version: e.version,
            files: e.files.clone(),
            topics: e.topics.clone(),
            activated_at: at,
        })],
        Event::CrlPublished(e) => vec![Change::PutCrl(CrlRow {
            scope: scope(),
            authority_version: e.authority_version,
            shard: e.shard,
            number: e.number,
            sha256: e.sha256,
            published_at: at,
        })],
        Event::EnforcementReported(e) => vec![Change::PutEnforcement(EnforcementRow {
            scope: scope(),
            gateway: e.gateway.clone(),
            epoch: e.epoch,
            seq: e.seq,
            applied_at: e.applied_at,
            sessions_closed: e.sessions_closed,
        })],
        Event::Refused(e) => {
            vec![Change::CountRefusals { scope: scope(), code: e.code.clone(), count: e.count }]
        }
        Event::Started(e) => vec![Change::SetStarted { epoch: e.epoch, incarnation: e.incarnation }],
        Event::RenewalRefused(e) => vec![Change::CountRenewalRefusals {
            scope: scope(),
            device: e.device,
            at,
            code: e.code.clone(),
            count: e.count,
        }],
        Event::CloneSuspected(e) => {
            vec![Change::CountCloneAlarm { scope: scope(), device: e.device, at }]
        }
        Event::PartyCloneSuspected(e) => vec![Change::CountPartyCloneAlarm { party: e.party.clone(), at }],
        Event::MakerRegistered(e) => vec![Change::AddMaker(MakerRow {
            maker: e.maker,
            scope: scope(),
            name: e.name.clone(),
            certificate: e.certificate.clone(),
            registered_at: at,
            withdrawn_at: None,
        })],
        Event::TokenVoided(e) => vec![Change::VoidToken(e.token)],
        Event::GatewayDeclared(e) => vec![Change::PutGatewayAbsence(GatewayAbsenceRow {
            scope: scope(),
            gateway: e.gateway.clone(),
            since: at,
            until: if e.offline { e.until } else { Some(at) },
            declared_by: entry.envelope.actor.name.clone(),
        })],
        Event::MakerWithdrawn(e) => vec![Change::EndMaker { maker: e.maker, at }],
        Event::HardwareRegistered(e) => match &entry.private {
            // Erased: nobody knows any more which piece it was.
            None => Vec::new(),
            Some(Private::Hardware(private)) => vec![Change::PutHardware(HardwareRow {
                scope: scope(),
                maker: private.maker,
                hardware_id: private.hardware_id.clone(),
                device: e.device,
                registered_at: at,
                void: false,
            })],
            Some(_) => return Err(foreign()),
        },
    })
}

/// The rows that die, and their keys where nobody may use them again.
fn revoked(
    entry: &Entry,
    certificates: &[RevokedCertificate],
    reason: RevocationReason,
    deny: bool,
) -> Vec<Change> {
    let (scope, at) = (&entry.envelope.scope, entry.envelope.at);
    let mut changes = Vec::with_capacity(2 * certificates.len() + 3);
    for RevokedCertificate { certificate, spki } in certificates {
        changes.push(Change::SetRevoked { certificate: *certificate, at, reason });
        if deny {
            let row = DeniedKeyRow { scope: scope.clone(), spki: *spki, denied_at: at };
            changes.push(Change::DenyKey(row));
        }
    }
    changes
}

/// Whether nobody may use the keys again. A certificate that only made way for its successor leaves a key that did no
/// wrong, and may serve on: the request for it may have been answered twice. Denied keys stay in every gateway's memory.
pub fn denies_keys(revoked: &CertificatesRevoked) -> bool {
    revoked.device.is_some() || revoked.reason != RevocationReason::Superseded
}

/// The device that an event concerns, for a device's history; certificates are resolved by `device_of`.
pub fn concerned_device(
    event: &Event,
    device_of: impl Fn(CertificateId) -> Option<DeviceId>,
) -> Option<DeviceId> {
    match event {
        Event::DeviceRegistered(e) => Some(e.device),
        Event::CertificateIntended(e) => e.device,
        Event::CertificateIssued(e) => device_of(e.certificate),
        Event::CertificateBurned(e) => device_of(e.certificate),
        Event::CertificateConfirmed(e) => device_of(e.certificate),
        Event::CertificateSuperseded(e) => device_of(e.certificate),
        Event::CertificatesRevoked(e) => e.device,
        Event::HolderRevoked(e) => e.device,
        Event::CertificateRevoked(e) => device_of(e.certificate),
        Event::StandingChanged(e) => Some(e.device),
        Event::Refused(e) => e.device,
        Event::RenewalRefused(e) => Some(e.device),
        Event::CloneSuspected(e) => Some(e.device),
        Event::HardwareRegistered(e) => Some(e.device),
        Event::AuthorityCreated(_)
        | Event::EnvironmentCreated(_)
        | Event::ProfileActivated(_)
        | Event::PartyRegistered(_)
        | Event::TokenCreated(_)
        | Event::PolicyActivated(_)
        | Event::CrlPublished(_)
        | Event::EnforcementReported(_)
        | Event::TokenVoided(_)
        | Event::PartyCloneSuspected(_)
        | Event::GatewayDeclared(_)
        | Event::MakerRegistered(_)
        | Event::MakerWithdrawn(_)
        | Event::Started(_) => None,
    }
}

/// Parties are keyed by kind and name inside a scope.
pub(crate) fn party_key(scope: &Scope, kind: IdentityKind, name: &str) -> (Scope, IdentityKind, String) {
    (scope.clone(), kind, name.to_owned())
}
