//! A data directory as the authority leaves it, and every way in which somebody changes it afterwards.

use super::*;
use crate::archive::tests::{FINGERPRINT, day, name, signed};
use crate::sightings::tests::{GATEWAY, commit, gateway, intake, people};
use rusqlite::Connection;
use std::sync::Arc;
use touchmark_durable::Mode;
use touchmark_testkit::Scribe;
use touchmark_tilelog::{NoteSigner, TileLog};

struct Lab {
    home: tempfile::TempDir,
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
        commit(&*store, people(&mut Scribe::new(), "pump-01", FINGERPRINT, true));
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
