//! An update file and the patterns that name sets of them: `MODEL/FILE`.

use crate::PolicyInputFault;
use core::fmt;

/// Longest model or file name: fits every file system.
const NAME_OCTETS_MAX: usize = 128;

/// Letters and digits first, so that no name is hidden, climbs, or looks like an option.
fn is_name(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.len() <= NAME_OCTETS_MAX
        && octets.first().is_some_and(u8::is_ascii_alphanumeric)
        && octets.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'+' | b'-'))
        && !text.contains("..")
}

/// One update file of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpdatePath<'a> {
    model: &'a str,
    file: &'a str,
}

impl<'a> UpdatePath<'a> {
    /// Checks both names, already percent-decoded.
    pub fn new(model: &'a str, file: &'a str) -> Result<Self, PolicyInputFault> {
        if is_name(model) && is_name(file) {
            Ok(Self { model, file })
        } else {
            Err(PolicyInputFault::UpdatePath)
        }
    }

    /// The model.
    pub fn model(&self) -> &'a str {
        self.model
    }

    pub fn file(&self) -> &'a str {
        self.file
    }
}

impl fmt::Display for UpdatePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.file)
    }
}

/// A set of update files: `MODEL/FILE`, where either may be `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpdatePattern {
    model: Option<Box<str>>,
    file: Option<Box<str>>,
}

impl UpdatePattern {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Self, PolicyInputFault> {
        let part = |text: &str| match text {
            "*" => Ok(None),
            name if is_name(name) => Ok(Some(name.into())),
            _ => Err(PolicyInputFault::UpdatePattern),
        };
        let (model, file) = text.split_once('/').ok_or(PolicyInputFault::UpdatePattern)?;
        Ok(Self { model: part(model)?, file: part(file)? })
    }

    /// Is `path` one of the files meant?
    pub fn matches(&self, path: &UpdatePath<'_>) -> bool {
        self.model.as_deref().is_none_or(|model| model == path.model)
            && self.file.as_deref().is_none_or(|file| file == path.file)
    }
}

impl fmt::Display for UpdatePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &Option<Box<str>>| name.as_deref().unwrap_or("*").to_owned();
        write!(f, "{}/{}", part(&self.model), part(&self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_path_cannot_leave_its_folder() {
        let rows = [
            ("plain", "x200", "fw-1.2.bin", true),
            ("capital", "X200", "FW.BIN", true),
            ("climbing file", "x200", "..", false),
            ("climbing inside", "x200", "a..b", false),
            ("slash", "x200", "a/b", false),
            ("backslash", "x200", "a\\b", false),
            ("hidden", "x200", ".profile", false),
            ("option", "x200", "-rf", false),
            ("empty model", "", "a", false),
            ("star", "x200", "*", false),
            ("NUL", "x200", "a\0", false),
        ];
        for (name, model, file, good) in rows {
            assert_eq!(UpdatePath::new(model, file).is_ok(), good, "{name}");
        }
        assert!(UpdatePath::new("x200", &"a".repeat(129)).is_err(), "too long");
    }

    #[test]
    fn an_update_pattern_names_a_model_a_file_or_all() {
        let rows = [
            ("x200/*", "x200", "a", true),
            ("x200/*", "x2000", "a", false),
            ("*/readme.txt", "x200", "readme.txt", true),
            ("*/readme.txt", "x200", "fw.bin", false),
            ("*/*", "x200", "a", true),
        ];
        for (pattern, model, file, expected) in rows {
            let parsed = UpdatePattern::new(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            assert_eq!(parsed.matches(&UpdatePath::new(model, file).unwrap()), expected, "{pattern}");
        }
        for bad in ["", "x200", "x200/", "/a", "x200/a/b", "x2*/a", "../a", "x200/#"] {
            assert_eq!(UpdatePattern::new(bad), Err(PolicyInputFault::UpdatePattern), "{bad}");
        }
    }
}
