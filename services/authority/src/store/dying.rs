//! Revocations by set: what dies is found inside the transaction. What belongs to it is said by `inventory::Dying`.

use super::column::{Column, Columns};
use super::fault::Failure;
use super::journal::Prepared;
use super::queries;
use super::readers::rows;
use super::record::Record;
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value};
use touchmark_identity::Timestamp;
use touchmark_inventory::{Dying, Holder, StoreFault, filled};
use touchmark_journal::RevokedCertificate;

/// The entries with what dies by them, as the rows stand now. `None` when each says itself what it changes.
pub(super) fn with_the_dying(
    connection: &Connection,
    entries: &[Prepared],
) -> Result<Option<Vec<Prepared>>, Failure> {
    if entries.iter().all(|prepared| Dying::by(&prepared.entry.event).is_none()) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for prepared in entries {
        let (envelope, event) = (&prepared.entry.envelope, &prepared.entry.event);
        match Dying::by(event) {
            None => all.push(prepared.clone()),
            Some(dying) => {
                for draft in filled(envelope, event, &found(connection, &dying, envelope.at)?) {
                    all.push(Prepared::new(draft)?);
                }
            }
        }
    }
    Ok(Some(all))
}

/// Oldest first.
fn found(connection: &Connection, dying: &Dying, now: Timestamp) -> Result<Vec<RevokedCertificate>, Failure> {
    let now = || ToSqlOutput::Owned(Value::Integer(now.unix_s().cast_signed()));
    let found = match dying {
        Dying::Of(Holder::Device(device)) => {
            rows(connection, queries::DYING_OF_DEVICE, [device.write(), now()])
        }
        Dying::Of(Holder::Party { kind, name }) => {
            rows(connection, queries::DYING_OF_PARTY, [kind.write(), name.write(), now()])
        }
        Dying::Line(certificate) => rows(connection, queries::DYING_IN_LINE, [certificate.write(), now()]),
    };
    Ok(found?)
}

impl Record for RevokedCertificate {
    fn read(columns: &mut Columns<'_, '_>) -> Result<Self, StoreFault> {
        Ok(Self { certificate: columns.take()?, spki: columns.take()? })
    }
}
