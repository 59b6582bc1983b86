//! Questions about what happened: status, heads, explanations, decisions.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Called, Query};
use super::paging::bad_cursor;
use crate::audit::explain::ExplainFault;
use crate::http::views;
use crate::operators::reading::{Audit, CAUSE, Devices, Read};
use axum::Json;
use axum::extract::{Path, State};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use touchmark_api::{DecisionQuery, Explanation, InEnvironment, LogHead, Page, StatusReport};
use touchmark_decisions::{Decision, DecisionId};
use touchmark_identity::{Permission, Timestamp};
use touchmark_ra::Act as _;

pub(super) async fn status(State(shell): State<Shell>, called: Called) -> Result<Json<StatusReport>, Refuse> {
    let read = called.read_all(&shell)?;
    let mut gateways = Vec::new();
    for read in &read {
        gateways.extend(shell.gateways.list(read)?);
    }
    let environments = read.iter().filter_map(|read| read.act().environment().cloned());
    Ok(Json(StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: shell.hierarchy.now().incarnation.octet(),
        journal: shell.rows.journal_len()?,
        log_size: shell.log.head().0.size,
        environments: environments.collect(),
        gateways,
    }))
}

/// Gateways ask too: the head they keep is the witness against a rewritten journal.
pub(super) async fn log_head(State(shell): State<Shell>, called: Called) -> Result<Json<LogHead>, Refuse> {
    if called.0.kind == touchmark_journal::IdentityKind::Operator {
        called.read_all::<Audit>(&shell)?;
    }
    let (head, checkpoint) = shell.log.head();
    Ok(Json(LogHead {
        origin: shell.log_origin.clone(),
        vkey: shell.log.vkey(),
        size: head.size,
        checkpoint,
    }))
}

pub(super) async fn explain(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
    Query(InEnvironment { environment }): Query<InEnvironment>,
) -> Result<Json<Explanation>, Refuse> {
    let sight = called.sight::<Devices>(&shell, environment.clone())?;
    // A decision is looked up in the logs, which may be long: not on a network thread.
    let use_cases = shell.clone();
    let found =
        tokio::task::spawn_blocking(move || use_cases.explain.explain(&id, &sight, use_cases.archives()))
            .await;
    match found.map_err(|_| Refuse::value("id", "it could not be looked up"))? {
        Ok(explanation) => Ok(Json(explanation)),
        // Recorded of where it is, as every refusal to read it.
        Err(ExplainFault::Unseen(there, device)) if environment.is_none() => {
            let _unseen = called.permit(&shell, Read::<Devices>::what_is(there, device))?;
            Err(ExplainFault::Unknown.into())
        }
        Err(unknown @ (ExplainFault::Unknown | ExplainFault::Unseen(..))) => {
            let what = (Permission::DeviceRead, CAUSE);
            Err(called.absent(&shell, what, environment, unknown.into()))
        }
        Err(fault) => Err(fault.into()),
    }
}

pub(super) async fn decisions(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<DecisionQuery>,
) -> Result<Json<Page<touchmark_api::Decision>>, Refuse> {
    called.read_all::<Audit>(&shell)?;
    let sight = called.sight::<Audit>(&shell, None)?;
    let paging = called.paging(&shell, "/v1/decisions", &query)?;
    let after =
        paging.after.as_deref().map(|place| Place::parse(place).ok_or_else(bad_cursor)).transpose()?;
    let read = tokio::task::spawn_blocking(move || {
        // Archives come one after the other: the oldest of all that were kept goes first, whichever gateway's it is.
        let mut newest: BinaryHeap<Reverse<Newest>> = BinaryHeap::new();
        let homes = shell.explain.homes_of_gateways()?;
        shell.archives().visit(|decision| {
            let of_device = query.device.as_ref().is_none_or(|name| decision.device() == Some(name));
            let of_verdict = query.verdict.is_none_or(|v| decision.verdict.as_str() == v.as_str());
            let of_time = query.since.is_none_or(|since| decision.at >= since);
            let seen = sight.covers(homes.get(&decision.id.gateway));
            let place = Place { at: decision.at, id: decision.id.clone() };
            let before = after.as_ref().is_none_or(|after| place < *after);
            if seen && of_device && of_verdict && of_time && before {
                newest.push(Reverse(Newest { place, decision }));
                if newest.len() > paging.limit + 1 {
                    newest.pop();
                }
            }
        })?;
        let rows = newest.into_sorted_vec().into_iter().map(|Reverse(Newest { place, decision })| {
            (format!("{} {}", place.at.unix_ms(), place.id), views::decision(&decision))
        });
        Ok::<_, ExplainFault>(paging.page(&shell, rows.collect()))
    });
    let page = read.await.map_err(|_| Refuse::value("query", "the logs could not be read"))??;
    Ok(Json(page))
}

/// A decision by its time; among those of one moment, by gateway and place in its log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: Timestamp,
    id: DecisionId,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (ms, id) = text.split_once(' ')?;
        Some(Self { at: Timestamp::from_unix_ms(ms.parse().ok()?), id: id.parse().ok()? })
    }
}

/// Ordered by its place alone.
struct Newest {
    place: Place,
    decision: Decision,
}

impl Ord for Newest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place.cmp(&other.place)
    }
}

impl PartialOrd for Newest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Newest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Newest {}
