//! Whom the tokens of an operator let in: they live on when it is revoked, and a thief may be among them.
//!
//! In: rows. Out: operators and services by name, devices as a count. Only the operator's own tokens: what those whom it
//! let in did with theirs is asked about each of them.

use crate::http::views::subject_kind;
use std::collections::HashMap;
use touchmark_api::{LetIn, LetInParty};
use touchmark_identity::{EnvironmentName, Name, Timestamp, TokenId};
use touchmark_inventory::{PartyRow, Store, StoreFault, lives};
use touchmark_journal::IdentityKind;

/// Parties that are named; the rest is a count.
const NAMED_MAX: usize = 50;
/// Tokens of an environment that are looked at for the count of devices.
const TOKENS_MAX: usize = 100_000;
const TOKENS_AT_ONCE: usize = 1_000;

/// Whom the tokens of `operator` let in. Reads every certificate of every operator and service.
///
/// # Errors
/// [`StoreFault`].
pub(crate) fn let_in(
    store: &dyn Store,
    environments: &[EnvironmentName],
    operator: &Name,
    now: Timestamp,
) -> Result<LetIn, StoreFault> {
    let mut makers: HashMap<TokenId, bool> = HashMap::new();
    let mut parties = Vec::new();
    for party in store.parties()? {
        let is_itself = party.kind == IdentityKind::Operator && party.name == *operator;
        if !is_itself && was_let_in(store, &party, operator, now, &mut makers)? {
            parties.push(LetInParty {
                kind: subject_kind(party.kind),
                name: party.name,
                environment: party.scope.environment,
            });
        }
    }
    parties.sort_unstable();
    let parties_total = parties.len() as u64;
    parties.truncate(NAMED_MAX);
    let mut device_enrolments: u64 = 0;
    for environment in environments {
        device_enrolments = device_enrolments.saturating_add(enrolments(store, environment, operator)?);
    }
    Ok(LetIn { parties, parties_total, device_enrolments })
}

fn was_let_in(
    store: &dyn Store,
    party: &PartyRow,
    operator: &Name,
    now: Timestamp,
    makers: &mut HashMap<TokenId, bool>,
) -> Result<bool, StoreFault> {
    let certificates = store.certificates_of_party(party.kind, &party.name)?;
    if !certificates.iter().any(|row| lives(row, now)) {
        return Ok(false);
    }
    for token in certificates.iter().filter_map(|row| row.token) {
        let its = match makers.get(&token) {
            Some(its) => *its,
            None => {
                let its = store.token(token)?.is_some_and(|row| row.created_by == *operator);
                makers.insert(token, its);
                its
            }
        };
        if its {
            return Ok(true);
        }
    }
    Ok(false)
}

fn enrolments(store: &dyn Store, environment: &EnvironmentName, operator: &Name) -> Result<u64, StoreFault> {
    let (mut uses, mut before) = (0_u64, None);
    for _ in 0..TOKENS_MAX / TOKENS_AT_ONCE {
        let page = store.tokens(environment, before, TOKENS_AT_ONCE)?;
        let its =
            page.iter().filter(|row| row.kind == IdentityKind::Operational && row.created_by == *operator);
        uses = its.fold(uses, |uses, row| uses.saturating_add(row.uses.into()));
        before = page.last().map(|row| row.token);
        if page.len() < TOKENS_AT_ONCE {
            break;
        }
    }
    Ok(uses)
}
