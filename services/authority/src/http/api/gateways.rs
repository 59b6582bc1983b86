//! What gateways ask and report: feed down, acknowledgements and decision logs up.

use super::super::problem::{CALLER_NOT_LIVE, Refuse};
use super::super::{Peer, Shell};
use super::caller::{Body, Called, Query};
use super::route::FeedFile;
use crate::audit::archive::UPLOAD_OCTETS_MAX;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;
use touchmark_api::{
    FeedAcknowledgement, FeedQuery, FramesAccepted, FramesUpload, Gateway, GatewayAbsence,
    GatewayRegistration, ListIn, Page, Staleness,
};
use touchmark_journal::Scope;
use touchmark_ra::{Declaration, DeclareGateway};
use touchmark_status::{Position, StalenessClass};

const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) async fn feed(
    State(shell): State<Shell>,
    Extension(Peer(peer)): Extension<Peer>,
    called: Result<Called, Refuse>,
    Query(query): Query<FeedQuery>,
) -> Result<FeedFile, Refuse> {
    let called = match (called, peer) {
        (Err(refuse), Some(certificate)) if refuse.0.code == CALLER_NOT_LIVE => {
            shell.gateways.refused(&certificate, query.cut_off).await;
            return Err(refuse);
        }
        (called, _) => called?,
    };
    let gateway = called.gateway()?;
    let feed = shell.feeds.of(&gateway.environment)?;
    let class = query.class.map(|class| match class {
        Staleness::Strict => StalenessClass::Strict,
        Staleness::Standard => StalenessClass::Standard,
        Staleness::LifeSafety => StalenessClass::LifeSafety,
    });
    shell.gateways.asked(&feed, &gateway, class).await;
    let held = query.epoch.zip(query.after).map(|(epoch, seq)| Position { epoch, seq });
    if let Some(held) = held {
        let wait = Duration::from_millis(query.wait_ms.unwrap_or(0)).min(WAIT_MAX);
        feed.wait_for_news(held, wait).await;
    }
    let body = Bytes::from(shell.feeds.since(&gateway.environment, held, shell.time.to_sign())?);
    Ok(FeedFile(body))
}

/// All gateways that the caller may see, or those of one environment.
pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<ListIn>,
) -> Result<Json<Page<Gateway>>, Refuse> {
    let read = called.read_in(&shell, query.environment.clone())?;
    let paging = called.paging(&shell, "/v1/gateways", &query)?;
    let mut all = Vec::new();
    for read in &read {
        all.extend(shell.gateways.list(read)?);
    }
    let place = |one: &Gateway| format!("{} {}", one.name, one.environment);
    Ok(Json(paging.cut(&shell, all.into_iter().map(|one| (place(&one), one)).collect())))
}

/// `offline` or `online`.
pub(super) async fn declare(
    State(shell): State<Shell>,
    called: Called,
    Path((name, word)): Path<(String, String)>,
    Body(order): Body<GatewayAbsence>,
) -> Result<StatusCode, Refuse> {
    let declaration = match (word.as_str(), order.ttl_s) {
        ("offline", None) => Declaration::Offline(None),
        ("offline", Some(ttl)) => {
            Declaration::Offline(Some(shell.clock.now().plus(Duration::from_secs(ttl.get()))))
        }
        ("online", None) => Declaration::Online,
        ("online", Some(_)) => return Err(Refuse::value("ttl_s", "a gateway that runs has no end")),
        _ => return Err(Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")),
    };
    let environment = order.environment.unwrap_or_else(|| called.0.environment.clone());
    let gateway = name.parse().map_err(|why| Refuse::value("name", why))?;
    let scope = Scope { organisation: shell.organisation.clone(), environment: Some(environment) };
    let mandate = called.permit(&shell, DeclareGateway { scope, gateway, declaration })?;
    called.trust(&shell, &mandate)?;
    shell.gateways.declare(mandate, order.although_online).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn acknowledge(
    State(shell): State<Shell>,
    called: Called,
    Body(report): Body<FeedAcknowledgement>,
) -> Result<StatusCode, Refuse> {
    let gateway = called.gateway()?;
    let applied_at = report.applied_at;
    let position = Position { epoch: report.epoch, seq: report.seq };
    shell
        .gateways
        .acknowledged(&gateway, position, applied_at, report.sessions_closed)
        .await?
        .ok_or_else(|| Refuse::value("seq", "the feed never was there"))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn register(
    State(shell): State<Shell>,
    called: Called,
    Body(registration): Body<GatewayRegistration>,
) -> Result<StatusCode, Refuse> {
    let gateway = called.gateway()?;
    shell.intake.register(&gateway.name, &registration.decision_log_vkey).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn upload(
    State(shell): State<Shell>,
    called: Called,
    Body(upload): Body<FramesUpload>,
) -> Result<Json<FramesAccepted>, Refuse> {
    let gateway = called.gateway()?;
    // Gateways keep their logs.
    shell.has_space()?;
    let mut frames = Vec::with_capacity(upload.frames.len());
    let mut octets = 0;
    for text in &upload.frames {
        let frame = STANDARD.decode(text).map_err(|why| Refuse::value("frames", why))?;
        octets += frame.len();
        if octets > UPLOAD_OCTETS_MAX {
            return Err(Refuse::value("frames", "more than a mebibyte at once"));
        }
        frames.push(frame);
    }
    let accepted =
        shell.intake.take(&gateway, upload.first_leaf, &frames, upload.checkpoint.as_deref()).await?;
    Ok(Json(FramesAccepted { next_leaf: accepted.next_leaf, checkpoint: accepted.checkpoint }))
}
