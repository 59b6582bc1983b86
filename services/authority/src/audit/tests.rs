//! A data directory as the authority leaves it, and every way in which somebody changes it afterwards.

use super::*;
use crate::audit::archive::tests::{FINGERPRINT, day, name, signed};
use crate::audit::sightings::tests::{GATEWAY, commit, gateway, intake, people};
use rusqlite::Connection;
use std::sync::Arc;
use touchmark_durable::Mode;
use touchmark_journal::{Draft, TokenSubject};
use touchmark_testkit::JournalBuilder;
use touchmark_tilelog::{NoteSigner, TileLog};

struct Lab {
    home: tempfile::TempDir,
}

/// Entries from which each derived table has a row.
fn rows_of_every_table() -> Vec<Draft> {
    let mut builder = JournalBuilder::new();
    let mut entries = people(&mut builder, "pump-01", FINGERPRINT, true);
    let version = builder.authority_version();
    entries.extend([
        builder.started(1, 1),
        builder.root_created(),
        builder.authority_created(version),
        builder.environment_created(),
        builder.profile_activated(),
        builder.policy_activated(),
        builder.crl_published(version, 0, 1),
        builder.enforcement_reported(GATEWAY, 1, 1),
        builder.refused("token-unknown", 2, None),
        builder.gateway_declared(GATEWAY, true, None),
    ]);
    let (token, device, maker) = (builder.token_id(), builder.device_id(), builder.maker_id());
    entries.push(builder.token_created(token, TokenSubject::Named(name("pump-02")), 1));
    entries.push(builder.device_registered(device, "pump-02"));
    entries.push(builder.renewal_refused(device, "not-yet", 1));
    entries.push(builder.maker_registered(maker, "acme"));
    entries.push(builder.hardware_registered(device, maker, "unit-1"));
    for holder in [Some(device), None] {
        let intent = builder.intent(holder, version);
        entries.push(builder.intended(&intent));
        entries.push(builder.revoked(holder, &[&intent]));
    }
    entries
}

fn publish(data: &Path, store: &dyn Store) {
    let signer = NoteSigner::from_seed("example/journal", &[4; 32]).unwrap();
    std::fs::write(log_vkey(data), signer.verifier_key().to_string()).unwrap();
    let mut tiles = TileLog::open(&log(data), signer, Mode::Private0600, None).unwrap();
    let leaves: Vec<Vec<u8>> =
        store.journal_from(tiles.size(), BATCH).unwrap().into_iter().map(|stored| stored.leaf).collect();
    tiles.append(&leaves).unwrap();
    let from = store.log_head().unwrap().map_or(0, |head| head.size);
    let size = tiles.publish().unwrap().size;
    store.advance_log_head(from, LogHead { size, note: tiles.checkpoint_note().to_owned() }).unwrap();
}

impl Lab {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path();
        let store = Arc::new(SqliteStore::open(&database(data)).unwrap());
        commit(&*store, rows_of_every_table());
        let intake = intake(store.clone(), &archives(data));
        let day = day(GATEWAY);
        let (vkey, head) = signed(GATEWAY, &day);
        intake.register(&name(GATEWAY), &vkey).await.unwrap();
        intake.take(&gateway(), 0, &day, Some(&head)).await.unwrap();
        publish(data, &*store);
        Self { home }
    }

    fn audit(&self) -> Result<AuditOutcome, AuditFault> {
        verify(self.home.path(), None)
    }

    fn file(&self, file: &str) -> std::path::PathBuf {
        archives(self.home.path()).join(GATEWAY).join(file)
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(database(self.home.path())).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn behind(&self, bytes: &[u8]) {
        let whole = std::fs::read(self.file("frames")).unwrap();
        std::fs::write(self.file("frames"), [&whole, bytes].concat()).unwrap();
    }
}

#[tokio::test]
async fn what_the_authority_leaves_is_in_order() {
    let lab = Lab::new().await;
    let outcome = lab.audit().unwrap();
    let [gateway] = outcome.gateways.as_slice() else { panic!("{outcome:?}") };
    assert_eq!((gateway.frames, gateway.decisions, gateway.covered), (4, 7, 4));
    assert_eq!((gateway.sightings, gateway.unfinished), (2, 0));
    // The beginning of a next frame is what a running authority leaves for a moment.
    lab.behind(&[0, 0, 0, 99, 1, 10]);
    let outcome = lab.audit().unwrap();
    assert_eq!(outcome.gateways[0].unfinished, 6);
    assert!(outcome.to_string().contains("6 octets of a frame that is being written"), "{outcome}");
}

#[tokio::test]
async fn every_tampering_is_found() {
    type Harm = fn(&Lab);
    let rows: [(&str, Harm, &str); 20] = [
        ("no key", |lab| std::fs::remove_file(lab.file("vkey")).unwrap(), "its key is gone"),
        ("no head", |lab| std::fs::remove_file(lab.file("checkpoint")).unwrap(), "no signed head covers"),
        (
            "neither key nor head",
            |lab| {
                std::fs::remove_file(lab.file("vkey")).unwrap();
                std::fs::remove_file(lab.file("checkpoint")).unwrap();
            },
            "its key is gone",
        ),
        (
            "head of another log",
            |lab| std::fs::write(lab.file("checkpoint"), signed("x", &[]).1).unwrap(),
            "its signed head",
        ),
        ("no archive", |lab| std::fs::remove_dir_all(lab.file("")).unwrap(), "its archive is gone"),
        (
            "an empty archive",
            |lab| {
                std::fs::remove_dir_all(lab.file("")).unwrap();
                std::fs::create_dir(lab.file("")).unwrap();
            },
            "were counted",
        ),
        (
            "an older archive with its own head",
            |lab| {
                let day = day(GATEWAY);
                let bytes: Vec<u8> =
                    day[..2].iter().flat_map(|f| [&(f.len() as u32).to_be_bytes()[..], f].concat()).collect();
                std::fs::write(lab.file("frames"), bytes).unwrap();
                std::fs::write(lab.file("checkpoint"), signed(GATEWAY, &day[..2]).1).unwrap();
            },
            "were counted",
        ),
        ("rubbish behind", |lab| lab.behind(b"rubbish"), "longer than a frame can be"),
        ("two octets of rubbish behind", |lab| lab.behind(b"ru"), "longer than a frame can be"),
        ("zeros behind", |lab| lab.behind(&[0; 64]), "empty"),
        ("the beginning of no frame", |lab| lab.behind(&[0, 0, 0, 9, 77]), "of no version of frame"),
        (
            "a sighting more",
            |lab| lab.sql("UPDATE sighting SET allowed = allowed + 1 WHERE action = 'publish'"),
            "the decisions say",
        ),
        (
            "a sighting at another time",
            |lab| lab.sql("UPDATE sighting SET last_ms = last_ms + 1 WHERE action = 'publish'"),
            "at other times",
        ),
        ("a sighting less", |lab| lab.sql("DELETE FROM sighting WHERE action = 'publish'"), "no row says"),
        (
            "a sighting of nothing",
            |lab| lab.sql("UPDATE sighting SET resource = 'elsewhere' WHERE action = 'connect'"),
            "row says",
        ),
        ("a lower position", |lab| lab.sql("UPDATE sighting_position SET seq = 3"), "the decisions say"),
        ("no floor", |lab| lab.sql("DELETE FROM log_head"), "it is gone"),
        ("a floor of another size", |lab| lab.sql("UPDATE log_head SET size = size - 1"), "its note"),
        (
            "a floor signed by nobody",
            |lab| lab.sql("UPDATE log_head SET note = replace(note, 'example', 'another')"),
            "log head in the database",
        ),
        (
            "no private part",
            |lab| lab.sql("DELETE FROM journal_private WHERE seq = (SELECT max(seq) FROM journal_private)"),
            "its private part is missing",
        ),
    ];
    for (what, harm, says) in rows {
        let lab = Lab::new().await;
        lab.audit().unwrap();
        harm(&lab);
        let fault = lab.audit().expect_err(what).to_string();
        assert!(fault.contains(says), "{what}: {fault}");
    }
}

#[tokio::test]
async fn a_floor_above_the_log_or_over_other_leaves_is_found() {
    let lab = Lab::new().await;
    let sign = |leaves: &[Vec<u8>]| {
        let home = tempfile::tempdir().unwrap();
        let signer = NoteSigner::from_seed("example/journal", &[4; 32]).unwrap();
        let mut tiles = TileLog::open(home.path(), signer, Mode::Private0600, None).unwrap();
        tiles.append(leaves).unwrap();
        (tiles.publish().unwrap().size, tiles.checkpoint_note().to_owned())
    };
    for (leaves, says) in [(2, "over other leaves"), (99, "the log's own")] {
        let (size, note) = sign(&vec![b"leaf".to_vec(); leaves]);
        lab.sql(&format!("UPDATE log_head SET size = {size}, note = '{note}'"));
        let fault = lab.audit().unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
    }
}

/// A table of the database, with its columns: name, declared type, whether it is part of the key.
#[expect(clippy::type_complexity, reason = "what the doc says")]
fn schema(connection: &Connection) -> Vec<(String, Vec<(String, String, bool)>)> {
    let mut tables = connection
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        )
        .unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let columns = |table: &str| {
        let mut columns = connection.prepare("SELECT name, type, pk > 0 FROM pragma_table_info(?)").unwrap();
        let read = columns.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        read.map(Result::unwrap).collect()
    };
    names.into_iter().map(|table| (table.clone(), columns(&table))).collect()
}

/// Another value than the one that is there.
fn another(column: &str, declared: &str) -> String {
    match declared {
        // Past every key, so that none is taken twice.
        "INTEGER" => format!("coalesce({column}, 0) + 1000"),
        "TEXT" => format!("coalesce({column}, '') || 'x'"),
        "BLOB" => {
            format!("zeroblob(max(length(coalesce({column}, x'00000000000000000000000000000000')), 1))")
        }
        other => panic!("a column of type {other}"),
    }
}

/// Tables and columns are read from the schema: one that the audit does not compare fails here.
#[tokio::test]
async fn a_change_in_any_column_and_a_row_more_or_less_in_any_table_is_found() {
    let lab = Lab::new().await;
    lab.audit().unwrap();
    let path = database(lab.home.path());
    let good = lab.home.path().join("good");
    drop(Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    std::fs::copy(&path, &good).unwrap();
    let tables = schema(&Connection::open(&path).unwrap());
    assert!(tables.len() >= 19, "{tables:?}");
    let try_it = |what: &str, sql: &str| {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        for part in ["decisions", "log"] {
            copy(&lab.home.path().join(part), &data.join(part));
        }
        std::fs::copy(log_vkey(lab.home.path()), log_vkey(data)).unwrap();
        std::fs::copy(&good, database(data)).unwrap();
        let connection = Connection::open(database(data)).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON").unwrap();
        let changed = connection.execute(sql, []).unwrap_or_else(|fault| panic!("{what}: {fault}: {sql}"));
        assert!(changed > 0, "{what}: the table has no row: {sql}");
        drop(connection);
        assert!(look(data, None).is_err(), "{what}: not found: {sql}");
    };
    for (table, columns) in &tables {
        for (column, declared, _) in columns {
            // Of each row in turn.
            let rows: i64 = Connection::open(&good)
                .unwrap()
                .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
                .unwrap();
            assert!(rows > 0, "{table} has no row: the test says nothing about it");
            let keys: Vec<&str> =
                columns.iter().filter(|(_, _, key)| *key).map(|(name, ..)| name.as_str()).collect();
            let key = keys.join(", ");
            for row in [0, rows - 1].into_iter().collect::<std::collections::BTreeSet<_>>() {
                let sql = format!(
                    "UPDATE {table} SET {column} = {} WHERE ({key}) = (SELECT {key} FROM {table} ORDER BY {key} \
                     LIMIT 1 OFFSET {row})",
                    another(column, declared)
                );
                try_it(&format!("{table}.{column}, row {row}"), &sql);
            }
        }
        try_it(
            &format!("a row less in {table}"),
            &format!("DELETE FROM {table} WHERE rowid_or_key").replace("rowid_or_key", &{
                let keys: Vec<&str> =
                    columns.iter().filter(|(_, _, key)| *key).map(|(name, ..)| name.as_str()).collect();
                let key = keys.join(", ");
                format!("({key}) = (SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 1)")
            }),
        );
        // An entry more behind the signed head is what a commit leaves until the next head: its rows tell. Of the
        // tables of one row SQLite itself takes no second.
        if table == "journal" || columns.iter().any(|(name, ..)| name == "one") {
            continue;
        }
        let values: Vec<String> = columns
            .iter()
            .map(|(name, declared, key)| match (*key, declared.as_str(), name.as_str()) {
                (true, "BLOB", _) => "randomblob(16)".into(),
                (true, "INTEGER", _) => format!("(SELECT max({name}) + 1 FROM {table})"),
                (true, _, _) | (false, _, "trust_domain" | "name") => format!("{name} || 'x'"),
                (false, _, "serial") => "x'010203'".into(),
                _ => name.clone(),
            })
            .collect();
        let sql = format!("INSERT INTO {table} SELECT {} FROM {table} LIMIT 1", values.join(", "));
        try_it(&format!("a row more in {table}"), &sql);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
