//! Where certificates were seen: counts from decision logs, with the place up to which a log was counted.

use super::apply::execute;
use super::column::{Column, Columns};
use super::fault::Failure;
use super::queries;
use super::readers::rows;
use super::record::{Bound, Record, columns};
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use std::collections::BTreeMap;
use touchmark_identity::Name;
use touchmark_inventory::{SightingRow, Sightings};

const PUT: &str = concat!(
    "INSERT INTO sighting (",
    columns!(sighting),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint, relying_party, action, resource) \
     DO UPDATE SET first_ms = excluded.first_ms, last_ms = excluded.last_ms, allowed = excluded.allowed, \
     denied = excluded.denied, folded = excluded.folded"
);
const REMOVE: &str =
    "DELETE FROM sighting WHERE fingerprint = ? AND relying_party = ? AND action = ? AND resource = ?";
const PUT_POSITION: &str = "INSERT INTO sighting_position (gateway, epoch, seq) VALUES (?, ?, ?) \
    ON CONFLICT (gateway) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq";

/// Counts and position in one transaction: a batch that is sent twice is seen to be old by its position.
pub(super) fn add(
    connection: &Connection,
    gateway: &Name,
    position: (u32, u64),
    sightings: &[SightingRow],
) -> Result<(), Failure> {
    let same = |a: &SightingRow, b: &SightingRow| {
        a.fingerprint == b.fingerprint && a.relying_party == b.relying_party
    };
    for seen in sightings.chunk_by(same) {
        let mut new = Vec::new();
        for seen in seen {
            match known(connection, seen)? {
                Some(mut row) if row.folded || !seen.folded => {
                    row.absorb(seen);
                    execute(connection, PUT, row.bound())?;
                }
                _ => new.push(seen),
            }
        }
        if let Some(first) = new.first() {
            add_new(connection, first, &new)?;
        }
    }
    execute(connection, PUT_POSITION, [gateway.write(), position.0.write(), position.1.write()])
}

/// Places that have no row: perhaps below one that was folded, perhaps the one too many. `of` is one of them.
fn add_new(connection: &Connection, of: &SightingRow, new: &[&SightingRow]) -> Result<(), Failure> {
    let key = [of.fingerprint.write(), of.relying_party.write()];
    let before: Vec<SightingRow> = rows(connection, queries::SIGHTINGS_AT, key)?;
    let mut after: Sightings = before.iter().cloned().collect();
    for row in new {
        after.add(row.action.clone().into(), row.resource.clone(), row.folded, &row.seen());
    }
    let place = |row: &SightingRow| (row.action.clone(), row.resource.clone());
    let mut before: BTreeMap<_, _> = before.iter().map(|row| (place(row), row)).collect();
    for row in after.rows(&of.scope, of.fingerprint, &of.relying_party) {
        let known = before.remove(&place(&row));
        if known.is_none_or(|known| *known != row) {
            execute(connection, PUT, row.bound())?;
        }
    }
    for folded in before.values() {
        execute(connection, REMOVE, key_of(folded))?;
    }
    Ok(())
}

fn known(connection: &Connection, seen: &SightingRow) -> Result<Option<SightingRow>, Failure> {
    let read = connection
        .prepare_cached(queries::SIGHTING)?
        .query_row(params_from_iter(key_of(seen)), |row| Ok(SightingRow::read(&mut Columns::of(row))))
        .optional()?;
    Ok(read.transpose()?)
}

fn key_of(row: &SightingRow) -> [rusqlite::types::ToSqlOutput<'_>; 4] {
    [row.fingerprint.write(), row.relying_party.write(), row.action.write(), row.resource.write()]
}
