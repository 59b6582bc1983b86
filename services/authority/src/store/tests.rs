//! The store against the suite, against the store in memory, and against its own file.

mod disk;
mod file;
mod kill;
mod migrations;
mod queue;

use super::{SqliteStore, open, queries};
use proptest::prelude::*;
use std::sync::Arc;
use touchmark_inventory::{Command, CommitDone, MemoryStore, Receipt, Store, StoreFault};
use touchmark_testkit::{conformance, replay, walk::Walk};

/// A store in a directory of its own, which lives as long as the store.
struct Homed {
    store: SqliteStore,
    home: tempfile::TempDir,
}

fn homed() -> Homed {
    let home = tempfile::tempdir().unwrap();
    Homed { store: SqliteStore::open(&home.path().join("store.db")).unwrap(), home }
}

#[test]
fn the_store_in_sqlite_conforms() {
    // The suite keeps a store no longer than its case; the directories go at the end.
    let homes = std::sync::Mutex::new(Vec::new());
    conformance::run(|| {
        let Homed { store, home } = homed();
        homes.lock().unwrap().push(home);
        Box::new(store)
    });
}

/// An outcome without its words.
fn class(outcome: Result<Receipt, StoreFault>) -> Result<Receipt, String> {
    outcome.map_err(|fault| match fault {
        StoreFault::Conflict(conflict) => conflict.to_string(),
        StoreFault::Damaged(_) => "damaged".into(),
        StoreFault::Storage(_) => "storage".into(),
        StoreFault::DiskFull => "disk full".into(),
        StoreFault::Busy => "busy".into(),
    })
}

/// Queues all commands before waiting for the first outcome, so that they share commits.
fn commit_all(store: &dyn Store, commands: &[Command]) -> Vec<Result<Receipt, String>> {
    let (tell, told) = std::sync::mpsc::sync_channel(commands.len());
    for command in commands {
        let tell = tell.clone();
        let done: CommitDone = Box::new(move |outcome| tell.send(class(outcome)).unwrap());
        store.submit(command.clone(), done);
    }
    told.iter().take(commands.len()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whatever is asked, in whatever order: the same outcomes, the same rows, and replay gives them again.
    #[test]
    fn sqlite_and_memory_agree_on_random_walks(steps in prop::collection::vec(any::<[u8; 4]>(), 1..120)) {
        let mut walk = Walk::default();
        let commands: Vec<Command> = steps.into_iter().filter_map(|step| walk.step(step)).collect();
        let (sqlite, memory) = (homed(), MemoryStore::new());
        for some in commands.chunks(16) {
            prop_assert_eq!(commit_all(&sqlite.store, some), commit_all(&memory, some));
        }
        prop_assert_eq!(sqlite.store.dump_rows(), memory.dump_rows());
        prop_assert_eq!(replay::journal(&sqlite.store), replay::journal(&memory));
        replay::assert_rows_equal_replay(&sqlite.store);
        replay::assert_rows_equal_replay(&memory);
        for row in memory.devices(&touchmark_inventory::DeviceFilter { limit: 1000, ..Default::default() }).unwrap() {
            let device = row.device;
            prop_assert_eq!(sqlite.store.journal_of_device(device, 1000), memory.journal_of_device(device, 1000));
            prop_assert_eq!(sqlite.store.certificates_of_device(device), memory.certificates_of_device(device));
        }
    }
}

#[test]
fn every_question_is_answered_from_an_index() {
    let Homed { store, home } = homed();
    drop(store);
    let connection = open::writer(&home.path().join("store.db")).unwrap();
    for (name, sql) in queries::ALL {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = statement.parameter_count();
        let parameters = rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, count));
        let plan: Vec<String> =
            statement.query_map(parameters, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        // `SCAN ... INDEX` over a partial index reads only the rows that the index is about.
        let reads_a_table = |step: &&String| {
            step.starts_with("SCAN") && !step.contains("INDEX") && !step.contains("CONSTANT ROW")
        };
        let last_entry = *name == "JOURNAL_LAST";
        assert!(last_entry || !plan.iter().any(|step| reads_a_table(&step)), "{name}: {plan:#?}");
    }
}

#[test]
fn a_store_may_be_dropped_by_its_own_callback() {
    let Homed { store, home } = homed();
    let store = Arc::new(store);
    let (tell, told) = std::sync::mpsc::channel();
    let held = Arc::clone(&store);
    store.submit(
        touchmark_testkit::command([], []),
        Box::new(move |_| {
            // Waits until it holds the last reference.
            while Arc::strong_count(&held) > 1 {
                std::thread::yield_now();
            }
            drop(held);
            tell.send(()).unwrap();
        }),
    );
    drop(store);
    told.recv().unwrap();
    drop(home);
}
