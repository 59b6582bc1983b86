//! Devices, their certificates, and the three verbs of containment.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query, page_rows, wait_of};
use super::rows::environment_named;
use crate::http::views;
use crate::operators::reading::{CAUSE, Certificates, Read};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use touchmark_api::{Certificate, Containment, ContainmentOutcome, Device, DeviceQuery, Page};
use touchmark_identity::{Name, Permission, RevocationReason, SpiffeId};
use touchmark_journal::{IdentityKind, Standing};
use touchmark_ra::{Contain, RevokeCertificate, RevokeParty, Verb, revocation_of};

/// `?environment=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InEnvironment {
    environment: Option<String>,
}

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<Page<Device>>, Refuse> {
    let read = match environment_named(query.environment.as_deref())? {
        Some(environment) => vec![called.read(&shell, environment)?],
        None => called.read_all(&shell)?,
    };
    let standing = match query.standing.as_deref() {
        None => None,
        Some(word) => Some(
            Standing::from_word(word)
                .ok_or_else(|| Refuse::value("standing", "one of: active, quarantined, banned"))?,
        ),
    };
    let after: Option<Name> =
        query.after.map(|after| after.parse().map_err(|why| Refuse::value("after", why))).transpose()?;
    let limit = page_rows(query.limit)?;
    let rows = shell.rows.devices(&read, after.as_ref(), standing, limit)?;
    let next = (rows.len() >= limit)
        .then(|| rows.last().and_then(|row| row.name.as_ref()).map(ToString::to_string))
        .flatten();
    Ok(Json(Page { items: rows.iter().map(views::device).collect(), next }))
}

pub(super) async fn get(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<InEnvironment>,
) -> Result<Json<Device>, Refuse> {
    let what = (Permission::DeviceRead, CAUSE);
    let read = called.device(&shell, &name, query.environment.as_deref(), what, Read::device)?;
    let renewals = shell.rows.renewals(&read)?;
    Ok(Json(views::device_with_renewals(&read.act().of, renewals.as_ref())))
}

pub(super) async fn certificates(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<InEnvironment>,
) -> Result<Json<Vec<Certificate>>, Refuse> {
    let what = (Permission::CertificateRead, CAUSE);
    let read = called.device(&shell, &name, query.environment.as_deref(), what, Read::device)?;
    let now = shell.clock.now();
    let rows = shell.rows.certificates(&read)?;
    let shown = rows.iter().filter(|row| row.fingerprint.is_some());
    Ok(Json(shown.map(|row| views::certificate(row, &shell.hierarchy, now)).collect()))
}

/// One certificate, whoever holds it.
pub(super) async fn revoke_certificate(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
    Body(order): Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    let reason = reason_named(order.reason.as_deref())?;
    let what = (Permission::DeviceRevoke, "api/certificate/revoke");
    let mandate = called.certificate(&shell, &id, what, |certificate| {
        let reach = shell.operators.reach_of_holder(&certificate)?;
        Ok(RevokeCertificate { certificate, reason, reach })
    })?;
    let outcome = shell.containments.revoke_one(mandate, order.dry_run, wait_of(order.wait_ms)).await?;
    Ok(Json(outcome))
}

fn reason_named(word: Option<&str>) -> Result<RevocationReason, Refuse> {
    word.map_or(Ok(RevocationReason::Unspecified), |word| {
        word.parse().map_err(|why| Refuse::value("reason", why))
    })
}

pub(super) async fn certificate(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
) -> Result<Json<Certificate>, Refuse> {
    let what = (Permission::CertificateRead, CAUSE);
    let read = called.certificate(&shell, &id, what, |row| Ok(Read::<Certificates, _>::certificate(row)))?;
    let row = read.into_act().of;
    Ok(Json(views::certificate_with_pem(&row, &shell.hierarchy, shell.clock.now())))
}

pub(super) async fn contain(
    State(shell): State<Shell>,
    called: Called,
    Path((name, word)): Path<(String, String)>,
    Body(order): Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    let reason = reason_named(order.reason.as_deref())?;
    let now = shell.clock.now();
    if order.ttl_s == Some(0) {
        return Err(Refuse::value("ttl_s", "at least 1 second"));
    }
    let until = order.ttl_s.map(|ttl| now.plus(Duration::from_secs(ttl)));
    let verb = match word.as_str() {
        "revoke" => Verb::Revoke(reason),
        "quarantine" => Verb::Quarantine(until),
        "release" => Verb::Release,
        "ban" => Verb::Ban(reason),
        _ => return Err(Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")),
    };
    let what = (verb.permission(), verb.cause());
    let act = |device| Contain { device, verb };
    let mandate = called.device(&shell, &name, order.environment.as_deref(), what, act)?;
    let outcome = shell.containments.contain(mandate, order.dry_run, wait_of(order.wait_ms)).await?;
    Ok(Json(outcome))
}

pub(super) async fn revoke_operator(
    state: State<Shell>,
    called: Called,
    name: Path<String>,
    order: Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    revoke_party(state, called, name, order, IdentityKind::Operator).await
}

/// A gateway is a service, too.
pub(super) async fn revoke_service(
    state: State<Shell>,
    called: Called,
    name: Path<String>,
    order: Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    revoke_party(state, called, name, order, IdentityKind::Service).await
}

/// All that an operator or service has: certificates, successors, keys, tokens.
async fn revoke_party(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Body(order): Body<Containment>,
    kind: IdentityKind,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    let reason = reason_named(order.reason.as_deref())?;
    let what = (revocation_of(kind), "api/party/revoke");
    let mandate = called.party(&shell, kind, &name, what, |party| RevokeParty { party, reason })?;
    if kind == IdentityKind::Service && mandate.act().party.name.as_str() == SpiffeId::AUTHORITY {
        return Err(Refuse::new(StatusCode::CONFLICT, "name-reserved", "that is the authority itself")
            .fix("to revoke one of its certificates: touchmark cert revoke ID"));
    }
    let outcome = shell.containments.revoke_party(mandate, order.dry_run, wait_of(order.wait_ms)).await?;
    Ok(Json(outcome))
}
