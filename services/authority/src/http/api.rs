//! The management API, version 1 (mutual TLS, JSON). Every handler names the permission it needs.

mod audit;
mod caller;
mod devices;
mod environments;
mod gateways;
mod makers;
mod paging;
mod rows;
mod tokens;

pub(crate) use paging::CursorKey;
pub(crate) use rows::Rows;

use super::Shell;
use super::problem::Refuse;
use axum::Router;
use axum::body::{HttpBody as _, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts as _, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post, put};
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

/// Every address: method, path, who answers. The table of permissions in the journeys has a row for each.
fn routes() -> Vec<(Method, &'static str, MethodRouter<Shell>)> {
    vec![
        (Method::GET, "/v1/status", get(audit::status)),
        (Method::GET, "/v1/log", get(audit::log_head)),
        (Method::GET, "/v1/decisions", get(audit::decisions)),
        (Method::POST, "/v1/decisions", post(gateways::upload)),
        (Method::GET, "/v1/explain/{id}", get(audit::explain)),
        (Method::GET, "/v1/tokens", get(tokens::list)),
        (Method::POST, "/v1/tokens", post(tokens::create)),
        (Method::POST, "/v1/tokens/{id}/void", post(tokens::void)),
        (Method::GET, "/v1/environments", get(environments::list)),
        (Method::POST, "/v1/environments", post(environments::create)),
        (Method::GET, "/v1/environments/{name}", get(environments::get)),
        (Method::GET, "/v1/environments/{name}/policy", get(environments::policy)),
        (Method::PUT, "/v1/environments/{name}/policy", put(environments::set_policy)),
        (Method::GET, "/v1/makers", get(makers::list)),
        (Method::POST, "/v1/makers", post(makers::register)),
        (Method::POST, "/v1/makers/{name}/withdraw", post(makers::withdraw)),
        (Method::GET, "/v1/devices", get(devices::list)),
        (Method::POST, "/v1/devices", post(makers::register_device)),
        (Method::GET, "/v1/devices/{name}", get(devices::get)),
        (Method::GET, "/v1/devices/{name}/certificates", get(devices::certificates)),
        (Method::POST, "/v1/devices/{name}/{verb}", post(devices::contain)),
        (Method::GET, "/v1/certificates/{id}", get(devices::certificate)),
        (Method::POST, "/v1/certificates/{id}/revoke", post(devices::revoke_certificate)),
        (Method::POST, "/v1/operators/{name}/revoke", post(devices::revoke_operator)),
        (Method::POST, "/v1/services/{name}/revoke", post(devices::revoke_service)),
        (Method::GET, "/v1/feed", get(gateways::feed)),
        (Method::POST, "/v1/feed/acknowledgement", post(gateways::acknowledge)),
        (Method::GET, "/v1/gateways", get(gateways::list)),
        (Method::POST, "/v1/gateways/{name}/{word}", post(gateways::declare)),
        (Method::POST, "/v1/gateways/self", post(gateways::register)),
    ]
}

/// Methods and paths of the management API; `{...}` stands for one segment.
pub fn addresses() -> Vec<(Method, &'static str)> {
    routes().into_iter().map(|(method, path, _)| (method, path)).collect()
}

pub(crate) fn router(shell: Shell) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, answer)| router.route(path, answer))
        .fallback(|| async {
            Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")
        })
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(from_fn_with_state(shell.clone(), whole_body))
        .with_state(shell)
}
