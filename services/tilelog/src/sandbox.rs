//! Logs to test with: grown to given sizes, copied as a crash would leave them, damaged by a seed.

use std::fs;
use std::path::Path;

use touchmark_durable::Mode;
use touchmark_tlog::Checkpoint;

use crate::audit::{AuditFault, AuditReport, audit_dir};
use crate::log::TileLog;
use crate::signer::NoteSigner;

pub(crate) const ORIGIN: &str = "lab.touchmark.internal/journal";

pub(crate) fn signer() -> NoteSigner {
    NoteSigner::from_seed(ORIGIN, &[7; 32]).unwrap()
}

pub(crate) fn open(directory: &Path) -> TileLog {
    TileLog::open(directory, signer(), Mode::Public0644, None).unwrap()
}

/// The leaf that history `history` has at `index`.
pub(crate) fn leaf(history: u64, index: u64) -> Vec<u8> {
    format!("history {history} leaf {index} {}", "x".repeat((index % 17) as usize)).into_bytes()
}

/// Appends up to each size in turn and publishes there.
pub(crate) fn grow(log: &mut TileLog, history: u64, sizes: &[u64]) -> Checkpoint {
    for size in sizes {
        let leaves: Vec<Vec<u8>> = (log.size()..*size).map(|index| leaf(history, index)).collect();
        log.append(&leaves).unwrap();
        assert_eq!(log.publish().unwrap().size, *size);
    }
    log.checkpoint().clone()
}

pub(crate) fn audit(directory: &Path, witness: Option<&Checkpoint>) -> Result<AuditReport, AuditFault> {
    audit_dir(directory, signer().verifier_key(), witness, |_, _| Ok(()))
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Files of the log as paths within it, sorted; ours, with a dot in front, left out.
pub(crate) fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(parent) = waiting.pop() {
        for entry in fs::read_dir(directory.join(&parent)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                waiting.push(path);
            } else if !name.starts_with('.') {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// SplitMix64: the same seed gives the same damage.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
