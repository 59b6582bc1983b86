//! What one device can make the log grow by, and that nothing is left out.

use super::*;
use core::num::NonZeroU32;
use core::time::Duration;
use touchmark_decisions::{AddressFamily, CloseCause, FrameBuilder, PolicyChanged, Proof, SessionClosed};
use touchmark_policy::{Action, DenyReason, RuleId};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000).plus(Duration::from_millis(ms))
}

fn opened(session: u64, device: &str, ms: u64) -> Record {
    Record::SessionOpened(SessionOpened {
        session: SessionId(session),
        at: at(ms),
        verdict: Verdict::Allow,
        rule: None,
        resource: Resource::from(device),
        certificate: None,
        handle: device.parse().unwrap(),
        environment: "lab".parse().unwrap(),
        policy: Some(PolicyVersion([0xaa; 32])),
        status: None,
        tls: None,
        proof: Proof::Mtls,
        peer_address_family: AddressFamily::V4,
    })
}

fn act(session: u64, ms: u64, topic: &str, verdict: Verdict, policy: u8) -> Act {
    Act {
        session: SessionId(session),
        at: at(ms),
        action: Action::Publish,
        resource: Resource::from(topic),
        verdict,
        rule: Some(RuleId::new("starter-publish").unwrap()),
        policy: Some(PolicyVersion([policy; 32])),
        count: NonZeroU32::MIN,
    }
}

/// As the writer does it: pending records, written together every so many acts.
#[derive(Default)]
struct Log {
    ledger: Ledger,
    pending: Vec<Record>,
    octets: usize,
    counted: u64,
    written: Vec<Record>,
    next: u64,
}

impl Log {
    fn follow(&mut self, record: Record) {
        self.ledger.follow(&record);
        self.pending.push(record);
    }

    fn act(&mut self, act: Act) {
        let next = self.pending.len();
        let pending = &mut self.pending;
        match self.ledger.place(act, false, next, |at| pending.get_mut(at)) {
            Place::Own(act) => self.pending.push(Record::Act(act)),
            Place::In(_) => {}
        }
    }

    fn flush(&mut self) {
        let start = |next| FrameBuilder::new("gateway-1".parse().unwrap(), 1, next);
        let mut builder = start(self.next);
        for record in self.pending.drain(..) {
            if builder.push(&record).is_err() {
                let next = builder.next_sequence();
                self.octets += std::mem::replace(&mut builder, start(next)).finish().len();
                builder.push(&record).unwrap();
            }
            self.counted += match &record {
                Record::Act(act) => u64::from(act.count.get()),
                _ => 0,
            };
            self.written.push(record);
        }
        self.next = builder.next_sequence();
        self.octets += builder.finish().len();
        self.ledger.begin_flush();
    }

    fn resources(&self) -> HashSet<String> {
        let resources = self.written.iter().filter_map(|record| match record {
            Record::Act(act) => Some(act.resource.as_str().to_owned()),
            _ => None,
        });
        resources.collect()
    }
}

/// R46: all of them are counted, and they take no more than a small part of what a disk has.
#[test]
fn a_million_topics_of_one_device_are_counted_and_take_little_room() {
    let random = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let deep = |n: u64| (0..30).map(|level| format!("/{:x}", random(n + level) % 9)).collect::<String>();
    let rows: &[(&str, &dyn Fn(u64) -> String)] = &[
        ("numbered", &|n| format!("plant/pump-01/t/{n}")),
        ("as long as can be", &|n| format!("plant/pump-01/{n}/{}", "x".repeat(980))),
        ("the part that differs comes first", &|n| format!("plant/pump-01/{:016x}/t", random(n))),
        ("other levels in each flush", &|n| format!("plant/pump-01/{}{}", n / 400, deep(n))),
        ("no level in common", &|n| format!("{n}")),
        ("one topic", &|_| "plant/pump-01/t".to_owned()),
    ];
    for (name, topic) in rows {
        let mut log = Log::default();
        log.follow(opened(1, "pump-01", 0));
        // 16,000 a second, written forty times a second; every tenth is denied.
        for n in 0..1_000_000_u64 {
            let verdict = if n % 10 == 0 { Verdict::Deny(DenyReason::NoRule) } else { Verdict::Allow };
            log.act(act(1, n / 16, &topic(n), verdict, 0xaa));
            if n % 400 == 399 {
                log.flush();
            }
        }
        log.flush();
        assert_eq!(log.counted, 1_000_000, "{name}");
        assert_eq!(log.next, 1_000_001, "{name}: each has its number");
        assert!(log.octets <= 2_500_000, "{name}: {} octets", log.octets);
        let resources = log.resources().len();
        assert!(resources <= 256 + 62 / 10 + 2 * 2_600, "{name}: {resources} resources");
        println!("{name}: {} octets, {resources} resources", log.octets);
    }
}

#[test]
fn a_usual_device_is_written_one_by_one_and_another_ones_flood_is_not_its_own() {
    let mut log = Log::default();
    log.follow(opened(1, "pump-01", 0));
    log.follow(opened(2, "pump-02", 0));
    for n in 0..100_000 {
        log.act(act(1, n / 10, &format!("plant/pump-01/{n}"), Verdict::Allow, 0xaa));
        if n % 1_000 == 0 {
            log.act(act(2, n / 10, &format!("plant/pump-02/{}", n % 8), Verdict::Allow, 0xaa));
        }
        if n % 400 == 399 {
            log.flush();
        }
    }
    log.flush();
    let one_by_one = log.written.iter().filter_map(|record| match record {
        Record::Act(act) if act.session == SessionId(2) => Some(act.count.get()),
        _ => None,
    });
    assert_eq!(one_by_one.collect::<Vec<_>>(), [1; 100]);
    // A second session, and a new one after the end of both, are the same device.
    for session in [3, 4] {
        log.follow(opened(session, "pump-01", 10_000));
        log.follow(Record::SessionClosed(SessionClosed {
            session: SessionId(1),
            at: at(10_000),
            why: CloseCause::Peer,
        }));
        for n in 0..500 {
            log.act(act(session, 10_000, &format!("plant/pump-01/new-{n}"), Verdict::Allow, 0xaa));
        }
        let before = log.written.len();
        log.flush();
        assert!(log.written.len() - before < 8, "{session}: {} records", log.written.len() - before);
    }
}

#[test]
fn acts_are_counted_together_when_they_are_alike_and_pending() {
    let mut log = Log::default();
    log.follow(opened(1, "pump-01", 0));
    // Uses up what is written one by one.
    for n in 0..2_000 {
        log.act(act(1, 0, &format!("a/{n}/{}", "x".repeat(900)), Verdict::Allow, 0xaa));
    }
    log.flush();
    let begin = log.written.len();
    let deny = Verdict::Deny(DenyReason::NoRule);
    for (topic, verdict) in [("a/b/1", Verdict::Allow), ("a/b/2", Verdict::Allow), ("a/b/1", deny)] {
        log.act(act(1, 1, topic, verdict, 0xaa));
    }
    log.act(act(1, 1, "a/b", Verdict::Allow, 0xaa));
    log.flush();
    log.act(act(1, 2, "a/b/c", Verdict::Allow, 0xaa));
    log.follow(Record::PolicyChanged(PolicyChanged { at: at(3), policy: PolicyVersion([0xbb; 32]) }));
    // By the old table, by the new one, and by the old one again.
    for policy in [0xaa, 0xbb, 0xaa] {
        log.act(act(1, 4, "a/b/c", Verdict::Allow, policy));
    }
    log.flush();
    let written: Vec<_> = log.written[begin..]
        .iter()
        .filter_map(|record| match record {
            Record::Act(act) => Some((
                act.resource.as_str().to_owned(),
                act.verdict == Verdict::Allow,
                act.count.get(),
                act.policy.map(|policy| policy.0[0]),
            )),
            _ => None,
        })
        .collect();
    let row = |resource: &str, allowed, count, policy| (resource.to_owned(), allowed, count, policy);
    let expected = [
        row("a/#", true, 3, None),
        row("a/b/1", false, 1, None),
        // The first was pending before the change, and the two by the old table are counted in it.
        row("a/b/c", true, 3, None),
        row("a/b/c", true, 1, None),
    ];
    assert_eq!(written, expected);
}

/// H9 in short: what is written one by one names its policy when another one took over meanwhile.
#[test]
fn an_act_names_its_policy_only_when_a_reader_would_take_another() {
    let mut log = Log::default();
    log.follow(opened(1, "pump-01", 0));
    log.act(act(1, 1, "t", Verdict::Allow, 0xaa));
    log.follow(Record::PolicyChanged(PolicyChanged { at: at(2), policy: PolicyVersion([0xbb; 32]) }));
    log.act(act(1, 3, "t", Verdict::Allow, 0xaa));
    log.act(act(1, 4, "t", Verdict::Allow, 0xbb));
    log.follow(opened(2, "pump-02", 5));
    log.act(act(2, 6, "t", Verdict::Allow, 0xaa));
    log.act(act(2, 6, "t", Verdict::Allow, 0xbb));
    log.flush();
    let named = log.written.iter().filter_map(|record| match record {
        Record::Act(act) => Some(act.policy.map(|policy| policy.0[0])),
        _ => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), [None, Some(0xaa), None, None, Some(0xbb)]);
}

#[test]
fn devices_without_a_session_are_forgotten_before_they_are_too_many() {
    let mut ledger = Ledger::default();
    for n in 0..40_000 {
        let session = opened(n, &format!("d{n}"), n);
        ledger.follow(&session);
        if n % 3 == 0 {
            ledger.refused(&session);
        } else {
            let (session, at, why) = (SessionId(n), at(n), CloseCause::Lost);
            ledger.follow(&Record::SessionClosed(SessionClosed { session, at, why }));
        }
    }
    assert!(ledger.sessions.is_empty());
    assert!(ledger.devices.len() <= DEVICES_MAX, "{}", ledger.devices.len());
}

#[test]
fn common_levels_are_whole_and_short() {
    let long = format!("a/{}", "b/".repeat(100));
    let rows = [
        ("a/b/1", "a/b/2", "a/b/#"),
        ("a/b", "a/c", "a/#"),
        ("a/b", "a/b/c", "a/#"),
        ("a", "b", "#"),
        ("/a/b", "/a/c", "/a/#"),
        ("a//b", "a//c", "a//#"),
        ("a/#", "a/b/c", "a/#"),
        ("x200/fw.bin", "x200/fw2.bin", "x200/#"),
    ];
    for (one, other, expected) in rows {
        let together = if holds(one, other) { Resource::from(one) } else { common(one, other) };
        assert_eq!(together.as_str(), expected, "{one} {other}");
    }
    assert!(common(&long, &long).as_str().len() <= FOLDED_OCTETS_MAX);
    assert!(!holds("a/#", "ab") && !holds("a#", "a/b") && holds("#", "x"));
}
