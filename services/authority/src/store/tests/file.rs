//! The file: private, kept across openings, refused when it is not ours.

use super::{Homed, homed};
use crate::store::SqliteStore;
use std::os::unix::fs::PermissionsExt as _;
use touchmark_identity::Name;
use touchmark_inventory::{LogHead, SightingRow, Store, StoreFault};
use touchmark_testkit::{JournalBuilder, command, name, replay, walk::Walk};

#[test]
fn the_database_its_log_and_its_shared_memory_are_private() {
    let Homed { store, home } = homed();
    let mut builder = JournalBuilder::new();
    store.commit(command([], [builder.environment_created()])).unwrap();
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let mode = std::fs::metadata(home.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(store);
    assert!(!home.path().join("store.db-wal").exists(), "the log was moved into the database at the end");
}

#[test]
fn everything_is_there_after_it_is_opened_again() {
    let Homed { store, home } = homed();
    let mut walk = Walk::default();
    for step in 0..400_u32 {
        let [_, a, b, c] = step.wrapping_mul(2_654_435_761).to_be_bytes();
        let Some(command) = walk.step([a.wrapping_add(b), b, c, a]) else { continue };
        let outcome = store.commit(command);
        assert!(!matches!(outcome, Err(StoreFault::Storage(_) | StoreFault::Busy)), "{outcome:?}");
    }
    let head = LogHead { size: 3, note: "head".into() };
    store.advance_log_head(0, head.clone()).unwrap();
    let gateway: Name = name("gw-1");
    let seen = SightingRow {
        scope: touchmark_journal::Scope { organisation: name("example"), environment: None },
        fingerprint: touchmark_identity::Fingerprint([1; 32]),
        relying_party: gateway.clone(),
        action: "connect".into(),
        resource: String::new(),
        first: touchmark_identity::Timestamp::from_unix_s(1),
        last: touchmark_identity::Timestamp::from_unix_s(2),
        allowed: 1,
        denied: 0,
        folded: false,
    };
    store.add_sightings(&gateway, (1, 2), std::slice::from_ref(&seen)).unwrap();
    let before = (store.dump_rows().unwrap(), replay::journal(&store));
    assert!(before.1.len() > 50, "the walk went somewhere");
    drop(store);

    for _ in 0..2 {
        let store = SqliteStore::open(&home.path().join("store.db")).unwrap();
        assert_eq!((store.dump_rows().unwrap(), replay::journal(&store)), before);
        replay::assert_rows_equal_replay(&store);
        assert_eq!(store.log_head(), Ok(Some(head.clone())));
        assert_eq!(store.sightings_position(&gateway), Ok(Some((1, 2))));
        assert_eq!(store.sightings_of(&seen.fingerprint), Ok(vec![seen.clone()]));
    }
    let store = SqliteStore::open(&home.path().join("store.db")).unwrap();
    let receipt = store.commit(command([], [JournalBuilder::numbered(9).started(2, 1)])).unwrap();
    assert_eq!(receipt.first_seq, before.1.len() as u64, "the next place");
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&str, &str); 4] = [
        ("another program's tables", "CREATE TABLE theirs (x)"),
        ("another program's mark", "PRAGMA application_id = 7"),
        ("a version without our mark", "PRAGMA user_version = 1"),
        ("a newer schema", "PRAGMA application_id = 0x544d4b31; PRAGMA user_version = 1000"),
    ];
    for (number, (what, sql)) in cases.into_iter().enumerate() {
        let path = home.path().join(format!("{number}.db"));
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let fault = SqliteStore::open(&path).err().unwrap();
        assert!(matches!(fault, StoreFault::Damaged(_)), "{what}: {fault}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "{what}");
    }
    let path = home.path().join("text.db");
    std::fs::write(&path, "not a database at all, but long enough to be looked at as one".repeat(20))
        .unwrap();
    assert!(matches!(SqliteStore::open(&path).err().unwrap(), StoreFault::Storage(_)));
    assert!(SqliteStore::open(&home.path().join("no/such/directory/store.db")).is_err());
}

#[test]
fn a_damaged_row_is_reported_and_never_guessed() {
    let Homed { store, home } = homed();
    let mut builder = JournalBuilder::new();
    let device = builder.device_id();
    store.commit(command([], [builder.device_registered(device, "pump-01")])).unwrap();
    drop(store);
    let path = home.path().join("store.db");
    let cases = [
        ("a standing of no meaning", "UPDATE device SET standing = 'asleep'"),
        ("a name out of its grammar", "UPDATE device SET standing = 'active', name = '../x'"),
        ("a moment before 1970", "UPDATE device SET name = 'pump-01', registered_at_ms = -1"),
    ];
    for (what, sql) in cases {
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        assert!(matches!(store.device(device), Err(StoreFault::Damaged(_))), "{what}");
        assert!(matches!(store.dump_rows(), Err(StoreFault::Damaged(_))), "{what}");
    }
    let flip = "UPDATE journal_private SET bytes = zeroblob(length(bytes))";
    rusqlite::Connection::open(&path).unwrap().execute_batch(flip).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert!(matches!(store.journal_from(0, 1), Err(StoreFault::Damaged(_))), "a changed private part");
}

#[test]
fn an_erased_private_part_leaves_a_journal_that_still_reads() {
    let Homed { store, home } = homed();
    let mut builder = JournalBuilder::new();
    let device = builder.device_id();
    store.commit(command([], [builder.device_registered(device, "pump-01")])).unwrap();
    drop(store);
    let path = home.path().join("store.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("DELETE FROM journal_private").unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let entries = store.journal_from(0, 10).unwrap();
    assert!(entries.iter().all(|stored| stored.entry.private.is_none()));
    assert_eq!(entries.len(), 1);
}

#[test]
fn a_store_opened_to_read_sees_every_commit_and_refuses_to_write() {
    let Homed { store, home } = homed();
    let path = home.path().join("store.db");
    let mut builder = JournalBuilder::new();
    store.commit(command([], [builder.environment_created()])).unwrap();
    let reading = SqliteStore::open_to_read(&path).unwrap();
    assert_eq!(reading.journal_len(), Ok(1));
    store.commit(command([], [builder.root_created()])).unwrap();
    assert_eq!(reading.journal_len(), Ok(2), "while the other writes");
    let entry = builder.started(1, 1);
    assert!(matches!(reading.commit(command([], [entry])), Err(StoreFault::Storage(_))));
    let head = LogHead { size: 1, note: String::new() };
    assert!(matches!(reading.advance_log_head(0, head), Err(StoreFault::Storage(_))));
    drop((store, reading));
    let reading = SqliteStore::open_to_read(&path).unwrap();
    replay::assert_rows_equal_replay(&reading);
    assert_eq!(reading.journal_len(), Ok(2), "with nobody else there");

    let empty = home.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    assert!(matches!(SqliteStore::open_to_read(&empty).err().unwrap(), StoreFault::Damaged(_)));
    assert!(SqliteStore::open_to_read(&home.path().join("missing.db")).is_err());
    assert!(!home.path().join("missing.db").exists());
}
