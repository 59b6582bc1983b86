//! Two programs of ours, pass by pass in turn: what the second needs of what the first needed.
//!
//! Each pass starts a program on an empty directory and measures every family once, without peers. The figure of a row is
//! the median of the ratios of passes that stood side by side: a slow minute of the machine strikes both.
//! Judged are CPU, memory and octets; wall clock is told.

use crate::fault::{Outcome, While as _};
use crate::figure::Figure;
use crate::rows::{Bench, Extent};
use crate::table::{Line, Table};
use crate::{Family, Rows};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Pairs of passes; the order within a pair changes from one to the next.
const PAIRS: usize = 5;
/// More than this in the median fails the comparison.
const SLOWER_MAX: f64 = 1.05;
/// Units whose rows are judged: CPU per operation, memory, octets.
const JUDGED: [&str; 3] = ["us", "KB", "B"];

/// Ratios of each row, one a pair, by heading and name.
type Ratios = BTreeMap<(&'static str, String), (&'static str, Vec<f64>)>;

/// Rows of the newer program that the older one has no figure for, and why.
type Lacking = BTreeMap<String, String>;

/// Compares `new` with `old`. Exit 6: a judged row is slower or larger by more than a twentieth, or has no figure.
/// A row that only the older program has no figure for is named, and fails nothing.
pub(crate) fn run(new: &Path, old: &Path, families: &[(Family, Rows)], venv: &Path) -> Outcome<ExitCode> {
    let mut ratios = Ratios::new();
    let (mut failed, mut lacking) = (BTreeMap::new(), Lacking::new());
    for pair in 0..PAIRS {
        let pass = |program: &Path| self::pass(program, families, venv.to_owned());
        let (of_new, of_old) = match pair % 2 {
            0 => {
                let of_new = pass(new)?;
                (of_new, pass(old)?)
            }
            _ => {
                let of_old = pass(old)?;
                (pass(new)?, of_old)
            }
        };
        failed.extend(without_figure(&of_new).map(|line| (line.what.clone(), line.note.clone())));
        gather(&mut ratios, &mut lacking, &of_new, &of_old);
    }
    Ok(tell(&ratios, &lacking, &failed))
}

fn pass(program: &Path, families: &[(Family, Rows)], venv: PathBuf) -> Outcome<Table> {
    eprintln!("=== {}", program.display());
    let mut bench =
        Bench::start(program, venv, Extent::PASS).while_(&format!("{} starts", program.display()))?;
    for (_, rows) in families {
        rows(&mut bench);
    }
    Ok(std::mem::take(&mut bench.table))
}

/// Rows that should have a figure and have none.
fn without_figure(table: &Table) -> impl Iterator<Item = &Line> {
    table.misses().into_iter().filter(|line| line.figure.is_none())
}

fn gather(ratios: &mut Ratios, lacking: &mut Lacking, new: &Table, old: &Table) {
    let figure = |line: &Line| line.figure.filter(|_| line.unit != "x").map(|figure| figure.median);
    for line in new.lines() {
        let before =
            old.lines().iter().find(|other| (other.section, &other.what) == (line.section, &line.what));
        match (figure(line), before.and_then(figure)) {
            (Some(now), Some(before)) => {
                let row = ratios.entry((line.section, line.what.clone())).or_insert((line.unit, Vec::new()));
                row.1.push(now / before);
            }
            (Some(_), None) => {
                let mut of_section = without_figure(old).filter(|failed| failed.section == line.section);
                let why = of_section.next().map_or("it has no such row", |failed| &failed.note);
                lacking.insert(line.what.clone(), why.to_owned());
            }
            (None, _) => {}
        }
    }
}

fn tell(ratios: &Ratios, lacking: &Lacking, failed: &BTreeMap<String, String>) -> ExitCode {
    let mut slower = failed.len();
    for (what, why) in failed {
        println!("no figure: {what}: {why}");
    }
    for ((section, what), (unit, samples)) in ratios {
        let Figure { median, min, max } = Figure::of(samples);
        let is_slower = JUDGED.contains(unit) && (median.is_nan() || median > SLOWER_MAX);
        slower += usize::from(is_slower);
        let word = match (JUDGED.contains(unit), is_slower) {
            (false, _) => "told",
            (true, false) => "met",
            (true, true) => "MISSED",
        };
        println!("{median:.3} x  [{min:.3} - {max:.3}]  {word:<6}  {what} ({unit}; {section})");
    }
    for (what, why) in lacking {
        println!("not compared: {what}: the older program gives no figure: {why}");
    }
    println!("{slower} rows above {SLOWER_MAX} x, or without a figure");
    if slower == 0 && !ratios.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(crate::MISSED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(us: f64, per_second: f64) -> Table {
        let mut table = Table::default();
        table.section("issuance");
        table.tell("one enrolment", "us", &[us], "");
        table.tell("durable entries", "/s", &[per_second], "");
        table.tell("one enrolment / (sign + verify)", "x", &[us], "");
        table
    }

    #[test]
    fn rows_are_paired_by_name_and_ratios_of_ratios_are_left_out() {
        let mut ratios = Ratios::new();
        let mut lacking = Lacking::new();
        gather(&mut ratios, &mut lacking, &table(110.0, 50.0), &table(100.0, 100.0));
        assert!(lacking.is_empty());
        let found: Vec<_> = ratios.iter().map(|((_, what), (_, of))| (what.as_str(), of[0])).collect();
        assert_eq!(found, [("durable entries", 0.5), ("one enrolment", 1.1)]);
    }

    #[test]
    fn what_the_older_program_lacks_is_named_with_its_reason_and_fails_nothing() {
        let (mut ratios, mut lacking) = (Ratios::new(), Lacking::new());
        let mut old = Table::default();
        old.section("issuance");
        old.tell("one enrolment", "us", &[100.0], "");
        gather(&mut ratios, &mut lacking, &table(100.0, 50.0), &old);
        assert_eq!(lacking["durable entries"], "it has no such row");
        old.fail("log-rate", &"it does not know --flag".into());
        gather(&mut ratios, &mut lacking, &table(100.0, 50.0), &old);
        let expected = Lacking::from([("durable entries".into(), "it does not know --flag".into())]);
        assert_eq!(lacking, expected);
        let code = tell(&ratios, &lacking, &BTreeMap::new());
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn only_cpu_memory_and_octets_fail_a_comparison() {
        for (us, expected) in [(104.0, ExitCode::SUCCESS), (106.0, ExitCode::from(crate::MISSED))] {
            let mut ratios = Ratios::new();
            gather(&mut ratios, &mut Lacking::new(), &table(us, 10.0), &table(100.0, 100.0));
            assert_eq!(
                format!("{:?}", tell(&ratios, &Lacking::new(), &BTreeMap::new())),
                format!("{expected:?}"),
                "{us}"
            );
        }
        assert_eq!(
            format!("{:?}", tell(&Ratios::new(), &Lacking::new(), &BTreeMap::new())),
            format!("{:?}", ExitCode::from(crate::MISSED))
        );
    }
}
