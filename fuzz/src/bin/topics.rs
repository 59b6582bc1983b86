//! Topics, filters, patterns, updates and scopes: the algebra against a model that spells topics out.
//!
//! Lines: pattern, filter, topic, update pattern, update path, then scope strings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use touchmark_policy::{Subject, Topic, TopicFilter, TopicPattern, UpdatePath, UpdatePattern};

/// Topics spelled out for one filter; past it the model only checks one direction.
const WITNESSES_MAX: usize = 500;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pattern, filter, topic, update_pattern, update_path) = (line(), line(), line(), line(), line());
    updates(update_pattern, update_path);
    scope(lines.map(str::to_owned).collect());

    let filter = TopicFilter::new(filter);
    if let Ok(filter) = &filter {
        codec_agrees(filter);
    }
    let Ok(pattern) = TopicPattern::new(pattern) else { return };
    if let Ok(topic) = Topic::new(topic) {
        assert_eq!(topic.is_reserved(), topic.as_str().starts_with('$'));
        assert_eq!(pattern.matches(&topic), model(pattern.as_str(), topic.as_str()), "{pattern} {topic}");
    }
    if let Ok(filter) = filter {
        algebra(&pattern, &filter);
    }
});

/// MQTT 5.0 §4.7, straight from the text.
fn model(pattern: &str, topic: &str) -> bool {
    if topic.starts_with('$') && pattern.starts_with(['+', '#']) {
        return false;
    }
    let (pattern, topic): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), topic.split('/').collect());
    match pattern.split_last() {
        Some((&"#", before)) => before.len() <= topic.len() && levels_match(before, &topic[..before.len()]),
        _ => pattern.len() == topic.len() && levels_match(&pattern, &topic),
    }
}

fn levels_match(pattern: &[&str], topic: &[&str]) -> bool {
    pattern.iter().zip(topic).all(|(level, name)| *level == "+" || level == name)
}

fn algebra(pattern: &TopicPattern, filter: &TopicFilter<'_>) {
    let (witnesses, all) = witnesses(filter.matching_part(), pattern.as_str());
    let mut matched = 0;
    let mut counted = 0;
    for witness in &witnesses {
        assert!(model(filter.matching_part(), witness), "the model contradicts itself: {filter} {witness}");
        // `/#` also means its parent, a topic without a letter. MQTT has no such topic; the algebra counts it, which
        // closes a forbid's reach and never opens a permit's.
        let matches = match Topic::new(witness) {
            Ok(topic) => pattern.matches(&topic),
            Err(_) if witness.is_empty() => model(pattern.as_str(), witness),
            Err(_) => continue,
        };
        counted += 1;
        matched += usize::from(matches);
    }
    let (contains, overlaps) = (pattern.contains(filter), pattern.overlaps(filter));
    if contains {
        assert_eq!(matched, counted, "{pattern} is said to hold {filter}");
        assert!(overlaps, "{pattern} holds {filter} and does not meet it");
    } else {
        assert!(!all || matched < counted, "{pattern} is said not to hold {filter}");
    }
    if overlaps {
        assert!(!all || matched > 0, "{pattern} is said to meet {filter}");
    } else {
        assert_eq!(matched, 0, "{pattern} is said not to meet {filter}");
    }
}

/// Topics that `filter` matches, enough of them to tell any two sets apart that a pattern of this form can mean:
/// each wildcard level is once each name of the pattern and once a name of its own, `#` is up to one level more than
/// the pattern has. The flag says whether all were spelled out.
fn witnesses(filter: &str, pattern: &str) -> (Vec<String>, bool) {
    let named: Vec<&str> = pattern.split('/').collect();
    let names: BTreeSet<&str> = named.iter().copied().filter(|level| !matches!(*level, "+" | "#")).collect();
    let own =
        (0..).map(|n| format!("own{n}")).find(|name| !names.contains(name.as_str())).unwrap_or_default();
    let names: Vec<&str> = names.into_iter().chain([own.as_str()]).collect();
    let mut found: Vec<Vec<&str>> = vec![Vec::new()];
    let mut all = true;
    let mut cut = |found: &mut Vec<Vec<&str>>| {
        all &= found.len() <= WITNESSES_MAX;
        found.truncate(WITNESSES_MAX);
    };
    let longer = |found: &[Vec<&'_ str>]| -> Vec<Vec<&str>> { Vec::with_capacity(found.len() * names.len()) };
    for level in filter.split('/') {
        match level {
            "#" => {
                let mut row = found.clone();
                for _ in 0..=named.len() {
                    let mut next = longer(&row);
                    for topic in &row {
                        next.extend(names.iter().map(|name| [topic.as_slice(), &[name]].concat()));
                    }
                    next.truncate(WITNESSES_MAX + 1);
                    found.extend(next.iter().cloned());
                    row = next;
                }
            }
            "+" => {
                let mut next = longer(&found);
                for topic in &found {
                    next.extend(names.iter().map(|name| [topic.as_slice(), &[name]].concat()));
                }
                found = next;
            }
            name => found.iter_mut().for_each(|topic| topic.push(name)),
        }
        cut(&mut found);
    }
    let starts_wild = filter.starts_with(['+', '#']);
    let topics = found
        .into_iter()
        .filter(|topic| topic.first().is_some_and(|first| !starts_wild || !first.starts_with('$')))
        .map(|topic| topic.join("/"));
    (topics.collect(), all)
}

/// A filter that policy decides on is one for the codec too, and the broker will match the same part of it.
fn codec_agrees(filter: &TopicFilter<'_>) {
    let read = touchmark_mqtt::TopicFilter::new(filter.as_str()).expect("what policy takes is MQTT");
    assert_eq!((read.pattern(), read.share_name()), (filter.matching_part(), filter.share_group()));
    assert!(read.discouraged().is_none());
}

fn updates(pattern: &str, path: &str) {
    let path = path.split_once('/').and_then(|(model, file)| UpdatePath::new(model, file).ok());
    if let Some(path) = &path {
        let text = path.to_string();
        assert!(!text.contains("..") && !text.starts_with(['.', '/', '-']) && text.is_ascii());
        let own = UpdatePattern::new(&text).expect("a path is a pattern");
        assert!(own.matches(path));
    }
    let Ok(pattern) = UpdatePattern::new(pattern) else { return };
    let text = pattern.to_string();
    assert_eq!(UpdatePattern::new(&text).as_ref(), Ok(&pattern));
    if let (Some(path), Some((model, file))) = (path, text.split_once('/')) {
        let expected = (model == "*" || model == path.model()) && (file == "*" || file == path.file());
        assert_eq!(pattern.matches(&path), expected);
    }
}

fn scope(scope: Vec<String>) {
    let environment = "lab".parse().expect("a name");
    let handle = "pump-01".parse().expect("a name");
    let Ok(subject) = Subject::from_scope(environment, handle, &scope) else { return };
    assert!(scope.len() <= Subject::SCOPES_MAX);
    for text in &scope {
        let (key, value) = text.split_once(':').expect("a scope has a key");
        assert!(!value.contains(['/', '+', '#', '$', '\0']) && !value.contains("..") && !value.is_empty());
        let kept = match key {
            "model" => subject.model() == Some(value),
            "custody" => subject.custody() == Some(value),
            "group" => subject.groups().iter().any(|group| group == value),
            _ => subject.other_scope().contains(text),
        };
        assert!(kept, "{text} got lost");
    }
}
