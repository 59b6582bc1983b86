//! Makers, and devices that are registered before they come.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query};
use crate::http::views;
use crate::issuance::makers::MakersFault;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use touchmark_api::{Device, HardwareOrder, ListIn, Maker, MakerOrder, MakerWithdrawal, Page};
use touchmark_inventory::{MakerRow, StoreFault};
use touchmark_ra::{MakerFault, RegisterHardware, RegisterMaker, WithdrawMaker};
use touchmark_x509::Certificate;

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<ListIn>,
) -> Result<Json<Page<Maker>>, Refuse> {
    let read = called.read_in(&shell, query.environment.clone())?;
    let paging = called.paging(&shell, "/v1/makers", &query)?;
    let mut all = Vec::new();
    for read in &read {
        for row in shell.makers.list(read)? {
            all.push((format!("{} {}", row.name, row.maker), view(&row)?));
        }
    }
    Ok(Json(paging.cut(&shell, all)))
}

pub(super) async fn register(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<MakerOrder>,
) -> Result<(StatusCode, Json<Maker>), Refuse> {
    let act = RegisterMaker { environment: order.environment, name: order.name };
    let mandate = called.permit(&shell, act)?;
    shell.has_space()?;
    let trust = called.trust(&shell, &mandate)?;
    let certificate = one_certificate(&order.certificate)?;
    let (maker, fresh) = shell.makers.register(mandate, &trust, &certificate).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&maker)?)))
}

pub(super) async fn withdraw(
    State(shell): State<Shell>,
    called: Called,
    Path(name): Path<String>,
    Body(order): Body<MakerWithdrawal>,
) -> Result<Json<Maker>, Refuse> {
    let name = name.parse().map_err(|why| Refuse::value("name", why))?;
    let act = RegisterMaker { environment: order.environment, name };
    let mandate = called.permit(&shell, WithdrawMaker(act))?;
    let trust = called.trust(&shell, &mandate)?;
    let maker = shell.makers.withdraw(mandate, &trust).await?;
    Ok(Json(view(&maker)?))
}

pub(super) async fn register_device(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<HardwareOrder>,
) -> Result<(StatusCode, Json<Device>), Refuse> {
    let act = RegisterHardware {
        environment: order.environment,
        maker: order.maker,
        hardware_id: order.hardware_id.parse().map_err(|why| Refuse::value("hardware_id", why))?,
        name: order.device,
        model: order.model,
    };
    let mandate = called.permit(&shell, act)?;
    shell.has_space()?;
    let trust = called.trust(&shell, &mandate)?;
    let row = shell.makers.register_hardware(mandate, &trust).await?;
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

fn view(row: &MakerRow) -> Result<Maker, StoreFault> {
    let certificate = Certificate::from_der(&row.certificate)
        .map_err(|bad| StoreFault::Damaged(format!("maker {}: {bad}", row.name)))?;
    let environment = row.scope.environment.clone();
    let environment =
        environment.ok_or_else(|| StoreFault::Damaged(format!("maker {}: no environment", row.name)))?;
    Ok(Maker {
        id: row.maker,
        name: row.name.clone(),
        environment,
        fingerprint: certificate.fingerprint(),
        not_after: certificate.validity().not_after(),
        registered_at: row.registered_at,
        withdrawn_at: row.withdrawn_at,
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
