//! Makers, and devices that are registered before they come.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query};
use crate::hierarchy::Trust;
use crate::makers::MakersFault;
use crate::operators::CallerFault;
use crate::views;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use touchmark_api::{Device, HardwareOrder, Maker, MakerOrder, MakerQuery, MakerWithdrawal};
use touchmark_identity::Permission;
use touchmark_identity::{EnvironmentName, Fingerprint, Name};
use touchmark_inventory::{MakerRow, StoreFault};
use touchmark_ra::MakerFault;
use touchmark_x509::Certificate;
use touchmark_x509::hardware::HardwareId;

/// Cause of what is refused here.
const CAUSE: &str = "api/makers";

fn trust_of(shell: &Shell, called: &Called, environment: &str) -> Result<Arc<Trust>, Refuse> {
    let name: EnvironmentName = environment.parse().map_err(|why| Refuse::value("environment", why))?;
    called.trust(shell, &name)
}

fn named(text: &str, field: &str) -> Result<Name, Refuse> {
    text.parse().map_err(|why| Refuse::value(field, why))
}

fn counted<'a>(shell: &'a Shell, trust: &'a Trust) -> impl Fn(&CallerFault) + 'a {
    |_| shell.refusals.count(Some(&trust.environment.name), CAUSE, "not-permitted", None)
}

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<MakerQuery>,
) -> Result<Json<Vec<Maker>>, Refuse> {
    let trust = trust_of(&shell, &called, &query.environment)?;
    called.may(&shell, Permission::EnvironmentRead, &trust.environment.name)?;
    Ok(Json(shell.makers.list(&trust.environment.name)?.iter().map(view).collect::<Result<_, _>>()?))
}

pub(super) async fn register(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<MakerOrder>,
) -> Result<(StatusCode, Json<Maker>), Refuse> {
    let trust = trust_of(&shell, &called, &order.environment)?;
    let name = named(&order.name, "name")?;
    let permitted = shell
        .operators
        .mandate(&called.0, Permission::MakerRegister, &trust.environment.name)
        .inspect_err(counted(&shell, &trust))?;
    let certificate = one_certificate(&order.certificate)?;
    let (maker, fresh) = shell.makers.register(permitted.mandate, &trust, &name, &certificate).await?;
    shell.log.wake();
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, shown(&shell, &trust, |row| row.maker == maker)?))
}

pub(super) async fn withdraw(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Body(order): Body<MakerWithdrawal>,
) -> Result<Json<Maker>, Refuse> {
    let trust = trust_of(&shell, &called, &order.environment)?;
    let name = named(&name, "name")?;
    let permitted = shell
        .operators
        .mandate(&called.0, Permission::MakerRegister, &trust.environment.name)
        .inspect_err(counted(&shell, &trust))?;
    let maker = shell.makers.withdraw(permitted.mandate, &trust, &name).await?;
    shell.log.wake();
    shown(&shell, &trust, |row| row.maker == maker)
}

pub(super) async fn register_device(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<HardwareOrder>,
) -> Result<(StatusCode, Json<Device>), Refuse> {
    let trust = trust_of(&shell, &called, &order.environment)?;
    let name = named(&order.device, "device")?;
    let maker = named(&order.maker, "maker")?;
    let model = order.model.as_deref().map(|model| named(model, "model")).transpose()?;
    let hardware_id: HardwareId =
        order.hardware_id.parse().map_err(|why| Refuse::value("hardware_id", why))?;
    let permitted = shell
        .operators
        .mandate(&called.0, Permission::DeviceEnrol, &trust.environment.name)
        .inspect_err(counted(&shell, &trust))?;
    let device = shell
        .makers
        .register_hardware(permitted.mandate, &trust, &maker, &hardware_id, &name, model.as_ref())
        .await?;
    shell.log.wake();
    let row = shell.store.device(device)?;
    let row = row.ok_or_else(|| StoreFault::Damaged("a device that was just registered".into()))?;
    Ok((StatusCode::CREATED, Json(views::device(&row))))
}

fn one_certificate(pem: &str) -> Result<Certificate, Refuse> {
    let refuse = |why: String| {
        Refuse::new(StatusCode::BAD_REQUEST, "maker-certificate", "this is not one certificate")
            .detail(why)
            .fix("give the one certificate, in PEM, that ends the paths of the maker's initial certificates")
    };
    let mut certificates = Certificate::from_pem_many(pem).map_err(|bad| refuse(bad.to_string()))?;
    match (certificates.pop(), certificates.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (_, more) => Err(refuse(format!("{} certificates", more + 1))),
    }
}

fn shown(shell: &Shell, trust: &Trust, which: impl Fn(&&MakerRow) -> bool) -> Result<Json<Maker>, Refuse> {
    let rows = shell.makers.list(&trust.environment.name)?;
    let row = rows.iter().find(which);
    let row = row.ok_or_else(|| StoreFault::Damaged("a maker that was just registered".into()))?;
    Ok(Json(view(row)?))
}

fn view(row: &MakerRow) -> Result<Maker, StoreFault> {
    let certificate = Certificate::from_der(&row.certificate)
        .map_err(|bad| StoreFault::Damaged(format!("maker {}: {bad}", row.name)))?;
    let fingerprint: Fingerprint = certificate.fingerprint();
    Ok(Maker {
        id: row.maker.to_string(),
        name: row.name.to_string(),
        environment: row.scope.environment.as_ref().map(ToString::to_string).unwrap_or_default(),
        fingerprint: fingerprint.to_string(),
        not_after: certificate.validity().not_after().to_string(),
        registered_at: row.registered_at.to_string(),
        withdrawn_at: row.withdrawn_at.map(|at| at.to_string()),
    })
}

impl From<MakersFault> for Refuse {
    fn from(fault: MakersFault) -> Self {
        let rule = match fault {
            MakersFault::Rules(rule) => rule,
            MakersFault::Certificate(bad) => return StoreFault::Damaged(bad.to_string()).into(),
            MakersFault::Store(fault) => return fault.into(),
            MakersFault::Publish(fault) => return fault.into(),
        };
        let status = match &rule {
            MakerFault::Mandate => StatusCode::FORBIDDEN,
            MakerFault::Anchor(_) => StatusCode::BAD_REQUEST,
            MakerFault::Unknown(_) => StatusCode::NOT_FOUND,
            MakerFault::OwnAuthority
            | MakerFault::Exists(_)
            | MakerFault::Known(_)
            | MakerFault::TooMany
            | MakerFault::Banned
            | MakerFault::Model
            | MakerFault::HardwareTaken
            | MakerFault::DeviceTaken => StatusCode::CONFLICT,
        };
        Self::new(status, rule.code(), rule.to_string()).fix(rule.fix())
    }
}
