//! EST (RFC 7030 with RFC 8951) over HTTP: bytes in, one use case, bytes out.

use super::succession::{self, put_hint};
use super::{Peer, PresentedChain, Shell};
use crate::issuance::{Enrolled, EnrolmentFault, Shown};
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use std::time::Duration;
use touchmark_enrol::est::{
    CsrAttribute, EstBody, EstFault, EstPath, Operation, REQUEST_OCTETS_MAX, presented_credential, read_csr,
    write_ca_certs, write_certs_only, write_csr_attributes,
};
use touchmark_enrol::renewal::{CONFIRM_PATH, RENEWAL_PATH};
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential, UserAgent};
use touchmark_identity::{EnvironmentName, Fingerprint};
use touchmark_journal::RenewalManner;
use touchmark_ra::EstRefusal;

/// Time that a device gets to send its request after the head.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Of a request that is too long, so much is read before the connection is given up.
const DROPPED_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// Cause of what renewals leave in the journal.
const RENEWAL: &str = "est/simplereenroll";
/// Who set a renewal going, as the device says: `automatic` or `manual`.
const MANNER: HeaderName = HeaderName::from_static("touchmark-renewal-manner");

/// Every path is read by the EST parser, so that a wrong one is answered in EST's way.
pub(crate) fn router(shell: Shell) -> Router {
    Router::new()
        .route(CONFIRM_PATH, post(succession::confirm))
        .route(RENEWAL_PATH, get(succession::hint))
        .fallback(answer)
        .layer(from_fn_with_state(shell.clone(), succession::confirm_by_use))
        .with_state(shell)
}

async fn answer(
    State(shell): State<Shell>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let cause = cause(request.uri().path());
    let mut label = None;
    match run(&shell, peer, request, &mut label).await {
        Ok(answer) => answer,
        Err(EstRefusal { fault, code }) => {
            if let Some(peer) = peer.filter(|_| cause == RENEWAL) {
                succession::used(&shell, &peer).await;
            }
            // An invented label must not become a row of its own.
            let known = label.filter(|name| shell.hierarchy.trust_of(name).is_some());
            // What we could not do is no failure of the device.
            match peer.filter(|_| cause == RENEWAL && fault.status() < 500) {
                Some(peer) => shell.refusals.count_renewal(known.as_ref(), cause, code, &peer),
                None => shell.refusals.count_stranger(known.as_ref(), cause, code),
            }
            refused(&fault)
        }
    }
}

fn cause(path: &str) -> &'static str {
    match EstPath::parse(path).map(|path| path.operation) {
        Ok(Operation::CaCerts) => "est/cacerts",
        Ok(Operation::SimpleEnroll) => "est/simpleenroll",
        Ok(Operation::SimpleReenroll) => RENEWAL,
        Ok(Operation::CsrAttrs) => "est/csrattrs",
        Ok(Operation::FullCmc | Operation::ServerKeyGen) | Err(_) => "est",
    }
}

async fn run(
    shell: &Shell,
    peer: Option<Fingerprint>,
    request: Request,
    label: &mut Option<EnvironmentName>,
) -> Result<Response, EstRefusal> {
    let path = EstPath::parse(request.uri().path())?;
    label.clone_from(&path.label);
    path.operation.demand_method(request.method().as_str())?;
    let (head, body) = request.into_parts();
    let text = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let user_agent = text(header::USER_AGENT);
    match path.operation {
        Operation::CaCerts => {
            let trust = match &path.label {
                Some(name) => shell.hierarchy.trust_of(name),
                None => shell.hierarchy.default_trust(),
            }
            .ok_or(EstFault::UnknownPath)?;
            let chain: Vec<&[u8]> = trust.chain().map(|certificate| certificate.der()).into();
            Ok(written(write_ca_certs(&chain, user_agent)))
        }
        Operation::CsrAttrs => Ok(written(write_csr_attributes(&CsrAttribute::PREFERRED, user_agent))),
        Operation::SimpleEnroll | Operation::SimpleReenroll => {
            let intent = path.operation.intent().ok_or(EstFault::UnknownPath)?;
            let credential = presented_credential(intent, text(header::AUTHORIZATION), peer);
            let body = read(body).await?;
            if intent == Intent::Renew && peer.is_none() {
                return Err(certificate_missing());
            }
            // Only now: whoever sends slowly holds up nobody. The semaphore is never closed.
            let _turn = shell.est_turns.acquire().await;
            let csr = read_csr(text(header::CONTENT_TYPE), &body)?;
            let csr = csr.prove_possession().map_err(EstFault::Csr)?;
            if csr.requested().challenge_password {
                // It would have to be verified against this TLS connection (RFC 7030 §3.5), which TLS 1.3
                // does not offer; ignoring it is not allowed either.
                return Err(EstFault::Forbidden {
                    code: "challenge-password",
                    says: "leave the challengePassword attribute out of the request".into(),
                }
                .into());
            }
            let agent = user_agent.and_then(UserAgent::from_header);
            let request = EnrolmentRequest::new(intent, csr, path.label, credential, agent);
            let shown = Shown {
                chain: head.extensions.get::<PresentedChain>().map(|chain| chain.0.clone()),
                manner: text(MANNER).and_then(RenewalManner::from_word),
            };
            let cause = match (intent, request.credential()) {
                (Intent::Renew, _) => RENEWAL,
                (Intent::Enrol, PresentedCredential::ClientCertificate(_)) => "est/simpleenroll/initial",
                (Intent::Enrol, _) => "est/simpleenroll",
            };
            let enrolled = shell.issuance.enrol(request, shown, cause).await;
            let enrolled = enrolled.map_err(|fault| in_est(fault, intent))?;
            Ok(issued(shell, &enrolled, user_agent))
        }
        Operation::FullCmc | Operation::ServerKeyGen => {
            Err(EstFault::NotOffered { operation: path.operation.as_str() }.into())
        }
    }
}

/// Closing on octets that nobody read would reset the connection, and the reset can overtake the answer that
/// says why: so what is too long is read on, and dropped.
pub(super) async fn read(mut body: Body) -> Result<Vec<u8>, EstFault> {
    let reading = async {
        let (mut kept, mut seen) = (Vec::new(), 0_usize);
        while let Some(frame) = body.frame().await {
            let data = frame.map_err(|_| EstFault::TooLarge)?.into_data().unwrap_or_default();
            seen = seen.saturating_add(data.len());
            if seen > DROPPED_OCTETS_MAX {
                break;
            }
            if seen <= REQUEST_OCTETS_MAX {
                kept.extend_from_slice(&data);
            }
        }
        if seen > REQUEST_OCTETS_MAX { Err(EstFault::TooLarge) } else { Ok(kept) }
    };
    tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(EstFault::TooSlow))
}

/// The certificate, and when its successor should be asked for.
fn issued(shell: &Shell, enrolled: &Enrolled, user_agent: Option<&str>) -> Response {
    // Nothing but it (RFC 7030 §4.2.3): what stands above comes with `cacerts`.
    let body = write_certs_only(&[enrolled.certificate.der()], user_agent);
    let mut response = written(body);
    put_hint(&mut response, shell.hints.with_answer(enrolled, shell.clock.now()));
    response
}

/// What rests on a certificate is not asked for by password: no challenge, which a client would answer with one.
pub(super) fn certificate_missing() -> EstRefusal {
    let says = "this takes the certificate that it is about as the TLS client certificate, and here is none; a first \
                certificate is asked for at simpleenroll";
    EstFault::Forbidden { code: "certificate-missing", says: says.to_owned() }.into()
}

/// In EST's words; what is ours to mend goes to the log.
pub(super) fn in_est(fault: EnrolmentFault, intent: Intent) -> EstRefusal {
    if fault.is_ours() {
        tracing::error!(%fault, "no certificate could be given or confirmed");
    }
    fault.in_est(intent)
}

fn written(body: EstBody) -> Response {
    let mut response = Response::new(Body::from(body.bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(body.content_type));
    for (name, value) in body.headers {
        if let Ok(name) = HeaderName::try_from(*name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// A refusal in plain text.
pub(crate) fn refused(fault: &EstFault) -> Response {
    let refusal = fault.to_refusal();
    let mut response = Response::new(Body::from(refusal.body));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in refusal.headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
