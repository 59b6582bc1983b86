//! Decision frames: equal records are equal octets, in whatever order they stand; readers join what they can.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_decisions::{DecisionId, DecisionReader, FRAME_OCTETS_MAX, Frame, SequenceCheck};

fuzz_target!(|data: &[u8]| {
    let Ok(frame) = Frame::decode(data) else { return };
    assert!(data.len() <= FRAME_OCTETS_MAX);
    assert_eq!(frame.encode().as_deref(), Ok(data));
    let decisions = joined(&frame);
    let numbered = frame.numbered().filter(|(sequence, _)| sequence.is_some()).count();
    assert_eq!(decisions, numbered, "each decision is told once");

    let mut turned = frame.clone();
    turned.records.reverse();
    holds(&turned);
    turned.records.rotate_left(frame.records.len() / 2);
    turned.records.extend_from_slice(&frame.records);
    holds(&turned);
});

/// Another order may take more room, but never reads as something else.
fn holds(frame: &Frame) {
    let Ok(octets) = frame.encode() else { return };
    assert_eq!(Frame::decode(&octets).as_ref(), Ok(frame));
    joined(frame);
}

fn joined(frame: &Frame) -> usize {
    let mut check = SequenceCheck::new(frame.gateway.clone());
    // Only an accepted frame moves the position: a refused one must not let the next one pass.
    let moved = check.check(frame).is_ok().then(|| (frame.log_epoch, frame.next_sequence()));
    assert_eq!(check.next(), moved);
    let mut again = SequenceCheck::resume(frame.gateway.clone(), frame.log_epoch, frame.first_sequence);
    let _ = again.check(frame);

    let mut reader = DecisionReader::new();
    let decisions = reader.read(frame);
    for decision in &decisions {
        let text = decision.id.to_string();
        assert_eq!(text.parse::<DecisionId>().as_ref(), Ok(&decision.id));
        let _ = (
            decision.device(),
            decision.certificate(),
            decision.proof(),
            decision.tls().map(|tls| tls.to_string()),
        );
    }
    assert!(reader.open_sessions() <= decisions.len());
    decisions.len()
}
