//! Whatever the authority publishes, reader and writer agree; whatever a stranger sends, nothing breaks.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::*;
use touchmark_identity::{RevocationReason, SpkiHash};
use touchmark_status::{Change, PolicyBundle, Revocation, Standing, StatusSet, Supersession, open_feed_file};

fn change() -> impl Strategy<Value = Change> {
    let reason = proptest::sample::select(RevocationReason::all().collect::<Vec<_>>());
    let standing =
        proptest::sample::select(vec![Standing::Quarantined, Standing::Banned, Standing::Suspended]);
    let name = "[a-f]".prop_map(|text| text.parse().unwrap());
    let other_name = "[a-f]".prop_map(|text| text.parse().unwrap());
    let key = (0_u8..4).prop_map(|octet| SpkiHash([octet; 32]));
    prop_oneof![
        (1_u8..3, 0_u32..9, reason, 0_u64..99).prop_map(|(of, number, reason, s)| Change::Revoke {
            authority_version: authority(of),
            serial: serial(number),
            revocation: Revocation { at: later(s), reason, not_after: end() },
        }),
        (1_u8..3, 0_u32..9, 0_u64..99).prop_map(|(of, number, s)| Change::Supersede {
            authority_version: authority(of),
            serial: serial(number),
            supersession: Supersession { effective_at: later(s), not_after: later(s * 2) },
        }),
        key.clone().prop_map(Change::DenyKey),
        key.prop_map(Change::AllowKey),
        (name.clone(), standing).prop_map(|(handle, standing)| Change::SetStanding { handle, standing }),
        name.prop_map(Change::ClearStanding),
        (other_name, proptest::collection::vec("\\PC{0,9}", 0..3))
            .prop_map(|(handle, scope)| Change::SetScope { handle, scope }),
        "\\PC{0,99}".prop_map(|topics| Change::Policies(PolicyBundle {
            version: [1; 32],
            files: vec![],
            topics
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reader_and_writer_hold_the_same_after_every_message(
        deltas in proptest::collection::vec(proptest::collection::vec(change(), 0..6), 0..6),
    ) {
        let mut writer = writer();
        let mut set = start(&mut writer);
        for changes in deltas {
            set.apply(&writer.publish(changes, now(), &signer()).unwrap(), now()).unwrap();
            prop_assert_eq!(set.state(), writer.state());
            let fresh = start(&mut writer);
            prop_assert_eq!((fresh.state(), fresh.head()), (set.state(), set.head()));
        }
    }

    #[test]
    fn octets_of_a_stranger_are_refused_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let verifier = signer().verifier();
        prop_assert!(StatusSet::from_snapshot(&octets, &verifier, &environment(), None, now()).is_err());
        prop_assert!(open_feed_file(&octets, &verifier, &environment(), None, now()).is_err());
        prop_assert!(start(&mut writer()).apply(&octets, now()).is_err());
    }
}
