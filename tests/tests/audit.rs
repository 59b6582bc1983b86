//! The audit against everything that can be done to a data directory: flipped bits, cut files, changed rows, a
//! fork signed with the right key, an old copy. It reads files only; nothing here asks a running server.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::process::Command;
use touchmark_authority::audit::{AuditFault, AuditOutcome, verify};
use touchmark_tests::{Device, Dice, Enrolment, Key, Lab, Outcome, device_token, prefix_token, storm};

/// Enough journal entries for two full tiles, a partial one, and a tile of the next level.
const DEVICES: usize = 200;
const FLIPS: usize = 100;

/// A stopped authority with a history.
fn history() -> Lab {
    let mut lab = Lab::start();
    let mut operator = lab.operator();
    let token = operator.token(&prefix_token("lab", "pump", DEVICES as u32));
    let shots = (0..DEVICES).map(|n| {
        let name = format!("pump{n}");
        Enrolment::named(None, &Key::new().request(&name), &name, &token)
    });
    let outcomes = storm(&lab, shots.collect(), 16);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Issued { .. })));
    operator.revoke("pump7");
    operator.contain("pump8", "quarantine", &Default::default()).unwrap();
    operator.contain("pump9", "ban", &Default::default()).unwrap();
    lab.stop_authority();
    let outcome = verify(&lab.data(), None).unwrap();
    assert!(outcome.size > 512 && outcome.size == outcome.entries, "{outcome:?}");
    lab
}

/// Checkpoint and tiles.
fn log_files(data: &Path) -> Vec<PathBuf> {
    let mut files = vec![data.join("log/checkpoint")];
    let mut directories = vec![data.join("log/tile")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

/// Whether the head rests on the file: a partial tile beside a wider one was left by an older head, and may go.
fn is_needed(file: &Path) -> bool {
    let width = |path: &Path| path.file_name().unwrap().to_str().unwrap().parse::<u16>().ok();
    let directory = file.parent().unwrap();
    if directory.extension().is_none_or(|extension| extension != "p") {
        return true;
    }
    let beside = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    beside.filter_map(|path| width(&path)).max() == width(file)
}

/// What a person at the command line is told: exit 6 and why.
fn by_command_line(data: &Path, witness: Option<&Path>) -> (Option<i32>, String) {
    let mut command = Command::new(Lab::program());
    command.args(["audit", "verify", "--data"]).arg(data);
    if let Some(witness) = witness {
        command.arg("--witness").arg(witness);
    }
    let output = command.output().unwrap();
    let says = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&says).into_owned())
}

fn good(outcome: Result<AuditOutcome, AuditFault>) -> AuditOutcome {
    outcome.unwrap_or_else(|fault| panic!("whole again, and yet: {fault}"))
}

/// R46: a flipped bit anywhere in the log's files is found.
#[test]
fn every_flipped_bit_in_the_tiles_is_found() {
    let lab = history();
    let files = log_files(&lab.data());
    let mut dice = Dice::new();
    for flip in 0..FLIPS {
        // Each file in turn, so that small ones are hit as well.
        let file = &files[flip % files.len()];
        let whole = std::fs::read(file).unwrap();
        let mut flipped = whole.clone();
        let (place, bit) = (dice.below(whole.len()), dice.below(8));
        flipped[place] ^= 1 << bit;
        std::fs::write(file, flipped).unwrap();
        let found = verify(&lab.data(), None);
        assert!(found.is_err(), "bit {bit} of octet {place} in {}: {found:?}", file.display());
        if flip == 0 {
            assert_eq!(by_command_line(&lab.data(), None).0, Some(6));
        }
        std::fs::write(file, whole).unwrap();
    }
    good(verify(&lab.data(), None));
    assert_eq!(by_command_line(&lab.data(), None).0, Some(0));
}

/// R46: a flipped bit in any leaf or private part that the database holds is found.
#[test]
fn every_flipped_bit_in_the_database_is_found() {
    let lab = history();
    let database = lab.data().join("authority.db");
    let mut dice = Dice::new();
    for flip in 0..FLIPS {
        let (table, column) = if flip % 2 == 0 { ("journal", "leaf") } else { ("journal_private", "bytes") };
        let connection = Connection::open(&database).unwrap();
        let rows: u32 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let chosen = dice.below(rows as usize);
        let (seq, whole): (i64, Vec<u8>) = connection
            .query_row(
                &format!("SELECT seq, {column} FROM {table} ORDER BY seq LIMIT 1 OFFSET {chosen}"),
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        let mut flipped = whole.clone();
        let (place, bit) = (dice.below(whole.len()), dice.below(8));
        flipped[place] ^= 1 << bit;
        let update = format!("UPDATE {table} SET {column} = ? WHERE seq = ?");
        connection.execute(&update, (&flipped, seq)).unwrap();
        let found = verify(&lab.data(), None);
        assert!(found.is_err(), "bit {bit} of octet {place} in {table}.{column} of entry {seq}: {found:?}");
        connection.execute(&update, (&whole, seq)).unwrap();
    }
    good(verify(&lab.data(), None));
}

/// R46: rows say what the journal says, and a row that was changed, added or removed by hand is found.
#[test]
fn a_row_that_the_journal_does_not_explain_is_found() {
    let lab = history();
    let changes = [
        "UPDATE device SET name = 'mallory' WHERE name = 'pump1'",
        "UPDATE device SET standing = 'active' WHERE name = 'pump9'",
        "UPDATE device SET owner = 'mallory' WHERE name = 'pump1'",
        "UPDATE certificate SET state = 'issued', revoked_at_ms = NULL WHERE state = 'revoked'",
        "UPDATE token SET uses = 0",
        "UPDATE token SET uses_max = 100000",
        "UPDATE party SET roles = '[\"admin\",\"more\"]' WHERE name = 'operator'",
        "UPDATE policy SET topics = 'own = \"#\"'",
        "UPDATE profile SET lifetime_s = 1000000000",
        "UPDATE crl SET number = number + 1",
        "DELETE FROM denied_key",
        "UPDATE identity SET generation = generation + 1 WHERE handle = 'pump1'",
        "UPDATE identity SET handle = 'mallory' WHERE handle = 'pump1'",
        "UPDATE identity SET device = (SELECT device FROM device WHERE name = 'pump2') WHERE handle = 'pump1'",
        "INSERT INTO identity SELECT organisation, environment, kind, 'mallory', device, 1 FROM identity LIMIT 1",
        "DELETE FROM identity WHERE kind = 'operator'",
        "DELETE FROM certificate WHERE state = 'revoked'",
        "DELETE FROM device WHERE name = 'pump2'",
        "DELETE FROM journal_private WHERE seq = (SELECT max(seq) FROM journal_private)",
    ];
    let whole = lab.data();
    for (n, change) in changes.iter().enumerate() {
        let copy = lab.copy_data(&format!("copy-{n}"));
        let connection = Connection::open(copy.join("authority.db")).unwrap();
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        let changed = connection.execute(change, []).unwrap_or_else(|fault| panic!("{change}: {fault}"));
        assert!(changed > 0, "nothing to change: {change}");
        drop(connection);
        let found = verify(&copy, None);
        assert!(found.is_err(), "{change}: {found:?}");
        std::fs::remove_dir_all(copy).unwrap();
    }
    good(verify(&whole, None));
}

/// R46: each file of the log, cut at its end, in its middle or to nothing, or gone, is found.
#[test]
fn every_tile_that_is_cut_is_found() {
    let lab = history();
    for file in log_files(&lab.data()) {
        let whole = std::fs::read(&file).unwrap();
        for keep in [whole.len() - 1, whole.len() / 2, 0] {
            std::fs::write(&file, &whole[..keep]).unwrap();
            let found = verify(&lab.data(), None);
            assert!(found.is_err(), "{} cut to {keep}: {found:?}", file.display());
        }
        if is_needed(&file) {
            std::fs::remove_file(&file).unwrap();
            assert!(verify(&lab.data(), None).is_err(), "{} removed", file.display());
        }
        std::fs::write(&file, &whole).unwrap();
    }
    good(verify(&lab.data(), None));
}

/// R46: two histories under one key, and an old copy, are each in order by themselves; a head that somebody
/// else kept tells them apart. Without one the audit says that it compared nothing.
#[test]
fn a_fork_and_an_old_copy_are_found_with_a_witness() {
    let mut lab = history();
    let old = lab.copy_data("old");
    let enrol = |lab: &mut Lab, names: &[&str]| {
        lab.restart();
        for name in names {
            let token = lab.operator().token(&device_token("lab", name));
            Device::new(lab).enrol(None, &token);
        }
        lab.stop_authority();
    };
    // The same key signs both, from the same beginning: the work of somebody who holds the machine.
    let original = lab.data();
    enrol(&mut lab, &["honest-1", "honest-2"]);
    let witness = good(verify(&original, None)).checkpoint;
    let kept = lab.write("witness", &witness);
    std::fs::rename(&original, lab.path("honest")).unwrap();
    std::fs::rename(&old, &original).unwrap();
    let older = lab.copy_data("older");
    enrol(&mut lab, &["forged-1", "forged-2", "forged-3"]);
    let (honest, fork) = (lab.path("honest"), original);

    for (name, data) in [("honest", &honest), ("fork", &fork), ("old copy", &older)] {
        let outcome = good(verify(data, None));
        assert_eq!(outcome.witness, "not compared with an outside head", "{name}");
    }
    assert!(good(verify(&honest, Some(&witness))).witness.starts_with("compared"));
    for (name, data, says) in [("fork", &fork, "fork"), ("old copy", &older, "witness")] {
        let found = verify(data, Some(&witness));
        assert!(found.as_ref().is_err_and(|fault| fault.to_string().contains(says)), "{name}: {found:?}");
        let (exit, text) = by_command_line(data, Some(&kept));
        assert_eq!(exit, Some(6), "{name}: {text}");
    }
    assert_eq!(by_command_line(&honest, Some(&kept)).0, Some(0));
    let size = witness.lines().nth(1).unwrap();
    let tampered = witness.replacen(size, &format!("{size}0"), 1);
    assert!(verify(&honest, Some(&tampered)).is_err(), "a witness that nobody signed");
}

/// R46: the audit reads beside a running authority, and is green whenever it looks.
#[test]
fn the_audit_is_green_beside_an_authority_at_work() {
    let lab = Lab::start();
    let token = lab.operator().token(&prefix_token("lab", "pump", 500));
    let shots: Vec<_> = (0..500)
        .map(|n| {
            let name = format!("pump{n}");
            Enrolment::named(None, &Key::new().request(&name), &name, &token)
        })
        .collect();
    let looks = std::thread::scope(|scope| {
        let storm = scope.spawn(|| storm(&lab, shots, 16));
        let mut looks = 0;
        while !storm.is_finished() {
            good(verify(&lab.data(), None));
            looks += 1;
        }
        assert!(storm.join().unwrap().iter().all(|outcome| outcome.status() == 200));
        looks
    });
    println!("{looks} audits beside 500 enrolments");
    assert!(looks > 0);
}
