//! Connections that read, taken one at a time and given back with their compiled statements.

use super::column::Columns;
use super::fault::storage;
use super::open;
use super::record::Record;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use touchmark_inventory::StoreFault;

/// Idle connections that are kept. More are opened when more read at once, as many as there are threads.
const IDLE_MAX: usize = 8;

pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens the first, so that a database that cannot be read is found at the start.
    pub(super) fn of(path: &Path) -> Result<Self, StoreFault> {
        Ok(Self { path: path.to_owned(), idle: Mutex::new(vec![open::reader(path)?]) })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the idle ones.
    pub(super) fn close(&self) {
        self.idle().clear();
    }

    /// Reads with one connection. It sees everything that was committed before.
    pub(super) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        let taken = self.idle().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => open::reader(&self.path)?,
        };
        let answer = question(&connection);
        // One that failed is not trusted with the next question.
        if answer.is_ok() {
            let mut idle = self.idle();
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        answer
    }

    /// Answers several questions from one moment.
    pub(super) fn read_at_once<T>(
        &self,
        questions: impl FnOnce(&Connection) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        self.read(|connection| {
            execute(connection, "BEGIN")?;
            let answer = questions(connection)?;
            // Nothing was written.
            execute(connection, "COMMIT")?;
            Ok(answer)
        })
    }

    pub(super) fn rows<T: Record, const N: usize>(
        &self,
        sql: &str,
        parameters: [ToSqlOutput<'_>; N],
    ) -> Result<Vec<T>, StoreFault> {
        self.read(|connection| rows(connection, sql, parameters))
    }

    pub(super) fn row<T: Record, const N: usize>(
        &self,
        sql: &str,
        parameters: [ToSqlOutput<'_>; N],
    ) -> Result<Option<T>, StoreFault> {
        Ok(self.rows(sql, parameters)?.pop())
    }
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), StoreFault> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(drop).map_err(storage)
}

pub(super) fn row<T: Record, const N: usize>(
    connection: &Connection,
    sql: &str,
    parameters: [ToSqlOutput<'_>; N],
) -> Result<Option<T>, StoreFault> {
    Ok(rows(connection, sql, parameters)?.pop())
}

pub(super) fn rows<T: Record, const N: usize>(
    connection: &Connection,
    sql: &str,
    parameters: [ToSqlOutput<'_>; N],
) -> Result<Vec<T>, StoreFault> {
    let mut statement = connection.prepare_cached(sql).map_err(storage)?;
    let mut found = statement.query(params_from_iter(parameters)).map_err(storage)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(storage)? {
        rows.push(T::read(&mut Columns::of(row))?);
    }
    Ok(rows)
}
