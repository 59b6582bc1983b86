//! The management API, version 1 (mutual TLS, JSON). Every handler names the permission it needs.

mod audit;
mod caller;
mod devices;
mod environments;
mod gateways;
mod makers;
mod paging;
mod route;
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
use caller::Called;
pub use route::Route;
use route::{Declared, route};

/// Largest body but for uploads: a policy bundle has at most a mebibyte, and JSON escapes some of it.
const BODY_OCTETS_MAX: usize = 3 * 1024 * 1024;

/// Codes that several routes have.
const LIST: &str = "cursor-invalid";
const GATEWAY: &str = "gateway-only";
const ARCHIVE: &str = "log-archive-damaged";
const BEHIND: &str = "feed-behind";
const LAST: &str = "last-administrator";
const DEVICE: &str = "device-unknown";

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

/// Every route. The table of permissions in the journeys has a row for each, and holds the codes.
#[rustfmt::skip]
fn declared() -> Vec<Declared> {
    const GET: Method = Method::GET;
    const POST: Method = Method::POST;
    const PUT: Method = Method::PUT;
    vec![
        route((GET, "/v1/status"), "read-status", audit::status, &[]),
        route((GET, "/v1/log"), "read-log-head", audit::log_head, &[]),
        route((GET, "/v1/decisions"), "list-decisions", audit::decisions, &[LIST, ARCHIVE]),
        route((POST, "/v1/decisions"), "upload-decisions", gateways::upload, &[GATEWAY, ARCHIVE, "log-not-registered",
            "log-other-key", "log-out-of-order", "log-bad-frame", "log-fork", "log-bad-head"]),
        route((GET, "/v1/explain/{id}"), "explain", audit::explain, &["unknown", "ambiguous", ARCHIVE]),
        route((GET, "/v1/tokens"), "list-tokens", tokens::list, &[LIST]),
        route((POST, "/v1/tokens"), "create-token", tokens::create, &["token-order", "name-taken", "name-reserved", LAST]),
        route((POST, "/v1/tokens/{id}/void"), "void-token", tokens::void, &["token-unknown", "nothing-to-do"]),
        route((GET, "/v1/environments"), "list-environments", environments::list, &[LIST]),
        route((POST, "/v1/environments"), "create-environment", environments::create, &["environment-exists",
            "environment-name", "trust-domain", "trust-domain-exists", "lifetime", "grace", "overlap", BEHIND]),
        route((GET, "/v1/environments/{name}"), "read-environment", environments::get, &[]),
        route((GET, "/v1/environments/{name}/policy"), "read-policy", environments::policy, &[]),
        route((PUT, "/v1/environments/{name}/policy"), "activate-policy", environments::set_policy, &["policy-faults",
            "policy-too-large", BEHIND, ARCHIVE]),
        route((GET, "/v1/makers"), "list-makers", makers::list, &[LIST]),
        route((POST, "/v1/makers"), "register-maker", makers::register, &["maker-certificate", "maker-own-authority",
            "maker-exists", "maker-known", "maker-too-many", BEHIND]),
        route((POST, "/v1/makers/{name}/withdraw"), "withdraw-maker", makers::withdraw, &["maker-unknown", BEHIND]),
        route((GET, "/v1/devices"), "list-devices", devices::list, &[LIST]),
        route((POST, "/v1/devices"), "register-device", makers::register_device, &["maker-unknown", "device-banned",
            "device-model", "hardware-taken", "device-has-hardware"]),
        route((GET, "/v1/devices/{name}"), "read-device", devices::get, &[DEVICE, "ambiguous"]),
        route((GET, "/v1/devices/{name}/certificates"), "list-certificates", devices::certificates, &[LIST, DEVICE,
            "ambiguous"]),
        route((POST, "/v1/devices/{name}/{verb}"), "contain-device", devices::contain, &[DEVICE, "ambiguous",
            "route-unknown", "device-banned", "nothing-to-do", BEHIND, ARCHIVE]),
        route((GET, "/v1/certificates/{id}"), "read-certificate", devices::certificate, &["certificate-unknown"]),
        route((POST, "/v1/certificates/{id}/revoke"), "revoke-certificate", devices::revoke_certificate,
            &["certificate-unknown", "nothing-live", LAST, BEHIND, ARCHIVE]),
        route((POST, "/v1/operators/{name}/revoke"), "revoke-operator", devices::revoke_operator, &["party-unknown", LAST,
            BEHIND, ARCHIVE]),
        route((POST, "/v1/services/{name}/revoke"), "revoke-service", devices::revoke_service, &["party-unknown",
            "name-reserved", BEHIND, ARCHIVE]),
        route((GET, "/v1/feed"), "follow-feed", gateways::feed, &[GATEWAY]),
        route((POST, "/v1/feed/acknowledgement"), "acknowledge-feed", gateways::acknowledge, &[GATEWAY]),
        route((GET, "/v1/gateways"), "list-gateways", gateways::list, &[LIST]),
        route((POST, "/v1/gateways/{name}/{word}"), "declare-gateway", gateways::declare, &["gateway-unknown",
            "gateway-asks", "route-unknown"]),
        route((POST, "/v1/gateways/self"), "register-gateway", gateways::register, &[GATEWAY, "log-bad-head",
            "log-other-key"]),
    ]
}

/// The routes of the management API.
pub fn routes() -> Vec<Route> {
    declared().into_iter().map(|(route, _)| route).collect()
}

pub(crate) fn router(shell: Shell) -> Router {
    declared()
        .into_iter()
        .fold(Router::new(), |router, (route, answer)| router.route(route.path, answer))
        .fallback(|| async {
            Refuse::new(StatusCode::NOT_FOUND, "route-unknown", "there is no such address")
        })
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(from_fn_with_state(shell.clone(), whole_body))
        .with_state(shell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_has_an_act_and_names_its_types() {
        let routes = routes();
        let acts: BTreeSet<_> = routes.iter().map(|route| route.act).collect();
        assert_eq!(acts.len(), routes.len(), "one act for one route");
        for route in &routes {
            let Route { method, path, query, body, answer, .. } = route;
            for name in [query, body, answer].into_iter().flatten() {
                let ours = name.starts_with("touchmark_api::") || *name == "application/octet-stream";
                assert!(ours, "{method} {path}: {name} is no wire type");
            }
            let is_list = answer.is_some_and(|name| name.contains("::Page<"));
            assert_eq!(is_list, route.act.starts_with("list-"), "{method} {path}: {answer:?}");
            assert_eq!(is_list, route.errors.contains(&LIST), "{method} {path}");
            assert!(*method == Method::GET || query.is_none(), "{method} {path}");
            assert!(*method != Method::GET || (body.is_none() && answer.is_some()), "{method} {path}");
        }
    }
}
