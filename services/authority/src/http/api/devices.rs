//! Devices, their certificates, and the three verbs of containment.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query, page_rows, wait_of};
use crate::containment::Verb;
use crate::operators::revocation_of;
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use touchmark_api::{Candidate, Certificate, Containment, ContainmentOutcome, Device, DeviceQuery, Page};
use touchmark_identity::Permission;
use touchmark_identity::{CertificateId, EnvironmentName, Fingerprint, Name, RevocationReason, SpiffeId};
use touchmark_inventory::{CertificateRow, DeviceFilter, DeviceRow};
use touchmark_journal::{IdentityKind, Standing};
use touchmark_ra::Act;

/// `?environment=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InEnvironment {
    environment: Option<String>,
}

fn environment_named(text: Option<&str>) -> Result<Option<EnvironmentName>, Refuse> {
    text.map(|text| text.parse().map_err(|why| Refuse::value("environment", why))).transpose()
}

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<Page<Device>>, Refuse> {
    let environment = environment_named(query.environment.as_deref())?;
    match &environment {
        Some(environment) => called.may(&shell, Permission::DeviceRead, environment)?,
        None => called.may_at_home(&shell, Permission::DeviceRead)?,
    }
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
    environment.as_ref().map(|name| called.trust(&shell, name)).transpose()?;
    let filter = DeviceFilter { environment, after, standing, limit };
    let rows = shell.store.devices(&filter)?;
    let next = (rows.len() == limit)
        .then(|| rows.last().and_then(|row| row.name.as_ref()).map(ToString::to_string))
        .flatten();
    Ok(Json(Page { items: rows.iter().map(views::device).collect(), next }))
}

/// The one device of this name. Whether it exists is told only to whoever `may` do what is asked where it is.
fn find(
    shell: &Shell,
    called: &Called,
    name: &str,
    environment: Option<&str>,
    may: impl Fn(&EnvironmentName) -> Result<(), Refuse>,
) -> Result<DeviceRow, Refuse> {
    let unknown = || {
        Refuse::new(StatusCode::NOT_FOUND, "device-unknown", format!("no device `{name}`"))
            .fix("touchmark device list")
    };
    if let Some(environment) = environment_named(environment)? {
        may(&environment)?;
        called.trust(shell, &environment)?;
        let parsed = name.parse().map_err(|_| unknown())?;
        return shell.store.device_by_name(&environment, &parsed)?.ok_or_else(unknown);
    }
    let rows = match name.parse::<Name>() {
        Ok(name) => shell.store.devices_named(&name)?,
        Err(_) => Vec::new(),
    };
    if rows.is_empty() {
        may(&called.0.environment)?;
        return Err(unknown());
    }
    let (mut seen, mut hidden) = (Vec::new(), None);
    for row in rows {
        match may(&home(&row)?) {
            Ok(()) => seen.push(row),
            Err(refuse) => hidden = Some(refuse),
        }
    }
    if seen.len() > 1 {
        let mut refuse =
            Refuse::new(StatusCode::CONFLICT, "ambiguous", format!("several environments have a `{name}`"))
                .fix("say which with --env");
        refuse.0.candidates = seen
            .iter()
            .map(|row| Candidate {
                kind: "device".into(),
                id: row.device.to_string(),
                name: format!("{name} in {}", views::device(row).environment),
            })
            .collect();
        return Err(refuse);
    }
    seen.pop().ok_or_else(|| hidden.unwrap_or_else(unknown))
}

fn home(row: &DeviceRow) -> Result<EnvironmentName, Refuse> {
    row.scope
        .environment
        .clone()
        .ok_or_else(|| Refuse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed"))
}

pub(super) async fn get(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<InEnvironment>,
) -> Result<Json<Device>, Refuse> {
    let may = |environment: &EnvironmentName| called.may(&shell, Permission::DeviceRead, environment);
    let row = find(&shell, &called, &name, query.environment.as_deref(), may)?;
    let renewals = shell.store.renewals_of(row.device)?;
    Ok(Json(views::device_with_renewals(&row, renewals.as_ref())))
}

pub(super) async fn certificates(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Query(query): Query<InEnvironment>,
) -> Result<Json<Vec<Certificate>>, Refuse> {
    let may = |environment: &EnvironmentName| called.may(&shell, Permission::CertificateRead, environment);
    let row = find(&shell, &called, &name, query.environment.as_deref(), may)?;
    let now = shell.clock.now();
    let rows = shell.store.certificates_of_device(row.device)?;
    let shown = rows.iter().filter(|row| row.fingerprint.is_some());
    Ok(Json(shown.map(|row| views::certificate(row, &shell.hierarchy, now)).collect()))
}

/// The certificate of this identifier, and its environment. That there is none is told only to whoever `may` do what is
/// asked at home.
fn find_certificate(
    shell: &Shell,
    called: &Called,
    id: &str,
    may: impl Fn(&EnvironmentName) -> Result<(), Refuse>,
) -> Result<(CertificateRow, EnvironmentName), Refuse> {
    let row = match (id.parse::<CertificateId>(), id.parse::<Fingerprint>()) {
        (Ok(id), _) => shell.store.certificate(id)?,
        (_, Ok(fingerprint)) => shell.store.certificate_by_fingerprint(&fingerprint)?,
        (Err(_), Err(_)) => None,
    };
    let Some(row) = row else {
        may(&called.0.environment)?;
        return Err(Refuse::new(
            StatusCode::NOT_FOUND,
            "certificate-unknown",
            format!("no certificate `{id}`"),
        )
        .fix("touchmark explain also takes serial numbers and names"));
    };
    let environment = row.scope.environment.clone().unwrap_or_else(|| called.0.environment.clone());
    Ok((row, environment))
}

/// One certificate, whoever holds it.
pub(super) async fn revoke_certificate(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
    Body(order): Body<Containment>,
) -> Result<Json<ContainmentOutcome>, Refuse> {
    let reason = reason_named(order.reason.as_deref())?;
    let may = |environment: &EnvironmentName| called.may(&shell, Permission::DeviceRevoke, environment);
    let (row, environment) = find_certificate(&shell, &called, &id, may)?;
    let permitted = shell
        .operators
        .mandate_for(&called.0, revocation_of(row.kind), Act::CertificateRevoke, &environment)
        .inspect_err(|_| {
            shell.refusals.count(Some(&environment), "api/certificate/revoke", "not-permitted", row.device);
        })?;
    let wait = wait_of(order.wait_ms);
    let outcome = shell
        .containments
        .revoke_one(permitted.mandate, permitted.rule, &row, reason, order.dry_run, wait)
        .await?;
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
    let may = |environment: &EnvironmentName| called.may(&shell, Permission::CertificateRead, environment);
    let (row, environment) = find_certificate(&shell, &called, &id, may)?;
    may(&environment)?;
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
    let (verb, permission) = match word.as_str() {
        "revoke" => (Verb::Revoke(reason), Permission::DeviceRevoke),
        "quarantine" => (Verb::Quarantine(until), Permission::DeviceQuarantine),
        "release" => (Verb::Release, Permission::DeviceRelease),
        "ban" => (Verb::Ban(reason), Permission::DeviceBan),
        _ => return Err(Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")),
    };
    let may = |environment: &EnvironmentName| {
        Ok(shell.operators.permits(&called.0, permission, environment).map(drop)?)
    };
    let row = find(&shell, &called, &name, order.environment.as_deref(), may).inspect_err(|refuse| {
        if refuse.0.status == StatusCode::FORBIDDEN.as_u16() {
            shell.refusals.count(None, "api/contain", "not-permitted", None);
        }
    })?;
    let permitted = shell.operators.mandate(&called.0, permission, &home(&row)?)?;
    let wait = wait_of(order.wait_ms);
    let outcome = shell
        .containments
        .contain(permitted.mandate, permitted.rule, &row, verb, order.dry_run, wait)
        .await?;
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
    let known = match name.parse::<Name>() {
        Ok(name) => shell.tokens.party(kind, &name)?,
        Err(_) => None,
    };
    let home = known.as_ref().and_then(|party| party.scope.environment.clone());
    let environment = home.unwrap_or_else(|| called.0.environment.clone());
    let permitted =
        shell.operators.mandate(&called.0, revocation_of(kind), &environment).inspect_err(|_| {
            shell.refusals.count(Some(&environment), "api/party/revoke", "not-permitted", None);
        })?;
    let party = known.ok_or_else(|| {
        Refuse::new(StatusCode::NOT_FOUND, "party-unknown", format!("no {} `{name}`", kind.as_str()))
            .fix("the name is that of its token: touchmark token list")
    })?;
    if kind == IdentityKind::Service && party.name.as_str() == SpiffeId::AUTHORITY {
        return Err(Refuse::new(StatusCode::CONFLICT, "name-reserved", "that is the authority itself")
            .fix("to revoke one of its certificates: touchmark cert revoke ID"));
    }
    let wait = wait_of(order.wait_ms);
    let outcome = shell
        .containments
        .revoke_party(permitted.mandate, permitted.rule, &party, reason, order.dry_run, wait)
        .await?;
    Ok(Json(outcome))
}
