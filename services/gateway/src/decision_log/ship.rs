//! Shipping: signed frames go to the authority in order, from the leaf that it wants next.
//!
//! The authority may be away for days: nothing is lost, since leaves stay in the tiles. It is asked once what it
//! holds, and again after every refusal.

use super::{DecisionLog, Published};
use crate::uplink::{Backoff, Uplink};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::time::Duration;
use std::sync::Arc;
use touchmark_api::{FramesAccepted, FramesUpload, GatewayRegistration};
use touchmark_dial::{DialFault, Method, Request};
use touchmark_listen::Stop;
use touchmark_tilelog::{TileLogFault, TileReader};

/// Frames of one upload; 1 MiB is allowed, in base64.
const UPLOAD_OCTETS_MAX: usize = 700 * 1024;
/// Leaves read at once: one full bundle.
const READ_MAX: u64 = 256;
/// Time after the switch for the ends of sessions to reach the authority.
const LAST_WORDS: Duration = Duration::from_secs(1);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an upload did not happen.
#[derive(Debug, thiserror::Error)]
enum ShipFault {
    #[error(transparent)]
    Dial(#[from] DialFault),
    #[error(transparent)]
    Log(#[from] TileLogFault),
    #[error("reading the log was interrupted")]
    Interrupted,
    #[error(
        "the authority holds {held} frames of this gateway, here are {here}: the data directory is older than what was sent"
    )]
    Ahead { held: u64, here: u64 },
}

/// Registers the log's key, then ships until the gateway stops.
pub(crate) async fn ship(log: Arc<DecisionLog>, uplink: Arc<Uplink>, mut stop: Stop) {
    let mut backoff = Backoff::new();
    let mut caller = uplink.caller();
    let mut published = log.published();
    let mut wanted = None;
    let mut told = String::new();
    let mut registered = false;
    loop {
        let now = published.borrow_and_update().clone();
        let done = async {
            if !registered {
                register(&mut caller, &log).await?;
                registered = true;
            }
            send_up_to(&mut caller, &log, &now, &mut wanted).await
        };
        let outcome = tokio::select! {
            // What is under way, and what came last, gets a moment after the switch.
            () = async { stop.stopped().await; tokio::time::sleep(LAST_WORDS).await } => return,
            outcome = done => outcome,
        };
        match outcome {
            Ok(()) => {
                backoff.reset();
                told.clear();
                let more = tokio::select! {
                    biased;
                    changed = published.changed() => changed.is_ok(),
                    () = stop.stopped() => false,
                };
                if !more {
                    return;
                }
            }
            Err(error) => {
                wanted = None;
                // Said once per fault, not once per try.
                let says = error.to_string();
                if says != told {
                    tracing::warn!(error = %says, "decisions wait here until the authority takes them");
                    told = says;
                }
                if !backoff.pause(&mut stop).await {
                    return;
                }
            }
        }
    }
}

async fn register(caller: &mut crate::uplink::Caller, log: &DecisionLog) -> Result<(), ShipFault> {
    let registration = GatewayRegistration { decision_log_vkey: log.verifier_key().to_owned() };
    caller.ask(Request::new(Method::POST, "/v1/gateways/self").json(&registration)?).await?;
    Ok(())
}

/// Sends everything up to a published head, and the head with its last frame.
async fn send_up_to(
    caller: &mut crate::uplink::Caller,
    log: &DecisionLog,
    head: &Published,
    wanted: &mut Option<u64>,
) -> Result<(), ShipFault> {
    let mut next = match *wanted {
        Some(next) => next,
        None => {
            let question = FramesUpload { first_leaf: 0, frames: Vec::new(), checkpoint: None };
            let accepted = upload(caller, &question).await?;
            let known = accepted.checkpoint.as_deref() == Some(head.note.as_str());
            if accepted.next_leaf == head.size && !known {
                let last = FramesUpload {
                    first_leaf: head.size,
                    frames: Vec::new(),
                    checkpoint: Some(head.note.clone()),
                };
                upload(caller, &last).await?;
            }
            accepted.next_leaf
        }
    };
    if next > head.size {
        return Err(ShipFault::Ahead { held: next, here: head.size });
    }
    while next < head.size {
        let frames = read(log, head.size, next).await?;
        let end = next + frames.len() as u64;
        let batch = FramesUpload {
            first_leaf: next,
            frames: frames.iter().map(|frame| STANDARD.encode(frame)).collect(),
            checkpoint: (end == head.size).then(|| head.note.clone()),
        };
        let accepted = upload(caller, &batch).await?;
        if accepted.next_leaf <= next {
            return Err(ShipFault::Interrupted);
        }
        next = accepted.next_leaf;
    }
    *wanted = Some(next);
    Ok(())
}

async fn upload(
    caller: &mut crate::uplink::Caller,
    batch: &FramesUpload,
) -> Result<FramesAccepted, ShipFault> {
    let request = Request::new(Method::POST, "/v1/decisions").json(batch)?.timeout(UPLOAD_TIMEOUT);
    Ok(caller.ask(request).await?.json()?)
}

/// The next leaves, as many as fit into one upload, one at least.
async fn read(log: &DecisionLog, size: u64, next: u64) -> Result<Vec<Vec<u8>>, ShipFault> {
    let reader = TileReader::new(log.directory(), size);
    let range = next..size.min(next.saturating_add(READ_MAX));
    let leaves = tokio::task::spawn_blocking(move || reader.read_entries(range))
        .await
        .map_err(|_| ShipFault::Interrupted)??;
    let mut octets = 0;
    let fits = leaves.into_iter().enumerate().take_while(|(position, leaf)| {
        octets += leaf.len();
        *position == 0 || octets <= UPLOAD_OCTETS_MAX
    });
    Ok(fits.map(|(_, leaf)| leaf).collect())
}
