//! The algebra against the standard's examples, and against every short topic there is.

use super::*;

#[test]
fn a_pattern_matches_as_mqtt_4_7_says() {
    let rows: &[(&str, &str, &str, bool)] = &[
        ("equal", "a/b", "a/b", true),
        ("case counts", "a/B", "a/b", false),
        ("one level", "a/+", "a/b", true),
        ("one level is one level", "a/+", "a/b/c", false),
        ("one level may be empty", "a/+", "a/", true),
        ("one level is not none", "a/+", "a", false),
        ("leading slash is a level", "+/+", "/finance", true),
        ("leading slash is a level of its own", "/+", "/finance", true),
        ("leading slash is not nothing", "+", "/finance", false),
        ("the rest", "a/#", "a/b/c", true),
        ("the rest holds the parent", "sport/tennis/#", "sport/tennis", true),
        ("the rest does not hold a look-alike", "a/#", "ab", false),
        ("all", "#", "a/b", true),
        ("all is not $", "#", "$SYS/up", false),
        ("one level is not $", "+/up", "$SYS/up", false),
        ("$ by name", "$SYS/#", "$SYS/up", true),
        ("$ later on is a plain level", "a/+", "a/$b", true),
        ("a prefix is no match", "plant/pump-1/#", "plant/pump-10/t", false),
    ];
    for (name, pattern, topic, expected) in rows {
        assert_eq!(matches(pattern, topic), *expected, "{name}: {pattern} {topic}");
    }
}

#[test]
fn holding_and_meeting_of_filters() {
    let rows: &[(&str, &str, &str, bool, bool)] = &[
        ("itself", "cmd/x/#", "cmd/x/#", true, true),
        ("narrower", "cmd/x/#", "cmd/x/+/y", true, true),
        ("the parent", "cmd/x/#", "cmd/x", true, true),
        ("wider", "cmd/x/#", "cmd/#", false, true),
        ("everything", "cmd/x/#", "#", false, true),
        ("side by side", "cmd/x/#", "cmd/y/#", false, false),
        ("wildcard in the handle's place", "cmd/x/#", "cmd/+/go", false, true),
        ("crossing", "a/+/c", "a/b/+", false, true),
        ("all holds all", "#", "#", true, true),
        ("at least one level is all", "+/#", "#", true, true),
        ("all does not meet $", "#", "$SYS/#", false, false),
        ("$ holds $", "$SYS/#", "$SYS/a", true, true),
        ("deeper than the parent", "a/+/#", "a/#", false, true),
    ];
    for (name, pattern, filter, holds, meets) in rows {
        assert_eq!(contains(pattern, filter), *holds, "{name}");
        assert_eq!(overlaps(pattern, filter), *meets, "{name}");
        assert_eq!(overlaps(filter, pattern), *meets, "{name}, turned round");
    }
}

/// All texts of up to `depth` levels over `alphabet`.
fn texts(alphabet: &[&str], depth: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut layer: Vec<String> = alphabet.iter().map(|level| (*level).to_owned()).collect();
    for _ in 0..depth {
        let next =
            layer.iter().flat_map(|t| alphabet.iter().map(move |level| format!("{t}/{level}"))).collect();
        all.append(&mut layer);
        layer = next;
    }
    all
}

#[test]
fn holding_and_meeting_are_exact_for_every_short_topic() {
    // `z` stands for every level that no pattern names.
    let topics = texts(&["a", "$s", "z"], 4);
    let patterns: Vec<String> = texts(&["a", "$s", "+", "#"], 3)
        .into_iter()
        .filter(|text| check(text, Wildcards::Allowed).is_ok())
        .collect();
    assert!(patterns.len() > 50, "{}", patterns.len());
    let matched: Vec<Vec<bool>> =
        patterns.iter().map(|p| topics.iter().map(|t| matches(p, t)).collect()).collect();
    for (pattern, ours) in patterns.iter().zip(&matched) {
        for (filter, theirs) in patterns.iter().zip(&matched) {
            let holds = ours.iter().zip(theirs).all(|(a, b)| *a || !*b);
            let meets = ours.iter().zip(theirs).any(|(a, b)| *a && *b);
            assert_eq!(contains(pattern, filter), holds, "{pattern} holds {filter}");
            assert_eq!(overlaps(pattern, filter), meets, "{pattern} meets {filter}");
        }
    }
}
