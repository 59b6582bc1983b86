//! A disk that refuses: who waits is denied, who does not wait is kept, and no number is lost.

use super::*;
use crate::decision_log::open;
use crate::lab::Lab;
use tokio::sync::oneshot;
use touchmark_decisions::{Frame, Refused};
use touchmark_policy::DenyReason;

fn counter(count: u32) -> Record {
    Record::Refused(Refused { at_second: 1_700_000_000, reason: DenyReason::Plaintext, count })
}

fn writer(lab: &Lab) -> (Writer, Arc<AtomicBool>) {
    let opened = open::open(&lab.log_identity()).unwrap();
    let (publish, _) = watch::channel(Published { size: 0, note: String::new() });
    let healthy = Arc::new(AtomicBool::new(true));
    let shared = Shared {
        room: Arc::new(Semaphore::new(10)),
        healthy: Arc::clone(&healthy),
        strangers: Arc::default(),
        unwritten: Arc::default(),
        publish,
    };
    (Writer::new(opened, shared, lab.clock()), healthy)
}

/// Of the refusals, in the order of the frames.
fn counts(lab: &Lab) -> Vec<u32> {
    let records = lab.frames().into_iter().flat_map(|frame: Frame| frame.records);
    records
        .filter_map(|record| match record {
            Record::Refused(refused) => Some(refused.count),
            _ => None,
        })
        .collect()
}

#[test]
fn a_full_disk_denies_keeps_and_loses_no_number() {
    let lab = Lab::new();
    let (mut writer, healthy) = writer(&lab);
    writer.open_epoch(None).unwrap();
    let good = std::mem::replace(&mut writer.wal, Wal::full());

    let wait = |writer: &mut Writer, count| {
        let (done, answer) = oneshot::channel();
        writer.take(counter(count), Instant::now(), Some(done));
        answer
    };
    let mut denied = wait(&mut writer, 1);
    writer.note(counter(2));
    writer.flush();
    assert_eq!(denied.try_recv().unwrap(), Err(LogUnavailable));
    assert!(!healthy.load(Ordering::Relaxed));
    assert_eq!(writer.pending.len(), 1, "what nobody waits for is kept");
    assert!(!writer.flush_is_due(), "the disk is left alone for a moment");
    let mut denied = wait(&mut writer, 3);
    assert!(writer.flush_is_due(), "whoever waits is answered at once");
    writer.flush();
    assert_eq!(denied.try_recv().unwrap(), Err(LogUnavailable));

    writer.wal = good;
    let mut allowed = wait(&mut writer, 4);
    writer.flush();
    assert_eq!(allowed.try_recv().unwrap(), Ok(Some(1)), "the kept record took number 0");
    assert!(healthy.load(Ordering::Relaxed));
    writer.publish().unwrap();
    assert_eq!(counts(&lab), [2, 4]);
}

/// A gateway starts on a full disk, allows nothing, and its epoch begins when there is room.
#[test]
fn an_epoch_that_cannot_be_opened_waits_and_nothing_comes_before_it() {
    let lab = Lab::new();
    let (mut writer, healthy) = writer(&lab);
    let good = std::mem::replace(&mut writer.wal, Wal::full());
    writer.open_epoch(None).unwrap();
    assert!(!healthy.load(Ordering::Relaxed));
    let (done, mut denied) = oneshot::channel();
    writer.take(counter(1), Instant::now(), Some(done));
    writer.flush();
    assert_eq!(denied.try_recv().unwrap(), Err(LogUnavailable));
    writer.wal = good;
    let (done, mut allowed) = oneshot::channel();
    writer.take(counter(2), Instant::now(), Some(done));
    writer.flush();
    assert_eq!(allowed.try_recv().unwrap(), Ok(Some(0)));
    assert!(healthy.load(Ordering::Relaxed));
    writer.publish().unwrap();
    let frames = lab.frames();
    assert!(matches!(frames[0].records[0], Record::EpochOpened(_)), "{frames:?}");
}

#[test]
fn frames_that_the_tree_has_no_room_for_wait_and_become_leaves_in_order() {
    let lab = Lab::new();
    let (mut writer, _) = writer(&lab);
    writer.open_epoch(None).unwrap();
    // As if the tree had refused them when they became durable.
    writer.note(counter(1));
    let (frames, _, next) = writer.frames().unwrap();
    let kept: Vec<Kept> = frames
        .iter()
        .zip(writer.log.size()..)
        .map(|(frame, leaf)| Kept { leaf, frame: frame.clone() })
        .collect();
    writer.wal.write(&kept).unwrap();
    writer.pending.clear();
    writer.next_sequence = next;
    writer.backlog = frames;

    writer.note(counter(2));
    writer.flush();
    assert!(writer.retry_at.is_none() && writer.backlog.is_empty());
    writer.publish().unwrap();
    assert_eq!(counts(&lab), [1, 2]);
}
