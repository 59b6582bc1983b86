//! The rows of docs/requirements.md: `| R45 | what must be true | claimed |`.

use crate::report::Failed;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: u16,
    pub(crate) status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// A test shows it, end to end or in the part that the test names.
    Claimed,
    NotYet,
}

/// Reads every table row whose first cell is an id. Ids count up from 1, so that none is lost unseen.
pub(crate) fn read(page: &str) -> Result<Vec<Row>, Failed> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.trim_start().starts_with("| R")) {
        let row = read_row(line)?;
        let expected = u16::try_from(rows.len() + 1).unwrap_or(u16::MAX);
        if row.id != expected {
            return Err(Failed::because(format!(
                "docs/requirements.md: R{} stands where R{expected} should",
                row.id
            )));
        }
        rows.push(row);
    }
    if rows.is_empty() { Err(Failed::because("docs/requirements.md has no rows")) } else { Ok(rows) }
}

fn read_row(line: &str) -> Result<Row, Failed> {
    let misread = || {
        Failed::because(format!(
            "docs/requirements.md: expected `| R1 | text | claimed or not yet |`: {line}"
        ))
    };
    let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [id, text, status] = cells[..] else { return Err(misread()) };
    let id = id.strip_prefix('R').and_then(|id| id.parse().ok()).ok_or_else(misread)?;
    let status = match status {
        "claimed" => Status::Claimed,
        "not yet" => Status::NotYet,
        _ => return Err(misread()),
    };
    if text.is_empty() { Err(misread()) } else { Ok(Row { id, status }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_other_lines_are_not() {
        let page = "# R\n| id | what | status |\n|---|---|---|\n| R1 | one | claimed |\n\ntext\n| R2 | two | not yet |\n";
        let expected = [Row { id: 1, status: Status::Claimed }, Row { id: 2, status: Status::NotYet }];
        assert_eq!(read(page).unwrap(), expected);
    }

    #[test]
    fn a_row_that_says_nothing_clear_is_refused() {
        let cases = [
            ("a status of one's own", "| R1 | one | mostly |"),
            ("no status", "| R1 | one |"),
            ("no text", "| R1 | | claimed |"),
            ("an id that is no number", "| R1a | one | claimed |"),
            ("a gap", "| R2 | two | claimed |"),
            ("a row twice", "| R1 | one | claimed |\n| R1 | one | claimed |"),
            ("no rows", "nothing"),
        ];
        for (name, page) in cases {
            assert!(read(page).is_err(), "{name}");
        }
    }
}
