//! Questions about what happened: status, heads, explanations, decisions.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Called, Query};
use super::rows::environment_named;
use crate::audit::explain::ExplainFault;
use crate::http::views;
use crate::operators::reading::{Audit, CAUSE, Devices};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use touchmark_api::{DecisionQuery, ExplainQuery, Explanation, LogHead, StatusReport};
use touchmark_decisions::Decision;
use touchmark_identity::{Name, Permission, Timestamp};
use touchmark_ra::Act as _;

const DECISIONS_DEFAULT: usize = 10_000;
const DECISIONS_MAX: usize = 100_000;

pub(super) async fn status(State(shell): State<Shell>, called: Called) -> Result<Json<StatusReport>, Refuse> {
    let read = called.read_all(&shell)?;
    let mut gateways = Vec::new();
    for read in &read {
        gateways.extend(shell.gateways.list(read)?);
    }
    let environments = read.iter().filter_map(|read| read.act().environment()).map(ToString::to_string);
    Ok(Json(StatusReport {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: shell.hierarchy.incarnation().octet(),
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
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Refuse> {
    let environment = environment_named(query.environment.as_deref())?;
    let sight = called.sight::<Devices>(&shell, environment.clone())?;
    // A decision is looked up in the logs, which may be long: not on a network thread.
    let use_cases = shell.clone();
    let found =
        tokio::task::spawn_blocking(move || use_cases.explain.explain(&id, &sight, use_cases.archives()))
            .await;
    match found.map_err(|_| Refuse::value("id", "it could not be looked up"))? {
        Ok(explanation) => Ok(Json(explanation)),
        Err(unknown @ ExplainFault::Unknown) => {
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
) -> Result<impl IntoResponse, Refuse> {
    let sight = called.sight::<Audit>(&shell, None)?;
    let since = match &query.since {
        None => Timestamp::from_unix_ms(0),
        Some(text) => Timestamp::parse(text).map_err(|why| Refuse::value("since", why))?,
    };
    let limit = query.limit.unwrap_or(DECISIONS_DEFAULT);
    if limit == 0 || limit > DECISIONS_MAX {
        return Err(Refuse::value("limit", format!("{limit}: a number from 1 to {DECISIONS_MAX}")));
    }
    let read = tokio::task::spawn_blocking(move || {
        // Archives come one after the other: the oldest of all that were kept goes first, whichever gateway's it is.
        let mut newest: BinaryHeap<Reverse<Newest>> = BinaryHeap::new();
        let homes = shell.explain.homes_of_gateways()?;
        shell.archives().visit(|decision| {
            let of_device = query
                .device
                .as_deref()
                .is_none_or(|name| decision.device().is_some_and(|device| device.as_str() == name));
            let of_verdict = query.verdict.as_deref().is_none_or(|v| decision.verdict.as_str() == v);
            let seen = sight.covers(homes.get(&decision.id.gateway));
            if seen && of_device && of_verdict && decision.at >= since {
                newest.push(Reverse(Newest(decision)));
                if newest.len() > limit {
                    newest.pop();
                }
            }
        })?;
        let mut lines = String::new();
        for Reverse(Newest(decision)) in newest.into_sorted_vec() {
            let line = serde_json::to_string(&views::decision(&decision)).unwrap_or_default();
            lines.push_str(&line);
            lines.push('\n');
        }
        Ok::<_, ExplainFault>(lines)
    });
    let lines = read.await.map_err(|_| Refuse::value("query", "the logs could not be read"))??;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines))
}

/// A decision by its time; among those of one moment, by gateway and place in its log.
struct Newest(Decision);

impl Newest {
    fn place(&self) -> (Timestamp, &Name, u32, u64) {
        let id = &self.0.id;
        (self.0.at, &id.gateway, id.epoch, id.sequence)
    }
}

impl Ord for Newest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
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
