//! Whatever a gateway writes reads back; whatever else comes is refused without a panic.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use support::*;
use touchmark_decisions::{
    Act, AddressFamily, CloseCause, EpochOpened, FeedPosition, Frame, FrameBuilder, PolicyChanged,
    PresentedCertificate, Proof, Record, Refused, Resource, SessionClosed, SessionId, SessionOpened, Tls,
    Verdict,
};
use touchmark_identity::{Fingerprint, SerialNumber, Timestamp};
use touchmark_policy::{Action, DenyReason, PolicyVersion, RuleId};

fn at() -> impl Strategy<Value = Timestamp> {
    prop_oneof![(0_u64..5000).prop_map(later), any::<u64>().prop_map(Timestamp::from_unix_ms)]
}

fn session() -> impl Strategy<Value = SessionId> {
    prop_oneof![0_u64..4, any::<u64>()].prop_map(SessionId)
}

fn reason() -> impl Strategy<Value = DenyReason> {
    proptest::sample::select(DenyReason::ALL)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Allow), reason().prop_map(Verdict::Deny)]
}

fn rule() -> impl Strategy<Value = Option<RuleId>> {
    proptest::option::of("[a-c]{1,2}".prop_map(|text| RuleId::new(&text).unwrap()))
}

fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof!["[ab/]{0,3}", "\\PC{0,40}"].prop_map(|text| Resource::from(text.as_str()))
}

fn hash() -> impl Strategy<Value = [u8; 32]> {
    (0_u8..3).prop_map(|octet| [octet; 32])
}

fn status() -> impl Strategy<Value = Option<FeedPosition>> {
    proptest::option::of((any::<u64>(), any::<u64>()).prop_map(|(epoch, seq)| FeedPosition { epoch, seq }))
}

fn certificate() -> impl Strategy<Value = Option<PresentedCertificate>> {
    let serial = proptest::collection::vec(1_u8..128, 1..=20);
    proptest::option::of((any::<[u8; 32]>(), hash(), serial).prop_map(|(fingerprint, issuer, serial)| {
        PresentedCertificate {
            fingerprint: Fingerprint(fingerprint),
            issuer: Fingerprint(issuer),
            serial: SerialNumber::try_from(serial.as_slice()).unwrap(),
        }
    }))
}

fn opened() -> impl Strategy<Value = SessionOpened> {
    let tls = proptest::option::of(any::<(u16, u16, u16)>());
    let proof = proptest::sample::select(vec![Proof::Mtls, Proof::Bridged, Proof::None]);
    let who = ("[a-c]{1,3}", "[a-c]{1,2}", proof, any::<bool>());
    let how = (proptest::option::of(hash()), status(), tls);
    (session(), at(), verdict(), rule(), resource(), certificate(), who, how).prop_map(
        |(
            session,
            at,
            verdict,
            rule,
            resource,
            certificate,
            (handle, environment, proof, v6),
            (policy, status, tls),
        )| {
            SessionOpened {
                session,
                at,
                verdict,
                rule,
                resource,
                certificate,
                handle: handle.parse().unwrap(),
                environment: environment.parse().unwrap(),
                policy: policy.map(PolicyVersion),
                status,
                tls: tls.map(|(version, cipher_suite, group)| Tls { version, cipher_suite, group }),
                proof,
                peer_address_family: if v6 { AddressFamily::V6 } else { AddressFamily::V4 },
            }
        },
    )
}

fn why() -> impl Strategy<Value = CloseCause> {
    let plain = vec![CloseCause::Peer, CloseCause::Lost, CloseCause::Idle, CloseCause::Shutdown];
    prop_oneof![proptest::sample::select(plain), reason().prop_map(CloseCause::Cut)]
}

fn count() -> impl Strategy<Value = core::num::NonZeroU32> {
    let several =
        any::<u32>().prop_map(|n| core::num::NonZeroU32::new(n).unwrap_or(core::num::NonZeroU32::MIN));
    prop_oneof![3 => Just(core::num::NonZeroU32::MIN), 1 => several]
}

fn record() -> impl Strategy<Value = Record> {
    let action = proptest::sample::select(Action::all().collect::<Vec<_>>());
    prop_oneof![
        (at(), any::<bool>(), status()).prop_map(|(at, previous_epoch_clean, status)| {
            Record::EpochOpened(EpochOpened { at, previous_epoch_clean, status })
        }),
        opened().prop_map(Record::SessionOpened),
        ((session(), at(), action, resource(), verdict(), rule()), proptest::option::of(hash()), count())
            .prop_map(|((session, at, action, resource, verdict, rule), policy, count)| {
                let policy = policy.map(PolicyVersion);
                Record::Act(Act { session, at, action, resource, verdict, rule, policy, count })
            }),
        (session(), at(), why()).prop_map(|(session, at, why)| Record::SessionClosed(SessionClosed {
            session,
            at,
            why
        })),
        (any::<u64>(), reason(), any::<u32>())
            .prop_map(|(at_second, reason, count)| Record::Refused(Refused { at_second, reason, count })),
        (at(), hash()).prop_map(|(at, policy)| {
            Record::PolicyChanged(PolicyChanged { at, policy: PolicyVersion(policy) })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_read_back_as_they_were_written(
        records in proptest::collection::vec(record(), 1..20),
        epoch in any::<u32>(),
        first in 0..u64::MAX / 2,
    ) {
        let mut builder = FrameBuilder::new(gateway(), epoch, first);
        for record in &records {
            builder.push(record).unwrap();
        }
        let (length, next) = (builder.bytes_len(), builder.next_sequence());
        let octets = builder.finish();
        prop_assert_eq!(octets.len(), length);
        let frame = Frame::decode(&octets).unwrap();
        prop_assert_eq!(frame.next_sequence(), next);
        prop_assert_eq!((frame.log_epoch, frame.first_sequence), (epoch, first));
        prop_assert_eq!(frame.records, records);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Frame::decode(&octets);
        // With a good header the records are reached.
        let mut octets = [&FrameBuilder::new(gateway(), 1, 0).finish()[..], &octets].concat();
        octets[14] = 3;
        if let Ok(frame) = Frame::decode(&octets) {
            prop_assert_eq!(frame.encode().unwrap(), octets);
        }
    }

    #[test]
    fn a_damaged_frame_never_panics(
        records in proptest::collection::vec(record(), 1..6),
        place in any::<proptest::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut builder = FrameBuilder::new(gateway(), 1, 0);
        for record in &records {
            builder.push(record).unwrap();
        }
        let mut octets = builder.finish();
        let place = place.index(octets.len());
        octets[place] = octet;
        if let Ok(frame) = Frame::decode(&octets) {
            prop_assert_eq!(frame.encode().unwrap(), octets);
        }
    }
}
