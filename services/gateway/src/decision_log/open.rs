//! Opening the log: key, tiles, what a crash left in the write-ahead file, and the number of the new epoch.
//!
//! A crash between write-ahead file and tiles leaves frames that are no leaves yet: they become leaves here,
//! by their index, once. Whether the epoch before ended in order is told by a marker that only a clean end writes.

use super::wal::Wal;
use super::{LogFault, LogIdentity};
use std::path::{Path, PathBuf};
use touchmark_decisions::{Frame, Record};
use touchmark_durable::{Mode, create_dir_durable, sync, write_atomic};
use touchmark_identity::Name;
use touchmark_tilelog::{NoteSigner, TileLog, TileLogFault};

const SEED_FILE: &str = "decision-log.seed";
const WAL_FILE: &str = "decision-log.wal";
const CLEAN_FILE: &str = "decision-log.clean";
const DIRECTORY: &str = "decision-log";

/// An open log, before its epoch's first record.
pub(super) struct Opened {
    pub(super) gateway: Name,
    pub(super) epoch: u32,
    pub(super) previous_epoch_clean: bool,
    pub(super) log: TileLog,
    pub(super) wal: Wal,
    /// Frames of an earlier run wait for a head.
    pub(super) unpublished: bool,
    pub(super) directory: PathBuf,
    pub(super) clean_file: PathBuf,
}

pub(super) fn open(identity: &LogIdentity) -> Result<Opened, LogFault> {
    let LogIdentity { gateway, environment, data, ack: _ } = identity;
    create_dir_durable(data, Mode::Private0600)?;
    let origin = format!("touchmark.internal/{environment}/gateway/{gateway}");
    let signer = NoteSigner::from_seed(&origin, &seed(&data.join(SEED_FILE))?)?;
    let directory = data.join(DIRECTORY);
    let mut log = TileLog::open(&directory, signer, Mode::Private0600, None)?;
    let (mut wal, kept) = Wal::open(&data.join(WAL_FILE))?;
    let missing: Vec<_> = kept.into_iter().filter(|kept| kept.leaf >= log.size()).collect();
    if missing.iter().zip(log.size()..).any(|(kept, expected)| kept.leaf != expected) {
        return Err(LogFault::Damaged {
            path: data.join(WAL_FILE),
            what: "its frames do not continue the signed log: one of the two was restored alone",
        });
    }
    if !missing.is_empty() {
        tracing::info!(frames = missing.len(), "taking over frames that a crash left between two files");
        log.append(&missing.iter().map(|kept| kept.frame.as_slice()).collect::<Vec<_>>())?;
    }
    // Without space they stay durable where they are, and wait for a head.
    let unpublished = match log.publish() {
        Err(TileLogFault::Write(error)) if !missing.is_empty() => {
            tracing::error!(%error, "frames that a crash left wait for a head");
            true
        }
        published => {
            published?;
            wal.clear()?;
            false
        }
    };

    let clean_file = data.join(CLEAN_FILE);
    let last =
        match missing.last() {
            Some(kept) => Some(Frame::decode(&kept.frame).map_err(|_| LogFault::Damaged {
                path: data.join(WAL_FILE),
                what: "its last frame is none",
            })?),
            None => last_frame(&log, &directory)?,
        };
    let (last, end) = match &last {
        None => (None, None),
        Some(frame) => (Some(frame.log_epoch), frame.records.iter().map(Record::at).max()),
    };
    let previous_epoch_clean = match last {
        None => true,
        Some(last) => std::fs::read_to_string(&clean_file).is_ok_and(|text| text.trim() == last.to_string()),
    };
    if let (false, Some(end)) = (previous_epoch_clean, end) {
        tracing::warn!(after = %end, "the gateway did not end in order: acts of at most 50 ms after this moment may be missing in the log");
    }
    // Gone before the first record of the new epoch, so that a crash in it is seen.
    if clean_file.exists() {
        std::fs::remove_file(&clean_file)
            .map_err(|source| LogFault::Read { path: clean_file.clone(), source })?;
        sync::directory(data)?;
    }
    let epoch = last.map_or(Some(1), |last| last.checked_add(1));
    let epoch = epoch.ok_or(LogFault::Damaged { path: directory.clone(), what: "its epochs are used up" })?;
    Ok(Opened {
        gateway: gateway.clone(),
        epoch,
        previous_epoch_clean,
        log,
        wal,
        unpublished,
        directory,
        clean_file,
    })
}

/// The last frame.
fn last_frame(log: &TileLog, directory: &Path) -> Result<Option<Frame>, LogFault> {
    let Some(last) = log.size().checked_sub(1) else { return Ok(None) };
    let damaged = |what| LogFault::Damaged { path: directory.to_owned(), what };
    let entries = log.read_entries(last..last + 1)?;
    let entry = entries.first().ok_or_else(|| damaged("its last leaf is missing"))?;
    Frame::decode(entry).map(Some).map_err(|_| damaged("its last leaf is no frame"))
}

/// The log's private key: drawn once, 0600 from its first moment.
fn seed(path: &Path) -> Result<[u8; 32], LogFault> {
    match std::fs::read(path) {
        Ok(octets) => octets.try_into().map_err(|_| LogFault::Damaged {
            path: path.to_owned(),
            what: "a seed has 32 octets; without it the log cannot be continued",
        }),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            let mut seed = [0; 32];
            aws_lc_rs::rand::fill(&mut seed).map_err(|_| LogFault::System("random octets"))?;
            write_atomic(path, &seed, Mode::Private0600)?;
            Ok(seed)
        }
        Err(source) => Err(LogFault::Read { path: path.to_owned(), source }),
    }
}
