//! The log through its crashes, and under load.

use super::wal::{Kept, Wal};
use super::*;
use crate::lab::{Lab, until};
use touchmark_decisions::{
    AddressFamily, Frame, FrameBuilder, Proof, Refused, Resource, SessionClosed, SessionOpened, Verdict,
};
use touchmark_policy::DenyReason;

fn opened(session: u64, at: Timestamp) -> Record {
    Record::SessionOpened(SessionOpened {
        session: SessionId(session),
        at,
        verdict: Verdict::Allow,
        rule: None,
        resource: Resource::from("pump-01"),
        certificate: None,
        handle: "pump-01".parse().unwrap(),
        environment: "lab".parse().unwrap(),
        policy: None,
        status: None,
        tls: None,
        proof: Proof::Mtls,
        peer_address_family: AddressFamily::V4,
    })
}

fn open_log(lab: &Lab) -> DecisionLog {
    DecisionLog::open(&lab.log_identity(), None, &lab.clock()).unwrap()
}

/// Whether each epoch says that the one before ended in order.
fn epochs(lab: &Lab) -> Vec<bool> {
    let clean = lab.records().into_iter().filter_map(|record| match record {
        Record::EpochOpened(opened) => Some(opened.previous_epoch_clean),
        _ => None,
    });
    clean.collect()
}

#[tokio::test]
async fn an_end_in_order_and_a_crash_are_told_apart() {
    let lab = Lab::new();
    let log = open_log(&lab);
    log.durable(opened(1, lab.now())).await.unwrap();
    log.close().await;
    let log = open_log(&lab);
    log.durable(opened(1, lab.now())).await.unwrap();
    // Without a close, as after a crash.
    drop(log);
    let log = until(|| DecisionLog::open(&lab.log_identity(), None, &lab.clock()).ok()).await;
    log.close().await;
    assert_eq!(epochs(&lab), [true, true, false]);
    assert_eq!(lab.decisions().len(), 2);
}

#[tokio::test]
async fn frames_between_the_two_files_become_leaves_once() {
    let lab = Lab::new();
    let log = open_log(&lab);
    log.durable(opened(1, lab.now())).await.unwrap();
    log.close().await;
    drop(log);
    let kept: Vec<Vec<u8>> = lab.frames().iter().map(|frame| frame.encode().unwrap()).collect();
    let size = kept.len() as u64;
    let next = lab.frames().last().unwrap().next_sequence();
    let frame = |sequence, session| {
        let mut builder = FrameBuilder::new("gateway-1".parse().unwrap(), 1, sequence);
        builder.push(&opened(session, lab.now())).unwrap();
        builder.finish()
    };
    // A crash after the head was signed and before the file was cleared, and one before the head was signed.
    let path = lab.data().join("decision-log.wal");
    let (mut wal, _) = Wal::open(&path).unwrap();
    wal.write(&[
        Kept { leaf: size - 1, frame: kept.last().unwrap().clone() },
        Kept { leaf: size, frame: frame(next, 2) },
        Kept { leaf: size + 1, frame: frame(next + 1, 3) },
    ])
    .unwrap();
    let mut torn = std::fs::read(&path).unwrap();
    torn.extend([0, 0, 0, 40, 1, 2, 3]);
    std::fs::write(&path, torn).unwrap();

    open_log(&lab).close().await;
    assert_eq!(lab.decisions().len(), 3, "the frames of both crashes, once each, and the torn one not");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn a_log_that_was_restored_without_its_companion_does_not_open() {
    let lab = Lab::new();
    open_log(&lab).close().await;
    let (mut wal, _) = Wal::open(&lab.data().join("decision-log.wal")).unwrap();
    let mut builder = FrameBuilder::new("gateway-1".parse().unwrap(), 1, 0);
    builder.push(&opened(1, lab.now())).unwrap();
    wal.write(&[Kept { leaf: 1_000, frame: builder.finish() }]).unwrap();
    let refused = DecisionLog::open(&lab.log_identity(), None, &lab.clock());
    assert!(matches!(refused, Err(LogFault::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_at_once_leave_no_gap_and_share_fsyncs() {
    let lab = Lab::new();
    let log = Arc::new(open_log(&lab));
    let before = Instant::now();
    let mut writing = tokio::task::JoinSet::new();
    for session in 0..50 {
        let (log, now) = (Arc::clone(&log), lab.now());
        writing.spawn(async move {
            log.durable(opened(session, now)).await.unwrap();
            for count in 1..=400 {
                let refused = Refused { at_second: now.unix_s(), reason: DenyReason::Plaintext, count };
                log.queued(Record::Refused(refused)).await.unwrap();
            }
            log.note_end(Record::SessionClosed(SessionClosed {
                session: SessionId(session),
                at: now,
                why: touchmark_decisions::CloseCause::Peer,
            }));
        });
    }
    writing.join_all().await;
    log.close().await;
    println!("20,050 decisions in {:?}, {} frames", before.elapsed(), lab.frames().len());
    let frames: Vec<Frame> = lab.frames();
    assert_eq!(frames.last().unwrap().next_sequence(), 50 * 401);
}

#[tokio::test]
async fn a_queued_record_is_on_disk_within_50_ms() {
    let lab = Lab::new();
    let log = open_log(&lab);
    let path = lab.data().join("decision-log.wal");
    // The epoch's own frame is published at once: the file is empty.
    until(|| (std::fs::metadata(&path).unwrap().len() == 0).then_some(())).await;
    let queued = Instant::now();
    log.queued(opened(1, lab.now())).await.unwrap();
    until(|| (std::fs::metadata(&path).unwrap().len() > 0).then_some(())).await;
    println!("written after {:?}", queued.elapsed());
    log.close().await;
}

#[tokio::test]
async fn strangers_become_one_counter_per_reason_and_second() {
    let lab = Lab::new();
    let log = open_log(&lab);
    let now = lab.now();
    for (reason, times) in [(DenyReason::Plaintext, 1_000), (DenyReason::NoCertificate, 3)] {
        for _ in 0..times {
            log.count_stranger(reason, now);
        }
    }
    log.close().await;
    let counted: Vec<_> = lab.decisions().iter().map(|d| (d.verdict.reason().unwrap(), d.count)).collect();
    assert_eq!(counted, [(DenyReason::NoCertificate, 3), (DenyReason::Plaintext, 1_000)]);
}
