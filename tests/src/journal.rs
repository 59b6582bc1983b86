//! The journal from outside: leaves out of the public tiles, nothing but what anybody can read.

use crate::lab::Lab;
use crate::patience::until;
use std::path::Path;
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

/// Waits until the signed log counts a refusal of this cause and code.
pub fn refusal_is_recorded(lab: &Lab, cause: &str, code: &str) {
    is_recorded(
        lab,
        cause,
        code,
        |event| matches!(event, Event::Refused(refused) if refused.code == code && refused.count > 0),
    );
}

/// Waits until the signed log counts a renewal of this code that a device was refused, in its own history.
pub fn renewal_refusal_is_recorded(lab: &Lab, code: &str) {
    is_recorded(
        lab,
        "est/simplereenroll",
        code,
        |event| matches!(event, Event::RenewalRefused(refused) if refused.code == code && refused.count > 0),
    );
}

fn is_recorded(lab: &Lab, cause: &str, code: &str, is_it: impl Fn(&Event) -> bool) {
    until(&format!("the journal to count `{code}` at {cause}"), || {
        let leaves = leaves(&lab.data().join("log"));
        let found = (0..).zip(&leaves).any(|(seq, leaf)| {
            let entry = Entry::read(seq, leaf, None).unwrap();
            is_it(&entry.event) && entry.envelope.cause == cause
        });
        found.then_some(())
    });
}
