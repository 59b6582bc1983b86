//! One table of the configuration, emptied key by key; what is left at the end nobody knows.

use super::Fault;
use core::fmt::Display;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;
use toml::{Table, Value};

/// A table, where it stands, and where its faults go.
pub(super) struct Section<'a> {
    table: Table,
    prefix: String,
    faults: &'a mut Vec<Fault>,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: Table, faults: &'a mut Vec<Fault>) -> Self {
        Self { table, prefix: String::new(), faults }
    }

    pub(super) fn fault(&mut self, key: &str, why: String) {
        self.faults.push(Fault { key: format!("{}{key}", self.prefix), why });
    }

    fn expected<T>(&mut self, key: &str, what: &str) -> Option<T> {
        self.fault(key, format!("expected {what}"));
        None
    }

    fn required(&mut self, key: &str) -> Option<Value> {
        let value = self.table.remove(key);
        if value.is_none() {
            self.fault(key, "is missing".to_owned());
        }
        value
    }

    /// A text in a grammar.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        match self.required(key)? {
            Value::String(text) => match text.parse() {
                Ok(parsed) => Some(parsed),
                Err(error) => {
                    self.fault(key, format!("`{text}`: {error}"));
                    None
                }
            },
            _ => self.expected(key, "a text"),
        }
    }

    /// An absolute path.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        let value = self.required(key)?;
        self.absolute(key, value)
    }

    pub(super) fn optional_path(&mut self, key: &str) -> Option<PathBuf> {
        let value = self.table.remove(key)?;
        self.absolute(key, value)
    }

    fn absolute(&mut self, key: &str, value: Value) -> Option<PathBuf> {
        match value {
            Value::String(text) if text.starts_with('/') => Some(text.into()),
            _ => self.expected(key, "a path that starts with /"),
        }
    }

    /// At least one text or number.
    pub(super) fn words(&mut self, key: &str, count_max: usize) -> Option<Vec<String>> {
        match self.required(key)? {
            Value::Array(list) if list.is_empty() => self.expected(key, "at least one word"),
            value => self.word_list(key, value, count_max),
        }
    }

    /// The same, or none; `None` only after a fault.
    pub(super) fn optional_words(&mut self, key: &str, count_max: usize) -> Option<Vec<String>> {
        match self.table.remove(key) {
            Some(value) => self.word_list(key, value, count_max),
            None => Some(Vec::new()),
        }
    }

    fn word_list(&mut self, key: &str, value: Value, count_max: usize) -> Option<Vec<String>> {
        let Value::Array(list) = value else { return self.expected(key, "a list of words") };
        if list.len() > count_max {
            return self.expected(key, &format!("at most {count_max} words"));
        }
        let words = list.into_iter().map(|word| match word {
            Value::String(text) if !text.contains('\0') => Some(text),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        });
        match words.collect() {
            Some(words) => Some(words),
            None => self.expected(key, "a list of words"),
        }
    }

    /// A span in whole seconds; `None` if it is not given.
    pub(super) fn seconds(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        let value = self.table.remove(key)?;
        let seconds = value.as_integer().and_then(|number| u64::try_from(number).ok());
        match seconds.filter(|seconds| range.contains(seconds)) {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => self.expected(key, &format!("{} to {} seconds", range.start(), range.end())),
        }
    }

    /// Reads each table of `[[key]]`; false after a fault of the list itself.
    pub(super) fn tables(&mut self, key: &str, count_max: usize, mut each: impl FnMut(Section<'_>)) -> bool {
        let tables = match self.table.remove(key) {
            None => return true,
            Some(Value::Array(list)) if list.len() <= count_max => list
                .into_iter()
                .map(|value| if let Value::Table(table) = value { Some(table) } else { None })
                .collect::<Option<Vec<_>>>(),
            Some(_) => None,
        };
        let Some(tables) = tables else {
            self.fault(key, format!("expected at most {count_max} tables, [[{key}]]"));
            return false;
        };
        for (place, table) in tables.into_iter().enumerate() {
            let prefix = format!("{}{key}[{place}].", self.prefix);
            each(Section { table, prefix, faults: &mut *self.faults });
        }
        true
    }

    /// What nobody took.
    pub(super) fn finish(mut self) {
        for (key, _) in std::mem::take(&mut self.table) {
            self.fault(&key, "is not known here".to_owned());
        }
    }
}
