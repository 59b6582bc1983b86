//! What a revocation, a ban and a quarantine record.

use crate::rows::*;
use std::time::Duration;
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{CertificateState, Command, DeviceRow, PartyRow, Precondition, filled, lives};
use touchmark_journal::{Event, IdentityKind, PartyName, Reach, RevokedCertificate, Standing};
use touchmark_ra::{
    Contain, ContainmentFault, RevokeCertificate, RevokeParty, Verb, contain, revoke_certificate,
    revoke_party,
};

const REASON: RevocationReason = RevocationReason::KeyCompromise;

fn party(kind: IdentityKind) -> PartyRow {
    PartyRow {
        scope: scope(),
        kind,
        name: word("ada"),
        roles: vec!["admin".into()],
        reach: Reach::Organisation,
        owner: None,
        registered_at: now(),
        clone_alarms: 0,
        clone_alarm_at: None,
    }
}

fn contained(device: &DeviceRow, verb: Verb, now: Timestamp) -> Result<Command, ContainmentFault> {
    contain(mandate(Contain { device: device.clone(), verb }), now)
}

/// No list that was read before, and no count of it, stands in a revocation: nothing that its holder does meanwhile can
/// make it fail or slip through.
#[test]
fn what_dies_is_named_by_whose_it_is() {
    let device = device(Standing::Active);
    let revoked = contained(&device, Verb::Revoke(REASON), now()).unwrap();
    let banned = contained(&device, Verb::Ban(REASON), now()).unwrap();
    let party = party(IdentityKind::Operator);
    let of_party = revoke_party(mandate(RevokeParty { party, reason: REASON }), now());
    let name = PartyName { kind: IdentityKind::Operator, name: word("ada") };
    let rows: [(&str, Command, Option<_>, Option<_>, Vec<Precondition>); 3] = [
        ("revoke", revoked, Some(device_id(1)), None, vec![]),
        ("ban", banned, Some(device_id(1)), None, vec![Precondition::DeviceNotBanned(device_id(1))]),
        ("of a party", of_party, None, Some(name), vec![]),
    ];
    for (what, command, device, party, preconditions) in rows {
        assert_eq!(command.preconditions, preconditions, "{what}");
        let Some(Event::HolderRevoked(event)) = command.entries.last().map(|draft| &draft.event) else {
            panic!("{what}: {:?}", command.entries);
        };
        assert_eq!((event.device, &event.party), (device, &party), "{what}");
        assert!(event.certificates.is_empty(), "{what}: the store finds them");
        let first = command.entries.first().map(|draft| draft.event.word());
        assert_eq!(first == Some("standing-changed"), what == "ban", "{what}: the standing comes first");
    }
    let row = certificate(1, CertificateState::Confirmed, 1);
    let act = RevokeCertificate { certificate: row.clone(), reason: REASON, reach: Reach::Environment };
    let one = revoke_certificate(mandate(act), now()).unwrap();
    assert_eq!(one.preconditions, [Precondition::CertificateAlive(row.certificate)]);
    let Event::CertificateRevoked(event) = &one.entries[0].event else { panic!("{:?}", one.entries) };
    assert_eq!((event.certificate, event.certificates.len()), (row.certificate, 0));
}

#[test]
fn any_number_of_certificates_is_written_into_entries_that_fit_their_leaves() {
    let rows = [
        ("none", 0, vec![0]),
        ("one", 1, vec![1]),
        ("as many as fit", 1_000, vec![1_000]),
        ("one more", 1_001, vec![1_000, 1]),
        ("many", 2_500, vec![1_000, 1_000, 500]),
    ];
    let device = device(Standing::Active);
    let command = contained(&device, Verb::Revoke(REASON), now()).unwrap();
    let draft = &command.entries[0];
    for (what, count, expected) in rows {
        let found: Vec<_> = (0..count)
            .map(|number| certificate(number, CertificateState::Issued, 1))
            .filter_map(|row| row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki }))
            .collect();
        let drafts = filled(&draft.envelope, &draft.event, &found);
        let parts: Vec<&[RevokedCertificate]> =
            drafts.iter().map(|draft| touchmark_inventory::killed(&draft.event)).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), expected, "{what}");
        assert_eq!(parts.concat(), found, "{what}: each once");
        assert!(drafts.iter().all(|draft| draft.leaf().is_ok()), "{what}");
    }
}

#[test]
fn what_is_dead_and_opens_nothing_is_left_out() {
    use CertificateState::*;
    let last_second = Timestamp::from_unix_s(NOT_AFTER_S).plus(Duration::from_millis(999));
    let expired = Timestamp::from_unix_s(NOT_AFTER_S + 1);
    let rows = [
        ("intended", Intended, now(), true),
        ("issued", Issued, now(), true),
        ("confirmed", Confirmed, now(), true),
        ("superseded", Superseded, now(), true),
        ("revoked", Revoked, now(), false),
        ("burned", Burned, now(), false),
        ("in its last second", Superseded, last_second, true),
        // Within its grace it could still be renewed: who revokes a device that sleeps means that, too.
        ("expired", Confirmed, expired, true),
        ("issued and expired", Issued, expired, true),
        ("an expired intent", Intended, expired, true),
        ("superseded and expired", Superseded, expired, false),
    ];
    for (what, state, at, alive) in rows {
        let row = certificate(1, state, 1);
        assert_eq!(lives(&row, at), alive, "{what}");
        let one = revoke_certificate(
            mandate(RevokeCertificate { certificate: row, reason: REASON, reach: Reach::Environment }),
            at,
        );
        assert_eq!(one.map(drop).err(), (!alive).then_some(ContainmentFault::NothingLive), "{what}");
    }
}

#[test]
fn a_device_is_revoked_whatever_its_standing() {
    for standing in [Standing::Active, Standing::Quarantined, Standing::Banned] {
        let outcome = contained(&device(standing), Verb::Revoke(REASON), now());
        assert!(outcome.is_ok(), "{standing:?}: its earlier tokens are void from now on");
    }
}

/// A quarantine with an end can be made one without, or with another; only a ban is final.
#[test]
fn the_end_of_a_quarantine_can_be_changed_and_what_is_due_ends_only_as_it_was_set() {
    let (soon, later) = (now().plus(Duration::from_secs(60)), now().plus(Duration::from_secs(600)));
    let is = |standing, until| DeviceRow { standing_until: until, ..device(standing) };
    use ContainmentFault::{Already, Banned};
    use Standing::{Active, Quarantined};
    let rows = [
        ("active", is(Active, None), None, Ok(())),
        ("active, for a time", is(Active, None), Some(soon), Ok(())),
        ("timed, made indefinite", is(Quarantined, Some(soon)), None, Ok(())),
        ("timed, made longer", is(Quarantined, Some(soon)), Some(later), Ok(())),
        ("indefinite, given an end", is(Quarantined, None), Some(later), Ok(())),
        ("the same end", is(Quarantined, Some(soon)), Some(soon), Err(Already(Quarantined))),
        ("indefinite already", is(Quarantined, None), None, Err(Already(Quarantined))),
        ("banned", is(Standing::Banned, None), None, Err(Banned)),
    ];
    for (what, device, until, expected) in rows {
        let outcome = contained(&device, Verb::Quarantine(until), now());
        if let Ok(command) = &outcome {
            assert_eq!(command.preconditions, [Precondition::DeviceNotBanned(device_id(1))], "{what}");
            let Event::StandingChanged(changed) = &command.entries[0].event else { panic!("{what}") };
            assert_eq!((changed.standing, changed.until), (Quarantined, until), "{what}");
        }
        assert_eq!(outcome.map(drop), expected, "{what}");
    }
    let held = is(Quarantined, Some(soon));
    let due = contained(&held, Verb::EndQuarantine, later).unwrap();
    let still = Precondition::QuarantinedUntil { device: device_id(1), until: Some(soon) };
    assert_eq!(due.preconditions, [still], "not one that was set meanwhile");
    let by_hand = contained(&held, Verb::Release, later).unwrap();
    let held = Precondition::DeviceStanding { device: device_id(1), standing: Quarantined };
    assert_eq!(by_hand.preconditions, [held]);
}
