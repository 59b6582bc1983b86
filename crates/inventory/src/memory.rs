//! The store in memory, with fault points: each commit can be lost, or stored but reported lost.
//!
//! Used by simulation and tests; the SQLite store is held against the same conformance suite.

use crate::change::Change;
use crate::facts::{Facts, Query};
use crate::project::{concerned_device, project};
use crate::rows::*;
use crate::sightings::Sightings;
use crate::store::*;
use crate::tables::{Tables, in_environment};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name, SerialNumber,
    SpkiHash, Timestamp, TokenId,
};
use touchmark_journal::{IdentityKind, Private, Salt};

/// What happens to one coming commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It passes.
    None,
    /// It is not stored, and the caller hears of a storage fault.
    Lost,
    /// It is stored, and the caller hears of a storage fault.
    StoredButReportedLost,
    /// It is not stored: another command came before it, after which its first precondition does not hold.
    Overtaken,
}

#[derive(Default)]
struct Inner {
    tables: Tables,
    journal: Vec<StoredEntry>,
    private: BTreeMap<u64, (Salt, Private)>,
    head: Option<LogHead>,
    sightings: Vec<SightingRow>,
    positions: BTreeMap<Name, (u32, u64)>,
    faults: VecDeque<Fault>,
    unread: u32,
    reads: u64,
    commits: u64,
}

/// See the module.
#[derive(Default)]
pub struct MemoryStore(Mutex<Inner>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans the fate of the next commits, in order; later ones pass.
    pub fn plan_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner().faults.extend(faults);
    }

    /// Refuses the next readings of the journal, so many; later ones pass.
    pub fn refuse_journal_reads(&self, times: u32) {
        self.inner().unread = times;
    }

    pub fn tables(&self) -> Tables {
        self.inner().tables.clone()
    }

    /// Reads and commits that were asked for so far.
    pub fn asked(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.reads, inner.commits)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// For one reading.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner();
        inner.reads += 1;
        inner
    }

    fn accept(&self, command: Command) -> Result<Receipt, StoreFault> {
        let mut inner = self.inner();
        inner.commits += 1;
        let fault = inner.faults.pop_front().unwrap_or(Fault::None);
        if fault == Fault::Lost {
            return Err(StoreFault::Storage("fault point: lost".into()));
        }
        if fault == Fault::Overtaken
            && let Some(failed) = command.preconditions.first()
        {
            return Err(Conflict { failed: failed.clone() }.into());
        }
        if let Some(failed) = command.preconditions.into_iter().find(|p| !inner.tables.holds(p)) {
            return Err(Conflict { failed }.into());
        }
        let first_seq = inner.journal.len() as u64;
        let mut accepted = Vec::with_capacity(command.entries.len());
        let mut taken = BTreeSet::new();
        let drafts = inner.tables.with_the_dying(command.entries);
        let leaves: Vec<Vec<u8>> = drafts
            .iter()
            .map(|draft| draft.leaf().map_err(|e| StoreFault::Damaged(e.to_string())))
            .collect::<Result<_, _>>()?;
        for (seq, (draft, leaf)) in (first_seq..).zip(drafts.into_iter().zip(leaves)) {
            let private = draft.private.clone();
            let entry = draft.at(seq);
            let changes = project(&entry).map_err(|e| StoreFault::Damaged(e.to_string()))?;
            for key in changes.iter().flat_map(Change::takes) {
                if inner.tables.has(&key) || !taken.insert(key.clone()) {
                    return Err(StoreFault::Damaged(format!("taken already: {key:?}")));
                }
            }
            accepted.push((StoredEntry { entry, leaf }, private, changes));
        }
        let entries = accepted.len() as u64;
        for (stored, private, changes) in accepted {
            changes.into_iter().for_each(|change| inner.tables.apply(change));
            if let Some(private) = private {
                inner.private.insert(stored.entry.seq, private);
            }
            inner.journal.push(stored);
        }
        match fault {
            Fault::StoredButReportedLost => {
                Err(StoreFault::Storage("fault point: stored but reported lost".into()))
            }
            Fault::None | Fault::Lost | Fault::Overtaken => Ok(Receipt { first_seq, entries }),
        }
    }
}

impl Store for MemoryStore {
    fn submit(&self, command: Command, done: CommitDone) {
        done(self.accept(command));
    }

    fn journal_from(&self, seq: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreFault> {
        let start = usize::try_from(seq).unwrap_or(usize::MAX);
        let mut inner = self.lock();
        if let Some(left) = inner.unread.checked_sub(1) {
            inner.unread = left;
            return Err(StoreFault::Storage("fault point: journal not read".into()));
        }
        Ok(inner.journal.iter().skip(start).take(limit).cloned().collect())
    }

    fn journal_len(&self) -> Result<u64, StoreFault> {
        Ok(self.lock().journal.len() as u64)
    }

    fn journal_of_device(&self, device: DeviceId, limit: usize) -> Result<Vec<StoredEntry>, StoreFault> {
        let inner = self.lock();
        let concerns = |stored: &&StoredEntry| {
            let device_of = |id: CertificateId| inner.tables.certificates.get(&id).and_then(|row| row.device);
            concerned_device(&stored.entry.event, device_of) == Some(device)
        };
        Ok(inner.journal.iter().rev().filter(concerns).take(limit).cloned().collect())
    }

    fn log_head(&self) -> Result<Option<LogHead>, StoreFault> {
        Ok(self.lock().head.clone())
    }

    fn advance_log_head(&self, from: u64, head: LogHead) -> Result<(), StoreFault> {
        let mut inner = self.lock();
        if inner.head.as_ref().map_or(0, |h| h.size) != from || head.size < from {
            return Err(StoreFault::Damaged("another process advanced the log head".into()));
        }
        inner.head = Some(head);
        Ok(())
    }

    fn started(&self) -> Result<(u64, u8), StoreFault> {
        Ok(self.lock().tables.started.unwrap_or((0, 1)))
    }

    fn facts(&self, query: &Query) -> Result<Option<Facts>, StoreFault> {
        Ok(self.lock().tables.facts(query))
    }

    fn authorities(&self) -> Result<Vec<AuthorityRow>, StoreFault> {
        Ok(self.lock().tables.authorities.values().cloned().collect())
    }

    fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreFault> {
        Ok(self.lock().tables.environments.values().cloned().collect())
    }

    fn profiles(&self) -> Result<Vec<ProfileRow>, StoreFault> {
        Ok(self.lock().tables.profiles.values().cloned().collect())
    }

    fn parties(&self) -> Result<Vec<PartyRow>, StoreFault> {
        Ok(self.lock().tables.parties.values().cloned().collect())
    }

    fn policy(&self, environment: &EnvironmentName) -> Result<Option<PolicyRow>, StoreFault> {
        Ok(self.lock().tables.policies.get(&Some(environment.clone())).cloned())
    }

    fn token_by_secret(&self, secret_sha256: &[u8; 32]) -> Result<Option<TokenRow>, StoreFault> {
        Ok(self.lock().tables.token_by_secret(secret_sha256).cloned())
    }

    fn token(&self, token: TokenId) -> Result<Option<TokenRow>, StoreFault> {
        Ok(self.lock().tables.tokens.get(&token).cloned())
    }

    fn tokens(
        &self,
        environment: &EnvironmentName,
        before: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<TokenRow>, StoreFault> {
        let inner = self.lock();
        let wanted = |row: &&TokenRow| {
            in_environment(&row.scope, environment) && before.is_none_or(|before| row.token < before)
        };
        Ok(inner.tables.tokens.values().rev().filter(wanted).take(limit).cloned().collect())
    }

    fn device_by_name(
        &self,
        environment: &EnvironmentName,
        name: &Name,
    ) -> Result<Option<DeviceRow>, StoreFault> {
        let inner = self.lock();
        let id = inner.tables.device_names.get(&(environment.clone(), name.clone()));
        Ok(id.and_then(|id| inner.tables.devices.get(id)).cloned())
    }

    fn devices_named(&self, name: &Name) -> Result<Vec<DeviceRow>, StoreFault> {
        let inner = self.lock();
        Ok(inner.tables.devices.values().filter(|row| row.name.as_ref() == Some(name)).cloned().collect())
    }

    fn device(&self, device: DeviceId) -> Result<Option<DeviceRow>, StoreFault> {
        Ok(self.lock().tables.devices.get(&device).cloned())
    }

    fn identity(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        handle: &Name,
    ) -> Result<Option<IdentityRow>, StoreFault> {
        let key = (Some(environment.clone()), kind, handle.clone());
        Ok(self.lock().tables.identities.get(&key).cloned())
    }

    fn identities_of_device(&self, device: DeviceId) -> Result<Vec<IdentityRow>, StoreFault> {
        let inner = self.lock();
        Ok(inner.tables.identities.values().filter(|row| row.device == Some(device)).cloned().collect())
    }

    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault> {
        let inner = self.lock();
        let mut rows: Vec<DeviceRow> = inner
            .tables
            .devices
            .values()
            .filter(|row| filter.environment.as_ref().is_none_or(|e| in_environment(&row.scope, e)))
            .filter(|row| filter.standing.is_none_or(|standing| row.standing == standing))
            .filter(|row| row.name > filter.after)
            .cloned()
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name).then(a.device.cmp(&b.device)));
        if let Some(last) =
            filter.limit.checked_sub(1).and_then(|last| rows.get(last)).map(|row| row.name.clone())
        {
            rows.retain(|row| row.name <= last);
        } else if filter.limit == 0 {
            rows.clear();
        }
        Ok(rows)
    }

    fn standing_exceptions(&self, environment: &EnvironmentName) -> Result<Vec<DeviceRow>, StoreFault> {
        Ok(self.lock().tables.exceptions(environment))
    }

    fn certificate(&self, certificate: CertificateId) -> Result<Option<CertificateRow>, StoreFault> {
        Ok(self.lock().tables.certificates.get(&certificate).cloned())
    }

    fn certificate_by_fingerprint(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<CertificateRow>, StoreFault> {
        let tables = &self.lock().tables;
        let first = tables.indexes.by_fingerprint.of(fingerprint).next();
        Ok(first.and_then(|id| tables.certificates.get(&id)).cloned())
    }

    fn certificates_by_serial(&self, serial: &SerialNumber) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.newest_first(|row| row.serial == *serial))
    }

    fn certificates_by_key(&self, spki: &SpkiHash) -> Result<Vec<CertificateRow>, StoreFault> {
        let tables = &self.lock().tables;
        Ok(tables.certificates_in(tables.indexes.by_key.of(spki).rev()).cloned().collect())
    }

    fn certificates_of_device(&self, device: DeviceId) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.lock().tables.by_generation(&Holder::Device(device)))
    }

    fn certificates_of_party(
        &self,
        kind: IdentityKind,
        name: &Name,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.lock().tables.by_generation(&Holder::Party { kind, name: name.clone() }))
    }

    fn current_certificates(&self, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.lock().tables.current_of(holder))
    }

    fn successors_of(&self, certificate: CertificateId) -> Result<Vec<CertificateRow>, StoreFault> {
        let inner = self.lock();
        Ok(inner
            .tables
            .certificates_in(inner.tables.indexes.successors.of(&certificate).rev())
            .cloned()
            .collect())
    }

    fn open_intents(&self) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.newest_first(|row| row.state == CertificateState::Intended))
    }

    fn revoked(
        &self,
        authority_version: AuthorityVersionId,
        shard: u32,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.newest_first(|row| {
            row.authority_version == authority_version
                && row.crl_shard == shard
                && row.revoked_at.is_some()
                && unexpired(row, now)
        }))
    }

    fn superseded(
        &self,
        environment: &EnvironmentName,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        Ok(self.newest_first(|row| {
            row.state == CertificateState::Superseded
                && in_environment(&row.scope, environment)
                && unexpired(row, now)
        }))
    }

    fn superseded_due(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        let mut due = self.newest_first(|row| {
            row.state == CertificateState::Superseded
                && row.kind == kind
                && in_environment(&row.scope, environment)
                && row.refused_from.is_some_and(|from| from <= now)
                && unexpired(row, now)
        });
        due.sort_by_key(|row| (row.refused_from, row.certificate));
        due.truncate(limit);
        Ok(due)
    }

    fn denied_keys(&self, environment: &EnvironmentName) -> Result<Vec<DeniedKeyRow>, StoreFault> {
        let inner = self.lock();
        Ok(inner
            .tables
            .denied_keys
            .values()
            .filter(|r| in_environment(&r.scope, environment))
            .cloned()
            .collect())
    }

    fn renewals_of(&self, device: DeviceId) -> Result<Option<RenewalRow>, StoreFault> {
        Ok(self.lock().tables.renewals.get(&device).cloned())
    }

    fn makers(&self, environment: &EnvironmentName) -> Result<Vec<MakerRow>, StoreFault> {
        let inner = self.lock();
        let mut rows: Vec<MakerRow> = inner
            .tables
            .makers
            .values()
            .filter(|row| in_environment(&row.scope, environment))
            .cloned()
            .collect();
        rows.sort_by(|a, b| (&a.name, a.maker).cmp(&(&b.name, b.maker)));
        Ok(rows)
    }

    fn hardware(
        &self,
        environment: &EnvironmentName,
        maker: MakerId,
        hardware_id: &str,
    ) -> Result<Option<HardwareRow>, StoreFault> {
        Ok(self.lock().tables.hardware_row(environment, maker, hardware_id).cloned())
    }

    fn hardware_of_device(&self, device: DeviceId) -> Result<Vec<HardwareRow>, StoreFault> {
        let inner = self.lock();
        Ok(inner.tables.hardware.values().filter(|row| row.device == device).cloned().collect())
    }

    fn crls(&self) -> Result<Vec<CrlRow>, StoreFault> {
        Ok(self.lock().tables.crls.values().cloned().collect())
    }

    fn gateway_absences(&self) -> Result<Vec<GatewayAbsenceRow>, StoreFault> {
        Ok(self.lock().tables.gateway_absences.values().cloned().collect())
    }

    fn enforcements(&self) -> Result<Vec<EnforcementRow>, StoreFault> {
        Ok(self.lock().tables.enforcements.values().cloned().collect())
    }

    fn add_sightings(
        &self,
        gateway: &Name,
        position: (u32, u64),
        sightings: &[SightingRow],
    ) -> Result<(), StoreFault> {
        let mut inner = self.lock();
        for new in sightings {
            let same = |row: &mut SightingRow| {
                row.fingerprint == new.fingerprint && row.relying_party == new.relying_party
            };
            let known: Vec<SightingRow> = inner.sightings.extract_if(.., same).collect();
            let mut places: Sightings = known.into_iter().collect();
            places.add(new.action.clone().into(), new.resource.clone(), new.folded, &new.seen());
            inner.sightings.extend(places.rows(&new.scope, new.fingerprint, &new.relying_party));
        }
        inner.positions.insert(gateway.clone(), position);
        Ok(())
    }

    fn sightings_position(&self, gateway: &Name) -> Result<Option<(u32, u64)>, StoreFault> {
        Ok(self.lock().positions.get(gateway).copied())
    }

    fn sightings_of(&self, fingerprint: &Fingerprint) -> Result<Vec<SightingRow>, StoreFault> {
        let inner = self.lock();
        let mut rows: Vec<SightingRow> =
            inner.sightings.iter().filter(|row| row.fingerprint == *fingerprint).cloned().collect();
        rows.sort_by(|a, b| {
            (&a.relying_party, &a.action, &a.resource).cmp(&(&b.relying_party, &b.action, &b.resource))
        });
        Ok(rows)
    }

    fn dump_rows(&self) -> Result<Vec<String>, StoreFault> {
        Ok(self.lock().tables.dump())
    }
}

impl MemoryStore {
    fn newest_first(&self, wanted: impl Fn(&CertificateRow) -> bool) -> Vec<CertificateRow> {
        self.lock().tables.certificates.values().rev().filter(|row| wanted(row)).cloned().collect()
    }
}

/// The whole of the last second counts, as in `Validity::contains`.
fn unexpired(row: &CertificateRow, now: Timestamp) -> bool {
    row.validity.not_after().unix_s() >= now.unix_s()
}
