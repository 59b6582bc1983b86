//! The ports: their TLS, what each serves, and the tasks beside them.

use super::StartFault;
use super::client_paths::{ApiPaths, EnrolmentPaths};
use super::local_operator::LocalOperator;
use super::server_certificate::ServerCertificate;
use crate::audit::journal_log::JournalLog;
use crate::http::ports::Ports;
use crate::http::{Shell, api_router, est_router, public_router, refused, serve_http, serve_http_plain};
use crate::start::upkeep::{Upkeep, advance_log, tick};
use crate::steady_time::SteadyTime;
use crate::store::disk_reserve::DiskReserve;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use touchmark_enrol::est::EstFault;
use touchmark_enrol::renewal::CONFIRM_PATH;
use touchmark_identity::Timestamp;
use touchmark_listen::{Limits, PortPolicy, ServerTls, WhenFull, serve_plain, serve_tls};
use touchmark_supervise::Supervisor;

/// When a device comes back that was refused while the log stood still.
const RETRY: Duration = Duration::from_secs(30);

/// What says that nothing new can be issued.
#[derive(Clone)]
struct Hindrance {
    log: Arc<JournalLog>,
    reserve: Arc<DiskReserve>,
    time: SteadyTime,
}

/// Nothing new is enrolled while it could not be proven, or while the disk has space for containment only; what contains
/// harm (the API) and what is public goes on, and so do confirmations of what was issued.
async fn while_provable(State(hindrance): State<Hindrance>, request: Request, next: Next) -> Response {
    let issues = request.method() == Method::POST && request.uri().path() != CONFIRM_PATH;
    let fault = match issues {
        true if hindrance.reserve.is_short() => EstFault::DiskFull { retry_after: RETRY },
        true if hindrance.time.is_behind() => EstFault::Clock { retry_after: RETRY },
        _ if request.method() == Method::POST && hindrance.log.is_behind() => {
            EstFault::Unavailable { retry_after: RETRY }
        }
        _ => return next.run(request).await,
    };
    refused(&fault)
}

/// Opens the doors.
///
/// # Errors
/// [`StartFault::Tls`]; nothing is served.
pub(super) fn serve(
    shell: Shell,
    upkeep: Upkeep,
    ports: Ports,
    (server, operator): (ServerCertificate, LocalOperator),
    (connections_max, low_s_since): (usize, Timestamp),
    tasks: &Supervisor,
) -> Result<(), StartFault> {
    let (hierarchy, clock) = (shell.hierarchy.clone(), shell.time.clock());
    let est_paths =
        Arc::new(EnrolmentPaths { hierarchy: hierarchy.clone(), makers: shell.makers.clone(), low_s_since });
    let est_tls = ServerTls::new(PortPolicy::Enrolment, server.identity(), est_paths, clock.clone())?;
    let api_paths = Arc::new(ApiPaths { hierarchy, low_s_since });
    let api_tls = ServerTls::new(PortPolicy::Api, server.identity(), api_paths, clock)?;
    // A port each, so that none takes another's connections or slots: what contains harm (the API) goes on while EST is
    // flooded. Handshakes are bounded per port, and the sum of them by the processors (ADR 0017).
    let limits = Limits::of(connections_max, WhenFull::Displace);
    let stop = tasks.listener();
    let hindrance =
        Hindrance { log: shell.log.clone(), reserve: shell.reserve.clone(), time: shell.time.clone() };
    let est = est_router(shell.clone()).layer(from_fn_with_state(hindrance, while_provable));
    for (name, bound, tls, router, cause) in [
        ("est-port", ports.est, est_tls, est, "est/handshake"),
        ("api-port", ports.api, api_tls, api_router(shell.clone()), "api/handshake"),
    ] {
        let refusals = shell.refusals.clone();
        let on_fault = move |_, fault: &touchmark_listen::AcceptFault| {
            refusals.count_stranger(None, cause, fault.code());
        };
        let on_connection = move |accepted, stop| serve_http(accepted, stop, router.clone());
        let serving = serve_tls(bound, tls, limits, stop.clone(), on_connection, on_fault);
        tasks.vital(name, stop.clone(), async move {
            serving.await;
        });
    }
    let router = public_router(shell.clone());
    let on_connection = move |stream, _, stop| serve_http_plain(stream, stop, router.clone());
    let serving = serve_plain(ports.public, limits, stop.clone(), on_connection);
    tasks.vital("public-port", stop.clone(), async move {
        serving.await;
    });
    // Issuing on beside a log that nobody advances would break the promise that everything acknowledged is provable.
    let advance = advance_log(shell.log.clone(), upkeep.commits.clone(), shell.reserve.clone(), stop.clone());
    tasks.vital("journal-log", stop.clone(), advance);
    let (server, operator) = (Arc::new(server), Arc::new(operator));
    tasks.restarted("upkeep", stop.clone(), move |_| {
        tick(upkeep.clone(), Arc::clone(&server), Arc::clone(&operator), stop.clone())
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use touchmark_inventory::MemoryStore;
    use touchmark_listen::Clock;
    use touchmark_tilelog::NoteSigner;

    #[tokio::test]
    async fn while_the_log_stands_still_est_gives_anchors_and_no_certificates() {
        let home = tempfile::tempdir().unwrap();
        let signer = NoteSigner::from_seed("example.org/journal", &[7; 32]).unwrap();
        let log = Arc::new(JournalLog::open(home.path(), signer, Arc::new(MemoryStore::new())).unwrap());
        let data = tempfile::tempdir().unwrap();
        let reserve = Arc::new(DiskReserve::open(data.path()));
        let hindrance = Hindrance {
            log: log.clone(),
            reserve: reserve.clone(),
            time: SteadyTime::begin(Clock::system(), None),
        };
        let router = Router::new()
            .fallback(|| async { "served" })
            .layer(from_fn_with_state(hindrance, while_provable));
        let service = TowerToHyperService::new(router);
        let enrol = "/.well-known/est/simpleenroll";
        for (method, path, short, behind, status, retry) in [
            (Method::POST, enrol, false, false, 200, None),
            (Method::POST, enrol, true, false, 503, Some("30")),
            (Method::POST, CONFIRM_PATH, true, false, 200, None),
            (Method::GET, "/", true, true, 200, None),
            (Method::POST, "/", false, true, 503, Some("30")),
            (Method::POST, CONFIRM_PATH, false, true, 503, Some("30")),
        ] {
            if behind {
                log.pretend_long_standstill();
            }
            if short {
                assert!(reserve.release());
            } else {
                reserve.look();
            }
            let request = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
            let response = service.call(request).await.unwrap();
            assert_eq!(response.status(), status, "{method} {path}, short: {short}, behind: {behind}");
            let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
            assert_eq!(header, retry, "{method} {path}, short: {short}, behind: {behind}");
        }
    }
}
