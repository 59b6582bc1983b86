//! What is wrong with a policy text, for the person who wrote it.

use core::fmt;

/// What is wrong, and what to do: a fault whose place is not yet known.
pub(crate) type Trouble = (String, String);

/// One fault, with its place and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault {
    /// The file in the bundle; empty when the bundle as a whole is at fault.
    pub file: String,
    /// The line where the statement begins, from 1.
    pub line: Option<usize>,
    /// The rule's `@id`, or the named pattern.
    pub rule: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl PolicyFault {
    pub(crate) fn new(file: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, rule: None, what: what.into(), fix: fix.into() }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn of(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}", self.file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "`{rule}`: ")?;
        }
        write!(f, "{} ({})", self.what, self.fix)
    }
}

/// Every fault that was found, in the order of files and lines; at most [`PolicyFaults::MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFaults(Vec<PolicyFault>);

impl PolicyFaults {
    /// Most faults that are reported: more than a person reads at once.
    pub const MAX: usize = 100;

    /// `Err` when there is a fault.
    pub(crate) fn none_in(mut faults: Vec<PolicyFault>) -> Result<(), Self> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        faults.dedup();
        faults.truncate(Self::MAX);
        Err(Self(faults))
    }

    pub(crate) fn one(fault: PolicyFault) -> Self {
        Self(vec![fault])
    }

    /// The faults; never empty.
    pub fn faults(&self) -> &[PolicyFault] {
        &self.0
    }
}

impl fmt::Display for PolicyFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl core::error::Error for PolicyFaults {}
