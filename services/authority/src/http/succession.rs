//! What stands beside EST on its port: confirm a certificate, ask when to renew it. Both rest on the certificate of
//! the connection; both are ours, and no RFC's.

use super::est::{Refused, by_certificate, certificate_missing, est_fault, read, refused};
use super::{Peer, Shell};
use crate::issuance::EnrolmentFault;
use crate::issuance::clones::{Use, was_superseded};
use crate::issuance::confirmation::Proven;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use touchmark_enrol::RenewalHint;
use touchmark_enrol::est::EstFault;
use touchmark_enrol::renewal::RENEWAL_HEADER;
use touchmark_identity::Fingerprint;
use touchmark_ra::Refusal;

const CONFIRM: &str = "confirm";
const HINT: &str = "renewal";

/// Any request with a certificate proves its key: the first one makes it the current one.
pub(super) async fn confirm_by_use(
    State(shell): State<Shell>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(peer) = peer {
        match shell.confirmations.proven(&peer, Proven::Here, "est").await {
            Ok(row) => {
                // Whatever is asked: a replaced certificate that is used is a thief, or somebody robbed.
                if row.as_ref().is_some_and(was_superseded) {
                    shell.look_at_use(&peer, Use::Other, "est", "est").await;
                }
            }
            // A later use confirms it; what is asked now may be answered all the same.
            Err(fault) => tracing::error!(%fault, "a first use could not be recorded"),
        }
    }
    next.run(request).await
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
        Err(fault) => said(&shell, CONFIRM, &fault),
    }
}

async fn confirmed(shell: &Shell, peer: Option<Fingerprint>, request: Request) -> Result<(), Refused> {
    let body = read(request.into_body()).await?;
    let peer = peer.ok_or_else(certificate_missing)?;
    let meant = match String::from_utf8_lossy(&body).trim() {
        "" => None,
        text => Some(text.parse::<Fingerprint>().map_err(|_| EstFault::Forbidden {
            code: "confirm-body",
            says: "the body is empty, or the SHA-256 of the certificate in hexadecimal".into(),
        })?),
    };
    let confirmed = shell.confirmations.confirm(&peer, meant.as_ref(), CONFIRM).await;
    confirmed.map_err(|fault| by_certificate(est_fault(fault)))?;
    Ok(())
}

/// Only the newest certificate may ask for a successor: one that another took the place of, and asks in its overlap, may
/// be the thief, or the robbed.
pub(super) async fn look_at_renewal(shell: &Shell, peer: &Fingerprint, fault: &EnrolmentFault, cause: &str) {
    // A superseded one may have been revoked for just that.
    if matches!(fault, EnrolmentFault::Refused(Refusal::Superseded { newer: Some(_) } | Refusal::Revoked)) {
        shell.look_at_use(peer, Use::Renewal, "est", cause).await;
    }
}

/// `GET`: when to renew the certificate of this connection.
pub(super) async fn hint(State(shell): State<Shell>, Extension(Peer(peer)): Extension<Peer>) -> Response {
    let Some(peer) = peer else { return said(&shell, HINT, &certificate_missing()) };
    match hinted(&shell, &peer) {
        Ok(hint) => {
            let mut response = Response::new(Body::from(hint.to_json()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            put_hint(&mut response, hint);
            response
        }
        Err(fault) => said(&shell, HINT, &by_certificate(est_fault(fault))),
    }
}

fn hinted(shell: &Shell, peer: &Fingerprint) -> Result<RenewalHint, EnrolmentFault> {
    let now = shell.clock.now();
    let rows = shell.renewals.presented(peer)?;
    rows.presented()?.may_renew(None, now)?;
    Ok(shell.hints.asked(
        &rows.trust.environment.name,
        rows.facts.row.kind,
        rows.facts.row.validity,
        peer,
        now,
    ))
}

fn said(shell: &Shell, cause: &str, refusal: &Refused) -> Response {
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
