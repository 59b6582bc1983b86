//! What came out: one row a step, told as it happens and once more as a table, or as one JSON object.

use crate::demo::step::Step;
use core::time::Duration;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use touchmark_touchmark::failure::{Failure, printable};
use touchmark_touchmark::output::{Output, Tone, table};

/// What a step measured, when its claim held.
pub(crate) struct Proof {
    /// The time that the claim is about.
    pub(crate) took: Duration,
    /// What was measured, in a sentence.
    pub(crate) says: String,
    /// Decision id, log index, or what else can be looked up afterwards.
    pub(crate) proof: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// A program that the step needs is not installed.
    Skipped,
    /// A step that it builds on failed.
    NotRun,
}

#[derive(Debug, Serialize)]
struct Row {
    step: &'static str,
    claim: &'static str,
    outcome: Outcome,
    ms: Option<u64>,
    says: String,
    proof: String,
}

/// All rows so far, and the terminal on which they are told.
pub(crate) struct Ledger<'a> {
    rows: Vec<Row>,
    output: &'a Output,
    bar: Option<ProgressBar>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(output: &'a Output) -> Self {
        let shown = !output.quiet && !output.is_machine() && touchmark_logging::is_terminal();
        let bar = shown.then(|| {
            let bar = ProgressBar::new(Step::ALL.len() as u64);
            // The template is a constant: a fault in it shows as the plain bar.
            let style = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { rows: Vec::new(), output, bar }
    }

    /// A step begins.
    pub(crate) fn begin(&self, step: Step) {
        if let Some(bar) = &self.bar {
            bar.set_message(step.claim());
        }
    }

    pub(crate) fn passed(&mut self, step: Step, proof: Proof) {
        let ms = Some(u64::try_from(proof.took.as_millis()).unwrap_or(u64::MAX));
        self.push(step, Outcome::Passed, ms, proof.says, proof.proof);
    }

    pub(crate) fn failed(&mut self, step: Step, failure: &Failure) {
        self.push(step, Outcome::Failed, None, failure.brief(), String::new());
    }

    pub(crate) fn skipped(&mut self, step: Step, why: &str) {
        self.push(step, Outcome::Skipped, None, why.to_owned(), String::new());
    }

    pub(crate) fn not_run(&mut self, step: Step) {
        self.push(step, Outcome::NotRun, None, String::new(), String::new());
    }

    fn push(&mut self, step: Step, outcome: Outcome, ms: Option<u64>, says: String, proof: String) {
        let row = Row { step: step.name(), claim: step.claim(), outcome, ms, says: printable(&says), proof };
        if !self.output.is_machine() && outcome != Outcome::NotRun {
            let line = self.tell(&row);
            match &self.bar {
                Some(bar) => {
                    bar.println(line);
                    bar.inc(1);
                }
                None => self.output.note(&line),
            }
        }
        self.rows.push(row);
    }

    fn tell(&self, row: &Row) -> String {
        let mark = match row.outcome {
            Outcome::Passed => self.output.paint(Tone::Good, "✓"),
            Outcome::Failed => self.output.paint(Tone::Bad, "✗"),
            Outcome::Skipped | Outcome::NotRun => self.output.paint(Tone::Dim, "-"),
        };
        format!("{mark} {:<14} {}\n  {:<14} {}", row.step, row.claim, "", row.says)
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.rows.iter().all(|row| matches!(row.outcome, Outcome::Passed | Outcome::Skipped))
    }

    /// The table, or the JSON object.
    pub(crate) fn close(self, took: Duration, data: Option<&str>) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let count = |outcome| self.rows.iter().filter(|row| row.outcome == outcome).count();
        let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
        if self.output.is_machine() {
            let seconds = took.as_secs_f64();
            let all = serde_json::json!({
                "steps": self.rows, "passed": passed, "failed": failed, "seconds": seconds, "data": data,
            });
            return self.output.json(&all);
        }
        let rows = self.rows.iter().map(|row| {
            let outcome = match row.outcome {
                Outcome::Passed => "✓ passed",
                Outcome::Failed => "✗ FAILED",
                Outcome::Skipped => "- skipped",
                Outcome::NotRun => "- not run",
            };
            let time = row.ms.map_or_else(String::new, |ms| format!("{ms} ms"));
            vec![row.step.to_owned(), outcome.to_owned(), time, row.proof.clone()]
        });
        self.output.line(&format!("\n{}", table(&["step", "outcome", "time", "proof"], rows)));
        let total = took.as_secs_f64();
        self.output.line(&format!("\n{passed} passed, {failed} failed, {total:.1} s"));
        Ok(())
    }
}
