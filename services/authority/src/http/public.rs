//! Public files over plain HTTP: CRLs, trust anchors, log tiles. All are signed or hashed by themselves.

use super::Shell;
use super::conditional::{Representation, answer};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use touchmark_identity::{AuthorityVersionId, EnvironmentName};
use touchmark_tilelog::CHECKPOINT_FILE;
use touchmark_tlog::TilePath;

/// How long a CRL may be served from a cache without asking.
const CRL_MAX_AGE_S: u64 = 60;

pub(crate) fn router(shell: Shell) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/crl/{authority}/{shard}", get(crl))
        .route("/ca/{environment}", get(anchors))
        .route("/log/{*path}", get(log_file))
        .with_state(shell)
}

fn bytes(content_type: &'static str, max_age: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(max_age));
    response
}

async fn crl(
    State(shell): State<Shell>,
    Path((authority, shard)): Path<(String, String)>,
    asked: HeaderMap,
) -> Response {
    let found = authority
        .parse::<AuthorityVersionId>()
        .ok()
        .zip(shard.strip_suffix(".crl").and_then(|shard| shard.parse().ok()))
        .and_then(|(authority, shard)| shell.crls.get(authority, shard));
    let Some(crl) = found else { return StatusCode::NOT_FOUND.into_response() };
    let hash = crate::sha256(&crl.der);
    let list = Representation {
        content_type: "application/pkix-crl",
        etag: format!("{}-{}", crl.number, hex::encode(hash.get(..8).unwrap_or_default())),
        modified: crl.this_update,
        // A revocation makes a new list at once, so a cache may hold one for a moment only.
        max_age_s: crl.due.since(shell.clock.now()).as_secs().min(CRL_MAX_AGE_S),
        body: crl.der.to_vec(),
    };
    answer(&asked, list)
}

async fn anchors(State(shell): State<Shell>, Path(file): Path<String>) -> Response {
    let trust = file
        .strip_suffix(".pem")
        .and_then(|name| name.parse::<EnvironmentName>().ok())
        .and_then(|name| shell.hierarchy.trust_of(&name));
    match trust {
        Some(trust) => {
            let pem: String = trust.chain().iter().map(|certificate| certificate.to_pem()).collect();
            bytes("application/x-pem-file", "max-age=60", pem.into_bytes())
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Only the checkpoint and names that are tiles exist here, so no path can leave the directory.
async fn log_file(State(shell): State<Shell>, Path(path): Path<String>) -> Response {
    let is_tile = path.parse::<TilePath>().is_ok();
    if !is_tile && path != CHECKPOINT_FILE {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::read(shell.log_directory.join(&path)).await {
        Ok(body) if is_tile => bytes("application/octet-stream", "max-age=31536000, immutable", body),
        Ok(body) => bytes("text/plain; charset=utf-8", "no-store", body),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
