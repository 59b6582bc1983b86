//! The connected device as rules see it: its name, its environment, and what its certificate's scope says.

use crate::PolicyInputFault;
use touchmark_identity::{EnvironmentName, Name};

/// Attributes of one connected identity, read from its certificate (RFC 5280 private extension, set by the RA).
///
/// Values are safe inside a topic level: none holds `/`, `+`, `#`, `$` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    environment: EnvironmentName,
    handle: Name,
    model: Option<String>,
    custody: Option<String>,
    groups: Vec<String>,
    other: Vec<String>,
}

impl Subject {
    /// Most scope strings in one certificate.
    pub const SCOPES_MAX: usize = 64;
    /// Longest value of one scope string.
    pub const VALUE_OCTETS_MAX: usize = 64;

    /// Reads scope strings: `model:x200`, `custody:software`, `group:pumps` (any number), others kept whole.
    ///
    /// A scope that cannot be read refuses the whole: leaving one out could leave out what a forbid looks for.
    pub fn from_scope(
        environment: EnvironmentName,
        handle: Name,
        scope: &[String],
    ) -> Result<Self, PolicyInputFault> {
        if scope.len() > Self::SCOPES_MAX {
            return Err(PolicyInputFault::TooManyScopes { scopes: scope.len(), max: Self::SCOPES_MAX });
        }
        let mut subject =
            Self { environment, handle, model: None, custody: None, groups: Vec::new(), other: Vec::new() };
        for text in scope {
            let bad =
                || PolicyInputFault::Scope { scope: text.chars().take(Self::VALUE_OCTETS_MAX).collect() };
            let (key, value) = text.split_once(':').ok_or_else(bad)?;
            if !is_key(key) || !is_value(value) {
                return Err(bad());
            }
            match key {
                "model" => put_once(&mut subject.model, "model", value)?,
                "custody" => put_once(&mut subject.custody, "custody", value)?,
                "group" => subject.groups.push(value.to_owned()),
                _ => subject.other.push(text.clone()),
            }
        }
        for set in [&mut subject.groups, &mut subject.other] {
            set.sort_unstable();
            set.dedup();
        }
        Ok(subject)
    }

    /// The environment it was issued in.
    pub fn environment(&self) -> &EnvironmentName {
        &self.environment
    }

    /// Its name in that environment.
    pub fn handle(&self) -> &Name {
        &self.handle
    }

    /// Its model, when the certificate says one.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// How its key is kept, when the certificate says so.
    pub fn custody(&self) -> Option<&str> {
        self.custody.as_deref()
    }

    /// Its groups, sorted, each once.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// All other scope strings as they stand, sorted, each once.
    pub fn other_scope(&self) -> &[String] {
        &self.other
    }
}

fn put_once(place: &mut Option<String>, key: &'static str, value: &str) -> Result<(), PolicyInputFault> {
    match place.replace(value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(PolicyInputFault::ScopeTwice { key }),
    }
}

fn is_key(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

fn is_value(text: &str) -> bool {
    (1..=Subject::VALUE_OCTETS_MAX).contains(&text.len())
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        && !text.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(scope: &[&str]) -> Result<Subject, PolicyInputFault> {
        let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
        Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &scope)
    }

    #[test]
    fn scope_strings_become_attributes() {
        let subject =
            read(&["group:pumps", "model:x200", "line:7", "custody:software", "group:hall-2", "group:pumps"])
                .unwrap();
        assert_eq!((subject.model(), subject.custody()), (Some("x200"), Some("software")));
        assert_eq!(subject.groups(), ["hall-2", "pumps"]);
        assert_eq!(subject.other_scope(), ["line:7"]);
        assert_eq!(read(&[]).unwrap().model(), None);
    }

    #[test]
    fn a_scope_that_could_change_a_topic_or_hide_a_group_refuses_the_whole() {
        let long = format!("group:{}", "a".repeat(65));
        let rows: &[(&str, &[&str])] = &[
            ("no key", &["pumps"]),
            ("empty value", &["group:"]),
            ("empty key", &[":a"]),
            ("wildcard", &["model:+"]),
            ("the rest", &["model:#"]),
            ("a level more", &["model:a/b"]),
            ("climbing", &["model:a..b"]),
            ("reserved", &["model:$SYS"]),
            ("newline", &["group:a\nb"]),
            ("two models", &["model:a", "model:b"]),
            ("two custodies", &["custody:a", "custody:b"]),
            ("too long", &[&long]),
            ("too many", &["group:a"; 65]),
        ];
        for (name, scope) in rows {
            assert!(read(scope).is_err(), "{name}");
        }
    }
}
