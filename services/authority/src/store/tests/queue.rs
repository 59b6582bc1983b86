//! The queue: bounded, drained in order, answered whole when the storage fails.

use super::{Homed, class, homed};
use crate::store::writer::{self, Job};
use crate::store::{QUEUE_MAX, open};
use std::sync::mpsc::{channel, sync_channel};
use touchmark_inventory::{LogHead, Store, StoreFault};
use touchmark_testkit::{JournalBuilder, command, replay};

#[test]
fn a_full_queue_says_busy_and_writes_nothing_of_it() {
    let Homed { store, home } = homed();
    let (release, held) = channel::<()>();
    let (reached, at_hold) = channel();
    store.submit(
        command([], []),
        Box::new(move |_| {
            reached.send(()).unwrap();
            held.recv().unwrap();
        }),
    );
    at_hold.recv().unwrap();
    let (tell, told) = channel();
    let mut builder = JournalBuilder::new();
    let entry = builder.refused("code", 1, None);
    for number in 0..QUEUE_MAX + 3 {
        let tell = tell.clone();
        let done = move |outcome| tell.send((number, class(outcome))).unwrap();
        store.submit(command([], [entry.clone()]), Box::new(done));
    }
    let busy: Vec<_> = told.try_iter().collect();
    let expected: Vec<_> = (QUEUE_MAX..QUEUE_MAX + 3).map(|number| (number, Err("busy".into()))).collect();
    assert_eq!(busy, expected, "those past the bound are told at once");
    let head = LogHead { size: 1, note: String::new() };
    assert_eq!(store.advance_log_head(0, head), Err(StoreFault::Busy));
    release.send(()).unwrap();
    drop(tell);
    let rest: Vec<_> = told.iter().collect();
    assert_eq!(rest.len(), QUEUE_MAX);
    assert!(rest.is_sorted_by_key(|(number, _)| *number) && rest.iter().all(|(_, outcome)| outcome.is_ok()));
    drop(store);
    let store = crate::store::SqliteStore::open(&home.path().join("store.db")).unwrap();
    assert_eq!(store.journal_len(), Ok(QUEUE_MAX as u64));
}

#[test]
fn what_is_queued_when_the_store_is_dropped_is_still_written_and_answered() {
    let Homed { store, home } = homed();
    let (tell, told) = channel();
    let mut builder = JournalBuilder::new();
    for _ in 0..500 {
        let tell = tell.clone();
        let entry = builder.refused("code", 1, None);
        store.submit(command([], [entry]), Box::new(move |outcome| tell.send(outcome.is_ok()).unwrap()));
    }
    drop(store);
    let answers: Vec<bool> = told.try_iter().collect();
    assert_eq!(answers, [true; 500]);
    let store = crate::store::SqliteStore::open(&home.path().join("store.db")).unwrap();
    assert_eq!(store.journal_len(), Ok(500));
}

/// A database that may not grow stands for a full disk: SQLite reports both as `SQLITE_FULL`.
#[test]
fn a_full_disk_refuses_the_whole_commit_and_the_store_goes_on_when_there_is_room() {
    let Homed { store, home } = homed();
    drop(store);
    let path = home.path().join("store.db");
    let connection = open::writer(&path).unwrap();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "max_page_count", pages + 4).unwrap();
    let (queue, jobs) = sync_channel(1000);
    let (tell, told) = channel();
    let mut builder = JournalBuilder::new();
    let put = |builder: &mut JournalBuilder, octets: usize| {
        let tell = tell.clone();
        let entry = builder.refused(&"x".repeat(octets), 1, None);
        let entries = vec![crate::store::journal::Prepared::new(entry).unwrap()];
        let done = Box::new(move |outcome| tell.send(class(outcome).map(drop)).unwrap());
        queue.send(Job::Command { preconditions: Vec::new(), entries, done }).unwrap();
    };
    put(&mut builder, 10);
    put(&mut builder, 40_000);
    put(&mut builder, 10);
    let (tell_head, told_head) = sync_channel(1);
    let head = LogHead { size: 1, note: "head".into() };
    queue.send(Job::Head { from: 0, head, done: tell_head }).unwrap();
    drop(queue);
    let none: writer::MakeRoom = Box::new(|| false);
    writer::run(connection, &jobs, &none);
    let answers: Vec<_> = told.try_iter().collect();
    assert_eq!(answers, ["disk full"; 3].map(|full| Err(full.into())));
    assert_eq!(told_head.recv().unwrap(), Err(StoreFault::DiskFull));

    let store = crate::store::SqliteStore::open(&path).unwrap();
    assert_eq!((store.journal_len(), store.log_head()), (Ok(0), Ok(None)), "nothing of the batch stays");
    let entry = builder.refused(&"x".repeat(40_000), 1, None);
    assert_eq!(store.commit(command([], [entry])).unwrap().first_seq, 0);
    replay::assert_rows_equal_replay(&store);
}

#[test]
fn a_long_log_is_moved_into_the_database_while_the_store_runs() {
    let Homed { store, home } = homed();
    let mut builder = JournalBuilder::new();
    // 16,000 pages of 4 KiB are due to be moved; the file of the log is used again from its start.
    let (tell, told) = channel();
    let text = "x".repeat(60_000);
    for _ in 0..1500 {
        let tell = tell.clone();
        let entry = builder.refused(&text, 1, None);
        store.submit(command([], [entry]), Box::new(move |outcome| tell.send(outcome.is_ok()).unwrap()));
    }
    assert!(told.iter().take(1500).all(|stored| stored));
    let database = std::fs::metadata(home.path().join("store.db")).unwrap().len();
    assert!(database > 32 << 20, "{database} octets are in the database, the rest is in the log");
    assert_eq!(store.journal_len(), Ok(1500));
}
