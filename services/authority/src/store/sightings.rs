//! Where certificates were seen: counts from decision logs, with the place up to which a log was counted.

use super::apply::execute;
use super::column::{Column, Columns};
use super::fault::Failure;
use super::queries;
use super::record::{Bound, Record, columns};
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};
use touchmark_identity::Name;
use touchmark_inventory::SightingRow;

const PUT: &str = concat!(
    "INSERT INTO sighting (",
    columns!(sighting),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (fingerprint, relying_party, action, resource) DO UPDATE \
     SET first_ms = excluded.first_ms, last_ms = excluded.last_ms, allowed = excluded.allowed, \
     denied = excluded.denied"
);
const PUT_POSITION: &str = "INSERT INTO sighting_position (gateway, epoch, seq) VALUES (?, ?, ?) \
    ON CONFLICT (gateway) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq";

/// Counts and position in one transaction: a batch that is sent twice is seen to be old by its position.
pub(super) fn add(
    connection: &Connection,
    gateway: &Name,
    position: (u32, u64),
    sightings: &[SightingRow],
) -> Result<(), Failure> {
    for seen in sightings {
        let row = match known(connection, seen)? {
            Some(mut row) => {
                row.absorb(seen);
                row
            }
            None => seen.clone(),
        };
        execute(connection, PUT, row.bound())?;
    }
    execute(connection, PUT_POSITION, [gateway.write(), position.0.write(), position.1.write()])
}

fn known(connection: &Connection, seen: &SightingRow) -> Result<Option<SightingRow>, Failure> {
    let key =
        [seen.fingerprint.write(), seen.relying_party.write(), seen.action.write(), seen.resource.write()];
    let read = connection
        .prepare_cached(queries::SIGHTING)?
        .query_row(params_from_iter(key), |row| Ok(SightingRow::read(&mut Columns::of(row))))
        .optional()?;
    Ok(read.transpose()?)
}
