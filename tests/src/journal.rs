//! The journal from outside: leaves out of the public tiles, nothing but what anybody can read.

use crate::lab::Lab;
use crate::patience::within;
use std::path::Path;
use std::time::Duration;
use touchmark_journal::{Entry, Event};
use touchmark_tilelog::TileReader;

/// A page of leaves.
const PAGE: u64 = 1024;

/// Leaves under the signed head of a log directory.
pub fn leaves(log: &Path) -> Vec<Vec<u8>> {
    let checkpoint = std::fs::read_to_string(log.join("checkpoint")).unwrap();
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let reader = TileReader::new(log, size);
    let mut leaves = Vec::new();
    while (leaves.len() as u64) < size {
        let from = leaves.len() as u64;
        leaves.extend(reader.read_entries(from..size.min(from + PAGE)).unwrap());
    }
    leaves
}

/// Equal refusals are recorded in steps that grow to a minute.
const RECORDED_WITHIN: Duration = Duration::from_secs(150);

/// Waits until the signed log counts a refusal of this cause and code: one more than earlier calls of the same lab took.
pub fn refusal_is_recorded(lab: &Lab, cause: &str, code: &str) {
    is_recorded(lab, cause, code, |event| match event {
        Event::Refused(refused) if refused.code == code => refused.count,
        _ => 0,
    });
}

/// Waits until the signed log counts a renewal of this code that a device was refused, in its own history: one more than
/// earlier calls of the same lab took.
pub fn renewal_refusal_is_recorded(lab: &Lab, code: &str) {
    is_recorded(lab, "est/simplereenroll", code, |event| match event {
        Event::RenewalRefused(refused) if refused.code == code => refused.count,
        _ => 0,
    });
}

fn is_recorded(lab: &Lab, cause: &str, code: &str, count: impl Fn(&Event) -> u64) {
    let wanted = lab.taken(cause, code);
    within(RECORDED_WITHIN, &format!("the journal to count {wanted} of `{code}` at {cause}"), || {
        let leaves = leaves(&lab.data().join("log"));
        let of_cause = (0..).zip(&leaves).filter_map(|(seq, leaf)| {
            let entry = Entry::read(seq, leaf, None).unwrap();
            (entry.envelope.cause == cause).then(|| count(&entry.event))
        });
        (of_cause.sum::<u64>() >= wanted).then_some(())
    });
}
