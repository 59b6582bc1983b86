//! The one thread that writes. What many callers queued shares one transaction and one fsync; each item is
//! accepted or refused by itself, and nobody is answered before the commit is durable.
//!
//! A crash before COMMIT returns leaves nothing of the batch; after it, all of it, though nobody may have been told.

use super::checkpoint;
use super::column::Column;
use super::dying::with_the_dying;
use super::fault::{Failure, end_if_promise_is_broken, is_disk_full, storage};
use super::journal::{Prepared, append, next_seq};
use super::precondition::holds;
use super::{apply, queries, sightings};
use rusqlite::Connection;
use std::sync::mpsc::{Receiver, SyncSender};
use touchmark_identity::Name;
use touchmark_inventory::{CommitDone, Conflict, LogHead, Precondition, Receipt, SightingRow, StoreFault};
use touchmark_supervise::may_panic_here;

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
        self.tell(Err(fault));
    }

    fn tell(self, outcome: Outcome) {
        match self {
            Self::Command { done, .. } => done(outcome),
            // A caller that went away does not undo what is durable.
            Self::Head { done, .. } | Self::Sightings { done, .. } => drop(done.send(outcome.map(drop))),
        }
    }
}

/// What became of a job, kept back until the commit is durable: the entries it appended, which may be none.
type Outcome = Result<Receipt, StoreFault>;

/// The thread, as the supervisor knows it.
pub(super) const NAME: &str = "store-writer";

/// Makes room on a full disk; says whether there is some now.
pub(crate) type MakeRoom = Box<dyn Fn() -> bool + Send>;

/// Runs until the queue's other end is dropped.
pub(super) fn run(connection: Connection, queue: &Receiver<Job>, make_room: &MakeRoom) {
    while let Ok(first) = queue.recv() {
        may_panic_here(NAME);
        let mut jobs = Vec::with_capacity(BATCH_MAX);
        jobs.push(first);
        jobs.extend(queue.try_iter().take(BATCH_MAX - 1));
        commit(&connection, jobs, make_room);
        checkpoint::when_due(&connection);
    }
    checkpoint::last(connection);
}

fn commit(connection: &Connection, mut jobs: Vec<Job>, make_room: &MakeRoom) {
    let mut log_given_back = false;
    loop {
        match transact(connection, &mut jobs) {
            Ok(outcomes) => {
                return jobs.into_iter().zip(outcomes).for_each(|(job, outcome)| job.tell(outcome));
            }
            Err(error) => {
                end_if_promise_is_broken(&error);
                if !connection.is_autocommit() {
                    // If this fails too, the next BEGIN fails, and says so to its callers.
                    let _ = connection.execute_batch("ROLLBACK");
                }
                // First what the log holds, then as often as there is a part of the reserve to give.
                let again = is_disk_full(&error)
                    && (!std::mem::replace(&mut log_given_back, true) && checkpoint::give_back(connection)
                        || make_room());
                if !again {
                    let fault = storage(error);
                    return jobs.into_iter().for_each(|job| job.refuse(fault.clone()));
                }
            }
        }
    }
}

/// As many outcomes as jobs, in their order, durable; or nothing was written.
fn transact(connection: &Connection, jobs: &mut [Job]) -> Result<Vec<Outcome>, rusqlite::Error> {
    statement(connection, "BEGIN IMMEDIATE")?;
    let outcomes = match together(connection, jobs)? {
        Some(outcomes) => outcomes,
        None => {
            statement(connection, "ROLLBACK")?;
            statement(connection, "BEGIN IMMEDIATE")?;
            apart(connection, jobs)?
        }
    };
    statement(connection, "COMMIT")?;
    Ok(outcomes)
}

/// All jobs, one after the other. Most refusals are conflicts, found before anything of the job is written.
/// `None` when another came, perhaps in the middle of a job: then nothing of the batch may stay.
fn together(connection: &Connection, jobs: &mut [Job]) -> Result<Option<Vec<Outcome>>, rusqlite::Error> {
    let mut next = Next::default();
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        outcomes.push(match carry_out(connection, job, &mut next) {
            Ok(receipt) => Ok(receipt),
            Err(Failure::Refused(fault @ StoreFault::Conflict(_))) => Err(fault),
            Err(Failure::Refused(_)) => return Ok(None),
            Err(Failure::Broken(error)) => return Err(error),
        });
    }
    Ok(Some(outcomes))
}

/// Each job in a savepoint of its own, so that its refusal leaves nothing of it, and everything of the others.
/// Slower: SQLite keeps a copy of every page that a savepoint touches.
fn apart(connection: &Connection, jobs: &mut [Job]) -> Result<Vec<Outcome>, rusqlite::Error> {
    let mut next = Next::default();
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        statement(connection, "SAVEPOINT job")?;
        let before = next.clone();
        outcomes.push(match carry_out(connection, job, &mut next) {
            Ok(receipt) => Ok(receipt),
            Err(Failure::Refused(fault)) => {
                statement(connection, "ROLLBACK TO job")?;
                next = before;
                Err(fault)
            }
            Err(Failure::Broken(error)) => return Err(error),
        });
        statement(connection, "RELEASE job")?;
    }
    Ok(outcomes)
}

/// Of a job that appends nothing to the journal.
const NO_ENTRIES: Receipt = Receipt { first_seq: 0, entries: 0 };

/// The place of the next entry: asked once in a transaction, then counted.
#[derive(Clone, Default)]
struct Next(Option<u64>);

fn carry_out(connection: &Connection, job: &mut Job, next: &mut Next) -> Result<Receipt, Failure> {
    match job {
        Job::Command { preconditions, entries, .. } => {
            for precondition in preconditions.iter() {
                if !holds(connection, precondition)? {
                    return Err(Conflict { failed: precondition.clone() }.into());
                }
            }
            let first_seq = match next.0 {
                Some(seq) => seq,
                None => next_seq(connection)?,
            };
            let receipt = match with_the_dying(connection, entries)? {
                Some(mut entries) => append(connection, first_seq, &mut entries)?,
                None => append(connection, first_seq, entries)?,
            };
            next.0 = Some(first_seq + receipt.entries);
            Ok(receipt)
        }
        Job::Head { from, head, .. } => advance_head(connection, *from, head).map(|()| NO_ENTRIES),
        Job::Sightings { gateway, position, sightings, .. } => {
            sightings::add(connection, gateway, *position, sightings).map(|()| NO_ENTRIES)
        }
    }
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
