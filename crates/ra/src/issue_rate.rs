//! How often an identity may be given a certificate on its own word.
//!
//! Each certificate that is replaced stays in every gateway's memory until it ends, and on the CRL if it is revoked. So
//! what one holder can have made is bounded by time, whatever it proves in between. A token is an operator's act: what
//! came before it is not counted, so that a thief who spent the rate does not keep the owner out.

use core::time::Duration;
use touchmark_identity::Timestamp;
use touchmark_inventory::{ISSUES_READ, IssueRow};

/// Certificates at once: a person who tries things, and answers that were lost.
pub const ISSUES_AT_ONCE: usize = ISSUES_READ;
/// From then on one in this part of a certificate's life, so that a life has less than a hundred.
pub const ISSUES_PART: u32 = 64;

/// Whether an identity may be given another certificate now; else how long it waits, in whole seconds.
///
/// `issues` are the newest [`ISSUES_AT_ONCE`], the last one first; those before `since`, when an operator last let it
/// in, do not count.
///
/// # Errors
/// The wait, at most a 64th of `lifetime` and a second.
pub fn may_issue(
    issues: &[IssueRow],
    since: Option<Timestamp>,
    lifetime: Duration,
    now: Timestamp,
) -> Result<(), Duration> {
    let counts =
        |issue: &&IssueRow| issue.token.is_none() && since.is_none_or(|since| issue.intended_at >= since);
    let counted: Vec<&IssueRow> = issues.iter().take(ISSUES_AT_ONCE).take_while(counts).collect();
    let (Some(last), Some(first)) = (counted.first(), counted.get(ISSUES_AT_ONCE - 1)) else { return Ok(()) };
    let pause = lifetime / ISSUES_PART;
    let left = |span: Duration, at: Timestamp| span.saturating_sub(now.since(at));
    let wait = left(pause, last.intended_at).min(left(pause * ISSUES_AT_ONCE as u32, first.intended_at));
    if wait.is_zero() { Ok(()) } else { Err(Duration::from_secs(wait.as_secs() + 1)) }
}
