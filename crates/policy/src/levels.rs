//! The algebra of topic levels: does a pattern match a topic, hold a filter, or meet it.
//!
//! In: texts whose grammar is already checked. Out: yes or no, without allocation. Every message comes by here, so octets
//! are looked at and not characters: no octet of a longer character is one of `/`, `+`, `#` or a control character.
//! Patterns and filters share one grammar: `+` is one level, a final `#` is any number of levels, none included.
//! Wildcards in the first level never stand for a `$` level (MQTT 5.0 §4.7.2).

use crate::PolicyInputFault;

/// Longest topic, filter or pattern. MQTT allows 65,535; nothing we route comes near, and each octet is logged.
pub(crate) const OCTETS_MAX: usize = 1024;
/// Most levels: bounds the work of one match.
pub(crate) const LEVELS_MAX: usize = 32;

/// Whether wildcards may stand in the text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Refused,
    Allowed,
}

/// Checks a topic name, a filter or a pattern.
pub(crate) fn check(text: &str, wildcards: Wildcards) -> Result<(), PolicyInputFault> {
    if text.is_empty() {
        return Err(PolicyInputFault::Empty);
    }
    if text.len() > OCTETS_MAX {
        return Err(PolicyInputFault::TooLong { octets: text.len(), max: OCTETS_MAX });
    }
    // Branches would keep the compiler from looking at many octets at once.
    let is_plain = text.bytes().fold(true, |plain, octet| plain & (0x20..0x7f).contains(&octet));
    if !is_plain && text.chars().any(|c| c.is_control() || is_non_character(c)) {
        return Err(PolicyInputFault::Control);
    }
    let mut levels = 0;
    let mut closed = false;
    for level in split(text) {
        levels += 1;
        if matches!(level, b"." | b"..") {
            return Err(PolicyInputFault::DotLevel);
        }
        let wild = level.iter().fold(false, |wild, octet| wild | matches!(octet, b'+' | b'#'));
        let allowed = wildcards == Wildcards::Allowed && matches!(level, b"+" | b"#");
        if closed || (wild && !allowed) {
            return Err(PolicyInputFault::Wildcard);
        }
        closed = level == b"#";
    }
    if levels > LEVELS_MAX {
        return Err(PolicyInputFault::TooDeep { levels, max: LEVELS_MAX });
    }
    Ok(())
}

/// Checks that no level is empty. Apart from [`check`]: patterns of policies that are in force may have some, and
/// match nothing there.
pub(crate) fn check_filled(text: &str) -> Result<(), PolicyInputFault> {
    let (mut before, mut empty) = (b'/', false);
    for octet in text.bytes() {
        empty |= before == b'/' && octet == b'/';
        before = octet;
    }
    if empty || before == b'/' { Err(PolicyInputFault::EmptyLevel) } else { Ok(()) }
}

/// Levels, without a search for each: they are short.
fn split(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().split(|octet| *octet == b'/')
}

/// Code points that Unicode sets aside for good (MQTT 5.0 §1.5.4 says that they should not be sent).
fn is_non_character(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

fn starts_wild(text: &str) -> bool {
    text.starts_with(['+', '#'])
}

/// True when the first level of one is a wildcard and of the other a `$` level: they never meet.
fn reserved_apart(one: &str, other: &str) -> bool {
    (starts_wild(one) && other.starts_with('$')) || (one.starts_with('$') && starts_wild(other))
}

/// Does `pattern` match the topic name `topic`?
pub(crate) fn matches(pattern: &str, topic: &str) -> bool {
    if reserved_apart(pattern, topic) {
        return false;
    }
    let mut names = split(topic);
    for level in split(pattern) {
        if level == b"#" {
            return true;
        }
        match names.next() {
            Some(name) if level == b"+" || level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// Does `pattern` match every topic that `filter` matches?
pub(crate) fn contains(pattern: &str, filter: &str) -> bool {
    if reserved_apart(pattern, filter) {
        return false;
    }
    // No topic has zero levels, so the two say the same; the longer form lets `+/#` hold it.
    let filter = if filter == "#" { "+/#" } else { filter };
    let mut others = split(filter);
    for level in split(pattern) {
        if level == b"#" {
            return true;
        }
        match others.next() {
            // The filter also matches its parent level and longer topics; this level of the pattern does not.
            None | Some(b"#") => return false,
            Some(other) if level == b"+" || level == other => {}
            Some(_) => return false,
        }
    }
    others.next().is_none()
}

/// Is there a topic that both match?
pub(crate) fn overlaps(one: &str, other: &str) -> bool {
    if reserved_apart(one, other) {
        return false;
    }
    let (mut left, mut right) = (split(one), split(other));
    loop {
        match (left.next(), right.next()) {
            (Some(b"#"), _) | (_, Some(b"#")) | (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(a), Some(b)) if a == b"+" || b == b"+" || a == b => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
