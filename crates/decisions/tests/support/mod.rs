//! One gateway, one device, one of each record.
// Each test binary uses a part of it, and stored bytes are files.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

use core::num::NonZeroU32;
use core::time::Duration;
use std::path::PathBuf;
use touchmark_decisions::{
    Act, AddressFamily, CloseCause, EpochOpened, FeedPosition, Frame, FrameBuilder, PolicyChanged,
    PresentedCertificate, Proof, Record, Refused, Resource, SessionClosed, SessionId, SessionOpened, Tls,
    Verdict,
};
use touchmark_identity::{Fingerprint, Name, SerialNumber, Timestamp};
use touchmark_policy::{Action, DenyReason, PolicyVersion, RuleId};

pub fn later(ms: u64) -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000).plus(Duration::from_millis(ms))
}

pub fn gateway() -> Name {
    "gateway-1".parse().unwrap()
}

pub fn rule(text: &str) -> Option<RuleId> {
    Some(RuleId::new(text).unwrap())
}

pub fn epoch_opened(previous_epoch_clean: bool) -> Record {
    let status = Some(FeedPosition { epoch: 1, seq: 41 });
    Record::EpochOpened(EpochOpened { at: later(0), previous_epoch_clean, status })
}

pub fn opened(session: u64, ms: u64, verdict: Verdict) -> SessionOpened {
    let mut serial = [0x22; 17];
    serial[0] = 1;
    SessionOpened {
        session: SessionId(session),
        at: later(ms),
        verdict,
        rule: rule("starter-connect").filter(|_| verdict == Verdict::Allow),
        resource: Resource::from("pump-01"),
        certificate: Some(PresentedCertificate {
            fingerprint: Fingerprint([session as u8; 32]),
            issuer: Fingerprint([0xee; 32]),
            serial: SerialNumber::try_from(&serial[..]).unwrap(),
        }),
        handle: "pump-01".parse().unwrap(),
        environment: "lab".parse().unwrap(),
        policy: Some(PolicyVersion([0xaa; 32])),
        status: Some(FeedPosition { epoch: 1, seq: 42 }),
        tls: Some(Tls { version: 0x0304, cipher_suite: 0x1301, group: 0x11ec }),
        proof: Proof::Mtls,
        peer_address_family: AddressFamily::V6,
    }
}

pub fn publish(session: u64, ms: u64, topic: &str) -> Record {
    Record::Act(Act {
        session: SessionId(session),
        at: later(ms),
        action: Action::Publish,
        resource: Resource::from(topic),
        verdict: Verdict::Allow,
        rule: rule("starter-publish"),
        policy: None,
        count: NonZeroU32::MIN,
    })
}

/// Several acts that were written down together.
pub fn several(session: u64, ms: u64, levels: &str, count: u32, policy: Option<u8>) -> Record {
    let Record::Act(act) = publish(session, ms, levels) else { unreachable!() };
    let policy = policy.map(|octet| PolicyVersion([octet; 32]));
    Record::Act(Act { count: NonZeroU32::new(count).unwrap(), policy, ..act })
}

pub fn closed(session: u64, ms: u64, why: CloseCause) -> Record {
    Record::SessionClosed(SessionClosed { session: SessionId(session), at: later(ms), why })
}

pub fn policy_changed(ms: u64, octet: u8) -> Record {
    Record::PolicyChanged(PolicyChanged { at: later(ms), policy: PolicyVersion([octet; 32]) })
}

pub fn refused(second: u64, count: u32) -> Record {
    Record::Refused(Refused { at_second: 1_700_000_000 + second, reason: DenyReason::BadPath, count })
}

/// One of each, and each kind of reference.
pub fn every_record() -> Vec<Record> {
    vec![
        epoch_opened(false),
        Record::SessionOpened(opened(1000, 5, Verdict::Allow)),
        publish(1000, 7, "plant/pump-01/temperature"),
        publish(1000, 9, "plant/pump-01/temperature"),
        Record::SessionOpened(opened(1001, 8, Verdict::Deny(DenyReason::Revoked))),
        Record::SessionOpened(SessionOpened {
            certificate: None,
            policy: None,
            status: None,
            tls: None,
            proof: Proof::Bridged,
            peer_address_family: AddressFamily::V4,
            ..opened(1002, 10, Verdict::Allow)
        }),
        Record::Act(Act {
            session: SessionId(1000),
            at: later(12),
            action: Action::Subscribe,
            resource: Resource::from("#"),
            verdict: Verdict::Deny(DenyReason::NoRule),
            rule: None,
            policy: None,
            count: NonZeroU32::MIN,
        }),
        Record::Act(Act {
            session: SessionId(1000),
            at: later(13),
            action: Action::RequestUpdate,
            resource: Resource::from("x200/firmware.bin"),
            verdict: Verdict::Deny(DenyReason::ForbiddenByRule),
            rule: rule("no-updates-today"),
            policy: None,
            count: NonZeroU32::MIN,
        }),
        refused(0, 3),
        policy_changed(1500, 0xbb),
        publish(1002, 1501, "plant/pump-01/temperature"),
        closed(1002, 1502, CloseCause::Peer),
        closed(1000, 1503, CloseCause::Cut(DenyReason::Quarantined)),
    ]
}

/// What version 2 added, beside what version 1 held.
pub fn every_record_of_version_2() -> Vec<Record> {
    let mut records = every_record();
    let last = records.len() - 2;
    records.insert(last, several(1002, 1501, "plant/pump-01/#", 700, None));
    records.insert(last, several(1000, 1501, "plant/pump-01/state", 1, Some(0xaa)));
    records.insert(last, several(1000, 1501, "plant/#", 2, Some(0xcc)));
    records
}

pub fn build(epoch: u32, first_sequence: u64, records: &[Record]) -> Vec<u8> {
    let mut builder = FrameBuilder::new(gateway(), epoch, first_sequence);
    for record in records {
        builder.push(record).unwrap();
    }
    assert_eq!(builder.bytes_len(), {
        let mut again = FrameBuilder::new(gateway(), epoch, first_sequence);
        records.iter().for_each(|record| assert!(again.push(record).is_ok()));
        again.finish().len()
    });
    builder.finish()
}

pub fn frame(epoch: u32, first_sequence: u64, records: &[Record]) -> Frame {
    Frame::decode(&build(epoch, first_sequence, records)).unwrap()
}

/// Compares with `tests/golden/NAME.hex`; `TOUCHMARK_BLESS=1` writes it.
pub fn golden(name: &str, octets: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let lines: Vec<String> = octets.chunks(48).map(hex::encode).collect();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("TOUCHMARK_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
}
