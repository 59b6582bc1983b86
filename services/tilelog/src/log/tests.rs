//! The writer: what it serves, what it proves, and what a crash at each step leaves.

use std::fs;

use touchmark_tlog::{Frontier, open_note};

use super::*;
use crate::sandbox::{ORIGIN, Seeded, audit, copy, files, grow, leaf, open, signer};

fn reopened(directory: &Path, floor: Option<&Checkpoint>) -> Result<TileLog, TileLogFault> {
    TileLog::open(directory, signer(), Mode::Public0644, floor)
}

fn naive(history: u64, size: u64) -> Frontier {
    let mut frontier = Frontier::new();
    (0..size).for_each(|index| frontier.append(leaf_hash(&leaf(history, index))));
    frontier
}

#[test]
fn a_new_log_signs_the_head_of_no_leaves() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    assert_eq!((log.size(), log.checkpoint().size), (0, 0));
    assert_eq!(files(home.path()), ["checkpoint"]);
    assert_eq!(audit(home.path(), Some(log.checkpoint())).unwrap().size, 0);
}

#[test]
fn the_directory_is_what_c2sp_serves() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    grow(&mut log, 1, &[3, 10, 256, 300]);
    let expected = [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ];
    assert_eq!(files(home.path()), expected);
    golden(home.path(), &expected);
    let note = fs::read_to_string(home.path().join(CHECKPOINT_FILE)).unwrap();
    assert_eq!(&open_note(&note, log.verifier_key()).unwrap(), log.checkpoint());
    assert_eq!(log.checkpoint_note(), note);
    assert_eq!(log.checkpoint().root, naive(1, 300).root());
}

/// Each file's length and SHA-256 against the checked-in list, which TOUCHMARK_BLESS=1 rewrites.
fn golden(directory: &Path, files: &[&str]) {
    let mut text = String::new();
    for file in files {
        let bytes = fs::read(directory.join(file)).unwrap();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
        text += &format!("{} {} {file}\n", Hash(digest.as_ref().try_into().unwrap()), bytes.len());
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/directory.txt");
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        fs::write(&golden, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(&golden).unwrap(), text);
}

#[test]
fn the_root_is_that_of_the_tree_however_the_leaves_arrive_and_the_log_is_reopened() {
    let home = tempfile::tempdir().unwrap();
    let mut random = Seeded(1);
    let mut size = 0;
    while size < 1100 {
        let mut log = reopened(home.path(), None).unwrap();
        assert_eq!(log.size(), size);
        let step = 1 + random.below(90) as u64;
        let head = grow(&mut log, 1, &[size + step / 2 + 1, size + step + 1]);
        size = head.size;
        assert_eq!(head.root, naive(1, size).root(), "size {size}");
        assert_eq!(log.root(), head.root);
    }
    assert_eq!(audit(home.path(), None).unwrap().not_covered, 0);
}

#[test]
fn publishing_nothing_new_signs_nothing_and_leaves_are_gone_until_published() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let head = grow(&mut log, 1, &[5]);
    let before = fs::metadata(home.path().join(CHECKPOINT_FILE)).unwrap().modified().unwrap();
    assert_eq!(log.publish().unwrap(), &head);
    assert_eq!(fs::metadata(home.path().join(CHECKPOINT_FILE)).unwrap().modified().unwrap(), before);
    assert_eq!(log.append(&[b"a", b"b"]).unwrap(), 5..7);
    assert_eq!((log.size(), log.checkpoint().size), (7, 5));
    assert!(matches!(log.read_entries(5..6), Err(TileLogFault::Unavailable { size: 5, .. })));
    assert!(matches!(log.receipt(5), Err(TileLogFault::Proof(_))));
    drop(log);
    assert_eq!(open(home.path()).size(), 5);
}

#[test]
fn entries_proofs_and_receipts_hold() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let old = grow(&mut log, 1, &[1, 255, 290]);
    let head = grow(&mut log, 1, &[700]);
    let all: Vec<Vec<u8>> = (0..700).map(|index| leaf(1, index)).collect();
    for (first, end) in [(0, 0), (0, 1), (255, 257), (250, 700), (0, 700), (699, 700)] {
        let range = first as usize..end as usize;
        assert_eq!(log.read_entries(first..end).unwrap(), all[range], "{first}..{end}");
    }
    for (first, end) in [(0, 701), (5, 4), (700, 5000)] {
        assert!(log.read_entries(first..end).is_err(), "{first}..{end}");
    }
    for index in (0..700).step_by(7) {
        let receipt = Receipt::parse(&log.receipt(index).unwrap().to_text()).unwrap();
        assert_eq!(receipt.verify(&all[index as usize], log.verifier_key()).unwrap(), head, "{index}");
    }
    let leaf = leaf_hash(&all[17]);
    assert_eq!(log.inclusion(17, 290).unwrap().verify(17, 290, &leaf, &old.root), Ok(()));
    for size in (0..=700).step_by(13) {
        let root = log.reader().root_at(size).unwrap();
        assert_eq!(root, naive(1, size).root());
        let proof = log.consistency(size, 700).unwrap();
        assert_eq!(proof.verify(size, &root, 700, &head.root), Ok(()), "{size}");
    }
    assert!(log.consistency(0, 701).is_err());
}

#[test]
fn leaves_that_do_not_fit_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let longest = vec![1; ENTRY_OCTETS_MAX];
    let too_long = vec![1; ENTRY_OCTETS_MAX + 1];
    let refused = log.append(&[&longest, &too_long]);
    assert!(matches!(refused, Err(TileLogFault::LeafTooLong { position: 1, octets: 65_536 })));
    assert_eq!(log.size(), 0);
    log.append(&[longest.as_slice(), b""]).unwrap();
    log.publish().unwrap();
    assert_eq!(log.read_entries(0..2).unwrap(), [longest, vec![]]);
}

#[test]
fn only_one_process_may_have_it_open() {
    let home = tempfile::tempdir().unwrap();
    let log = open(home.path());
    assert!(matches!(reopened(home.path(), None), Err(TileLogFault::Locked { .. })));
    drop(log);
    assert!(reopened(home.path(), None).is_ok());
}

#[test]
fn a_floor_keeps_an_old_copy_and_another_history_shut() {
    let home = tempfile::tempdir().unwrap();
    let (now, old, other, new) = (
        home.path().join("now"),
        home.path().join("old"),
        home.path().join("other"),
        home.path().join("new"),
    );
    let mut log = open(&now);
    let earlier = grow(&mut log, 1, &[300]);
    copy(&now, &old);
    let floor = grow(&mut log, 1, &[320]);
    drop(log);
    grow(&mut open(&other), 2, &[320, 400]);

    assert!(reopened(&now, Some(&floor)).is_ok());
    assert!(reopened(&now, Some(&earlier)).is_ok(), "the database may lag behind the log");
    let behind = reopened(&old, Some(&floor));
    assert!(matches!(behind, Err(TileLogFault::BehindFloor { disk: 300, floor: 320 })), "{behind:?}");
    let forked = reopened(&other, Some(&floor));
    assert!(matches!(forked, Err(TileLogFault::ForkedFromFloor { floor: 320 })), "{forked:?}");
    let emptied = reopened(&new, Some(&floor));
    assert!(matches!(emptied, Err(TileLogFault::BehindFloor { disk: 0, floor: 320 })), "{emptied:?}");
    assert!(!new.join(CHECKPOINT_FILE).exists(), "nothing is signed in an emptied directory");
    let elsewhere = Checkpoint { origin: "elsewhere".into(), ..floor };
    assert!(matches!(reopened(&now, Some(&elsewhere)), Err(TileLogFault::OtherLog { .. })));
}

#[test]
fn a_damaged_edge_does_not_open() {
    let home = tempfile::tempdir().unwrap();
    let good = home.path().join("good");
    grow(&mut open(&good), 1, &[300]);
    type Damage = fn(&Path);
    let cases: [(&str, &str, Damage); 7] = [
        ("no checkpoint", "checkpoint", |file| fs::remove_file(file).unwrap()),
        ("checkpoint bent", "checkpoint", |file| bend(file, 40)),
        ("no bundle", "tile/entries/001.p/44", |file| fs::remove_file(file).unwrap()),
        ("bundle bent", "tile/entries/001.p/44", |file| bend(file, 40)),
        ("bundle cut", "tile/entries/001.p/44", |file| cut(file)),
        ("hash tile bent", "tile/1/000.p/1", |file| bend(file, 3)),
        ("hash tile cut", "tile/0/001.p/44", |file| cut(file)),
    ];
    for (name, file, damage) in cases {
        let bad = home.path().join(name);
        copy(&good, &bad);
        damage(&bad.join(file));
        let refused = reopened(&bad, None);
        let expected = match (name, &refused) {
            ("no checkpoint", Err(TileLogFault::CheckpointMissing)) => true,
            ("checkpoint bent", Err(TileLogFault::Checkpoint { .. })) => true,
            (_, Err(TileLogFault::Damaged { file: named, .. })) => named == file || named == "checkpoint",
            _ => false,
        };
        assert!(expected, "{name}: {refused:?}");
    }
    let stranger = NoteSigner::from_seed(ORIGIN, &[8; 32]).unwrap();
    let refused = TileLog::open(&good, stranger, Mode::Public0644, None);
    assert!(matches!(refused, Err(TileLogFault::Checkpoint { .. })), "another key");
}

fn bend(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
}

/// The state of the disk after a crash: the old head, and some of the writes of a publication.
/// Names may reach the disk in any order until their directories are synced, hence the random subsets.
#[test]
fn a_crash_at_any_write_of_a_publication_recovers() {
    let mut random = Seeded(2);
    // Within a bundle; filling one exactly; past its end; over several.
    for (from, to) in [(0, 3), (10, 20), (250, 256), (250, 300), (300, 1000), (256, 257)] {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().join("base");
        let mut log = open(&base);
        let old = if from == 0 { log.checkpoint().clone() } else { grow(&mut log, 1, &[from]) };
        let leaves: Vec<Vec<u8>> = (from..to).map(|index| leaf(1, index)).collect();
        log.append(&leaves).unwrap();
        let writes: Vec<(TilePath, Vec<u8>)> =
            log.edge.unpublished(from).into_iter().map(|(tile, bytes)| (tile, bytes.into_owned())).collect();
        let (new, note) = log.signer.sign_head(log.edge.size(), log.edge.root());
        drop(log);

        let mut crashes: Vec<Vec<usize>> = (0..=writes.len()).map(|count| (0..count).collect()).collect();
        crashes.extend((0..8).map(|_| (0..writes.len()).filter(|_| random.below(2) == 0).collect()));
        for (number, done) in crashes.iter().enumerate() {
            let name = format!("{from} to {to}, writes {done:?}");
            let crashed = home.path().join(format!("crash {number}"));
            copy(&base, &crashed);
            done.iter().for_each(|at| write(&crashed, &writes[*at]));
            fs::write(crashed.join(".checkpoint.next.1-1.tmp"), "torn").unwrap();
            assert_eq!(audit(&crashed, Some(&old)).unwrap().size, from, "{name}: audited as it lies");

            // The leaves that come instead are others: none of the old bytes may survive.
            let mut log = reopened(&crashed, Some(&old)).unwrap();
            assert_eq!(log.checkpoint(), &old, "{name}");
            let sizes = [from + 1, from + 2, from + 40, from + 100, from + 300, from + 1000];
            for size in sizes {
                grow(&mut log, 2, &[size]);
                assert_eq!(audit(&crashed, Some(&old)).unwrap().size, size, "{name}, then {size}");
            }
            assert_eq!(audit(&crashed, Some(&old)).unwrap().not_covered, 0, "{name}: nothing is left over");
        }

        let signed = home.path().join("signed");
        copy(&base, &signed);
        writes.iter().for_each(|file| write(&signed, file));
        fs::write(signed.join(NEXT_CHECKPOINT_FILE), &note).unwrap();
        let log = reopened(&signed, Some(&old)).unwrap();
        assert_eq!(log.checkpoint(), &new, "a head that was signed is published, not replaced");
        drop(log);
        assert!(!signed.join(NEXT_CHECKPOINT_FILE).exists());
        assert_eq!(reopened(&signed, Some(&new)).unwrap().checkpoint(), &new);
        assert_eq!(audit(&signed, Some(&old)).unwrap().size, to);
    }
}

fn write(directory: &Path, (tile, bytes): &(TilePath, Vec<u8>)) {
    let path = directory.join(tile.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// An I/O error that does not end the process leaves the leaves waiting, and the old head in place.
#[test]
fn a_publication_that_fails_can_be_repeated() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let old = grow(&mut log, 1, &[250]);
    let in_the_way = home.path().join("tile/1");
    fs::write(&in_the_way, "not a directory").unwrap();
    let leaves: Vec<Vec<u8>> = (250..300).map(|index| leaf(1, index)).collect();
    log.append(&leaves).unwrap();
    assert!(matches!(log.publish(), Err(TileLogFault::Write(_) | TileLogFault::Read { .. })));
    assert_eq!((log.checkpoint(), log.size()), (&old, 300));
    fs::remove_file(in_the_way).unwrap();
    assert_eq!(log.publish().unwrap().size, 300);
    assert_eq!(audit(home.path(), Some(&old)).unwrap().root, naive(1, 300).root());
}

#[test]
fn a_log_of_three_tile_levels_opens_from_its_edge_alone() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    let head = grow(&mut log, 1, &[65_000, 65_536 + 300]);
    assert_eq!(head.root, naive(1, head.size).root());
    let receipt = log.receipt(65_500).unwrap();
    assert_eq!(receipt.verify(&leaf(1, 65_500), log.verifier_key()).unwrap(), head);
    drop(log);
    assert_eq!(audit(home.path(), None).unwrap().not_covered, 0);

    let edge = ["tile/0/257.p/44", "tile/1/001.p/1", "tile/2/000.p/1", "tile/entries/257.p/44"];
    for file in files(home.path()) {
        if file != "checkpoint" && !edge.contains(&file.as_str()) {
            fs::remove_file(home.path().join(file)).unwrap();
        }
    }
    assert_eq!(open(home.path()).root(), head.root);
}

/// One change of a publication fails, lost or made all the same; then more leaves come and the next publication
/// fails at any of its changes too, or the process dies. Nothing of it may keep the log from opening.
#[test]
fn two_publications_that_fail_anywhere_never_keep_the_log_shut() {
    use crate::disk::faults::Fault::{Lost, MadeButReportedLost};
    // Past the end of a bundle, inside one, up to one exactly, in three steps: before, first try, second try.
    for (from, mid, to) in [(250, 300, 310), (250, 256, 257), (0, 3, 300)] {
        let home = tempfile::tempdir().unwrap();
        let base = home.path().join("base");
        {
            let mut log = open(&base);
            if from > 0 {
                grow(&mut log, 1, &[from]);
            }
        }
        let append = |log: &mut TileLog, to: u64| {
            let leaves: Vec<Vec<u8>> = (log.size()..to).map(|index| leaf(1, index)).collect();
            log.append(&leaves).unwrap();
        };
        let mut number = 0;
        let mut try_it = |first: (usize, _), second: Option<(usize, _)>| -> (usize, usize) {
            number += 1;
            let name = format!("{from}, {mid}, {to}: {first:?}, then {second:?}");
            let directory = home.path().join(format!("{number}"));
            copy(&base, &directory);
            let mut log = open(&directory);
            append(&mut log, mid);
            log.disk.faults.plan(first.0, first.1);
            let failed = log.publish().is_err();
            let changes = (log.disk.faults.changes(), 0);
            let mut shown = log.checkpoint().clone();
            if let (true, Some(second)) = (failed, second) {
                append(&mut log, to);
                log.disk.faults.plan(second.0, second.1);
                let _ = log.publish();
                shown = log.checkpoint().clone();
            }
            let second_changes = log.disk.faults.changes() - changes.0;
            // The process dies here.
            drop(log);
            let mut log =
                reopened(&directory, Some(&shown)).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
            assert!(log.checkpoint().size >= shown.size, "{name}");
            let next = log.size() + 1;
            grow(&mut log, 1, &[next, to + 20]);
            assert_eq!(audit(&directory, Some(&shown)).unwrap().root, naive(1, to + 20).root(), "{name}");
            fs::remove_dir_all(&directory).unwrap();
            (if failed { changes.0 } else { 0 }, second_changes)
        };
        let changes = (0..).take_while(|first| try_it((*first, Lost), None).0 > 0).count();
        assert!(changes >= 4, "tiles, directories, the next head and its name: {changes}");
        for first in 0..changes {
            for fault in [Lost, MadeButReportedLost] {
                try_it((first, fault), None);
                // A second publication without a fault, then with one at each of its changes.
                let (_, again) = try_it((first, fault), Some((usize::MAX / 2, Lost)));
                // Two faults in all their combinations are many: for the first row only.
                for second in (0..again).take_while(|_| to == 310) {
                    try_it((first, fault), Some((second, Lost)));
                    try_it((first, fault), Some((second, MadeButReportedLost)));
                }
            }
        }
    }
}

/// The smallest case of the above: a head that could not be renamed keeps its tiles.
#[test]
fn a_head_that_could_not_be_shown_is_finished_before_its_tiles_are_touched() {
    let home = tempfile::tempdir().unwrap();
    let mut log = open(home.path());
    grow(&mut log, 1, &[250]);
    let checkpoint = home.path().join(CHECKPOINT_FILE);
    let aside = home.path().join("aside");
    fs::rename(&checkpoint, &aside).unwrap();
    fs::create_dir_all(checkpoint.join("in the way")).unwrap();
    let leaves: Vec<Vec<u8>> = (250..300).map(|index| leaf(1, index)).collect();
    log.append(&leaves).unwrap();
    assert!(log.publish().is_err());
    log.append(&[leaf(1, 300)]).unwrap();
    assert!(log.publish().is_err());
    fs::remove_dir_all(&checkpoint).unwrap();
    fs::rename(&aside, &checkpoint).unwrap();
    drop(log);
    let mut log = open(home.path());
    assert_eq!(log.checkpoint().size, 300);
    assert_eq!(grow(&mut log, 1, &[301]).root, naive(1, 301).root());
}
