//! The gateway as a witness: it keeps the newest head of the authority's journal that it saw.
//!
//! A head of fewer leaves, or of as many with another root, is never taken over: that would be the trace of a
//! rewritten history. The key is remembered at first sight.

use crate::uplink::{Backoff, Uplink};
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use touchmark_api::LogHead;
use touchmark_dial::{DialFault, Request};
use touchmark_durable::{Mode, WriteFault, write_atomic};
use touchmark_listen::Stop;
use touchmark_tlog::{BadNote, Checkpoint, VerifierKey, open_note};

const HEAD_FILE: &str = "authority-head";
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
    #[error("the authority signs its log with another key than the one seen first ({})", path.display())]
    OtherKey { path: PathBuf },
    #[error("the authority shows a head of {got} leaves after one of {have}: its log was set back")]
    Smaller { have: u64, got: u64 },
    #[error("the authority shows two different heads of {size} leaves: its history was rewritten")]
    Forked { size: u64 },
}

/// Keeps the head until the gateway stops.
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

/// Verifies a head and keeps it if it is larger than the one that is kept.
pub(crate) fn keep(data: &Path, shown: &LogHead) -> Result<(), WitnessFault> {
    let key_path = data.join(KEY_FILE);
    let key: VerifierKey = match std::fs::read_to_string(&key_path) {
        Ok(known) if known.trim() != shown.vkey => return Err(WitnessFault::OtherKey { path: key_path }),
        Ok(known) => known.trim().parse()?,
        Err(_) => {
            let key = shown.vkey.parse()?;
            open_note(&shown.checkpoint, &key)?;
            write_atomic(&key_path, shown.vkey.as_bytes(), Mode::Private0600)?;
            key
        }
    };
    let head = open_note(&shown.checkpoint, &key)?;
    let path = data.join(HEAD_FILE);
    let kept: Option<Checkpoint> =
        std::fs::read_to_string(&path).ok().and_then(|note| open_note(&note, &key).ok());
    match kept {
        Some(kept) if head.size < kept.size => Err(WitnessFault::Smaller { have: kept.size, got: head.size }),
        Some(kept) if head.size == kept.size && head.root != kept.root => {
            Err(WitnessFault::Forked { size: head.size })
        }
        Some(kept) if head.size == kept.size => Ok(()),
        _ => Ok(write_atomic(&path, shown.checkpoint.as_bytes(), Mode::Private0600)?),
    }
}
