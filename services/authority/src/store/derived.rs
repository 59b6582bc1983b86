//! What only an audit asks: columns that stand beside the rows of the inventory, and whole tables of counts.

use super::SqliteStore;
use super::column::{Column, Columns};
use super::fault::storage;
use super::record::{Record, columns};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};
use touchmark_identity::{CertificateId, DeviceId, Name};
use touchmark_inventory::{SightingRow, StoreFault};

const JOURNAL_DEVICES: &str = "SELECT seq, device FROM journal WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
const PARTIES: &str =
    "SELECT certificate, party FROM certificate WHERE party IS NOT NULL ORDER BY certificate";
const POSITIONS: &str = "SELECT gateway, epoch, seq FROM sighting_position ORDER BY gateway";
const PRIVATE_ALONE: &str = "SELECT seq FROM journal_private \
    WHERE NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = journal_private.seq) LIMIT 1";

impl SqliteStore {
    /// The device beside each of so many journal entries from a place on.
    pub(crate) fn journal_devices(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Option<DeviceId>)>, StoreFault> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.pairs(JOURNAL_DEVICES, &[seq.write(), limit.into()])
    }

    /// Certificates with a party beside them.
    pub(crate) fn certificate_parties(&self) -> Result<Vec<(CertificateId, Name)>, StoreFault> {
        self.pairs(PARTIES, &[])
    }

    /// A private part that belongs to no entry.
    pub(crate) fn private_part_alone(&self) -> Result<Option<u64>, StoreFault> {
        let mut found = None;
        self.each(PRIVATE_ALONE, &[], |columns| {
            found = Some(columns.take()?);
            Ok(())
        })?;
        Ok(found)
    }

    /// How far each gateway's log was counted.
    #[expect(clippy::type_complexity, reason = "a name with an epoch and a sequence number")]
    pub(crate) fn sightings_positions(&self) -> Result<Vec<(Name, (u32, u64))>, StoreFault> {
        let mut found = Vec::new();
        self.each(POSITIONS, &[], |columns| {
            found.push((columns.take()?, (columns.take()?, columns.take()?)));
            Ok(())
        })?;
        Ok(found)
    }

    /// Every sighting.
    pub(crate) fn sightings(
        &self,
        mut one: impl FnMut(SightingRow) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        let all = concat!("SELECT ", columns!(sighting), " FROM sighting");
        self.each(all, &[], |columns| one(SightingRow::read(columns)?))
    }

    fn pairs<A: Column, B: Column>(
        &self,
        sql: &str,
        parameters: &[ToSqlOutput<'_>],
    ) -> Result<Vec<(A, B)>, StoreFault> {
        let mut found = Vec::new();
        self.each(sql, parameters, |columns| {
            found.push((columns.take()?, columns.take()?));
            Ok(())
        })?;
        Ok(found)
    }

    fn each(
        &self,
        sql: &str,
        parameters: &[ToSqlOutput<'_>],
        mut one: impl FnMut(&mut Columns<'_, '_>) -> Result<(), StoreFault>,
    ) -> Result<(), StoreFault> {
        self.readers.read(|connection: &Connection| {
            let mut statement = connection.prepare_cached(sql).map_err(storage)?;
            let mut rows = statement.query(params_from_iter(parameters)).map_err(storage)?;
            while let Some(row) = rows.next().map_err(storage)? {
                one(&mut Columns::of(row))?;
            }
            Ok(())
        })
    }
}
