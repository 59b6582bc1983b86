//! Counts stay exact and entries bounded, whoever hammers with what; the clock is moved by hand.

use super::*;
use touchmark_identity::Timestamp;

const HOUR_S: u64 = 3600;

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn stranger(label: usize, code: usize) -> Kind {
    Kind {
        party: Party::Stranger,
        environment: Some(format!("env-{label}").parse().unwrap()),
        cause: "est/simpleenroll".into(),
        code: format!("code-{code}"),
        device: None,
    }
}

fn known(party: Party, code: &str) -> Kind {
    let device =
        (party == Party::Renewing).then(|| DeviceId::draw(Timestamp::from_unix_s(1_800_000_000), [7; 10]));
    Kind { party, environment: None, cause: "api".into(), code: code.into(), device }
}

/// What was recorded, and what was added, in all and by kind.
#[derive(Default)]
struct Run {
    fold: Fold,
    told: Vec<(u64, Kind, u64)>,
    added: BTreeMap<Kind, u64>,
}

impl Run {
    fn add(&mut self, second: u64, kind: Kind, count: u64) {
        *self.added.entry(kind.clone()).or_default() += count;
        self.fold.add(kind, count, at(second));
    }

    fn turn(&mut self, second: u64) {
        let due = self.fold.due(at(second));
        self.told.extend(due.into_iter().map(|(kind, count)| (second, kind, count)));
    }

    fn finish(&mut self, second: u64) {
        let rest = self.fold.all();
        self.told.extend(rest.into_iter().map(|(kind, count)| (second, kind, count)));
        assert!(self.fold.all().is_empty(), "it is told once");
    }

    fn counted(&self, kind: &Kind) -> u64 {
        self.told.iter().filter(|(_, told, _)| told == kind).map(|(.., count)| count).sum()
    }

    fn total(&self) -> u64 {
        self.told.iter().map(|(.., count)| count).sum()
    }

    fn added(&self) -> u64 {
        self.added.values().sum()
    }
}

#[test]
fn strangers_cost_a_bounded_number_of_entries_and_all_of_them_are_counted() {
    // Name, environments, codes, each so many seconds, entries in the first hour and in the second, own codes kept.
    type Row = (&'static str, usize, usize, u64, usize, usize, bool);
    let rows: &[Row] = &[
        ("one kind, each second", 1, 1, 1, 70, 61, true),
        ("one kind, slower than the first pauses", 1, 1, 7, 70, 61, true),
        ("one kind, every five minutes", 1, 1, 300, 12, 12, true),
        ("one environment", 1, 5, 1, 200, 121, false),
        ("every environment and code", 31, 5, 3, 200, 121, false),
        ("the same, in waves", 31, 5, 61, 200, 121, false),
        ("the same, in slow waves", 31, 5, 200, 200, 121, false),
        ("more kinds than are counted apart", 31, 40, 40, 200, 121, false),
    ];
    for (name, labels, codes, every, first, second, apart) in rows {
        let mut run = Run::default();
        for s in 0..2 * HOUR_S {
            if s % every == 0 {
                (0..*labels).flat_map(|l| (0..*codes).map(move |c| (l, c))).for_each(|(l, c)| {
                    run.add(s, stranger(l, c), 3);
                });
            }
            run.turn(s);
        }
        let early = run.told.iter().filter(|(s, ..)| *s < HOUR_S).count();
        let late = run.told.len() - early;
        assert!(early <= *first && late <= *second, "{name}: {early} and {late} entries");
        run.finish(2 * HOUR_S);
        assert_eq!(run.total(), run.added(), "{name}");
        assert!(run.told.iter().all(|(.., count)| *count > 0), "{name}");
        let exact = run.added.iter().all(|(kind, count)| run.counted(kind) == *count);
        assert_eq!(exact, *apart, "{name}");
    }
}

#[test]
fn the_first_of_a_kind_is_recorded_at_the_next_turn_and_the_same_ones_ever_later() {
    let mut run = Run::default();
    for s in 0..400 {
        run.add(s, stranger(0, 0), 1);
        run.turn(s);
    }
    let seconds: Vec<u64> = run.told.iter().map(|(s, ..)| *s).collect();
    assert_eq!(seconds, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]);
    // After a time of quiet it is new again.
    (400..600).for_each(|s| run.turn(s));
    assert_eq!(run.told.last().map(|(s, _, count)| (*s, *count)), Some((423, 36)));
    for (s, expected) in [(600, 14), (601, 15)] {
        run.add(s, stranger(0, 0), 1);
        run.turn(s);
        assert_eq!(run.told.len(), expected, "{s}");
    }
}

#[test]
fn nothing_waits_longer_than_the_longest_pause() {
    let mut run = Run::default();
    for s in 0..600 {
        for (label, code) in (0..31).flat_map(|label| (0..5).map(move |code| (label, code))) {
            run.add(s, stranger(label, code), 1);
        }
        run.turn(s);
    }
    let before = run.added();
    (0..=2 * PAUSE_MAX.as_secs()).for_each(|s| run.turn(600 + s));
    assert_eq!(run.total(), before);
}

#[test]
fn a_flood_of_strangers_takes_nothing_from_known_parties() {
    let mut run = Run::default();
    for s in 0..600 {
        for (label, code) in (0..31).flat_map(|label| (0..10).map(move |code| (label, code))) {
            run.add(s, stranger(label, code), 1);
        }
        if s % 100 == 50 {
            run.add(s, known(Party::Known, "not-permitted"), 1);
        }
        run.add(s, known(Party::Renewing, "renewal-late"), 2);
        run.turn(s);
        assert_eq!(run.counted(&known(Party::Known, "not-permitted")), (s + 50) / 100, "{s}");
        assert_eq!(run.counted(&known(Party::Renewing, "renewal-late")), 2 * (s + 1), "{s}");
    }
}

#[test]
fn too_many_kinds_of_known_parties_are_counted_together() {
    let mut run = Run::default();
    for code in 0..2 * KINDS_MAX {
        run.add(0, known(Party::Renewing, &format!("code-{code}")), 1);
        run.add(0, known(Party::Known, &format!("code-{code}")), 1);
    }
    run.turn(0);
    assert_eq!(run.told.len(), KINDS_MAX + 1);
    assert_eq!(run.total(), run.added());
    assert_eq!(run.counted(&known(Party::Known, OVERFLOW)), 3 * KINDS_MAX as u64);
}
