//! Where one certificate was used at one gateway, in a bounded number of places.
//!
//! A device chooses its topics, so their number is not ours: past [`RESOURCES_MAX`] places are folded into their
//! longest common prefix of whole levels. A fold keeps the first and the last moment and all counts. What is below a
//! fold is never told apart again, so each use belongs to exactly one place, and counts can be recomputed.

use crate::SightingRow;
use std::borrow::Cow;
use std::collections::BTreeMap;
use touchmark_identity::{Fingerprint, Name, Timestamp};
use touchmark_journal::Scope;

/// Places of one certificate at one gateway. A device uses a few; 256 rows of 256 octets stay below 100 KiB.
pub const RESOURCES_MAX: usize = 256;
/// A fold goes on to here, so that the next new places do not each cost another one.
const FOLDED_TO: usize = 192;
/// Places at the least that the folds of one certificate at one gateway stand for.
pub const FOLDED_MIN: usize = RESOURCES_MAX - FOLDED_TO;
/// Octets of a place. A longer one is folded at once, into as many of its levels as fit.
pub const RESOURCE_OCTETS_MAX: usize = 256;

/// How often, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// Times allowed.
    pub allowed: u64,
    /// Times denied.
    pub denied: u64,
}

impl Seen {
    /// Takes in what was seen at another time.
    pub fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.allowed = self.allowed.saturating_add(other.allowed);
        self.denied = self.denied.saturating_add(other.denied);
    }
}

/// An action, and a topic or path; or what topics and paths begin with.
type Place = (Cow<'static, str>, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    folded: bool,
    seen: Seen,
}

/// The places of one certificate at one gateway; at most [`RESOURCES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    uses: BTreeMap<Place, Use>,
}

impl Sightings {
    /// Adds uses of one place. `folded` says that `resource` is what the resources begin with.
    pub fn add(&mut self, action: Cow<'static, str>, resource: String, folded: bool, seen: &Seen) {
        self.put(action, resource, folded, seen);
        if self.uses.len() > RESOURCES_MAX {
            while self.uses.len() > FOLDED_TO && self.fold() {}
        }
    }

    fn put(&mut self, action: Cow<'static, str>, resource: String, folded: bool, seen: &Seen) {
        let (resource, folded) = bounded(resource, folded);
        if let Some(known) = self.covering(&action, &resource, folded) {
            return known.seen.absorb(seen);
        }
        let place = (action, resource);
        let mut new = Use { folded, seen: *seen };
        if folded {
            self.take_below(&place).iter().for_each(|seen| new.seen.absorb(seen));
        }
        self.uses.insert(place, new);
    }

    /// How many places.
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    /// The place that uses of this one are counted at.
    pub fn place_of(&self, action: &str, resource: &str, folded: bool) -> Option<(&str, &str)> {
        let (resource, folded) = bounded(resource.to_owned(), folded);
        let place = self.covering_place(action, &resource, folded)?;
        self.uses.get_key_value(&place).map(|((action, resource), _)| (&**action, resource.as_str()))
    }

    /// As rows of a gateway, by action and resource.
    pub fn rows<'a>(
        &'a self,
        scope: &'a Scope,
        fingerprint: Fingerprint,
        gateway: &'a Name,
    ) -> impl Iterator<Item = SightingRow> + 'a {
        self.uses.iter().map(move |((action, resource), one)| SightingRow {
            scope: scope.clone(),
            fingerprint,
            relying_party: gateway.clone(),
            action: action.clone().into_owned(),
            resource: resource.clone(),
            first: one.seen.first,
            last: one.seen.last,
            allowed: one.seen.allowed,
            denied: one.seen.denied,
            folded: one.folded,
        })
    }

    fn covering(&mut self, action: &str, resource: &str, folded: bool) -> Option<&mut Use> {
        let place = self.covering_place(action, resource, folded)?;
        self.uses.get_mut(&place)
    }

    fn covering_place(&self, action: &str, resource: &str, folded: bool) -> Option<Place> {
        let mut place = (Cow::Owned(action.to_owned()), resource.to_owned());
        if self.uses.get(&place).is_some_and(|known| known.folded || !folded) {
            return Some(place);
        }
        let mut rest = Some(resource);
        while let Some(prefix) = rest {
            if is_prefix(prefix) {
                place.1.truncate(prefix.len());
                if self.uses.get(&place).is_some_and(|known| known.folded) {
                    return Some(place);
                }
            }
            rest = above(prefix);
        }
        None
    }

    /// Removes everything that begins with a place.
    fn take_below(&mut self, place: &Place) -> Vec<Seen> {
        let below: Vec<Place> = self
            .uses
            .range(place.clone()..)
            .map(|(below, _)| below)
            .take_while(|(action, resource)| *action == place.0 && resource.starts_with(&place.1))
            .cloned()
            .collect();
        below.iter().filter_map(|place| self.uses.remove(place)).map(|one| one.seen).collect()
    }

    /// Folds the places with the longest common prefix, counted in levels, into one; of several such groups the
    /// largest, then the first. Says whether there were two. Far over the limit all such groups go in one turn: rows
    /// that an older version left may be many.
    fn fold(&mut self) -> bool {
        let mut deepest = 0;
        // Runs of neighbours with one and the same prefix, of the deepest level so far: pairs, and the prefix.
        let mut runs: Vec<(usize, Place)> = Vec::new();
        for ((action, one), (next_action, next)) in self.uses.keys().zip(self.uses.keys().skip(1)) {
            if action != next_action {
                continue;
            }
            let prefix = common(one, next);
            let levels = prefix.matches('/').count();
            if levels > deepest {
                deepest = levels;
                runs.clear();
            }
            if levels == deepest {
                match runs.last_mut() {
                    Some((pairs, last)) if last.1 == prefix && last.0 == *action => *pairs += 1,
                    _ => runs.push((1, (action.clone(), prefix.to_owned()))),
                }
            }
        }
        if self.uses.len() <= 2 * RESOURCES_MAX {
            let largest = runs.iter().rev().max_by_key(|(pairs, _)| *pairs).cloned();
            runs = largest.into_iter().collect();
        }
        for (_, place) in &runs {
            let folded = self.take_below(place);
            let Some((first, others)) = folded.split_first() else { continue };
            let mut seen = *first;
            others.iter().for_each(|other| seen.absorb(other));
            self.uses.insert(place.clone(), Use { folded: true, seen });
        }
        !runs.is_empty()
    }
}

impl FromIterator<SightingRow> for Sightings {
    /// Of stored rows of one certificate at one gateway, as many as there are.
    fn from_iter<I: IntoIterator<Item = SightingRow>>(rows: I) -> Self {
        let mut sightings = Self::default();
        for row in rows {
            let seen = row.seen();
            sightings.put(Cow::Owned(row.action), row.resource, row.folded, &seen);
        }
        sightings
    }
}

/// Whether it can stand for what begins with it: nothing, or whole levels.
fn is_prefix(text: &str) -> bool {
    text.is_empty() || text.ends_with('/')
}

/// The whole levels above; `None` above nothing.
fn above(text: &str) -> Option<&str> {
    let inner = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    Some(inner.rfind('/').and_then(|slash| inner.get(..=slash)).unwrap_or_default())
}

/// The longest prefix of whole levels of both.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // A slash is one octet, so the cut is at a character.
    one.as_bytes()
        .get(..same)
        .and_then(|same| same.iter().rposition(|octet| *octet == b'/'))
        .and_then(|slash| one.get(..=slash))
        .unwrap_or_default()
}

fn bounded(resource: String, folded: bool) -> (String, bool) {
    if resource.len() <= RESOURCE_OCTETS_MAX {
        return (resource, folded);
    }
    let mut rest = above(&resource);
    while let Some(prefix) = rest.filter(|prefix| prefix.len() > RESOURCE_OCTETS_MAX) {
        rest = above(prefix);
    }
    (rest.unwrap_or_default().to_owned(), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Seen {
        let at = Timestamp::from_unix_ms(ms);
        Seen { first: at, last: at, allowed: 1, denied: 0 }
    }

    fn places(topics: impl IntoIterator<Item = String>) -> Sightings {
        let mut sightings = Sightings::default();
        for (number, topic) in (1..).zip(topics) {
            sightings.add("publish".into(), topic, false, &at(number));
        }
        sightings
    }

    fn shown(sightings: &Sightings) -> Vec<(&str, bool, u64)> {
        sightings.uses.iter().map(|((_, text), one)| (text.as_str(), one.folded, one.seen.allowed)).collect()
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of rows")]
    fn the_longest_common_levels_are_folded_and_nothing_is_lost() {
        let many = |pattern: fn(u32) -> String, count: u32| (0..count).map(pattern).collect::<Vec<_>>();
        let state = || vec!["plant/p/state".to_owned(), "other".to_owned()];
        let rows: Vec<(&str, Vec<String>, Vec<(&str, bool, u64)>)> = vec![
            (
                "topics side by side",
                [state(), many(|n| format!("plant/p/x/{n}"), 300)].concat(),
                vec![("other", false, 1), ("plant/p/state", false, 1), ("plant/p/x/", true, 300)],
            ),
            (
                "a level in the middle",
                [state(), many(|n| format!("plant/p/{n}/t"), 300)].concat(),
                vec![("other", false, 1), ("plant/p/", true, 301)],
            ),
            ("nothing in common", many(|n| format!("{n}"), 300), vec![("", true, 300)]),
            ("empty levels", many(|n| format!("//{n}"), 300), vec![("//", true, 300)]),
            ("with a slash behind", many(|n| format!("a/{n}/"), 300), vec![("a/", true, 300)]),
            (
                "letters of several octets",
                many(|n| format!("ä/ö{}", char::from_u32(0x4e00 + n).unwrap_or('x')), 300),
                vec![("ä/", true, 300)],
            ),
        ];
        for (what, topics, expected) in rows {
            let count = topics.len() as u64;
            let sightings = places(topics);
            assert_eq!(shown(&sightings), expected, "{what}");
            let first = sightings.uses.values().map(|one| one.seen.first.unix_ms()).min();
            let last = sightings.uses.values().map(|one| one.seen.last.unix_ms()).max();
            assert_eq!((first, last), (Some(1), Some(count)), "{what}: the moments are kept");
        }
    }

    #[test]
    fn the_deepest_group_goes_first_and_others_stay_told_apart() {
        let shallow = (0..60).map(|n| format!("s/{n}"));
        let deep = (0..100).flat_map(|n| (0..2).map(move |m| format!("d/{n}/{m}")));
        let sightings = places(shallow.chain(deep));
        assert!(sightings.uses.len() <= RESOURCES_MAX);
        let folds: Vec<_> = sightings.uses.iter().filter(|(_, one)| one.folded).map(|(p, _)| &p.1).collect();
        assert!(folds.iter().all(|prefix| prefix.starts_with("d/") && prefix.len() > 2), "{folds:?}");
        assert_eq!(shown(&sightings).iter().map(|one| one.2).sum::<u64>(), 260);
    }

    #[test]
    fn places_of_any_shape_stay_within_the_limit() {
        let shapes: [fn(u32) -> String; 4] = [
            |n| format!("plant/p/{n}"),
            |n| format!("{n}/{}", n % 7),
            |n| format!("a/{}/b/{}/c/{n}", n % 300, n % 17),
            |n| format!("{}/{n}", "x".repeat((n % 400) as usize)),
        ];
        for (number, shape) in shapes.into_iter().enumerate() {
            let mut sightings = Sightings::default();
            for n in 0..20_000 {
                let action = if n % 2 == 0 { "publish" } else { "subscribe" };
                sightings.add(action.into(), shape(n), false, &at(n.into()));
                assert!(sightings.uses.len() <= RESOURCES_MAX, "shape {number}");
            }
            assert_eq!(sightings.uses.values().map(|one| one.seen.allowed).sum::<u64>(), 20_000);
            assert!(sightings.uses.keys().all(|(_, text)| text.len() <= RESOURCE_OCTETS_MAX));
        }
    }

    #[test]
    fn many_rows_of_an_older_version_are_folded_in_a_few_turns() {
        let scope = Scope { organisation: "example".parse().expect("a name"), environment: None };
        let gateway: Name = "gw-1".parse().expect("a name");
        let row = |n: u32| SightingRow {
            scope: scope.clone(),
            fingerprint: Fingerprint([1; 32]),
            relying_party: gateway.clone(),
            action: "publish".into(),
            resource: format!("p/{}/{}/{n}", n / 4, n / 2),
            first: Timestamp::from_unix_ms(1),
            last: Timestamp::from_unix_ms(1),
            allowed: 1,
            denied: 0,
            folded: false,
        };
        let mut sightings: Sightings = (0..50_000).map(row).collect();
        assert_eq!(sightings.len(), 50_000);
        sightings.add("publish".into(), "p/new".into(), false, &at(2));
        assert_eq!(shown(&sightings), [("p/", true, 50_001)]);
    }

    #[test]
    fn each_use_belongs_to_one_place_whatever_was_folded_before() {
        let mut sightings = places((0..300).map(|n| format!("plant/p/x/{n}")));
        // What another part of the log was folded into.
        sightings.add("publish".into(), "plant/p/y/1".into(), false, &at(1));
        sightings.add("publish".into(), "plant/p/".into(), true, &at(1));
        assert_eq!(shown(&sightings), [("plant/p/", true, 302)]);
        sightings.add("publish".into(), "plant/p/x/".into(), true, &at(1));
        sightings.add("publish".into(), "plant/p/new".into(), false, &at(1));
        sightings.add("publish".into(), "plant/q".into(), false, &at(1));
        assert_eq!(shown(&sightings), [("plant/p/", true, 304), ("plant/q", false, 1)]);
        for (topic, place) in
            [("plant/p/a/b", Some("plant/p/")), ("plant/q", Some("plant/q")), ("plant/p", None)]
        {
            assert_eq!(sightings.place_of("publish", topic, false).map(|(_, place)| place), place, "{topic}");
        }
        assert_eq!(sightings.place_of("subscribe", "plant/q", false), None);
    }

    #[test]
    fn what_is_too_long_is_counted_at_its_first_levels() {
        let long = "x".repeat(RESOURCE_OCTETS_MAX + 1);
        let rows = [
            (format!("a/b/{long}"), "a/b/"),
            (format!("a/{long}/c"), "a/"),
            (long.clone(), ""),
            (format!("{}/c", "y".repeat(RESOURCE_OCTETS_MAX - 1)), "yy"),
        ];
        for (topic, place) in rows {
            let sightings = places([topic.clone()]);
            let [(shown, folded, 1)] = shown(&sightings)[..] else { panic!("{topic}") };
            assert!(
                folded && shown.starts_with(place) && shown.len() <= RESOURCE_OCTETS_MAX,
                "{topic}: {shown}"
            );
            assert_eq!(sightings.place_of("publish", &topic, false), Some(("publish", shown)));
        }
    }

    #[test]
    fn rows_give_the_same_places_again() {
        let scope = Scope {
            organisation: "example".parse().expect("a name"),
            environment: Some("lab".parse().expect("a name")),
        };
        let gateway: Name = "gw-1".parse().expect("a name");
        let sightings = places((0..290).map(|n| format!("plant/{}/{n}", n % 3)));
        let rows: Vec<_> = sightings.rows(&scope, Fingerprint([1; 32]), &gateway).collect();
        assert_eq!(rows.into_iter().rev().collect::<Sightings>(), sightings);
    }
}
