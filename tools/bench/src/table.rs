//! What was found: lines of figures with their verdicts, as text, as Markdown, and as JSON.

use crate::bars::{Bar, Verdict};
use crate::fault::{Fault, Outcome};
use crate::figure::Figure;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// One line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    /// The bar's id; empty for a figure that is only told.
    pub(crate) id: String,
    pub(crate) section: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// `None`: there is no figure, and `note` says why.
    pub(crate) figure: Option<Figure>,
    pub(crate) rounds: usize,
    pub(crate) first_bar: Option<f64>,
    pub(crate) goal: Option<f64>,
    pub(crate) verdict: Verdict,
    pub(crate) note: String,
}

/// All lines, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
    section: &'static str,
}

impl Table {
    /// What follows belongs under this heading.
    pub(crate) fn section(&mut self, name: &'static str) {
        self.section = name;
        eprintln!("--- {name}");
    }

    /// A figure to compare with.
    pub(crate) fn tell(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        samples: &[f64],
        note: impl Into<String>,
    ) {
        let (what, note) = (what.into(), note.into());
        self.push("", what, unit, Some(samples), Verdict::Told, note);
    }

    /// A figure that is held against its bar.
    pub(crate) fn judge(&mut self, id: &'static str, samples: &[f64], note: impl Into<String>) {
        let Some(bar) = Bar::of(id) else { return };
        let verdict = bar.judge(Figure::of(samples).median);
        self.push(id, bar.what.to_owned(), bar.unit, Some(samples), verdict, note.into());
    }

    /// A peer that is not here: nobody's fault.
    pub(crate) fn skip(&mut self, what: &str, why: &Fault) {
        self.push("", what.to_owned(), "", None, Verdict::Told, format!("skipped: {why}"));
    }

    /// A row of ours without a figure. No data is never a pass.
    pub(crate) fn fail(&mut self, id: &'static str, why: &Fault) {
        let what = Bar::of(id).map_or(id, |bar| bar.what);
        self.push(id, what.to_owned(), "", None, Verdict::Failed, why.to_string());
    }

    fn push(
        &mut self,
        id: &'static str,
        what: String,
        unit: &'static str,
        samples: Option<&[f64]>,
        verdict: Verdict,
        note: String,
    ) {
        let bar = Bar::of(id);
        let line = Line {
            id: id.to_owned(),
            section: self.section,
            what,
            unit,
            figure: samples.map(Figure::of),
            rounds: samples.map_or(0, <[f64]>::len),
            first_bar: bar.and_then(|bar| bar.first),
            goal: bar.and_then(|bar| bar.goal),
            verdict,
            note,
        };
        eprintln!("{}", line.text());
        self.lines.push(line);
    }

    /// Every line.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Ids of rows below their first bar, and of those without a figure.
    pub(crate) fn misses(&self) -> Vec<&Line> {
        self.lines.iter().filter(|line| matches!(line.verdict, Verdict::Missed | Verdict::Failed)).collect()
    }

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for line in &self.lines {
            if line.section != section {
                section = line.section;
                let _ = writeln!(text, "\n{section}");
            }
            let _ = writeln!(text, "{}", line.text());
        }
        text
    }

    /// For docs/performance.md.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for line in &self.lines {
            if line.section != section {
                section = line.section;
                let _ = write!(text, "\n### {section}\n\n");
                text += "| what | median | [min - max] | first bar | goal | | note |\n|---|---|---|---|---|---|---|\n";
            }
            let name =
                if line.id.is_empty() { line.what.clone() } else { format!("{} (`{}`)", line.what, line.id) };
            let (median, range) = line.words();
            let limit = |limit: Option<f64>| limit.map_or(String::new(), number);
            let _ = writeln!(
                text,
                "| {name} | {median} | {range} | {} | {} | {} | {} |",
                limit(line.first_bar),
                limit(line.goal),
                line.word(),
                line.note
            );
        }
        text
    }

    /// Writes `latest.json` and `latest.md` into a folder.
    pub(crate) fn write(&self, folder: &Path, run: &serde_json::Value) -> Outcome<()> {
        std::fs::create_dir_all(folder)?;
        let all = serde_json::json!({ "run": run, "rows": self.lines });
        std::fs::write(folder.join("latest.json"), serde_json::to_vec_pretty(&all)?)?;
        std::fs::write(folder.join("latest.md"), self.markdown())?;
        Ok(())
    }
}

impl Line {
    fn text(&self) -> String {
        let (median, range) = self.words();
        let limits = match (self.first_bar, self.goal) {
            (None, None) => String::new(),
            (first, goal) => {
                let word = |limit: Option<f64>| limit.map_or("-".to_owned(), number);
                format!("bar {} goal {}", word(first), word(goal))
            }
        };
        format!("{:<54} {median:>12} {range:<21} {limits:<22} {:<6} {}", self.what, self.word(), self.note)
    }

    fn words(&self) -> (String, String) {
        match self.figure {
            None => ("-".to_owned(), String::new()),
            Some(figure) if self.rounds < 2 => {
                (format!("{} {}", number(figure.median), self.unit), String::new())
            }
            Some(figure) => (
                format!("{} {}", number(figure.median), self.unit),
                format!("[{} - {}]", number(figure.min), number(figure.max)),
            ),
        }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Told => "",
            Verdict::Goal => "goal",
            Verdict::Met => "met",
            Verdict::Short => "short",
            Verdict::Missed => "MISSED",
            Verdict::Failed => "FAILED",
        }
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_figure_counts_as_a_miss_and_a_missing_peer_does_not() {
        let mut table = Table::default();
        table.skip("nginx", &"not installed".into());
        table.judge("est-keep-alive", &[1.0], "");
        assert!(table.misses().is_empty());
        table.fail("start", &"it did not start".into());
        table.judge("est-fresh", &[9.0], "");
        let ids: Vec<_> = table.misses().iter().map(|line| line.id.as_str()).collect();
        assert_eq!(ids, ["start", "est-fresh"]);
    }

    #[test]
    fn markdown_names_the_row_by_its_id() {
        let mut table = Table::default();
        table.section("issuance");
        table.judge("est-keep-alive", &[2.0, 1.9, 2.1], "64 connections");
        let text = table.markdown();
        assert!(text.contains("(`est-keep-alive`) | 2.00 x | [1.90 - 2.10] | 2.20 | 1.35 | met |"), "{text}");
    }
}
