//! Sightings: summed where certificate, place, action and resource are the same, with the log's position.

use super::{Case, Claim};
use crate::journal_builder::name;
use touchmark_identity::{Fingerprint, Timestamp};
use touchmark_inventory::{RESOURCES_MAX, SightingRow};
use touchmark_journal::Scope;

pub(super) const CLAIMS: &[Claim] = &[
    ("sightings of one use are one row: first, last and sums", summed),
    ("sightings differ by certificate, relying party, action and resource", told_apart),
    ("the position of a gateway's log is the last one given, even without sightings", position),
    ("a count that is full stays full", saturates),
    ("past so many places of a certificate at a gateway they are folded, across batches", folded),
];

fn sighting(certificate: u8, at: u64, allowed: u64, denied: u64) -> SightingRow {
    let at = Timestamp::from_unix_ms(at);
    SightingRow {
        scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
        fingerprint: Fingerprint([certificate; 32]),
        relying_party: name("gw-1"),
        action: "publish".into(),
        resource: "plant/pump-01/state".into(),
        first: at,
        last: at,
        allowed,
        denied,
        folded: false,
    }
}

fn summed(case: &mut Case<'_>) {
    let gateway = name("gw-1");
    let seen = [sighting(1, 500, 1, 0), sighting(1, 900, 0, 2), sighting(2, 700, 1, 0)];
    assert_eq!(case.store.add_sightings(&gateway, (1, 3), &seen), Ok(()));
    assert_eq!(case.store.add_sightings(&gateway, (1, 4), &[sighting(1, 100, 4, 0)]), Ok(()));
    let mut expected = sighting(1, 100, 5, 2);
    expected.last = Timestamp::from_unix_ms(900);
    assert_eq!(case.store.sightings_of(&Fingerprint([1; 32])), Ok(vec![expected]));
    assert_eq!(case.store.sightings_of(&Fingerprint([2; 32])), Ok(vec![sighting(2, 700, 1, 0)]));
    assert_eq!(case.store.sightings_of(&Fingerprint([3; 32])), Ok(Vec::new()));
    assert_eq!(case.store.journal_len(), Ok(0), "they are not in the journal");
    assert_eq!(case.store.dump_rows(), Ok(Vec::new()), "nor in the dump");
}

fn told_apart(case: &mut Case<'_>) {
    let base = sighting(1, 100, 1, 0);
    let seen = [
        SightingRow { relying_party: name("gw-2"), ..base.clone() },
        SightingRow { resource: "plant/pump-01/z".into(), ..base.clone() },
        SightingRow { action: "connect".into(), ..base.clone() },
        base,
    ];
    assert_eq!(case.store.add_sightings(&name("gw-1"), (1, 1), &seen), Ok(()));
    let [other_gateway, other_resource, other_action, base] = seen;
    let expected = vec![other_action, base, other_resource, other_gateway];
    assert_eq!(case.store.sightings_of(&Fingerprint([1; 32])), Ok(expected));
}

fn position(case: &mut Case<'_>) {
    let (one, two) = (name("gw-1"), name("gw-2"));
    assert_eq!(case.store.sightings_position(&one), Ok(None));
    for position in [(1, 10), (1, 12), (2, 0), (2, u64::MAX)] {
        assert_eq!(case.store.add_sightings(&one, position, &[]), Ok(()));
        assert_eq!(case.store.sightings_position(&one), Ok(Some(position)));
    }
    assert_eq!(case.store.sightings_position(&two), Ok(None));
}

fn saturates(case: &mut Case<'_>) {
    let full = sighting(1, 100, u64::MAX, u64::MAX - 1);
    for _ in 0..2 {
        assert_eq!(case.store.add_sightings(&name("gw-1"), (1, 1), std::slice::from_ref(&full)), Ok(()));
    }
    let rows = case.store.sightings_of(&Fingerprint([1; 32])).expect("rows can be read");
    assert_eq!(rows.first().map(|row| (row.allowed, row.denied)), Some((u64::MAX, u64::MAX)));
}

fn folded(case: &mut Case<'_>) {
    let gateway = name("gw-1");
    let at_place = |gateway: &str, place: String| SightingRow {
        relying_party: name(gateway),
        resource: place,
        ..sighting(1, 100, 1, 0)
    };
    let mut kept = vec![
        at_place("gw-1", "other/state".into()),
        SightingRow { action: "connect".into(), ..at_place("gw-1", "plant/p/x/1".into()) },
        at_place("gw-2", "plant/p/x/1".into()),
    ];
    assert_eq!(case.store.add_sightings(&gateway, (1, 1), &kept), Ok(()));
    let batches: Vec<Vec<SightingRow>> = (0..RESOURCES_MAX + 10)
        .map(|number| at_place("gw-1", format!("plant/p/x/{number}")))
        .collect::<Vec<_>>()
        .chunks(50)
        .map(<[SightingRow]>::to_vec)
        .collect();
    for batch in &batches {
        assert_eq!(case.store.add_sightings(&gateway, (1, 2), batch), Ok(()));
    }
    let fold = SightingRow {
        folded: true,
        allowed: RESOURCES_MAX as u64 + 10,
        ..at_place("gw-1", "plant/p/x/".into())
    };
    kept.insert(1, fold);
    kept.sort_by(|a, b| {
        (&a.relying_party, &a.action, &a.resource).cmp(&(&b.relying_party, &b.action, &b.resource))
    });
    assert_eq!(case.store.sightings_of(&Fingerprint([1; 32])), Ok(kept));
    // A place below a fold never becomes a row of its own again, nor does what another part was folded into.
    let below = [
        at_place("gw-1", "plant/p/x/1".into()),
        SightingRow { folded: true, ..at_place("gw-1", "plant/p/".into()) },
    ];
    assert_eq!(case.store.add_sightings(&gateway, (1, 3), &below), Ok(()));
    let rows = case.store.sightings_of(&Fingerprint([1; 32])).expect("rows can be read");
    let folds: Vec<_> =
        rows.iter().filter(|row| row.folded).map(|row| (&*row.resource, row.allowed)).collect();
    assert_eq!(folds, [("plant/p/", RESOURCES_MAX as u64 + 12)]);
    assert_eq!(rows.len(), 4);
}
