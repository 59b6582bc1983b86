//! The feed as a file: a snapshot and what came after it, the same signed octets, each behind its length.
//!
//! Serves a gateway that restarts while the authority is gone, and a site that is fed by hand.
//! A file is verified like the network: cut short, altered, foreign or older than the floor is a fault.

use crate::message::Position;
use crate::{FeedFault, FeedVerifier, StatusSet};
use touchmark_identity::{EnvironmentName, Timestamp};

/// Octets of the length before each message, big-endian.
const LENGTH_OCTETS: usize = 4;

/// One message as it stands in the file: append it, or begin a new file with a snapshot.
///
/// # Errors
/// [`FeedFault::TooLarge`] when the message cannot be a signed one.
pub fn feed_file_entry(wire: &[u8]) -> Result<Vec<u8>, FeedFault> {
    let length = u32::try_from(wire.len()).map_err(|_| FeedFault::TooLarge("octets of one message"))?;
    let mut entry = Vec::with_capacity(LENGTH_OCTETS.saturating_add(wire.len()));
    entry.extend_from_slice(&length.to_be_bytes());
    entry.extend_from_slice(wire);
    Ok(entry)
}

/// Verifies a whole file.
///
/// A file that lost whole messages at its end reads as the older feed it then is: `floor` refuses it.
///
/// # Errors
/// Any [`FeedFault`]; the gateway refuses everyone until the authority answers.
pub fn open_feed_file(
    octets: &[u8],
    verifier: &FeedVerifier,
    environment: &EnvironmentName,
    floor: Option<Position>,
    now: Timestamp,
) -> Result<StatusSet, FeedFault> {
    let (first, mut rest) = split_entry(octets)?.ok_or(FeedFault::EmptyFile)?;
    let mut set = StatusSet::from_snapshot(first, verifier, environment, None, now)?;
    while let Some((wire, after)) = split_entry(rest)? {
        set.apply(wire, now)?;
        rest = after;
    }
    match floor {
        Some(have) if set.position() < have => Err(FeedFault::Older { have, got: set.position() }),
        _ => Ok(set),
    }
}

/// Verifies a file that a crash may have torn: gives the set, and the octets from the front that it was read from.
///
/// An incomplete message at the end was never whole on disk, and neither were octets of zero: both are left out, and
/// what follows is to be written where they begin. Everything else is as in [`open_feed_file`]; what is left must not be
/// below `floor`.
///
/// # Errors
/// Any [`FeedFault`]; the gateway refuses everyone until the authority answers.
pub fn recover_feed_file(
    octets: &[u8],
    verifier: &FeedVerifier,
    environment: &EnvironmentName,
    floor: Option<Position>,
    now: Timestamp,
) -> Result<(StatusSet, usize), FeedFault> {
    let mut rest = octets;
    let mut whole = 0;
    while let Ok(Some((wire, after))) = split_entry(rest) {
        if rest.iter().all(|octet| *octet == 0) {
            break;
        }
        whole += LENGTH_OCTETS.saturating_add(wire.len());
        rest = after;
    }
    let set = open_feed_file(octets.get(..whole).unwrap_or_default(), verifier, environment, floor, now)?;
    Ok((set, whole))
}

/// The next message and what follows it.
type Split<'a> = Option<(&'a [u8], &'a [u8])>;

fn split_entry(octets: &[u8]) -> Result<Split<'_>, FeedFault> {
    if octets.is_empty() {
        return Ok(None);
    }
    let cut = FeedFault::Malformed("the stored feed is cut short");
    let (length, rest) = octets.split_first_chunk::<LENGTH_OCTETS>().ok_or(cut.clone())?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut.clone())?;
    rest.split_at_checked(length).map(Some).ok_or(cut)
}
