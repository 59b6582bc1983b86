//! Damage that the audit must find, and heads that a witness must expose.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::sandbox::{Seeded, audit, copy, files, grow, leaf, open, signer};

/// A log with full tiles, partial tiles, and partial tiles of earlier heads.
fn log_of(home: &Path) -> PathBuf {
    let directory = home.join("log");
    grow(&mut open(&directory), 1, &[3, 200, 520, 530, 600]);
    directory
}

#[test]
fn a_good_log_passes_and_its_leaves_are_shown_in_order() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    let mut seen = 0;
    let report = audit_dir(&directory, signer().verifier_key(), None, |index, bytes| {
        assert_eq!((index, bytes), (seen, leaf(1, seen).as_slice()));
        seen += 1;
        Ok(())
    });
    let report = report.unwrap();
    assert_eq!((report.size, seen, report.not_covered), (600, 600, 0));
    assert_eq!(report.witness, WitnessFinding::NotCompared);
    assert!(report.to_string().ends_with("not compared with an outside head"));
    assert_eq!(report.note, fs::read_to_string(directory.join(CHECKPOINT_FILE)).unwrap());
}

#[test]
fn each_of_200_flipped_bits_is_found_in_its_file() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    let all = files(&directory);
    assert!(all.contains(&"tile/0/002.p/8".to_owned()), "an earlier head's tile is among them: {all:?}");
    let mut random = Seeded(3);
    for round in 0..200 {
        // Every file in turn, so that the large ones do not take all the flips.
        let file = &all[round % all.len()];
        let path = directory.join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let (at, bit) = (random.below(good.len()), random.below(8));
        bad[at] ^= 1 << bit;
        fs::write(&path, &bad).unwrap();
        let fault = audit(&directory, None).expect_err(&format!("{file} octet {at} bit {bit}"));
        assert_eq!(fault.file(), Some(file.as_str()), "octet {at} bit {bit}: {fault}");
        if let AuditFault::HashTile { index, .. } = fault {
            let first = file.parse::<TilePath>().unwrap().first();
            assert_eq!(index, first + (at / Hash::OCTETS) as u64, "{file} octet {at}");
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(audit(&directory, None).is_ok());
}

#[test]
fn each_file_cut_short_lengthened_or_emptied_is_found() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    for file in files(&directory) {
        let path = directory.join(&file);
        let good = fs::read(&path).unwrap();
        let longer = [good.as_slice(), &[0]].concat();
        let by_a_hash = &good[..good.len().saturating_sub(Hash::OCTETS)];
        for bad in [&good[..good.len() - 1], &good[..good.len() / 2], by_a_hash, &[], &longer] {
            fs::write(&path, bad).unwrap();
            let fault = audit(&directory, None).expect_err(&file);
            assert_eq!(fault.file(), Some(file.as_str()), "{} of {} octets: {fault}", bad.len(), good.len());
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn each_deleted_file_that_the_head_needs_is_found() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    let needed = |file: &str| {
        file.parse::<TilePath>()
            .map_or(true, |tile| TilePath::in_tree(tile.kind(), tile.index(), 600) == Some(tile))
    };
    let (needed, earlier): (Vec<String>, Vec<String>) =
        files(&directory).into_iter().partition(|file| needed(file));
    assert_eq!((needed.len(), earlier.len()), (8, 4), "{needed:?} {earlier:?}");
    for file in needed {
        let path = directory.join(&file);
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        match audit(&directory, None) {
            Err(AuditFault::Missing { file: named }) => assert_eq!(named, file),
            other => panic!("{file}: {other:?}"),
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn damage_in_a_log_of_three_tile_levels_is_found_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    grow(&mut open(home.path()), 1, &[65_536 + 300]);
    for (file, at, index) in [
        ("tile/0/200", 32 * 7, 200 * 256 + 7),
        ("tile/1/000", 32 * 99, 99),
        ("tile/1/001.p/1", 0, 256),
        ("tile/2/000.p/1", 31, 0),
        ("tile/entries/099", 2, 99 * 256),
    ] {
        let path = home.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 0x80;
        fs::write(&path, &bad).unwrap();
        let fault = audit(home.path(), None).expect_err(file);
        assert_eq!((fault.file(), fault.index()), (Some(file), Some(index)), "{fault}");
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_fork_signed_with_the_right_key_is_found_by_a_witness_only() {
    let home = tempfile::tempdir().unwrap();
    let (genuine, fork) = (home.path().join("genuine"), home.path().join("fork"));
    let mut log = open(&genuine);
    let seen = grow(&mut log, 1, &[300]);
    grow(&mut log, 1, &[600]);
    drop(log);
    for size in [300, 600] {
        let _ = fs::remove_dir_all(&fork);
        grow(&mut open(&fork), 2, &[size]);
        assert_eq!(audit(&fork, None).unwrap().witness, WitnessFinding::NotCompared);
        let fault = audit(&fork, Some(&seen)).unwrap_err();
        assert!(matches!(fault, AuditFault::Fork { witness: 300 }), "{size}: {fault}");
        assert!(fault.to_string().contains("fork"));
    }
    assert_eq!(audit(&genuine, Some(&seen)).unwrap().witness, WitnessFinding::Compared { size: 300 });
}

#[test]
fn an_old_copy_is_found_by_a_witness_only() {
    let home = tempfile::tempdir().unwrap();
    let (now, old) = (home.path().join("now"), home.path().join("old"));
    let mut log = open(&now);
    grow(&mut log, 1, &[300]);
    copy(&now, &old);
    let seen = grow(&mut log, 1, &[301]);
    assert!(audit(&old, None).is_ok());
    let fault = audit(&old, Some(&seen)).unwrap_err();
    assert!(matches!(fault, AuditFault::BehindWitness { size: 300, witness: 301 }), "{fault}");
    assert!(fault.to_string().contains("behind the witness"));
    let elsewhere = Checkpoint { origin: "elsewhere".into(), ..seen };
    assert!(matches!(audit(&now, Some(&elsewhere)), Err(AuditFault::OtherWitness { .. })));
}

#[test]
fn a_changed_entry_with_changed_tiles_does_not_fit_the_signed_head() {
    let home = tempfile::tempdir().unwrap();
    let (log, other) = (home.path().join("log"), home.path().join("other"));
    grow(&mut open(&log), 1, &[600]);
    grow(&mut open(&other), 2, &[600]);
    fs::copy(log.join(CHECKPOINT_FILE), other.join(CHECKPOINT_FILE)).unwrap();
    assert!(matches!(audit(&other, None), Err(AuditFault::Root { .. })));
}

#[test]
fn the_visitors_first_objection_is_reported_unless_the_log_is_at_fault() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    let object = |index: u64, _: &[u8]| if index >= 300 { Err(format!("no {index}")) } else { Ok(()) };
    let key = signer().verifier_key().clone();
    let fault = audit_dir(&directory, &key, None, object).unwrap_err();
    assert_eq!(fault.to_string(), "`tile/entries/001`: entry 300: no 300");
    let path = directory.join("tile/entries/002.p/88");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(audit_dir(&directory, &key, None, object), Err(AuditFault::Entry { index: 512, .. })));
}

#[test]
fn an_audit_that_the_growing_log_overtakes_still_passes() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    grow(&mut log, 1, &[300]);
    let old = fs::read(home.path().join(CHECKPOINT_FILE)).unwrap();
    grow(&mut log, 1, &[600]);
    // As if the checkpoint had been read before the log grew and dropped its partial tiles.
    fs::write(home.path().join(CHECKPOINT_FILE), old).unwrap();
    let report = audit(home.path(), None).unwrap();
    assert_eq!(report.size, 300);
    assert!(report.not_covered > 0);
}

#[test]
fn files_that_are_not_of_the_log_are_counted_only() {
    let home = tempfile::tempdir().unwrap();
    let directory = log_of(home.path());
    fs::write(directory.join("tile/README"), "hello").unwrap();
    fs::create_dir_all(directory.join("tile/0/a/b/c/d/e/f/g/h/i/j/k")).unwrap();
    assert_eq!(audit(&directory, None).unwrap().not_covered, 2);
}
