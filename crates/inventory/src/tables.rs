//! The rows in memory: the reference that every back end is held against, and the other side of replay.

use crate::change::{Change, UniqueKey};
use crate::dying::{Dying, filled, lives};
use crate::indexes::Indexes;
use crate::project::party_key;
use crate::rows::*;
use crate::store::{Holder, Precondition};
use std::collections::{BTreeMap, HashMap};
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, MakerId, Name, ProfileVersionId,
    SerialNumber, SpkiHash, Timestamp, TokenId,
};
use touchmark_journal::{Draft, IdentityKind, PartyName, RevokedCertificate, Scope, Standing, TokenSubject};

/// All derived rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub(crate) authorities: BTreeMap<AuthorityVersionId, AuthorityRow>,
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentRow>,
    pub(crate) profiles: BTreeMap<ProfileVersionId, ProfileRow>,
    pub(crate) parties: BTreeMap<(IdentityKind, String), PartyRow>,
    pub(crate) policies: BTreeMap<Option<EnvironmentName>, PolicyRow>,
    pub(crate) tokens: BTreeMap<TokenId, TokenRow>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceRow>,
    pub(crate) device_names: HashMap<(EnvironmentName, Name), DeviceId>,
    pub(crate) identities: BTreeMap<(Option<EnvironmentName>, IdentityKind, Name), IdentityRow>,
    pub(crate) certificates: BTreeMap<CertificateId, CertificateRow>,
    pub(crate) serials: HashMap<(AuthorityVersionId, SerialNumber), CertificateId>,
    pub(crate) indexes: Indexes,
    pub(crate) denied_keys: BTreeMap<(Option<EnvironmentName>, SpkiHash), DeniedKeyRow>,
    pub(crate) crls: BTreeMap<(AuthorityVersionId, u32), CrlRow>,
    pub(crate) enforcements: BTreeMap<(Option<EnvironmentName>, Name), EnforcementRow>,
    pub(crate) refusals: BTreeMap<(Option<EnvironmentName>, String), u64>,
    pub(crate) renewals: BTreeMap<DeviceId, RenewalRow>,
    pub(crate) makers: BTreeMap<MakerId, MakerRow>,
    pub(crate) hardware: BTreeMap<(Option<EnvironmentName>, MakerId, String), HardwareRow>,
    pub(crate) gateway_absences: BTreeMap<(Option<EnvironmentName>, Name), GatewayAbsenceRow>,
    pub(crate) started: Option<(u64, u8)>,
}

impl Tables {
    /// Applies one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::AddAuthority(row) => drop(self.authorities.insert(row.authority_version, row)),
            Change::AddEnvironment(row) => drop(self.environments.insert(row.name.clone(), row)),
            Change::AddProfile(row) => drop(self.profiles.insert(row.profile_version, row)),
            Change::PutParty(row) => {
                let (_, kind, name) = party_key(&row.scope, row.kind, row.name.as_str());
                let before = self.parties.get(&(kind, name.clone()));
                let (clone_alarms, clone_alarm_at) =
                    before.map_or((0, None), |row| (row.clone_alarms, row.clone_alarm_at));
                self.parties.insert((kind, name), PartyRow { clone_alarms, clone_alarm_at, ..row });
            }
            Change::AddToken(row) => {
                self.indexes.token_added(&row);
                self.tokens.insert(row.token, row);
            }
            Change::CountTokenUse(token) => {
                if let Some(row) = self.tokens.get_mut(&token) {
                    row.uses = row.uses.saturating_add(1);
                }
            }
            Change::RefundTokenUse(token) => {
                if let Some(row) = self.tokens.get_mut(&token) {
                    row.uses = row.uses.saturating_sub(1);
                }
            }
            Change::VoidToken(token) => {
                if let Some(row) = self.tokens.get_mut(&token) {
                    row.void = true;
                }
            }
            Change::VoidTokensOfDevice { environment, device, any_kind } => {
                self.void_tokens_of_device(&environment, device, any_kind);
            }
            Change::VoidTokensOfParty { environment, party } => {
                self.void_tokens_of_party(&environment, &party);
            }
            Change::SetDeviceRevoked { device, at } => {
                if let Some(row) = self.devices.get_mut(&device) {
                    row.revoked_at = Some(at);
                }
            }
            Change::AddDevice(row) => self.add_device(row),
            Change::PutIdentity(row) => {
                let key = (row.scope.environment.clone(), row.kind, row.handle.clone());
                let before = self.identities.get(&key).map_or(0, |before| before.generation);
                self.identities.insert(key, IdentityRow { generation: row.generation.max(before), ..row });
            }
            Change::SetStanding { device, standing, until } => {
                if let Some(row) = self.devices.get_mut(&device) {
                    row.standing = standing;
                    row.standing_until = until;
                }
            }
            Change::AddCertificate(row) => self.add_certificate(*row),
            Change::SetIssued { certificate, fingerprint, der } => {
                if let Some(row) = self.certificates.get_mut(&certificate) {
                    self.indexes.fingerprint_set(certificate, row.fingerprint, fingerprint);
                    row.state = CertificateState::Issued;
                    row.fingerprint = Some(fingerprint);
                    row.der = der;
                }
            }
            Change::SetConfirmed { certificate, at } => self.with_certificate(certificate, |row| {
                row.state = CertificateState::Confirmed;
                row.confirmed_at = Some(at);
            }),
            Change::SetSuperseded { certificate, refused_from } => {
                self.with_certificate(certificate, |row| {
                    row.state = CertificateState::Superseded;
                    row.refused_from = Some(refused_from);
                });
            }
            Change::SetRevoked { certificate, at, reason } => self.with_certificate(certificate, |row| {
                row.state = CertificateState::Revoked;
                row.revoked_at = Some(at);
                row.revocation_reason = Some(reason);
            }),
            Change::SetBurned { certificate, at } => self.with_certificate(certificate, |row| {
                row.state = CertificateState::Burned;
                row.revoked_at = Some(at);
                row.revocation_reason = Some(Change::BURNED);
            }),
            Change::DenyKey(row) => {
                self.indexes.denied.insert(row.spki);
                self.denied_keys.entry((row.scope.environment.clone(), row.spki)).or_insert(row);
            }
            Change::PutPolicy(row) => drop(self.policies.insert(row.scope.environment.clone(), row)),
            Change::PutCrl(row) => drop(self.crls.insert((row.authority_version, row.shard), row)),
            Change::PutEnforcement(row) => {
                self.enforcements.insert((row.scope.environment.clone(), row.gateway.clone()), row);
            }
            Change::CountRefusals { scope, code, count } => {
                let sum = self.refusals.entry((scope.environment, code)).or_default();
                *sum = sum.saturating_add(count);
            }
            Change::CountRenewal { scope, device, at, lead_s, manner } => {
                self.renewals_of(scope, device, at).granted(at, lead_s, manner);
            }
            Change::CountRenewalRefusals { scope, device, at, code, count } => {
                self.renewals_of(scope, device, at).refused(at, &code, count);
            }
            Change::CountCloneAlarm { scope, device, at } => {
                self.renewals_of(scope, device, at).clone_suspected(at);
            }
            Change::CountPartyCloneAlarm { party, at } => {
                if let Some(row) = self.parties.get_mut(&(party.kind, party.name.to_string())) {
                    row.clone_alarms = row.clone_alarms.saturating_add(1);
                    row.clone_alarm_at = Some(at);
                }
            }
            Change::AddMaker(row) => drop(self.makers.insert(row.maker, row)),
            Change::EndMaker { maker, at } => {
                if let Some(row) = self.makers.get_mut(&maker) {
                    row.withdrawn_at.get_or_insert(at);
                }
            }
            Change::PutHardware(row) => {
                let key = (row.scope.environment.clone(), row.maker, row.hardware_id.clone());
                self.hardware.insert(key, row);
            }
            Change::PutGatewayAbsence(row) => {
                let key = (row.scope.environment.clone(), row.gateway.clone());
                self.gateway_absences.insert(key, row);
            }
            Change::VoidHardwareOfDevice(device) => {
                for row in self.hardware.values_mut().filter(|row| row.device == device) {
                    row.void = true;
                }
            }
            Change::SetStarted { epoch, incarnation } => self.started = Some((epoch, incarnation)),
        }
    }

    fn renewals_of(&mut self, scope: Scope, device: DeviceId, at: Timestamp) -> &mut RenewalRow {
        self.renewals.entry(device).or_insert_with(|| RenewalRow::new(scope, device, at))
    }

    /// A piece of hardware that is expected.
    pub(crate) fn hardware_row(
        &self,
        environment: &EnvironmentName,
        maker: MakerId,
        hardware_id: &str,
    ) -> Option<&HardwareRow> {
        self.hardware.get(&(Some(environment.clone()), maker, hardware_id.to_owned()))
    }

    /// The rows of these certificates, in their order.
    pub(crate) fn certificates_in(
        &self,
        ids: impl Iterator<Item = CertificateId>,
    ) -> impl Iterator<Item = &CertificateRow> {
        ids.filter_map(|id| self.certificates.get(&id))
    }

    /// All certificates of a holder, oldest first.
    pub(crate) fn certificates_of(&self, holder: &Holder) -> Vec<&CertificateRow> {
        match holder {
            Holder::Device(device) => self.certificates_in(self.indexes.of_device.of(device)).collect(),
            Holder::Party { kind, name } => {
                self.certificates.values().filter(|row| is_of_party(row, *kind, name)).collect()
            }
        }
    }

    /// The highest generation of a holder's certificates.
    pub(crate) fn newest_generation(&self, holder: &Holder) -> u64 {
        self.certificates_of(holder).iter().map(|row| row.generation).max().unwrap_or(0)
    }

    fn with_certificate(&mut self, certificate: CertificateId, change: impl FnOnce(&mut CertificateRow)) {
        if let Some(row) = self.certificates.get_mut(&certificate) {
            change(row);
        }
    }

    fn add_device(&mut self, row: DeviceRow) {
        if let (Some(environment), Some(name)) = (&row.scope.environment, &row.name) {
            self.device_names.insert((environment.clone(), name.clone()), row.device);
        }
        self.devices.insert(row.device, row);
    }

    fn add_certificate(&mut self, row: CertificateRow) {
        self.serials.insert((row.authority_version, row.serial), row.certificate);
        self.indexes.certificate_added(&row);
        self.certificates.insert(row.certificate, row);
    }

    fn void_tokens_of_device(&mut self, environment: &EnvironmentName, device: DeviceId, any_kind: bool) {
        let Some(name) = self.devices.get(&device).and_then(|row| row.name.clone()) else { return };
        self.void_tokens(|row| {
            names(row, &name)
                && in_environment(&row.scope, environment)
                && (any_kind || row.kind == IdentityKind::Operational)
        });
    }

    fn void_tokens_of_party(&mut self, environment: &EnvironmentName, party: &PartyName) {
        let operator = party.kind == IdentityKind::Operator;
        self.void_tokens(|row| {
            let for_it =
                names(row, &party.name) && row.kind == party.kind && in_environment(&row.scope, environment);
            for_it || (operator && row.created_by == party.name)
        });
    }

    fn void_tokens(&mut self, which: impl Fn(&TokenRow) -> bool) {
        for row in self.tokens.values_mut().filter(|row| which(row)) {
            row.void = true;
        }
    }

    /// The drafts with what dies by them, as the rows stand now.
    pub(crate) fn with_the_dying(&self, drafts: Vec<Draft>) -> Vec<Draft> {
        let with = |draft: Draft| match Dying::by(&draft.event) {
            None => vec![draft],
            Some(dying) => filled(&draft.envelope, &draft.event, &self.dying(&dying, draft.envelope.at)),
        };
        drafts.into_iter().flat_map(with).collect()
    }

    /// Oldest first.
    fn dying(&self, dying: &Dying, now: Timestamp) -> Vec<RevokedCertificate> {
        let rows: Vec<&CertificateRow> = match dying {
            Dying::Of(holder) => self.certificates_of(holder),
            Dying::Line(root) => {
                let successors = self.indexes.successors.of(root);
                let unproven = |row: &&CertificateRow| Dying::is_successor(row, *root);
                let root = self.certificates.get(root).into_iter();
                root.chain(self.certificates_in(successors).filter(unproven)).collect()
            }
        };
        let revoked = |row: &CertificateRow| {
            row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki })
        };
        rows.into_iter().filter(|row| lives(row, now)).filter_map(revoked).collect()
    }

    /// Whether a row has the key already.
    pub fn has(&self, key: &UniqueKey) -> bool {
        match key {
            UniqueKey::Authority(id) => self.authorities.contains_key(id),
            UniqueKey::Environment(name) => self.environments.contains_key(name),
            UniqueKey::TrustDomain(domain) => {
                self.environments.values().any(|row| row.trust_domain == *domain)
            }
            UniqueKey::Profile(id) => self.profiles.contains_key(id),
            UniqueKey::Token(id) => self.tokens.contains_key(id),
            UniqueKey::Maker(id) => self.makers.contains_key(id),
            UniqueKey::Device(id) => self.devices.contains_key(id),
            UniqueKey::DeviceName(environment, name) => {
                self.device_names.contains_key(&(environment.clone(), name.clone()))
            }
            UniqueKey::Certificate(id) => self.certificates.contains_key(id),
            UniqueKey::Serial(authority_version, serial) => {
                self.serials.contains_key(&(*authority_version, *serial))
            }
        }
    }

    /// Whether the precondition holds now.
    pub fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::TokenUsable { token, now } => self
                .tokens
                .get(token)
                .is_some_and(|row| !row.void && row.uses < row.uses_max && *now <= row.expires_at),
            Precondition::DeviceNameFree { environment, name } => {
                !self.device_names.contains_key(&(environment.clone(), name.clone()))
            }
            Precondition::DeviceStanding { device, standing } => {
                self.devices.get(device).is_some_and(|row| row.standing == *standing)
            }
            Precondition::SerialFree { authority_version, serial } => {
                !self.serials.contains_key(&(*authority_version, *serial))
            }
            Precondition::KeyUsable { spki, holder } => {
                let denied = self.indexes.denied.contains(spki);
                let foreign = self
                    .indexes
                    .by_key
                    .of(spki)
                    .filter_map(|id| self.certificates.get(&id))
                    .any(|row| row.state != CertificateState::Burned && !is_of(row, holder));
                !denied && !foreign
            }
            Precondition::CertificateInState { certificate, state } => {
                self.certificates.get(certificate).is_some_and(|row| row.state == *state)
            }
            Precondition::CertificateAlive(certificate) => {
                let dead = |row: &CertificateRow| {
                    matches!(row.state, CertificateState::Revoked | CertificateState::Burned)
                };
                self.certificates.get(certificate).is_some_and(|row| !dead(row))
            }
            Precondition::DeviceNotBanned(device) => {
                self.devices.get(device).is_some_and(|row| row.standing != Standing::Banned)
            }
            Precondition::QuarantinedUntil { device, until } => self
                .devices
                .get(device)
                .is_some_and(|row| row.standing == Standing::Quarantined && row.standing_until == *until),
            Precondition::DeviceRevokedAt { device, at } => {
                self.devices.get(device).is_some_and(|row| row.revoked_at == *at)
            }
            Precondition::NewestGeneration { holder, generation } => {
                self.newest_generation(holder) == *generation
            }
            Precondition::PartyHome { kind, name, environment } => self
                .parties
                .get(&(*kind, name.to_string()))
                .is_none_or(|row| in_environment(&row.scope, environment)),
            Precondition::HardwareFree { environment, maker, hardware_id, device } => {
                self.hardware_row(environment, *maker, hardware_id).is_none_or(|row| row.device == *device)
            }
            Precondition::HardwareUsable { environment, maker, hardware_id, device } => {
                let expected = self.hardware_row(environment, *maker, hardware_id);
                let in_force = |row: &MakerRow| row.withdrawn_at.is_none();
                expected.is_some_and(|row| row.device == *device && !row.void)
                    && self.makers.get(maker).is_some_and(in_force)
            }
            Precondition::MakerFree { environment, name } => !self.makers.values().any(|row| {
                row.name == *name && row.withdrawn_at.is_none() && in_environment(&row.scope, environment)
            }),
            Precondition::EnvironmentFree { name } => !self.environments.contains_key(name),
            Precondition::CrlNumberAbove { authority_version, shard, number } => {
                self.crls.get(&(*authority_version, *shard)).is_none_or(|row| row.number < *number)
            }
        }
    }

    /// Every row as one line of text, sorted.
    pub fn dump(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.authorities.values().map(|row| format!("{row:?}")));
        lines.extend(self.environments.values().map(|row| format!("{row:?}")));
        lines.extend(self.profiles.values().map(|row| format!("{row:?}")));
        lines.extend(self.parties.values().map(|row| format!("{row:?}")));
        lines.extend(self.policies.values().map(|row| format!("{row:?}")));
        lines.extend(self.tokens.values().map(|row| format!("{row:?}")));
        lines.extend(self.devices.values().map(|row| format!("{row:?}")));
        lines.extend(self.identities.values().map(|row| format!("{row:?}")));
        lines.extend(self.certificates.values().map(|row| format!("{row:?}")));
        lines.extend(self.denied_keys.values().map(|row| format!("{row:?}")));
        lines.extend(self.crls.values().map(|row| format!("{row:?}")));
        lines.extend(self.enforcements.values().map(|row| format!("{row:?}")));
        lines.extend(self.refusals.iter().map(|row| format!("Refusals {row:?}")));
        lines.extend(self.renewals.values().map(|row| format!("{row:?}")));
        lines.extend(self.makers.values().map(|row| format!("{row:?}")));
        lines.extend(self.hardware.values().map(|row| format!("{row:?}")));
        lines.extend(self.gateway_absences.values().map(|row| format!("{row:?}")));
        lines.extend(self.started.iter().map(|row| format!("Started {row:?}")));
        lines.sort();
        lines
    }

    /// The devices that are quarantined or banned in an environment.
    pub(crate) fn exceptions(&self, environment: &EnvironmentName) -> Vec<DeviceRow> {
        self.devices
            .values()
            .filter(|row| row.standing != Standing::Active && in_environment(&row.scope, environment))
            .cloned()
            .collect()
    }
}

/// Whether a token is for this name only.
fn names(row: &TokenRow, name: &Name) -> bool {
    matches!(&row.subject, Some(TokenSubject::Named(named)) if named == name)
}

pub(crate) fn is_of(row: &CertificateRow, holder: &Holder) -> bool {
    match holder {
        Holder::Device(device) => row.device == Some(*device),
        Holder::Party { kind, name } => is_of_party(row, *kind, name),
    }
}

/// Whether a certificate is that of this operator or service.
fn is_of_party(row: &CertificateRow, kind: IdentityKind, name: &Name) -> bool {
    let named = || row.identity.as_ref().is_some_and(|identity| identity.name == *name);
    row.device.is_none() && row.kind == kind && named()
}

pub(crate) fn in_environment(scope: &Scope, environment: &EnvironmentName) -> bool {
    scope.environment.as_ref() == Some(environment)
}
