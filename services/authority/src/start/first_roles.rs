//! Roles for services of a data directory from before services had any: each of them could be a gateway, and is one
//! from then on, so that those that run keep working. What each is stands in the journal.

use crate::operators::ROLE_GATEWAY;
use crate::operators::environments::bootstrap_actor;
use crate::store::commit::Commits;
use touchmark_identity::{SpiffeId, Timestamp};
use touchmark_inventory::{Command, PartyRow, StoreFault};
use touchmark_journal::{Draft, Envelope, Event, IdentityKind, PartyRegistered};

/// Gives the role of a gateway to each service without a role, but to the authority's own; says how many. A service
/// that was registered since has one, so that a second run changes nothing.
///
/// # Errors
/// [`StoreFault`]; the authority must not start.
pub(super) async fn give(commits: &Commits, now: Timestamp) -> Result<usize, StoreFault> {
    let without = |row: &PartyRow| {
        row.kind == IdentityKind::Service && row.roles.is_empty() && row.name.as_str() != SpiffeId::AUTHORITY
    };
    let given = |row: PartyRow| Draft {
        envelope: Envelope {
            scope: row.scope,
            actor: bootstrap_actor(),
            cause: "start/roles".into(),
            at: now,
        },
        event: Event::PartyRegistered(PartyRegistered {
            kind: row.kind,
            name: row.name,
            roles: vec![ROLE_GATEWAY.to_owned()],
            owner: row.owner,
            reach: None,
        }),
        private: None,
    };
    let parties = commits.store().parties()?;
    let entries: Vec<Draft> = parties.into_iter().filter(without).map(given).collect();
    let count = entries.len();
    if count > 0 {
        commits.commit(Command { preconditions: Vec::new(), entries }).await?;
    }
    Ok(count)
}
