//! What a revocation and a ban record.

use crate::rows::*;
use std::time::Duration;
use touchmark_identity::{CertificateId, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, Precondition};
use touchmark_journal::{Event, Standing};
use touchmark_ra::{Act, ContainmentFault, ban, revoke};

const REASON: RevocationReason = RevocationReason::KeyCompromise;

/// The certificates of each revocation event.
fn killed(command: &Command) -> Vec<Vec<CertificateId>> {
    let events = command.entries.iter().filter_map(|draft| match &draft.event {
        Event::CertificatesRevoked(event) => {
            assert_eq!(event.device, Some(device_id(1)), "each voids the device's tokens");
            Some(event.certificates.iter().map(|one| one.certificate).collect())
        }
        _ => None,
    });
    events.collect()
}

fn both(rows: &[CertificateRow], at: Timestamp) -> [(&'static str, Command); 2] {
    let device = device(Standing::Active);
    [
        ("revoke", revoke(mandate(Act::DeviceRevoke), &device, rows, REASON, at).unwrap()),
        ("ban", ban(mandate(Act::DeviceBan), &device, rows, REASON, at).unwrap()),
    ]
}

#[test]
fn any_number_of_certificates_is_killed_in_one_command_of_entries_that_fit_their_leaves() {
    let rows = [
        ("none", 0, vec![0]),
        ("one", 1, vec![1]),
        ("as many as fit", 1_000, vec![1_000]),
        ("one more", 1_001, vec![1_000, 1]),
        ("what broke before", 1_300, vec![1_000, 300]),
        ("many", 2_500, vec![1_000, 1_000, 500]),
    ];
    for (what, count, expected) in rows {
        let certificates: Vec<_> =
            (0..count).map(|number| certificate(number, CertificateState::Superseded, 1)).collect();
        for (verb, command) in both(&certificates, now()) {
            let killed = killed(&command);
            assert_eq!(killed.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{verb} {what}");
            let all: Vec<_> = certificates.iter().map(|row| row.certificate).collect();
            assert_eq!(killed.concat(), all, "{verb} {what}: each once");
            assert!(command.entries.iter().all(|draft| draft.leaf().is_ok()), "{verb} {what}");
            let counted = Precondition::DeviceCertificates { device: device_id(1), count: count.into() };
            assert!(command.preconditions.contains(&counted), "{verb} {what}");
        }
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
        ("in its last second", Confirmed, last_second, true),
        // Within its grace it could still be renewed: who revokes a device that sleeps means that, too.
        ("expired", Confirmed, expired, true),
        ("issued and expired", Issued, expired, true),
        ("an expired intent", Intended, expired, true),
        ("superseded and expired", Superseded, expired, false),
    ];
    for (what, state, at, dies) in rows {
        let row = certificate(1, state, 1);
        let expected = if dies { vec![row.certificate] } else { vec![] };
        for (verb, command) in both(std::slice::from_ref(&row), at) {
            assert_eq!(killed(&command), std::slice::from_ref(&expected), "{verb} {what}");
        }
    }
}

#[test]
fn a_revocation_is_refused_only_without_its_mandate() {
    for standing in [Standing::Active, Standing::Quarantined, Standing::Banned] {
        let device = device(standing);
        let outcome = revoke(mandate(Act::DeviceRevoke), &device, &[], REASON, now());
        assert!(outcome.is_ok(), "{standing:?}: its earlier tokens are void from now on");
        let other = revoke(mandate(Act::DeviceBan), &device, &[], REASON, now());
        assert_eq!(other.map(|_| ()), Err(ContainmentFault::Mandate), "{standing:?}");
    }
}
