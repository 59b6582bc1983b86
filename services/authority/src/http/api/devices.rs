//! Devices, their certificates, and the three verbs of containment.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query, wait_of};
use super::paging::{Paging, bad_cursor};
use crate::http::views;
use crate::operators::reading::{CAUSE, Certificates, Read};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::time::Duration;
use touchmark_api::{
    Certificate, Containment, ContainmentOutcome, Device, DeviceQuery, InEnvironment, ListIn, Page,
};
use touchmark_identity::{Permission, RevocationReason, SpiffeId};
use touchmark_inventory::{CertificateRow, DeviceRow};
use touchmark_journal::{IdentityKind, Standing};
use touchmark_ra::{Contain, RevokeCertificate, RevokeParty, Verb, revocation_of};

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<Page<Device>>, Refuse> {
    let read = called.read_in(&shell, query.environment.clone())?;
    let paging = called.paging(&shell, "/v1/devices", &query)?;
    let standing = query.standing.map(|standing| match standing {
        touchmark_api::Standing::Active => Standing::Active,
        touchmark_api::Standing::Quarantined => Standing::Quarantined,
        touchmark_api::Standing::Banned => Standing::Banned,
    });
    let after = paging.after.as_deref().map(|name| name.parse().map_err(|_| bad_cursor())).transpose()?;
    let rows = shell.rows.devices(&read, after.as_ref(), standing, paging.limit)?;
    // One name may stand in several environments, and a page ends with the last of them.
    let last = rows.get(paging.limit - 1).map(|row| row.name.clone());
    let end = last.map_or(rows.len(), |last| rows.partition_point(|row| row.name <= last));
    let place = |row: &DeviceRow| row.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let paging = Paging { limit: end, ..paging };
    Ok(Json(paging.page(&shell, rows.iter().map(|row| (place(row), views::device(row))).collect())))
}

pub(super) async fn get(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<InEnvironment>,
) -> Result<Json<Device>, Refuse> {
    let what = (Permission::DeviceRead, CAUSE);
    let read = called.device(&shell, &name, query.environment, what, Read::device)?;
    let renewals = shell.rows.renewals(&read)?;
    Ok(Json(views::device_with_renewals(&read.act().of, renewals.as_ref())))
}

pub(super) async fn certificates(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<ListIn>,
) -> Result<Json<Page<Certificate>>, Refuse> {
    let what = (Permission::CertificateRead, CAUSE);
    let read = called.device(&shell, &name, query.environment.clone(), what, Read::device)?;
    let paging = called.paging(&shell, &format!("/v1/devices/{name}/certificates"), &query)?;
    let now = shell.clock.now();
    let rows = shell.rows.certificates(&read)?;
    let shown = rows.iter().filter(|row| row.fingerprint.is_some());
    let place = |row: &CertificateRow| format!("{:020} {}", u64::MAX - row.generation, row.certificate);
    let view = |row| (place(row), views::certificate(row, &shell.hierarchy, now));
    Ok(Json(paging.cut(&shell, shown.map(view).collect())))
}

/// One certificate, whoever holds it.
pub(super) async fn revoke_certificate(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
    Body(order): Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    let reason = order.reason.unwrap_or(RevocationReason::Unspecified);
    let what = (Permission::DeviceRevoke, "api/certificate/revoke");
    let mandate = called.certificate(&shell, &id, what, |certificate| {
        let reach = shell.operators.reach_of_holder(&certificate)?;
        Ok(RevokeCertificate { certificate, reason, reach })
    })?;
    let outcome = shell.containments.revoke_one(mandate, order.dry_run, wait_of(order.wait_ms)).await?;
    Ok(Json(outcome))
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
    let reason = order.reason.unwrap_or(RevocationReason::Unspecified);
    let now = shell.clock.now();
    let until = order.ttl_s.map(|ttl| now.plus(Duration::from_secs(ttl.get())));
    let verb = match word.as_str() {
        "revoke" => Verb::Revoke(reason),
        "quarantine" => Verb::Quarantine(until),
        "release" => Verb::Release,
        "ban" => Verb::Ban(reason),
        _ => return Err(Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")),
    };
    let what = (verb.permission(), verb.cause());
    let act = |device| Contain { device, verb };
    let mandate = called.device(&shell, &name, order.environment, what, act)?;
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
    let reason = order.reason.unwrap_or(RevocationReason::Unspecified);
    let what = (revocation_of(kind), "api/party/revoke");
    let mandate = called.party(&shell, kind, &name, what, |party| RevokeParty { party, reason })?;
    if kind == IdentityKind::Service && mandate.act().party.name.as_str() == SpiffeId::AUTHORITY {
        return Err(Refuse::new(StatusCode::CONFLICT, "name-reserved", "that is the authority itself")
            .fix("to revoke one of its certificates: touchmark cert revoke ID"));
    }
    let outcome = shell.containments.revoke_party(mandate, order.dry_run, wait_of(order.wait_ms)).await?;
    Ok(Json(outcome))
}
