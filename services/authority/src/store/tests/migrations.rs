//! Databases of earlier schemas: each step is whole or not begun, and what it fills is what a replay gives.

use crate::store::{SqliteStore, open};
use rusqlite::Connection;
use touchmark_identity::DeviceId;
use touchmark_inventory::Store as _;
use touchmark_journal::{Draft, Event, IdentityKind};
use touchmark_testkit::{Intent, JournalBuilder, command, name, replay};

/// For each statement of `step`: the script up to it, and then a fault.
fn cuts(step: &str) -> impl Iterator<Item = String> {
    let ends = step.match_indices(';').map(|(at, _)| at + 1);
    ends.map(|end| format!("{}\nSELECT a_fault();", &step[..end]))
}

fn version(connection: &Connection) -> i64 {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// What tables and indexes there are.
fn schema(connection: &Connection) -> Vec<String> {
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn each_step_from_each_schema_is_whole_or_not_begun_and_the_next_start_does_it() {
    let fresh = Connection::open_in_memory().unwrap();
    open::migrate(&fresh, open::MIGRATIONS).unwrap();
    for (number, step) in open::MIGRATIONS.iter().enumerate() {
        let done = &open::MIGRATIONS[..number];
        let connection = Connection::open_in_memory().unwrap();
        open::migrate(&connection, done).unwrap();
        let before = schema(&connection);
        for cut in cuts(step) {
            let steps: Vec<&str> = done.iter().copied().chain([cut.as_str()]).collect();
            open::migrate(&connection, &steps).expect_err(&cut);
            assert_eq!(version(&connection), i64::try_from(number).unwrap(), "{cut}");
            assert_eq!(schema(&connection), before, "{cut}");
        }
        open::migrate(&connection, open::MIGRATIONS).unwrap();
        assert_eq!(version(&connection), version(&fresh));
        assert_eq!(schema(&connection), schema(&fresh));
    }
}

#[test]
fn a_database_of_the_first_schema_is_brought_up_and_equals_its_replay() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.db");
    let mut builder = JournalBuilder::new();
    let draft = builder.profile_activated();
    let touchmark_journal::Event::ProfileActivated(profile) = &draft.event else { panic!("a profile") };
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../migrations/0001_journal_and_rows.sql")).unwrap();
    raw.pragma_update(None, "application_id", 0x544d_4b31).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    raw.execute("INSERT INTO journal (seq, leaf) VALUES (0, ?)", [draft.leaf().unwrap()]).unwrap();
    raw.execute(
        "INSERT INTO profile (profile_version, organisation, environment, name, kind, lifetime_s, overlap_s, \
         activated_at_ms) VALUES (?, 'example', 'lab', 'device', 'operational', ?, ?, ?)",
        rusqlite::params![
            profile.profile_version.as_bytes(),
            profile.lifetime_s.cast_signed(),
            profile.overlap_s.cast_signed(),
            draft.envelope.at.unix_ms().cast_signed(),
        ],
    )
    .unwrap();
    drop(raw);

    let store = SqliteStore::open(&path).unwrap();
    let profiles = store.profiles().unwrap();
    assert_eq!(profiles.iter().map(|row| row.grace_s).collect::<Vec<_>>(), [profile.lifetime_s / 3]);
    replay::assert_rows_equal_replay(&store);
}

/// An intent of this generation.
fn intended(builder: &mut JournalBuilder, intent: &Intent, generation: u64) -> Draft {
    let mut draft = builder.intended(intent);
    let Event::CertificateIntended(event) = &mut draft.event else { panic!("an intent") };
    event.generation = generation;
    draft
}

/// Two devices of one name, one of them without a certificate; an operator and a service of one name.
fn lives(builder: &mut JournalBuilder) -> (DeviceId, Vec<Draft>) {
    let (device, unused) = (builder.device_id(), builder.device_id());
    let authority = builder.authority_version();
    let mut drafts = vec![
        builder.environment_created(),
        builder.authority_created(authority),
        builder.device_registered(device, "pump-01"),
        builder.party_registered(IdentityKind::Operator, "ada", &["administrator"]),
    ];
    // Two requests at once: the later commit may have the lower generation.
    for generation in [1, 3, 2] {
        let intent = builder.intent(Some(device), authority);
        drafts.push(intended(builder, &intent, generation));
    }
    for (kind, generation) in [(IdentityKind::Operator, 4), (IdentityKind::Service, 5)] {
        let intent = Intent { kind, handle: name("ada"), ..builder.intent(None, authority) };
        drafts.push(intended(builder, &intent, generation));
        drafts.push(builder.burned(intent.certificate, None));
    }
    builder.move_to("plant");
    drafts.push(builder.device_registered(unused, "pump-01"));
    (device, drafts)
}

#[test]
fn identities_of_an_older_database_are_those_of_its_replay_however_often_the_step_is_cut() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.db");
    let (device, drafts) = lives(&mut JournalBuilder::new());
    let store = SqliteStore::open(&path).unwrap();
    store.commit(command([], drafts)).unwrap();
    drop(store);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("DROP TABLE identity").unwrap();
    raw.pragma_update(None, "user_version", 6).unwrap();
    for cut in cuts(open::MIGRATIONS[6]) {
        let steps: Vec<&str> = open::MIGRATIONS[..6].iter().copied().chain([cut.as_str()]).collect();
        open::migrate(&raw, &steps).expect_err(&cut);
        assert_eq!(version(&raw), 6, "{cut}");
    }
    drop(raw);
    let store = SqliteStore::open(&path).unwrap();
    replay::assert_rows_equal_replay(&store);
    let known = store.identities_of_device(device).unwrap();
    let known: Vec<_> = known.into_iter().map(|row| (row.handle, row.generation)).collect();
    assert_eq!(known, [(name("pump-01"), 3)]);
}
