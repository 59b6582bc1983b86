//! Moving the write-ahead log into the database file, by our own hand: SQLite's automatic checkpoint drops its
//! error (`sqlite3WalDefaultHook`), and a failed fsync of the database file followed by a good one would lose
//! what the log held when it is overwritten.
//!
//! A crash at any point leaves the log whole; the next opening reads it again.

use super::fault::end_if_promise_is_broken;
use rusqlite::Connection;

/// Pages of 4 KiB in the log before it is moved: rarely enough for throughput, 64 MiB at most to read at a start.
const LOG_PAGES_MAX: i64 = 16_000;

/// After each commit. The callers of that commit have their answers already.
pub(super) fn when_due(connection: &Connection) {
    let pages = connection
        .prepare_cached("PRAGMA wal_checkpoint(NOOP)")
        .and_then(|mut ask| ask.query_row([], |row| row.get::<_, i64>(1)));
    // A log that cannot be measured fails the next commit, which has somebody to tell.
    if pages.is_ok_and(|pages| pages >= LOG_PAGES_MAX) {
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)");
    }
}

/// On a full disk: the log's own space. Says whether there was any to give.
pub(super) fn give_back(connection: &Connection) -> bool {
    let pages = connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1));
    checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    pages.is_ok_and(|pages| pages > 0)
}

/// At the end, so that a start has nothing to read.
pub(super) fn last(connection: Connection) {
    checkpoint(&connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    if let Err((_, error)) = connection.close() {
        end_if_promise_is_broken(&error);
    }
}

fn checkpoint(connection: &Connection, sql: &'static str) {
    if let Err(error) = connection.query_row(sql, [], |_| Ok(())) {
        end_if_promise_is_broken(&error);
        // Anything else, a full disk say, leaves the log as it was: tried again after the next commit.
        tracing::error!(%error, "the store's write-ahead log was not moved into its database");
    }
}
