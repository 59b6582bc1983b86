//! The database file: private from its first moment, durable by name, ours, and of a schema that we know.

use super::fault::{end_if_promise_is_broken, storage};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use touchmark_durable::{Mode, sync};
use touchmark_inventory::StoreFault;

/// `TMK1`, in the file's header: no other program's database is ever migrated.
const APPLICATION_ID: i64 = 0x544d_4b31;

/// Never edited once released: a change is a new file.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_journal_and_rows.sql"),
    include_str!("migrations/0002_renewal_and_makers.sql"),
    include_str!("migrations/0003_folded_sightings.sql"),
    include_str!("migrations/0004_revocation_by_set.sql"),
    include_str!("migrations/0005_gateway_absences.sql"),
    include_str!("migrations/0006_reach.sql"),
    include_str!("migrations/0007_identities.sql"),
];

/// Nobody else writes; this covers a recovery of the log while readers open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// More than there are statements, so that each is compiled once per connection.
const STATEMENTS: usize = 128;

/// Page cache of the writer in KiB: the random index pages of a busy day.
const WRITER_CACHE_KIB: i64 = 64 * 1024;

/// Opens the database for the writer, and brings its schema up to date.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreFault> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(storage)?;
    settle(&connection)?;
    refuse_foreign(&connection)?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(storage)?;
    if mode != "wal" {
        return Err(StoreFault::Storage(format!(
            "the file system allows no write-ahead log (mode `{mode}`)"
        )));
    }
    let settings = [
        ("synchronous", synchronous()),
        // See `checkpoint`.
        ("wal_autocheckpoint", "0"),
        // What is erased from a table must not stay in free pages.
        ("secure_delete", "ON"),
    ];
    for (name, value) in settings {
        connection.pragma_update(None, name, value).map_err(storage)?;
    }
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(storage)?;
    migrate(&connection, MIGRATIONS)?;
    // The log's name, too. A crash before this line may leave an empty database, which the next start fills.
    sync_directory(path)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(storage)?;
    settle(&connection)?;
    connection.pragma_update(None, "query_only", "ON").map_err(storage)?;
    Ok(connection)
}

fn settle(connection: &Connection) -> Result<(), StoreFault> {
    connection.busy_timeout(BUSY_TIMEOUT).map_err(storage)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise a statement that a partial index may serve is compiled anew for each bound value: a fifth of an
    // enrolment's whole cost. The plans that this fixes are tested.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(storage)?;
    connection.pragma_update(None, "foreign_keys", "ON").map_err(storage)
}

/// SQLite gives its log and its shared memory the mode of the database file.
fn create_private(path: &Path) -> Result<(), StoreFault> {
    let mode = Mode::Private0600.file_bits();
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(_) => sync_directory(path),
        // Not opened here: closing a second handle would drop the locks of a first one in this process.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreFault::Storage(format!("cannot create `{}`: {error}", path.display()))),
    }
}

fn sync_directory(path: &Path) -> Result<(), StoreFault> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync::directory(parent).map_err(|fault| StoreFault::Storage(format!("{fault}: {}", fault.source)))
}

/// Before anything is written: a wrong path must not turn another database into ours.
fn refuse_foreign(connection: &Connection) -> Result<(), StoreFault> {
    let number =
        |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(storage);
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(storage)?;
    match application {
        APPLICATION_ID => {}
        0 if version == 0 && tables == 0 => {}
        _ => return Err(StoreFault::Damaged("the file is a database of another program".into())),
    }
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(StoreFault::Damaged(format!(
            "the database has schema {version}, this program knows up to {known}: it was written by a newer version"
        )));
    }
    Ok(())
}

/// For readers, which cannot bring a schema up to date.
pub(super) fn refuse_other_schema(connection: &Connection) -> Result<(), StoreFault> {
    refuse_foreign(connection)?;
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, u16>(0))
        .map_err(storage)?
        .into();
    if version != MIGRATIONS.len() {
        return Err(StoreFault::Damaged(format!(
            "the database has schema {version}: start the authority first"
        )));
    }
    Ok(())
}

/// One transaction for each of `steps`: a crash leaves the schema before it or after it.
pub(super) fn migrate(connection: &Connection, steps: &[&str]) -> Result<(), StoreFault> {
    let version: u16 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(storage)?;
    for (number, sql) in (1_u16..).zip(steps).skip(usize::from(version)) {
        let transaction = connection.unchecked_transaction().map_err(storage)?;
        transaction.execute_batch(sql).map_err(storage)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(storage)?;
        transaction.pragma_update(None, "user_version", number).map_err(storage)?;
        transaction.commit().map_err(|error| {
            end_if_promise_is_broken(&error);
            storage(error)
        })?;
    }
    Ok(())
}

/// A commit is durable when it returns.
#[cfg(not(feature = "faults"))]
fn synchronous() -> &'static str {
    "FULL"
}

#[cfg(feature = "faults")]
fn synchronous() -> &'static str {
    if touchmark_faults::is_chosen("no-fsync") { "OFF" } else { "FULL" }
}
