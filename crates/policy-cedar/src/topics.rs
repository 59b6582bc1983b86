//! `topics.toml`: the named sets of topics and updates that rules speak of, each filled in per device.
//!
//! Cedar cannot put strings together, so `own = "plant/{handle}/#"` stands here and a rule says
//! `resource in Topics::"own"`. Placeholders: `{handle}`, `{model}`, `{environment}`.

use crate::PolicyFault;
use crate::fault::Trouble;
use std::collections::BTreeMap;
use touchmark_policy::{PolicyInputFault, RuleId, Subject, TopicPattern, UpdatePattern};

/// Most names under one heading.
const NAMES_MAX: usize = 256;
/// Most patterns behind one name.
const PATTERNS_MAX: usize = 16;

/// The named sets of one policy.
#[derive(Debug, Default)]
pub(crate) struct NamedPatterns {
    topics: BTreeMap<String, Vec<Template>>,
    updates: BTreeMap<String, Vec<Template>>,
}

impl NamedPatterns {
    /// Reads the file; what is at fault is left out and reported.
    pub(crate) fn read(file: &str, text: &str, faults: &mut Vec<PolicyFault>) -> Self {
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(fault) => {
                let what = fault.message().to_owned();
                faults.push(PolicyFault::new(file, what, "write it as TOML, see the starter policy"));
                return Self::default();
            }
        };
        let mut named = Self::default();
        for (heading, value) in &table {
            let (kind, place) = match heading.as_str() {
                "topics" => (Kind::Topics, &mut named.topics),
                "updates" => (Kind::Updates, &mut named.updates),
                other => {
                    let fix = "named topics stand under `[topics]`, named updates under `[updates]`";
                    faults.push(
                        PolicyFault::new(file, "an unknown heading or a name without one", fix).of(other),
                    );
                    continue;
                }
            };
            let Some(names) = value.as_table() else {
                faults.push(
                    PolicyFault::new(file, "not a heading", format!("write `[{heading}]`")).of(heading),
                );
                continue;
            };
            if names.len() > NAMES_MAX {
                let what = format!("{} names, at most {NAMES_MAX} are accepted", names.len());
                faults.push(PolicyFault::new(file, what, "use placeholders instead of a name per device"));
                continue;
            }
            for (name, value) in names {
                match templates(kind, name, value) {
                    Ok(templates) => {
                        place.insert(name.clone(), templates);
                    }
                    Err((what, fix)) => faults.push(PolicyFault::new(file, what, fix).of(name)),
                }
            }
        }
        named
    }

    pub(crate) fn has_topics(&self, name: &str) -> bool {
        self.topics.contains_key(name)
    }

    pub(crate) fn has_updates(&self, name: &str) -> bool {
        self.updates.contains_key(name)
    }

    /// The patterns behind a topic name for one device; one with a placeholder that the device lacks is left out.
    pub(crate) fn topics(&self, name: &str, subject: &Subject) -> impl Iterator<Item = TopicPattern> {
        fill_all(&self.topics, name, subject).filter_map(|text| TopicPattern::new(&text).ok())
    }

    /// The same for updates.
    pub(crate) fn updates(&self, name: &str, subject: &Subject) -> impl Iterator<Item = UpdatePattern> {
        fill_all(&self.updates, name, subject).filter_map(|text| UpdatePattern::new(&text).ok())
    }

    pub(crate) fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    pub(crate) fn update_names(&self) -> impl Iterator<Item = &str> {
        self.updates.keys().map(String::as_str)
    }
}

fn fill_all(
    map: &BTreeMap<String, Vec<Template>>,
    name: &str,
    subject: &Subject,
) -> impl Iterator<Item = String> {
    let templates = map.get(name).map(Vec::as_slice).unwrap_or_default();
    templates.iter().filter_map(|template| template.fill(&Values::of(subject)))
}

#[derive(Clone, Copy)]
enum Kind {
    Topics,
    Updates,
}

impl Kind {
    fn check(self, text: &str) -> Result<(), PolicyInputFault> {
        match self {
            Self::Topics => TopicPattern::new(text).map(drop),
            Self::Updates => UpdatePattern::new(text).map(drop),
        }
    }
}

fn templates(kind: Kind, name: &str, value: &toml::Value) -> Result<Vec<Template>, Trouble> {
    if RuleId::new(name).is_err() {
        return Err(("not a name".into(), "use 1 to 64 letters, digits, `.`, `_` or `-`".into()));
    }
    let one = core::slice::from_ref(value);
    let texts = value.as_array().map_or(one, Vec::as_slice);
    if texts.is_empty() || texts.len() > PATTERNS_MAX {
        return Err((
            format!("{} patterns, 1 to {PATTERNS_MAX} are accepted", texts.len()),
            "split it into several names".into(),
        ));
    }
    let read = |value: &toml::Value| {
        let text = value.as_str().ok_or_else(|| {
            ("not a pattern".to_owned(), "write a text, or a list of texts, in quotes".to_owned())
        })?;
        let template = Template::read(text)?;
        // The longest values a device can have: whatever fits with them fits with every device's.
        let longest = "x".repeat(Subject::VALUE_OCTETS_MAX);
        let filled = template
            .fill(&Values { handle: &longest, model: Some(&longest), environment: &longest })
            .unwrap_or_default();
        kind.check(&filled)
            .map_err(|fault| (format!("`{text}`: {fault}"), "correct the pattern".to_owned()))?;
        Ok(template)
    };
    texts.iter().map(read).collect()
}

struct Values<'a> {
    handle: &'a str,
    model: Option<&'a str>,
    environment: &'a str,
}

impl<'a> Values<'a> {
    fn of(subject: &'a Subject) -> Self {
        Self {
            handle: subject.handle().as_str(),
            model: subject.model(),
            environment: subject.environment().as_str(),
        }
    }
}

/// A pattern with holes. Values hold no `/`, `+`, `#`, `$` (see [`Subject`]), so filling cannot widen it.
#[derive(Debug)]
struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Literal(String),
    Handle,
    Model,
    Environment,
}

impl Template {
    fn read(text: &str) -> Result<Self, Trouble> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let fix = || "use `{handle}`, `{model}` or `{environment}`".to_owned();
            let (word, after) =
                after.split_once('}').ok_or_else(|| (format!("`{text}`: a `{{` is not closed"), fix()))?;
            pieces.push(Piece::Literal(before.to_owned()));
            pieces.push(match word {
                "handle" => Piece::Handle,
                "model" => Piece::Model,
                "environment" => Piece::Environment,
                other => return Err((format!("`{text}`: unknown placeholder `{{{other}}}`"), fix())),
            });
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        if pieces.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('}'))) {
            return Err((format!("`{text}`: a `}}` without `{{`"), "take it out".to_owned()));
        }
        Ok(Self(pieces))
    }

    /// `None` when the device lacks a value.
    fn fill(&self, values: &Values<'_>) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            text.push_str(match piece {
                Piece::Literal(literal) => literal,
                Piece::Handle => values.handle,
                Piece::Model => values.model?,
                Piece::Environment => values.environment,
            });
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(scope: &[&str]) -> Subject {
        let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
        Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &scope).unwrap()
    }

    fn read(text: &str) -> (NamedPatterns, Vec<PolicyFault>) {
        let mut faults = Vec::new();
        (NamedPatterns::read("topics.toml", text, &mut faults), faults)
    }

    #[test]
    fn placeholders_are_filled_per_device_and_a_missing_value_means_nothing() {
        let (named, faults) = read(
            "[topics]\nx = [\"{environment}/v{model}/{handle}\", \"all/+\"]\n[updates]\nown = \"{model}/*\"",
        );
        assert_eq!(faults, []);
        let topics =
            |subject: &Subject| named.topics("x", subject).map(|p| p.to_string()).collect::<Vec<String>>();
        assert_eq!(topics(&subject(&["model:x2"])), ["lab/vx2/pump-01", "all/+"]);
        assert_eq!(topics(&subject(&[])), ["all/+"]);
        assert_eq!(
            named.updates("own", &subject(&["model:x2"])).map(|p| p.to_string()).next().unwrap(),
            "x2/*"
        );
        assert_eq!(named.updates("own", &subject(&[])).count(), 0);
        assert_eq!(named.topics("absent", &subject(&[])).count(), 0);
    }

    #[test]
    fn every_fault_of_the_file_is_reported_at_once() {
        let (_, faults) = read(concat!(
            "stray = \"a\"\n[topics]\nopen = \"a/{handle\"\nclose = \"a/handle}\"\nunknown = \"a/{owner}\"\n",
            "wild = \"a/{handle}#\"\nempty = \"\"\nnumber = 7\nnone = []\n\"bad name\" = \"a\"\n",
            "shared = \"$share/g/a\"\n[updates]\ndeep = \"a/b/c\"\n[other]\nx = \"a\"\n"
        ));
        let mut rules: Vec<&str> = faults.iter().filter_map(|f| f.rule.as_deref()).collect();
        rules.sort_unstable();
        assert_eq!(
            rules,
            [
                "bad name", "close", "deep", "empty", "none", "number", "open", "other", "shared", "stray",
                "unknown", "wild"
            ]
        );
        assert!(faults.iter().all(|fault| !fault.fix.is_empty()));
    }

    #[test]
    fn text_that_is_no_toml_is_one_fault() {
        let deep = format!("a = {}", "[".repeat(10_000));
        for text in ["[topics", "a = = b", "\0", deep.as_str()] {
            assert_eq!(read(text).1.len(), 1);
        }
    }
}
