//! What ARCHITECTURE.md lists, in three fenced blocks.
//!
//! `arrows`: `ca -> x509 journal identity`, or `-> none`. `walls`: `gateway never reaches rusqlite ca`; the
//! left side may be a folder (`crates/*`). `unchecked`: `recorded_unchecked services/authority/src/issue.rs 1`.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::Failed;

/// Crate -> the crates of ours that it may use.
pub(crate) type Arrows = BTreeMap<String, BTreeSet<String>>;
/// (guarded constructor, file) -> number of mentions.
pub(crate) type Sites = BTreeMap<(String, String), usize>;

/// One line of `walls`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wall {
    /// A crate, or a folder of crates written `crates/*`.
    pub(crate) of: String,
    /// Crates, ours or external, that must not be linked into it, however long the way.
    pub(crate) never: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) arrows: Arrows,
    pub(crate) walls: Vec<Wall>,
    pub(crate) unchecked: Sites,
}

impl Listed {
    pub(crate) fn from_page(page: &str) -> Result<Self, Failed> {
        let mut listed = Self { arrows: Arrows::new(), walls: Vec::new(), unchecked: Sites::new() };
        for line in block(page, "arrows")? {
            listed.read_arrow(line)?;
        }
        for line in block(page, "walls")? {
            listed.read_wall(line)?;
        }
        for line in block(page, "unchecked")? {
            listed.read_unchecked(line)?;
        }
        Ok(listed)
    }

    fn read_arrow(&mut self, line: &str) -> Result<(), Failed> {
        let (from, to) =
            line.split_once("->").ok_or_else(|| misread(line, "CRATE -> CRATE..., or -> none"))?;
        let from = from.trim().to_owned();
        let to: BTreeSet<_> =
            to.split_whitespace().filter(|name| *name != "none").map(str::to_owned).collect();
        if let Some(later) = to.iter().find(|name| !self.arrows.contains_key(*name)) {
            return Err(Failed::because(format!(
                "`{from}` points at `{later}`, which is not listed above it"
            )));
        }
        match self.arrows.insert(from, to) {
            None => Ok(()),
            Some(_) => Err(misread(line, "each crate once")),
        }
    }

    fn read_wall(&mut self, line: &str) -> Result<(), Failed> {
        let (of, never) =
            line.split_once("never reaches").ok_or_else(|| misread(line, "CRATE never reaches CRATE..."))?;
        let never = never.split_whitespace().map(str::to_owned).collect();
        self.walls.push(Wall { of: of.trim().to_owned(), never });
        Ok(())
    }

    fn read_unchecked(&mut self, line: &str) -> Result<(), Failed> {
        let fault = || misread(line, "CONSTRUCTOR FILE COUNT, each pair once");
        let [name, file, count] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(fault());
        };
        let count = count.parse().map_err(|_| fault())?;
        match self.unchecked.insert((name.to_owned(), file.to_owned()), count) {
            None => Ok(()),
            Some(_) => Err(fault()),
        }
    }
}

fn misread(line: &str, expected: &str) -> Failed {
    Failed::because(format!("ARCHITECTURE.md: `{line}`: expected {expected}"))
}

/// The lines between "```NAME" and the next "```", without blank lines and `#` comments.
fn block<'a>(page: &'a str, name: &str) -> Result<Vec<&'a str>, Failed> {
    let opening = format!("```{name}");
    let mut lines = page.lines().skip_while(|line| line.trim() != opening);
    if lines.next().is_none() {
        return Err(Failed::because(format!("ARCHITECTURE.md has no block `{opening}`")));
    }
    let body = lines.map(str::trim).take_while(|line| *line != "```");
    Ok(body.filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(arrows: &str, walls: &str, unchecked: &str) -> String {
        format!(
            "# Title\n```arrows\n{arrows}\n```\ntext\n```walls\n{walls}\n```\n```unchecked\n{unchecked}\n```\nend"
        )
    }

    #[test]
    fn the_three_blocks_are_read() {
        let page = page(
            "# lowest first\nidentity -> none\n\nx509 -> identity",
            "crates/* never reaches tokio rustls",
            "recorded_unchecked services/authority/src/issue.rs 2",
        );
        let listed = Listed::from_page(&page).unwrap();
        assert_eq!(listed.arrows["x509"], BTreeSet::from(["identity".to_owned()]));
        assert!(listed.arrows["identity"].is_empty());
        let wall = Wall { of: "crates/*".into(), never: vec!["tokio".into(), "rustls".into()] };
        assert_eq!(listed.walls, [wall]);
        let site = ("recorded_unchecked".to_owned(), "services/authority/src/issue.rs".to_owned());
        assert_eq!(listed.unchecked[&site], 2);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let cases = [
            ("an arrow upward or in a circle", page("a -> b\nb -> none", "", "")),
            ("an arrow to itself", page("a -> a", "", "")),
            ("a crate twice", page("a -> none\na -> none", "", "")),
            ("no arrow in the line", page("a none", "", "")),
            ("a wall without its words", page("", "gateway: rusqlite", "")),
            ("a constructor without a count", page("", "", "recorded_unchecked a.rs")),
            ("a constructor twice", page("", "", "recorded_unchecked a.rs 1\nrecorded_unchecked a.rs 2")),
            ("a missing block", "```arrows\n```".to_owned()),
        ];
        for (name, page) in cases {
            assert!(Listed::from_page(&page).is_err(), "{name}");
        }
    }
}
