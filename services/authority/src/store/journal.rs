//! Entries in and out: the leaf as it is, its private part beside it, and the device it concerns.

use super::apply::{apply, execute};
use super::column::Column;
use super::fault::{Failure, storage};
use super::precondition::one;
use super::queries;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};
use std::cell::RefCell;
use touchmark_identity::{CertificateId, DeviceId};
use touchmark_inventory::{Receipt, StoreFault, StoredEntry, concerned_device, project};
use touchmark_journal::{Draft, Entry, Salt};

const APPEND: &str = "INSERT INTO journal (seq, leaf, device) VALUES (?, ?, ?)";
const APPEND_PRIVATE: &str = "INSERT INTO journal_private (seq, salt, bytes) VALUES (?, ?, ?)";

/// An entry with its bytes, made in the caller's thread so that the writer's does less.
#[derive(Clone)]
pub(super) struct Prepared {
    /// Its place is known only inside the transaction.
    pub(super) entry: Entry,
    leaf: Vec<u8>,
    private: Option<(Salt, Vec<u8>)>,
}

impl Prepared {
    pub(super) fn new(draft: Draft) -> Result<Self, StoreFault> {
        let leaf = draft.leaf().map_err(|e| StoreFault::Damaged(e.to_string()))?;
        let private = draft.private.as_ref().map(|(salt, private)| (*salt, private.to_bytes()));
        Ok(Self { entry: draft.at(0), leaf, private })
    }
}

/// The place of the next entry.
pub(super) fn next_seq(connection: &Connection) -> Result<u64, Failure> {
    Ok(one::<u64, 0>(connection, queries::JOURNAL_LAST, [])?.map_or(0, |last| last + 1))
}

/// Appends entries and the rows that follow from them. A refusal may come after some of it was written.
pub(super) fn append(
    connection: &Connection,
    first_seq: u64,
    entries: &mut [Prepared],
) -> Result<Receipt, Failure> {
    let receipt = Receipt { first_seq, entries: entries.len() as u64 };
    for (seq, Prepared { entry, leaf, private }) in (first_seq..).zip(entries) {
        entry.seq = seq;
        let changes = project(entry).map_err(|e| StoreFault::Damaged(e.to_string()))?;
        let device = device_of_entry(connection, entry)?;
        execute(connection, APPEND, [seq.write(), leaf.write(), device.write()])?;
        if let Some((salt, bytes)) = private {
            execute(connection, APPEND_PRIVATE, [seq.write(), salt.0.write(), bytes.write()])?;
        }
        changes.iter().try_for_each(|change| apply(connection, change))?;
    }
    Ok(receipt)
}

fn device_of_entry(connection: &Connection, entry: &Entry) -> Result<Option<DeviceId>, Failure> {
    let failed = RefCell::new(None);
    let device_of = |certificate: CertificateId| {
        one::<Option<DeviceId>, 1>(connection, queries::DEVICE_OF_CERTIFICATE, [certificate.write()])
            .unwrap_or_else(|failure| {
                failed.replace(Some(failure));
                None
            })
            .flatten()
    };
    let device = concerned_device(&entry.event, device_of);
    failed.into_inner().map_or(Ok(device), Err)
}

/// Reads entries; `sql` selects `seq, leaf, salt, bytes`.
pub(super) fn entries(
    connection: &Connection,
    sql: &str,
    parameters: [ToSqlOutput<'_>; 2],
) -> Result<Vec<StoredEntry>, StoreFault> {
    let mut statement = connection.prepare_cached(sql).map_err(storage)?;
    let mut rows = statement.query(params_from_iter(parameters)).map_err(storage)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(storage)? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

fn entry(row: &rusqlite::Row<'_>) -> Result<StoredEntry, StoreFault> {
    let mut columns = super::column::Columns::of(row);
    let seq: u64 = columns.take()?;
    let leaf: Vec<u8> = columns.take()?;
    let salt = columns.take::<Option<[u8; 16]>>()?.map(Salt);
    let bytes: Option<Vec<u8>> = columns.take()?;
    let private = salt.as_ref().zip(bytes.as_deref());
    let entry = Entry::read(seq, &leaf, private)
        .map_err(|fault| StoreFault::Damaged(format!("journal entry {seq}: {fault}")))?;
    Ok(StoredEntry { entry, leaf })
}
