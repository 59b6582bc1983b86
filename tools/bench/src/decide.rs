//! Deciding: a publish against the table of one identity, its record, and the gateway's status check.

use crate::Row;
use std::hint::black_box;
use touchmark_decisions::{Act, FrameBuilder, Record, Resource, SessionId, Verdict};
use touchmark_identity::{AuthorityVersionId, Name, RevocationReason, SerialNumber, SpkiHash, Timestamp};
use touchmark_policy::{Action, Decision, DecisionTable, RuleId, Subject, Topic};
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle};
use touchmark_status::{Change, FeedSigner, FeedWriter, Presented, Revocation, StatusSet};

pub(crate) const BOTH: &str = "publish: decide and record";
const REVOKED: u32 = 100_000;

fn table() -> DecisionTable {
    let compiled = CompiledPolicy::compile(&PolicyBundle::starter()).expect("the starter compiles");
    let environment = "lab".parse().expect("a name");
    let handle = "pump-01".parse().expect("a name");
    let scope = ["model:x200".to_owned(), "custody:software".to_owned()];
    compiled.specialise(&Subject::from_scope(environment, handle, &scope).expect("a scope"))
}

fn allowed(table: &DecisionTable) -> RuleId {
    let topic = Topic::new("plant/pump-01/temp").expect("a topic");
    match table.publish(&topic) {
        Decision::Permit(permit) => permit.rule.clone(),
        Decision::Deny(denial) => panic!("the starter policy permits it: {denial:?}"),
    }
}

struct Records {
    builder: FrameBuilder,
    gateway: Name,
    at: Timestamp,
}

impl Records {
    fn push(&mut self, rule: RuleId) {
        self.at = Timestamp::from_unix_ms(self.at.unix_ms() + 1);
        let record = Record::Act(Act {
            session: SessionId(1),
            at: self.at,
            action: Action::Publish,
            resource: Resource::from("plant/pump-01/temp"),
            verdict: Verdict::Allow,
            rule: Some(rule),
            policy: None,
            count: core::num::NonZeroU32::MIN,
        });
        if self.builder.push(&record).is_err() {
            let next = FrameBuilder::new(self.gateway.clone(), 1, self.builder.next_sequence());
            black_box(std::mem::replace(&mut self.builder, next).finish());
            self.builder.push(&record).expect("an empty frame takes a record");
        }
    }
}

fn revoked_set() -> (StatusSet, AuthorityVersionId) {
    let now = Timestamp::from_unix_s(1_800_000_000);
    let signer = FeedSigner::from_seed(&[9; 32]).expect("a seed");
    let domain = "lab.touchmark.internal".parse().expect("a host name");
    let environment: touchmark_identity::EnvironmentName = "lab".parse().expect("a name");
    let mut writer = FeedWriter::new(environment.clone(), domain, 1);
    let version = AuthorityVersionId::draw(now, [3; 10]);
    let revocation =
        Revocation { at: now, reason: RevocationReason::KeyCompromise, not_after: Timestamp::MAX };
    let changes = (0..REVOKED)
        .map(|n| Change::Revoke { authority_version: version, serial: serial(n), revocation })
        .collect();
    writer.publish(changes, now, &signer).expect("changes");
    let snapshot = writer.snapshot(now, &signer).expect("a snapshot");
    let set = StatusSet::from_snapshot(&snapshot, &signer.verifier(), &environment, None, now);
    (set.expect("our own snapshot"), version)
}

fn serial(n: u32) -> SerialNumber {
    let mut random = [0x55; 16];
    random[..4].copy_from_slice(&n.to_be_bytes());
    SerialNumber::draw(touchmark_identity::Incarnation::FIRST, random)
}

pub(crate) fn rows() -> Vec<Row> {
    let (decide, both) = (table(), table());
    let rule = allowed(&both);
    let gateway: Name = "bench".parse().expect("a name");
    let mut records = Records {
        builder: FrameBuilder::new(gateway.clone(), 1, 0),
        gateway,
        at: Timestamp::from_unix_s(1_800_000_000),
    };
    let (set, version) = revoked_set();
    let handle: Name = "pump-01".parse().expect("a name");
    let mut turn = 0_u32;
    vec![
        Row {
            name: "publish: decide",
            times: 200_000,
            work: Box::new(move || {
                let topic = Topic::new(black_box("plant/pump-01/temp")).expect("a topic");
                assert!(black_box(decide.publish(&topic).permitted()).is_ok(), "the starter permits it");
            }),
        },
        Row {
            name: BOTH,
            times: 200_000,
            work: Box::new(move || {
                let topic = Topic::new(black_box("plant/pump-01/temp")).expect("a topic");
                assert!(black_box(both.publish(&topic).permitted()).is_ok(), "the starter permits it");
                records.push(rule.clone());
            }),
        },
        Row {
            name: "status check, 100,000 revoked",
            times: 200_000,
            work: Box::new(move || {
                turn = turn.wrapping_add(1);
                let presented = Presented {
                    authority_version: version,
                    serial: serial(turn),
                    spki: SpkiHash([1; 32]),
                    handle: &handle,
                    not_after: Timestamp::MAX,
                    now: Timestamp::from_unix_s(1_800_000_000),
                };
                black_box(set.check(&presented));
            }),
        },
    ]
}
