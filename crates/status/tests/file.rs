//! The feed as a stored file: good, or refused; and what a large one costs.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)] // a test reads the clock

mod support;

use std::time::Instant;
use support::*;
use touchmark_identity::{EnvironmentName, SpkiHash};
use touchmark_status::{
    Change, FeedFault, FeedVerifier, Position, State, StatusSet, feed_file_entry, open_feed_file,
    recover_feed_file,
};

/// A snapshot at 1.1, deltas to 1.3, a heartbeat.
fn file() -> (Vec<Vec<u8>>, State) {
    let mut writer = writer();
    writer.publish(every_change(), now(), &signer()).unwrap();
    let messages = [
        writer.snapshot(now(), &signer()).unwrap(),
        writer.publish(vec![revoke(1)], now(), &signer()).unwrap(),
        writer.publish(vec![revoke(2)], later(1), &signer()).unwrap(),
        writer.heartbeat(later(9), &signer()).unwrap(),
    ];
    (messages.iter().map(|wire| feed_file_entry(wire).unwrap()).collect(), writer.state().clone())
}

fn open(octets: &[u8], floor: Option<Position>) -> Result<StatusSet, FeedFault> {
    open_feed_file(octets, &signer().verifier(), &environment(), floor, later(10))
}

#[test]
fn a_stored_feed_reads_back_with_its_age() {
    let (entries, state) = file();
    let set = open(&entries.concat(), Some(Position { epoch: 1, seq: 3 })).unwrap();
    assert_eq!(set.state(), &state);
    assert_eq!(set.position(), Position { epoch: 1, seq: 3 });
    assert_eq!(set.age(later(10)).as_secs(), 1);
}

#[test]
fn a_bad_file_is_a_fault_and_never_an_empty_set() {
    let (entries, _) = file();
    let whole = entries.concat();
    let floor = Some(Position { epoch: 1, seq: 3 });
    let rows: &[(&str, Vec<u8>, FeedFault)] = &[
        ("empty", vec![], FeedFault::EmptyFile),
        ("a length of nothing", vec![0; 4], FeedFault::Malformed("cut short or of another type")),
        ("zeros", vec![0; 512], FeedFault::Malformed("cut short or of another type")),
        ("no snapshot first", entries[1..].concat(), FeedFault::NotASnapshot),
        (
            "a delta lost from the middle",
            [&entries[0][..], &entries[2]].concat(),
            FeedFault::Gap { have: Position { epoch: 1, seq: 1 }, got: Position { epoch: 1, seq: 3 } },
        ),
        (
            "deltas lost from the end",
            entries[..2].concat(),
            FeedFault::Older { have: Position { epoch: 1, seq: 3 }, got: Position { epoch: 1, seq: 2 } },
        ),
        (
            "octets after the end",
            [&whole[..], b"x"].concat(),
            FeedFault::Malformed("the stored feed is cut short"),
        ),
    ];
    for (name, octets, fault) in rows {
        assert_eq!(open(octets, floor).err().as_ref(), Some(fault), "{name}");
    }
    let plant: EnvironmentName = "plant".parse().unwrap();
    let elsewhere = open_feed_file(&whole, &signer().verifier(), &plant, floor, later(10));
    assert_eq!(elsewhere.err(), Some(FeedFault::WrongEnvironment { got: "lab".into() }));
    let other_key = open_feed_file(&whole, &FeedVerifier::new([1; 32]), &environment(), floor, later(10));
    assert_eq!(other_key.err(), Some(FeedFault::WrongSignature));
}

#[test]
fn a_file_cut_or_flipped_anywhere_is_refused() {
    let (entries, _) = file();
    let whole = entries.concat();
    let last = whole.len() - entries[3].len();
    let floor = Some(Position { epoch: 1, seq: 3 });
    for length in 0..whole.len() {
        // Without its heartbeat the feed is only older, which its age says.
        assert_eq!(open(&whole[..length], floor).is_ok(), length == last, "cut at {length}");
    }
    for index in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[index] ^= 1 << (index % 8);
        assert!(open(&flipped, floor).is_err(), "flipped at {index}");
    }
}

/// A crash leaves an incomplete message at the end, or zeros: what was whole before it is used if it reaches the floor.
#[test]
#[expect(clippy::type_complexity, reason = "a table of rows")]
fn a_torn_tail_costs_the_last_message_only() {
    let (entries, _) = file();
    let whole = entries.concat();
    let ends: Vec<usize> = entries
        .iter()
        .scan(0, |end, entry| {
            *end += entry.len();
            Some(*end)
        })
        .collect();
    let recover = |octets: &[u8], seq: Option<u64>| {
        let floor = seq.map(|seq| Position { epoch: 1, seq });
        let recovered = recover_feed_file(octets, &signer().verifier(), &environment(), floor, later(10));
        recovered.map(|(set, length)| (set.position().seq, length))
    };
    // The fourth message is a heartbeat.
    let seqs = [1, 2, 3, 3];
    for length in 0..=whole.len() {
        let reached = ends.iter().rposition(|end| *end <= length);
        let expected = reached.map(|at| (seqs[at], ends[at]));
        assert_eq!(recover(&whole[..length], None).ok(), expected, "cut at {length}");
        let enough = expected.filter(|(seq, _)| *seq >= 3);
        assert_eq!(recover(&whole[..length], Some(3)).ok(), enough, "cut at {length}, under a floor");
    }
    let rows: &[(&str, Vec<u8>, Option<(u64, usize)>)] = &[
        (
            "zeros of a block that was never written",
            [&whole[..], &[0; 4096]].concat(),
            Some((3, whole.len())),
        ),
        ("three zeros", [&whole[..], &[0; 3]].concat(), Some((3, whole.len()))),
        ("zeros alone", vec![0; 512], None),
        ("a length of more than there is", [&whole[..], &[0, 0, 1, 0, 7]].concat(), Some((3, whole.len()))),
        ("a whole message that does not verify", [&whole[..], &[0, 0, 0, 1, 7]].concat(), None),
        ("zeros and then something", [&whole[..], &[0; 64], b"x"].concat(), None),
        ("a delta lost from the middle", [&entries[0][..], &entries[2]].concat(), None),
        ("one that came again", [&whole[..], &entries[1]].concat(), None),
    ];
    for (name, octets, expected) in rows {
        assert_eq!(recover(octets, None).ok(), *expected, "{name}");
    }
    for index in 0..ends[2] {
        let mut flipped = whole.clone();
        flipped[index] ^= 1 << (index % 8);
        assert!(recover(&flipped, Some(3)).is_err(), "flipped at {index}");
    }
}

/// Cost is linear in what is revoked; the printed times are for an unoptimised build.
fn large(count: u32) {
    let mut writer = writer();
    for batch in 0..count / 1000 {
        let changes = (0..1000)
            .flat_map(|entry| {
                let number = batch * 1000 + entry;
                let mut spki = [0; 32];
                spki[..4].copy_from_slice(&number.to_be_bytes());
                [revoke(number), Change::DenyKey(SpkiHash(spki))]
            })
            .collect();
        writer.publish(changes, now(), &signer()).unwrap();
    }
    let begin = Instant::now();
    let snapshot = writer.snapshot(now(), &signer()).unwrap();
    let written = begin.elapsed();
    let begin = Instant::now();
    let set = StatusSet::from_snapshot(&snapshot, &signer().verifier(), &environment(), None, now()).unwrap();
    let read = begin.elapsed();
    println!(
        "{count} revoked: {} octets, written in {written:?}, verified and read in {read:?}",
        snapshot.len()
    );
    assert_eq!(set.state(), writer.state());
    assert!(read.as_secs() < 60, "quadratic?");
}

#[test]
fn a_snapshot_of_a_hundred_thousand_revoked_is_read_in_linear_time() {
    large(100_000);
}

#[test]
#[ignore = "measures: three seconds without optimisation, a fraction of one with --release"]
fn a_snapshot_of_a_million_revoked_is_read_in_linear_time() {
    large(1_000_000);
}
