//! The management API, version 1 (mutual TLS, JSON). Every handler names the permission it needs.

mod audit;
mod caller;
mod devices;
mod environments;
mod gateways;
mod makers;
mod tokens;

use super::Shell;
use super::problem::Refuse;
use axum::Router;
use axum::body::{HttpBody as _, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use caller::Called;

/// Largest body but for uploads: a policy bundle has at most a mebibyte, and JSON escapes some of it.
const BODY_OCTETS_MAX: usize = 3 * 1024 * 1024;

/// A right is judged when it is used: whoever is asked about after its head alone may be revoked while its body is still
/// on the way. So the caller is asked for before the body is read, and again, by the handler, after it.
async fn whole_body(State(shell): State<Shell>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    if let Err(refused) = Called::from_request_parts(&mut parts, &shell).await {
        return refused.into_response();
    }
    match to_bytes(body, BODY_OCTETS_MAX).await {
        Ok(octets) => next.run(Request::from_parts(parts, octets.into())).await,
        Err(fault) => Refuse::new(StatusCode::PAYLOAD_TOO_LARGE, "body-invalid", "the body cannot be taken")
            .detail(fault.to_string())
            .into_response(),
    }
}

pub(crate) fn router(shell: Shell) -> Router {
    Router::new()
        .route("/v1/status", get(audit::status))
        .route("/v1/log", get(audit::log_head))
        .route("/v1/decisions", get(audit::decisions).post(gateways::upload))
        .route("/v1/explain/{id}", get(audit::explain))
        .route("/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/v1/tokens/{id}/void", post(tokens::void))
        .route("/v1/environments", get(environments::list).post(environments::create))
        .route("/v1/environments/{name}", get(environments::get))
        .route("/v1/environments/{name}/policy", get(environments::policy).put(environments::set_policy))
        .route("/v1/makers", get(makers::list).post(makers::register))
        .route("/v1/makers/{name}/withdraw", post(makers::withdraw))
        .route("/v1/devices", get(devices::list).post(makers::register_device))
        .route("/v1/devices/{name}", get(devices::get))
        .route("/v1/devices/{name}/certificates", get(devices::certificates))
        .route("/v1/devices/{name}/{verb}", post(devices::contain))
        .route("/v1/certificates/{id}", get(devices::certificate))
        .route("/v1/certificates/{id}/revoke", post(devices::revoke_certificate))
        .route("/v1/operators/{name}/revoke", post(devices::revoke_operator))
        .route("/v1/services/{name}/revoke", post(devices::revoke_service))
        .route("/v1/feed", get(gateways::feed))
        .route("/v1/feed/acknowledgement", post(gateways::acknowledge))
        .route("/v1/gateways", get(gateways::list))
        .route("/v1/gateways/{name}/{word}", post(gateways::declare))
        .route("/v1/gateways/self", post(gateways::register))
        .fallback(|| async {
            Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")
        })
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(from_fn_with_state(shell.clone(), whole_body))
        .with_state(shell)
}
