//! Which certificates a confirmation, and the commit of a new one, supersede.

use crate::rows::*;
use std::time::Duration;
use touchmark_identity::{Actor, CertificateId, PathKind, SpiffeId, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{Envelope, Event, Standing};
use touchmark_ra::{confirm, take_place};

const OVERLAP: Duration = Duration::from_secs(300);

fn superseded(command: &Command) -> Vec<(CertificateId, CertificateId, Timestamp)> {
    let events = command.entries.iter().filter_map(|draft| match &draft.event {
        Event::CertificateSuperseded(e) => Some((e.certificate, e.by, e.effective_at)),
        _ => None,
    });
    events.collect()
}

fn still(row: &CertificateRow) -> Precondition {
    Precondition::CertificateInState { certificate: row.certificate, state: row.state }
}

fn confirmed(proven: &CertificateRow, siblings: &[CertificateRow]) -> Option<Command> {
    let device = device(Standing::Active);
    confirm(Actor::automation(word("test")), "test", proven, Some(&device), siblings, OVERLAP, now())
}

#[test]
fn a_proof_supersedes_every_live_certificate_of_the_identity_that_is_not_newer() {
    use CertificateState::*;
    let another = |row: CertificateRow| CertificateRow {
        identity: Some(SpiffeId {
            trust_domain: word("plant.touchmark.internal"),
            kind: PathKind::Device,
            name: word("pump-01"),
        }),
        ..row
    };
    let rows = [
        ("older and confirmed", certificate(1, Confirmed, 1), true),
        ("older and never proven", certificate(1, Issued, 1), true),
        ("of the same generation, confirmed", certificate(1, Confirmed, 2), true),
        ("of the same generation, never proven", certificate(1, Issued, 2), true),
        ("newer", certificate(1, Issued, 3), false),
        ("newer and confirmed", certificate(1, Confirmed, 3), false),
        ("an intent", certificate(1, Intended, 1), false),
        ("superseded already", certificate(1, Superseded, 1), false),
        ("revoked", certificate(1, Revoked, 1), false),
        ("burned", certificate(1, Burned, 1), false),
        ("of another identity", another(certificate(1, Confirmed, 1)), false),
    ];
    let proven = certificate(9, Issued, 2);
    for (what, other, goes) in rows {
        let siblings = [proven.clone(), other.clone()];
        let command = confirmed(&proven, &siblings).unwrap();
        let expected: Vec<_> =
            goes.then(|| (other.certificate, proven.certificate, now().plus(OVERLAP))).into_iter().collect();
        assert_eq!(superseded(&command), expected, "{what}");
        let active = Precondition::DeviceStanding { device: device_id(1), standing: Standing::Active };
        let mut demanded = vec![still(&proven), active];
        demanded.extend(goes.then(|| still(&other)));
        assert_eq!(command.preconditions, demanded, "{what}: no dead row is brought back");
    }
}

#[test]
fn only_an_issued_certificate_is_confirmed() {
    use CertificateState::*;
    for state in [Intended, Issued, Confirmed, Superseded, Revoked, Burned] {
        let row = certificate(1, state, 1);
        let command = confirmed(&row, std::slice::from_ref(&row));
        assert_eq!(command.is_some(), state == Issued, "{state:?}");
    }
}

#[test]
fn a_device_that_is_held_off_confirms_nothing() {
    let row = certificate(1, CertificateState::Issued, 1);
    for standing in [Standing::Active, Standing::Quarantined, Standing::Banned] {
        let device = device(standing);
        let actor = Actor::automation(word("test"));
        let command = confirm(actor, "test", &row, Some(&device), &[], OVERLAP, now());
        assert_eq!(command.is_some(), standing == Standing::Active, "{standing:?}");
    }
}

#[test]
fn a_new_certificate_takes_the_place_of_what_nobody_proved_at_once() {
    use CertificateState::*;
    let envelope =
        Envelope { scope: scope(), actor: Actor::automation(word("test")), cause: "test".into(), at: now() };
    let mine = certificate(9, Intended, 3);
    for state in [Intended, Issued, Confirmed, Superseded, Revoked, Burned] {
        let mut command = Command { preconditions: Vec::new(), entries: Vec::new() };
        let other = certificate(1, state, 2);
        take_place(&mut command, &envelope, mine.certificate, &[mine.clone(), other.clone()], now());
        let goes = state == Issued;
        let expected: Vec<_> =
            goes.then(|| (other.certificate, mine.certificate, now())).into_iter().collect();
        assert_eq!(superseded(&command), expected, "{state:?}");
        let demanded: Vec<_> = goes.then(|| still(&other)).into_iter().collect();
        assert_eq!(command.preconditions, demanded, "{state:?}");
    }
}
