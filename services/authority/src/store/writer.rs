//! The one thread that writes. What many callers queued shares one transaction and one fsync; each item is
//! accepted or refused by itself, and nobody is answered before the commit is durable.
//!
//! A crash before COMMIT returns leaves nothing of the batch; after it, all of it, though nobody may have been told.

use super::checkpoint;
use super::column::Column;
use super::fault::{Failure, end_if_promise_is_broken};
use super::journal::{Prepared, append, next_seq};
use super::precondition::holds;
use super::{apply, queries, sightings};
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, SyncSender};
use touchmark_identity::Name;
use touchmark_inventory::{CommitDone, Conflict, LogHead, Precondition, Receipt, SightingRow, StoreFault};

/// Jobs in one transaction: enough to share an fsync, few enough that the first does not wait long for the last.
const BATCH_MAX: usize = 256;

const PUT_HEAD: &str = "INSERT INTO log_head (one, size, note) VALUES (1, ?, ?) \
    ON CONFLICT (one) DO UPDATE SET size = excluded.size, note = excluded.note";

/// Told once.
pub(super) type Told = SyncSender<Result<(), StoreFault>>;

/// What is queued.
pub(super) enum Job {
    /// [`touchmark_inventory::Command`] with its bytes.
    Command { preconditions: Vec<Precondition>, entries: Vec<Prepared>, done: CommitDone },
    /// See `Store::advance_log_head`.
    Head { from: u64, head: LogHead, done: Told },
    /// See `Store::add_sightings`.
    Sightings { gateway: Name, position: (u32, u64), sightings: Vec<SightingRow>, done: Told },
}

impl Job {
    /// Says that nothing was written.
    pub(super) fn refuse(self, fault: StoreFault) {
        match self {
            Self::Command { done, .. } => Answer::Command(done, Err(fault)).tell(),
            Self::Head { done, .. } | Self::Sightings { done, .. } => Answer::Plain(done, Err(fault)).tell(),
        }
    }
}

/// An outcome that is kept back until the commit is durable.
enum Answer {
    Command(CommitDone, Result<Receipt, StoreFault>),
    Plain(Told, Result<(), StoreFault>),
}

impl Answer {
    fn tell(self) {
        match self {
            Self::Command(done, outcome) => done(outcome),
            // A caller that went away does not undo what is durable.
            Self::Plain(done, outcome) => drop(done.send(outcome)),
        }
    }

    fn or(self, fault: &StoreFault) -> Self {
        match self {
            Self::Command(done, _) => Self::Command(done, Err(fault.clone())),
            Self::Plain(done, _) => Self::Plain(done, Err(fault.clone())),
        }
    }
}

/// Runs until the queue's other end is dropped.
pub(super) fn run(connection: Connection, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        jobs.push(first);
        jobs.extend(queue.try_iter().take(BATCH_MAX - 1));
        commit(&connection, jobs);
        checkpoint::when_due(&connection);
    }
    checkpoint::last(connection);
}

fn commit(connection: &Connection, jobs: Vec<Job>) {
    let mut answers = Vec::with_capacity(jobs.len());
    let committed = transact(connection, jobs, &mut answers);
    match committed {
        Ok(()) => answers.into_iter().for_each(Answer::tell),
        Err(error) => {
            end_if_promise_is_broken(&error);
            if !connection.is_autocommit() {
                // If this fails too, the next BEGIN fails, and says so to its callers.
                let _ = connection.execute_batch("ROLLBACK");
            }
            let fault = StoreFault::Storage(error.to_string());
            answers.into_iter().for_each(|answer| answer.or(&fault).tell());
        }
    }
}

/// Every job has its answer in `answers` when this returns, whatever it returns.
fn transact(
    connection: &Connection,
    jobs: Vec<Job>,
    answers: &mut Vec<Answer>,
) -> Result<(), rusqlite::Error> {
    let mut outcome = statement(connection, "BEGIN IMMEDIATE");
    for job in jobs {
        if outcome.is_err() {
            answers.push(unanswered(job));
            continue;
        }
        let (answer, broken) = carry_out(connection, job);
        answers.push(answer);
        outcome = broken.map_or(Ok(()), Err);
    }
    outcome?;
    statement(connection, "COMMIT")
}

/// The batch has failed already: [`commit`] puts the fault in.
fn unanswered(job: Job) -> Answer {
    let fault = StoreFault::Storage(String::new());
    match job {
        Job::Command { done, .. } => Answer::Command(done, Err(fault)),
        Job::Head { done, .. } | Job::Sightings { done, .. } => Answer::Plain(done, Err(fault)),
    }
}

fn carry_out(connection: &Connection, job: Job) -> (Answer, Option<rusqlite::Error>) {
    match job {
        Job::Command { preconditions, entries, done } => {
            let (outcome, broken) = alone(connection, || command(connection, preconditions, entries));
            (Answer::Command(done, outcome), broken)
        }
        Job::Head { from, head, done } => {
            let (outcome, broken) = alone(connection, || advance_head(connection, from, &head));
            (Answer::Plain(done, outcome), broken)
        }
        Job::Sightings { gateway, position, sightings, done } => {
            let (outcome, broken) =
                alone(connection, || sightings::add(connection, &gateway, position, &sightings));
            (Answer::Plain(done, outcome), broken)
        }
    }
}

/// Does one job so that its refusal leaves nothing of it, and everything of the others.
fn alone<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Failure>,
) -> (Result<T, StoreFault>, Option<rusqlite::Error>) {
    let inside = statement(connection, "SAVEPOINT job").map_err(Failure::Broken).and_then(|()| work());
    let outcome = match inside {
        Ok(value) => statement(connection, "RELEASE job").map(|()| Ok(value)),
        Err(Failure::Refused(fault)) => statement(connection, "ROLLBACK TO job")
            .and_then(|()| statement(connection, "RELEASE job"))
            .map(|()| Err(fault)),
        Err(Failure::Broken(error)) => Err(error),
    };
    match outcome {
        Ok(outcome) => (outcome, None),
        Err(error) => (Err(StoreFault::Storage(error.to_string())), Some(error)),
    }
}

fn command(
    connection: &Connection,
    preconditions: Vec<Precondition>,
    entries: Vec<Prepared>,
) -> Result<Receipt, Failure> {
    for precondition in preconditions {
        if !holds(connection, &precondition)? {
            return Err(Conflict { failed: precondition }.into());
        }
    }
    append(connection, next_seq(connection)?, entries)
}

fn advance_head(connection: &Connection, from: u64, head: &LogHead) -> Result<(), Failure> {
    let size = super::precondition::one::<u64, 0>(connection, queries::LOG_HEAD, [])?.unwrap_or(0);
    if size != from || head.size < from {
        return Err(StoreFault::Damaged("another process advanced the log head".into()).into());
    }
    apply::execute(connection, PUT_HEAD, [head.size.write(), head.note.write()])
}

fn statement(connection: &Connection, sql: &'static str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
