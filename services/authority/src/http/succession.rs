//! What stands beside EST on its port: confirm a certificate, ask when to renew it. Both rest on the certificate of
//! the connection; both are ours, and no RFC's.

use super::est::{certificate_missing, in_est, read, refused};
use super::{Peer, Shell};
use crate::issuance::EnrolmentFault;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use touchmark_enrol::est::{EstFault, EstPath, Operation};
use touchmark_enrol::renewal::{CONFIRM_PATH, RENEWAL_HEADER};
use touchmark_enrol::{Intent, RenewalHint};
use touchmark_identity::Fingerprint;
use touchmark_ra::EstRefusal;

const CONFIRM: &str = "confirm";
const HINT: &str = "renewal";

/// Any request with a certificate proves its key: the first one makes it the current one.
pub(super) async fn confirm_by_use(
    State(shell): State<Shell>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(peer) = peer.filter(|_| !proves_by_itself(request.uri().path())) {
        used(&shell, &peer).await;
    }
    next.run(request).await
}

/// What records the proof together with what is asked, unless that is refused.
fn proves_by_itself(path: &str) -> bool {
    path == CONFIRM_PATH || EstPath::parse(path).is_ok_and(|path| path.operation == Operation::SimpleReenroll)
}

/// See [`super::UseCases::used`]. A later use confirms it after a fault; what is asked now may be answered all the same.
pub(super) async fn used(shell: &Shell, peer: &Fingerprint) {
    if let Err(fault) = shell.used(peer, "est").await {
        tracing::error!(%fault, "a first use could not be recorded");
    }
}

/// `POST`: 204 when the certificate of this connection is the current one, now or since long. A body, if there is one,
/// is the SHA-256 of the certificate meant.
pub(super) async fn confirm(
    State(shell): State<Shell>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    match confirmed(&shell, peer, request).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(fault) => {
            if let Some(peer) = &peer {
                used(&shell, peer).await;
            }
            said(&shell, CONFIRM, &fault)
        }
    }
}

async fn confirmed(shell: &Shell, peer: Option<Fingerprint>, request: Request) -> Result<(), EstRefusal> {
    let body = read(request.into_body()).await?;
    let peer = peer.ok_or_else(certificate_missing)?;
    let meant = match String::from_utf8_lossy(&body).trim() {
        "" => None,
        text => Some(text.parse::<Fingerprint>().map_err(|_| EstFault::Forbidden {
            code: "confirm-body",
            says: "the body is empty, or the SHA-256 of the certificate in hexadecimal".into(),
        })?),
    };
    let confirmed = shell.issuance.confirm(&peer, meant.as_ref(), CONFIRM).await;
    confirmed.map_err(|fault| in_est(fault, Intent::Renew))
}

/// `GET`: when to renew the certificate of this connection.
pub(super) async fn hint(State(shell): State<Shell>, Extension(Peer(peer)): Extension<Peer>) -> Response {
    let Some(peer) = peer else { return said(&shell, HINT, &certificate_missing()) };
    match hinted(&shell, &peer).await {
        Ok(hint) => {
            let mut response = Response::new(Body::from(hint.to_json()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            put_hint(&mut response, hint);
            response
        }
        Err(fault) => said(&shell, HINT, &in_est(fault, Intent::Renew)),
    }
}

async fn hinted(shell: &Shell, peer: &Fingerprint) -> Result<RenewalHint, EnrolmentFault> {
    let row = shell.issuance.renewable(peer).await?;
    let environment = row.scope.environment.as_ref().ok_or(EnrolmentFault::UnknownEnvironment)?;
    Ok(shell.hints.asked(environment, row.kind, row.validity, peer, shell.clock.now()))
}

fn said(shell: &Shell, cause: &str, refusal: &EstRefusal) -> Response {
    shell.refusals.count_stranger(None, cause, refusal.code);
    refused(&refusal.fault)
}

/// The window as a header, and the wait until it begins.
pub(super) fn put_hint(response: &mut Response, hint: RenewalHint) {
    let headers = response.headers_mut();
    if let (Ok(name), Ok(window)) =
        (HeaderName::try_from(RENEWAL_HEADER), HeaderValue::try_from(hint.window.to_header()))
    {
        headers.insert(name, window);
    }
    if let Some(wait) = hint.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
}
