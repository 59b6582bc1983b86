//! Recovery at start: what a crash left half-done is finished or burned, by the same commands as always.

use crate::issuance::recovery_actor;
use crate::store::commit::Commits;
use touchmark_inventory::StoreFault;
use touchmark_journal::BurnCause;
use touchmark_listen::Clock;
use touchmark_ra::burn;

/// Burns every intent that was neither issued nor burned; gives how many. Running it twice changes nothing.
///
/// # Errors
/// [`StoreFault`]; the authority must not start.
pub(crate) async fn close_open_intents(commits: &Commits, clock: &Clock) -> Result<usize, StoreFault> {
    let open = commits.store().open_intents()?;
    for intent in &open {
        let command = burn(recovery_actor(), intent, BurnCause::Crash, clock.now());
        commits.commit(command).await?;
    }
    Ok(open.len())
}
