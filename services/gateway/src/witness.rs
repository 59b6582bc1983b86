//! The gateway as a witness: it keeps the heads of the authority's journal that it saw.
//!
//! A head of fewer leaves, or of as many with another root, is never taken over: that would be the trace of a
//! rewritten history. Whether a longer head continues the one before is not asked here, so none of them is
//! overwritten: whoever holds the journal can hold it against each. The key is remembered at first sight, which is
//! when there is nothing, not when what is there cannot be read.

use crate::uplink::{Backoff, Uplink};
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use touchmark_api::LogHead;
use touchmark_dial::{DialFault, Request};
use touchmark_durable::{AppendFile, Mode, WriteFault, write_atomic};
use touchmark_listen::Stop;
use touchmark_tlog::{BadNote, Checkpoint, VerifierKey, open_note};

/// The newest head.
const HEAD_FILE: &str = "authority-head";
/// Every head, one a line as JSON; the newest is the last.
const HEADS_FILE: &str = "authority-heads";
/// Heads that are kept when the file is shortened: months of a busy authority, and a megabyte or three.
const HEADS_KEPT: usize = 10_000;
/// Length at which it is shortened: about one and a half times what is kept.
const HEADS_OCTETS_MAX: u64 = 4 * 1024 * 1024;
const KEY_FILE: &str = "authority-log.vkey";
/// How far the outside head may lag.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why a head was not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WitnessFault {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error(transparent)]
    Write(#[from] WriteFault),
    #[error("the authority's head is refused: {0}")]
    Note(#[from] BadNote),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is damaged: put back what was there, or keep it elsewhere as evidence and remove it", path.display())]
    Damaged { path: PathBuf },
    #[error("{} is missing, though a head is kept that it verified", path.display())]
    KeyMissing { path: PathBuf },
    #[error("the authority signs its log with another key than the one seen first ({})", path.display())]
    OtherKey { path: PathBuf },
    #[error("the authority shows a head of {got} leaves after one of {have}: its log was set back")]
    Smaller { have: u64, got: u64 },
    #[error("the authority shows two different heads of {size} leaves: its history was rewritten")]
    Forked { size: u64 },
}

impl WitnessFault {
    /// Whether what is kept here is at fault, and not the authority.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Damaged { .. } | Self::KeyMissing { .. } | Self::Write(_))
    }
}

/// Keeps the heads until the gateway stops.
pub(crate) async fn witness(data: PathBuf, uplink: Arc<Uplink>, mut stop: Stop) {
    let mut caller = uplink.caller();
    let mut backoff = Backoff::new();
    let mut told = String::new();
    loop {
        let look = async {
            let head: LogHead = caller.ask(Request::get("/v1/log")).await?.json()?;
            keep(&data, &head)
        };
        let outcome = tokio::select! {
            () = stop.stopped() => return,
            outcome = look => outcome,
        };
        match outcome {
            Ok(()) => {
                backoff.reset();
                told.clear();
            }
            Err(error) => {
                let says = error.to_string();
                let reach = matches!(error, WitnessFault::Dial(_));
                if says != told && reach {
                    tracing::debug!(error = %says, "cannot look at the authority's log");
                } else if says != told && error.is_ours() {
                    tracing::error!(error = %says, "the witness accepts no head of the authority's log until this is put right");
                } else if says != told {
                    tracing::error!(error = %says, "the authority's log does not continue what was seen");
                }
                told = says;
                if !backoff.pause(&mut stop).await {
                    return;
                }
            }
        }
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Verifies a head and keeps it if it is larger than the newest that is kept.
pub(crate) fn keep(data: &Path, shown: &LogHead) -> Result<(), WitnessFault> {
    let (key_path, path) = (data.join(KEY_FILE), data.join(HEAD_FILE));
    let (known, kept) = (read(&key_path)?, read(&path)?);
    let key: VerifierKey = match known {
        Some(known) if known.trim() == shown.vkey => known.trim().parse()?,
        Some(known) => {
            let damaged = known.trim().parse::<VerifierKey>().is_err();
            return Err(match damaged {
                true => WitnessFault::Damaged { path: key_path },
                false => WitnessFault::OtherKey { path: key_path },
            });
        }
        None if kept.is_some() => return Err(WitnessFault::KeyMissing { path: key_path }),
        None => {
            let key = shown.vkey.parse()?;
            open_note(&shown.checkpoint, &key)?;
            write_atomic(&key_path, shown.vkey.as_bytes(), Mode::Private0600)?;
            key
        }
    };
    let head = open_note(&shown.checkpoint, &key)?;
    let kept: Option<Checkpoint> = match kept {
        Some(note) => Some(open_note(&note, &key).map_err(|_| WitnessFault::Damaged { path: path.clone() })?),
        None => None,
    };
    match kept {
        Some(kept) if head.size < kept.size => Err(WitnessFault::Smaller { have: kept.size, got: head.size }),
        Some(kept) if head.size == kept.size && head.root != kept.root => {
            Err(WitnessFault::Forked { size: head.size })
        }
        Some(kept) if head.size == kept.size => Ok(()),
        _ => {
            // First among all of them: a crash between leaves it there twice rather than not at all.
            add(&data.join(HEADS_FILE), &shown.checkpoint)?;
            Ok(write_atomic(&path, shown.checkpoint.as_bytes(), Mode::Private0600)?)
        }
    }
}

/// `None` for a file that was never there; one that cannot be read is a fault.
fn read(path: &Path) -> Result<Option<String>, WitnessFault> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WitnessFault::Read { path: path.to_owned(), source }),
    }
}

fn add(path: &Path, checkpoint: &str) -> Result<(), WitnessFault> {
    // Text always has a form in JSON, without a line break in it.
    let line = serde_json::Value::from(checkpoint).to_string();
    let mut heads = AppendFile::open(path, Mode::Private0600)?;
    // A crash may have torn the last line; this one begins on its own, and empty lines mean nothing.
    let begin = if heads.is_empty() { "" } else { "\n" };
    heads.append(format!("{begin}{line}\n").as_bytes())?;
    heads.sync();
    if heads.len() > HEADS_OCTETS_MAX {
        drop(heads);
        shorten(path, HEADS_KEPT)?;
    }
    Ok(())
}

/// Keeps the last heads only.
fn shorten(path: &Path, kept: usize) -> Result<(), WitnessFault> {
    let octets =
        std::fs::read(path).map_err(|source| WitnessFault::Read { path: path.to_owned(), source })?;
    let lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(kept)..).unwrap_or_default();
    let mut text = last.join(&b'\n');
    text.push(b'\n');
    Ok(write_atomic(path, &text, Mode::Private0600)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_heads_are_kept_also_behind_a_torn_line() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("heads");
        let heads = || -> Vec<String> {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        add(&path, "a\n1\n").unwrap();
        add(&path, "b\n2\n").unwrap();
        let mut torn = std::fs::read(&path).unwrap();
        torn.extend(b"\"c\\n3");
        std::fs::write(&path, torn).unwrap();
        add(&path, "d\n4\n").unwrap();
        assert_eq!(heads(), ["a\n1\n", "b\n2\n", "d\n4\n"]);
        shorten(&path, 3).unwrap();
        assert_eq!(heads(), ["b\n2\n", "d\n4\n"]);
        shorten(&path, 1).unwrap();
        assert_eq!(heads(), ["d\n4\n"]);
    }
}
