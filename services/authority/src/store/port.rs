//! The inventory's port, one question after the other.

use super::column::Column;
use super::facts;
use super::fault::storage;
use super::journal::{Prepared, entries};
use super::queries::{self, whole};
use super::readers::rows;
use super::record::{Record, environment_of};
use super::writer::Job;
use super::{SqliteStore, column::Columns};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value};
use std::fmt::Debug;
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name, SerialNumber,
    SpkiHash, Timestamp, TokenId,
};
use touchmark_inventory::{
    AuthorityRow, CertificateRow, Command, CommitDone, CrlRow, DeniedKeyRow, DeviceFilter, DeviceRow,
    EnforcementRow, EnvironmentRow, Facts, GatewayAbsenceRow, HardwareRow, Holder, IdentityRow, LogHead,
    MakerRow, PartyRow, PolicyRow, ProfileRow, Query, RenewalRow, SightingRow, Store, StoreFault,
    StoredEntry, TokenRow,
};
use touchmark_journal::{IdentityKind, Standing};

impl Store for SqliteStore {
    fn submit(&self, command: Command, done: CommitDone) {
        let Command { preconditions, entries } = command;
        match entries.into_iter().map(Prepared::new).collect() {
            Ok(entries) => self.queue(Job::Command { preconditions, entries, done }),
            Err(fault) => done(Err(fault)),
        }
    }

    fn journal_from(&self, seq: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreFault> {
        let Ok(seq) = i64::try_from(seq) else { return Ok(Vec::new()) };
        self.readers
            .read(|connection| entries(connection, queries::JOURNAL_FROM, [seq.into(), limit_column(limit)]))
    }

    fn journal_len(&self) -> Result<u64, StoreFault> {
        Ok(self.readers.row::<One<u64>, 0>(queries::JOURNAL_LAST, [])?.map_or(0, |last| last.0 + 1))
    }

    fn journal_of_device(&self, device: DeviceId, limit: usize) -> Result<Vec<StoredEntry>, StoreFault> {
        self.readers.read(|connection| {
            entries(connection, queries::JOURNAL_OF_DEVICE, [device.write(), limit_column(limit)])
        })
    }

    fn log_head(&self) -> Result<Option<LogHead>, StoreFault> {
        let head = self.readers.row::<Two<u64, String>, 0>(queries::LOG_HEAD, [])?;
        Ok(head.map(|Two(size, note)| LogHead { size, note }))
    }

    fn advance_log_head(&self, from: u64, head: LogHead) -> Result<(), StoreFault> {
        self.queue_and_wait(|done| Job::Head { from, head, done })
    }

    fn started(&self) -> Result<(u64, u8), StoreFault> {
        let started = self.readers.row::<Two<u64, u8>, 0>(queries::STARTED, [])?;
        Ok(started.map_or((0, 1), |Two(epoch, incarnation)| (epoch, incarnation)))
    }

    fn facts(&self, query: &Query) -> Result<Option<Facts>, StoreFault> {
        self.readers.read_at_once(|connection| facts::facts(connection, query))
    }

    fn authorities(&self) -> Result<Vec<AuthorityRow>, StoreFault> {
        self.readers.rows(whole::AUTHORITIES, [])
    }

    fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreFault> {
        self.readers.rows(whole::ENVIRONMENTS, [])
    }

    fn profiles(&self) -> Result<Vec<ProfileRow>, StoreFault> {
        self.readers.rows(whole::PROFILES, [])
    }

    fn parties(&self) -> Result<Vec<PartyRow>, StoreFault> {
        let mut parties: Vec<PartyRow> = self.readers.rows(whole::PARTIES, [])?;
        parties.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(parties)
    }

    fn policy(&self, environment: &EnvironmentName) -> Result<Option<PolicyRow>, StoreFault> {
        self.readers.row(queries::POLICY, [environment.write()])
    }

    fn token_by_secret(&self, secret_sha256: &[u8; 32]) -> Result<Option<TokenRow>, StoreFault> {
        self.readers.row(queries::TOKEN_BY_SECRET, [secret_sha256.write()])
    }

    fn token(&self, token: TokenId) -> Result<Option<TokenRow>, StoreFault> {
        self.readers.row(queries::TOKEN, [token.write()])
    }

    fn tokens(
        &self,
        environment: &EnvironmentName,
        before: Option<TokenId>,
        limit: usize,
    ) -> Result<Vec<TokenRow>, StoreFault> {
        match before {
            None => self.readers.rows(queries::TOKENS_NEWEST, [environment.write(), limit_column(limit)]),
            Some(before) => self
                .readers
                .rows(queries::TOKENS_BEFORE, [environment.write(), limit_column(limit), before.write()]),
        }
    }

    fn device_by_name(
        &self,
        environment: &EnvironmentName,
        name: &Name,
    ) -> Result<Option<DeviceRow>, StoreFault> {
        self.readers.row(queries::DEVICE_BY_NAME, [environment.write(), name.write()])
    }

    fn devices_named(&self, name: &Name) -> Result<Vec<DeviceRow>, StoreFault> {
        self.readers.rows(queries::DEVICES_NAMED, [name.write()])
    }

    fn device(&self, device: DeviceId) -> Result<Option<DeviceRow>, StoreFault> {
        self.readers.row(queries::DEVICE, [device.write()])
    }

    fn identity(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        handle: &Name,
    ) -> Result<Option<IdentityRow>, StoreFault> {
        self.readers.row(queries::IDENTITY, [environment.write(), kind.write(), handle.write()])
    }

    fn identities_of_device(&self, device: DeviceId) -> Result<Vec<IdentityRow>, StoreFault> {
        self.readers.rows(queries::IDENTITIES_OF_DEVICE, [device.write()])
    }

    fn devices(&self, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault> {
        self.readers.read(|connection| devices(connection, filter))
    }

    fn standing_exceptions(&self, environment: &EnvironmentName) -> Result<Vec<DeviceRow>, StoreFault> {
        self.readers.rows(queries::STANDING_EXCEPTIONS, [environment.write()])
    }

    fn certificate(&self, certificate: CertificateId) -> Result<Option<CertificateRow>, StoreFault> {
        self.readers.row(queries::CERTIFICATE, [certificate.write()])
    }

    fn certificate_by_fingerprint(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<CertificateRow>, StoreFault> {
        self.readers.row(queries::CERTIFICATE_BY_FINGERPRINT, [fingerprint.write()])
    }

    fn certificates_by_serial(&self, serial: &SerialNumber) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::CERTIFICATES_BY_SERIAL, [serial.write()])
    }

    fn certificates_by_key(&self, spki: &SpkiHash) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::CERTIFICATES_BY_KEY, [spki.write()])
    }

    fn certificates_of_device(&self, device: DeviceId) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::CERTIFICATES_OF_DEVICE, [device.write()])
    }

    fn certificates_of_party(
        &self,
        kind: IdentityKind,
        name: &Name,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::CERTIFICATES_OF_PARTY, [kind.write(), name.write()])
    }

    fn current_certificates(&self, holder: &Holder) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.read(|connection| facts::current(connection, holder))
    }

    fn successors_of(&self, certificate: CertificateId) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::SUCCESSORS_OF, [certificate.write()])
    }

    fn open_intents(&self) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::OPEN_INTENTS, [])
    }

    fn revoked(
        &self,
        authority_version: AuthorityVersionId,
        shard: u32,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::REVOKED, [authority_version.write(), shard.write(), seconds(now)])
    }

    fn superseded(
        &self,
        environment: &EnvironmentName,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(queries::SUPERSEDED, [environment.write(), seconds(now)])
    }

    fn superseded_due(
        &self,
        environment: &EnvironmentName,
        kind: IdentityKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<CertificateRow>, StoreFault> {
        self.readers.rows(
            queries::SUPERSEDED_DUE,
            [environment.write(), kind.write(), now.write(), seconds(now), limit_column(limit)],
        )
    }

    fn denied_keys(&self, environment: &EnvironmentName) -> Result<Vec<DeniedKeyRow>, StoreFault> {
        self.readers.rows(queries::DENIED_KEYS, [environment.write()])
    }

    fn renewals_of(&self, device: DeviceId) -> Result<Option<RenewalRow>, StoreFault> {
        self.readers.row(queries::RENEWALS_OF, [device.write()])
    }

    fn makers(&self, environment: &EnvironmentName) -> Result<Vec<MakerRow>, StoreFault> {
        self.readers.rows(queries::MAKERS, [environment.write()])
    }

    fn hardware(
        &self,
        environment: &EnvironmentName,
        maker: MakerId,
        hardware_id: &str,
    ) -> Result<Option<HardwareRow>, StoreFault> {
        let hardware_id = ToSqlOutput::from(hardware_id);
        self.readers.row(queries::HARDWARE, [environment.write(), maker.write(), hardware_id])
    }

    fn hardware_of_device(&self, device: DeviceId) -> Result<Vec<HardwareRow>, StoreFault> {
        self.readers.rows(queries::HARDWARE_OF_DEVICE, [device.write()])
    }

    fn crls(&self) -> Result<Vec<CrlRow>, StoreFault> {
        self.readers.rows(whole::CRLS, [])
    }

    fn gateway_absences(&self) -> Result<Vec<GatewayAbsenceRow>, StoreFault> {
        self.readers.rows(whole::GATEWAY_ABSENCES, [])
    }

    fn enforcements(&self) -> Result<Vec<EnforcementRow>, StoreFault> {
        self.readers.rows(whole::ENFORCEMENTS, [])
    }

    fn add_sightings(
        &self,
        gateway: &Name,
        position: (u32, u64),
        sightings: &[SightingRow],
    ) -> Result<(), StoreFault> {
        let (gateway, sightings) = (gateway.clone(), sightings.to_vec());
        self.queue_and_wait(|done| Job::Sightings { gateway, position, sightings, done })
    }

    fn sightings_position(&self, gateway: &Name) -> Result<Option<(u32, u64)>, StoreFault> {
        let position =
            self.readers.row::<Two<u32, u64>, 1>(queries::SIGHTINGS_POSITION, [gateway.write()])?;
        Ok(position.map(|Two(epoch, seq)| (epoch, seq)))
    }

    fn sightings_of(&self, fingerprint: &Fingerprint) -> Result<Vec<SightingRow>, StoreFault> {
        self.readers.rows(queries::SIGHTINGS_OF, [fingerprint.write()])
    }

    fn dump_rows(&self) -> Result<Vec<String>, StoreFault> {
        self.readers.read(|connection| {
            // One snapshot for all tables. Dropped, it ends; nothing was written.
            let snapshot = connection.unchecked_transaction().map_err(storage)?;
            dump(&snapshot)
        })
    }
}

/// A page of devices. Past the last of the limit, those of the same name in other environments follow.
fn devices(connection: &Connection, filter: &DeviceFilter) -> Result<Vec<DeviceRow>, StoreFault> {
    let after = || ToSqlOutput::from(filter.after.as_ref().map_or("", Name::as_str));
    let limit = || limit_column(filter.limit);
    let page = |connection| match (&filter.environment, filter.standing) {
        (Some(environment), None) => {
            rows(connection, queries::DEVICES_IN, [after(), limit(), environment.write()])
        }
        (Some(environment), Some(Standing::Active)) => {
            rows(connection, queries::DEVICES_IN_ACTIVE, [after(), limit(), environment.write()])
        }
        (Some(environment), Some(standing)) => {
            let parameters = [after(), limit(), environment.write(), standing.write()];
            rows(connection, queries::DEVICES_IN_EXCEPTION, parameters)
        }
        (None, None) => rows(connection, queries::DEVICES_ANYWHERE, [after(), limit()]),
        (None, Some(Standing::Active)) => {
            rows(connection, queries::DEVICES_ANYWHERE_ACTIVE, [after(), limit()])
        }
        (None, Some(standing)) => {
            rows(connection, queries::DEVICES_ANYWHERE_EXCEPTION, [after(), limit(), standing.write()])
        }
    };
    let mut page: Vec<DeviceRow> = page(connection)?;
    if let (None, Some(last)) = (&filter.environment, page.last().cloned())
        && page.len() == filter.limit
        && let Some(name) = &last.name
    {
        let namesakes: Vec<DeviceRow> = rows(connection, queries::DEVICES_NAMED, [name.write()])?;
        let wanted = |row: &DeviceRow| filter.standing.is_none_or(|standing| row.standing == standing);
        page.extend(namesakes.into_iter().filter(|row| row.device > last.device && wanted(row)));
    }
    Ok(page)
}

/// The lines of `Tables::dump`.
fn dump(connection: &Connection) -> Result<Vec<String>, StoreFault> {
    let mut lines = Vec::new();
    lines.extend(debug::<AuthorityRow>(connection, whole::AUTHORITIES)?);
    lines.extend(debug::<EnvironmentRow>(connection, whole::ENVIRONMENTS)?);
    lines.extend(debug::<ProfileRow>(connection, whole::PROFILES)?);
    lines.extend(debug::<PartyRow>(connection, whole::PARTIES)?);
    lines.extend(debug::<PolicyRow>(connection, whole::POLICIES)?);
    lines.extend(debug::<TokenRow>(connection, whole::TOKENS)?);
    lines.extend(debug::<DeviceRow>(connection, whole::DEVICES)?);
    lines.extend(debug::<IdentityRow>(connection, whole::IDENTITIES)?);
    lines.extend(debug::<CertificateRow>(connection, whole::CERTIFICATES)?);
    lines.extend(debug::<DeniedKeyRow>(connection, whole::DENIED_KEYS)?);
    lines.extend(debug::<CrlRow>(connection, whole::CRLS)?);
    lines.extend(debug::<EnforcementRow>(connection, whole::ENFORCEMENTS)?);
    lines.extend(debug::<RenewalRow>(connection, whole::RENEWALS)?);
    lines.extend(debug::<MakerRow>(connection, whole::MAKERS)?);
    lines.extend(debug::<HardwareRow>(connection, whole::HARDWARE)?);
    lines.extend(debug::<GatewayAbsenceRow>(connection, whole::GATEWAY_ABSENCES)?);
    for Three(environment, code, count) in
        rows::<Three<String, String, u64>, 0>(connection, whole::REFUSALS, [])?
    {
        lines.push(format!("Refusals {:?}", ((environment_of(&environment)?, code), count)));
    }
    for Two(epoch, incarnation) in rows::<Two<u64, u8>, 0>(connection, queries::STARTED, [])? {
        lines.push(format!("Started {:?}", (epoch, incarnation)));
    }
    lines.sort();
    Ok(lines)
}

fn debug<T: Record + Debug>(connection: &Connection, sql: &str) -> Result<Vec<String>, StoreFault> {
    Ok(rows::<T, 0>(connection, sql, [])?.iter().map(|row| format!("{row:?}")).collect())
}

fn limit_column(limit: usize) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)))
}

fn seconds(now: Timestamp) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Integer(now.unix_s().cast_signed()))
}

/// Rows that are no rows of the inventory, column by column.
pub(super) struct One<A>(pub(super) A);
struct Two<A, B>(A, B);
struct Three<A, B, C>(A, B, C);

impl<A: Column> Record for One<A> {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self(columns.take()?))
    }
}

impl<A: Column, B: Column> Record for Two<A, B> {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self(columns.take()?, columns.take()?))
    }
}

impl<A: Column, B: Column, C: Column> Record for Three<A, B, C> {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self(columns.take()?, columns.take()?, columns.take()?))
    }
}
