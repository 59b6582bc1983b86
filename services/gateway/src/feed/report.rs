//! Telling the authority what is in force here: in its own time, and the newest only.
//!
//! In: what was applied. Out: acknowledgements. An authority that does not take them delays nothing here.

use crate::uplink::{Backoff, Caller};
use core::time::Duration;
use tokio::sync::watch;
use touchmark_api::FeedAcknowledgement;
use touchmark_dial::{DialFault, Method, Request};
use touchmark_identity::Timestamp;
use touchmark_listen::Stop;
use touchmark_status::Position;

const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is in force and stored, and whose sessions have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) position: Option<Position>,
    pub(super) at: Timestamp,
    /// Sessions ended since the start.
    pub(super) ended: u64,
}

/// Reports each change, until the gateway stops.
pub(super) async fn report(mut caller: Caller, mut applied: watch::Receiver<Applied>, mut stop: Stop) {
    let mut backoff = Backoff::new();
    let (mut told, mut told_ended) = (None, 0);
    let mut said = String::new();
    loop {
        let now = *applied.borrow_and_update();
        let position = now.position.filter(|position| told != Some(*position) || now.ended > told_ended);
        let outcome = match position {
            None => Ok(()),
            Some(position) => {
                let sending = send(&mut caller, position, now.at, now.ended - told_ended);
                tokio::select! {
                    () = stop.stopped() => return,
                    outcome = sending => outcome,
                }
            }
        };
        if let Err(error) = outcome {
            let says = error.to_string();
            if says != said {
                tracing::warn!(error = %says, "the authority was not told what is in force here");
                said = says;
            }
            if !backoff.pause(&mut stop).await {
                return;
            }
            continue;
        }
        (told, told_ended) = (now.position, now.ended);
        backoff.reset();
        said.clear();
        tokio::select! {
            () = stop.stopped() => return,
            changed = applied.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn send(
    caller: &mut Caller,
    position: Position,
    at: Timestamp,
    sessions_closed: u64,
) -> Result<(), DialFault> {
    let acknowledgement =
        FeedAcknowledgement { epoch: position.epoch, seq: position.seq, applied_at: at, sessions_closed };
    let request = Request::new(Method::POST, "/v1/feed/acknowledgement").json(&acknowledgement)?;
    caller.ask(request.timeout(REPORT_TIMEOUT)).await.map(drop)
}
