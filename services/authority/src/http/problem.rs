//! Faults of the use cases as problem documents (RFC 9457): one exhaustive match per fault, codes are stable.

use crate::audit::archive::ArchiveFault;
use crate::audit::explain::ExplainFault;
use crate::audit::sightings::UploadFault;
use crate::containment::ContainFault;
use crate::containment::gateways::GatewaysFault;
use crate::feed::PublishFault;
use crate::operators::CallerFault;
use crate::operators::environments::EnvironmentFault;
use crate::operators::policies::PolicyActivationFault;
use crate::operators::tokens::NewTokenFault;
use crate::store::disk_reserve::is_disk_full;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::error::Error;
use touchmark_api::Problem;
use touchmark_identity::printable;
use touchmark_inventory::StoreFault;
use touchmark_policy_cedar::PolicyFaults;
use touchmark_ra::{ContainmentFault, EnvironmentRefusal, TokenFault};

/// When to come back, in seconds, if it was only not possible now.
const RETRY_AFTER_S: &str = "30";

/// The code for a caller whose certificate is revoked, superseded, or outside its validity.
pub(crate) const CALLER_NOT_LIVE: &str = "caller-not-live";

/// A problem on its way out.
#[derive(Debug)]
pub(crate) struct Refuse(pub(crate) Box<Problem>);

impl Refuse {
    pub(crate) fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        Self(Box::new(Problem::new(Some(status.as_u16()), code, title)))
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.0.fix = Some(fix.into());
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// A value out of its grammar.
    pub(crate) fn value(field: &str, why: impl ToString) -> Self {
        let mut refuse =
            Self::new(StatusCode::BAD_REQUEST, "value-invalid", format!("`{field}` is not acceptable"))
                .detail(why.to_string());
        refuse.0.field = Some(field.to_owned());
        refuse
    }

    /// A fault of ours, or of our disk: logged here, its words stay inside.
    fn internal(fault: &(dyn Error + 'static)) -> Self {
        tracing::error!(%fault, "request failed");
        if is_disk_full(fault) {
            return disk_full();
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed")
            .fix("look into the server's log")
    }
}

impl IntoResponse for Refuse {
    fn into_response(mut self) -> Response {
        // What was asked for is repeated in some of them, and shown on terminals. Faults of a policy have lines of their own.
        self.0.title = printable(&self.0.title);
        self.0.detail = self.0.detail.map(|text| text.lines().map(printable).collect::<Vec<_>>().join("\n"));
        let status = self.0.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

impl From<StoreFault> for Refuse {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Conflict(conflict) => {
                Self::new(StatusCode::CONFLICT, "changed-meanwhile", "the state changed meanwhile")
                    .detail(conflict.to_string())
                    .fix("look at the state again and repeat")
            }
            StoreFault::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much is queued").fix("try again soon")
            }
            StoreFault::DiskFull => disk_full(),
            StoreFault::Storage(what) => {
                tracing::error!(fault = %what, "storage failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage", "storage failed")
                    .fix("look into the server's log and at its disk; repeating is safe")
            }
            fault @ StoreFault::Damaged(_) => Self::internal(&fault),
        }
    }
}

impl From<CallerFault> for Refuse {
    fn from(fault: CallerFault) -> Self {
        match fault {
            CallerFault::Unknown => Self::new(StatusCode::FORBIDDEN, "caller-unknown", fault.to_string())
                .fix("use an operator certificate: it lies in DATA/operator"),
            CallerFault::NotLive(_) => Self::new(StatusCode::FORBIDDEN, CALLER_NOT_LIVE, fault.to_string())
                .fix("get a new operator certificate"),
            CallerFault::Denied { ref roles, .. } => {
                let fix = match roles.as_slice() {
                    [] => "no role permits it".to_owned(),
                    roles => format!("ask an operator with the role {}", roles.join(" or ")),
                };
                Self::new(StatusCode::FORBIDDEN, "not-permitted", fault.to_string()).fix(fix)
            }
            CallerFault::OutOfReach { ref home, .. } => {
                let fix = format!(
                    "name the environment: --env {home}; beyond it, ask an operator of the organisation"
                );
                Self::new(StatusCode::FORBIDDEN, "not-permitted", fault.to_string()).fix(fix)
            }
            CallerFault::Store(fault) => fault.into(),
        }
    }
}

impl From<NewTokenFault> for Refuse {
    fn from(fault: NewTokenFault) -> Self {
        match fault {
            NewTokenFault::Order(TokenFault::Void) => {
                Self::new(StatusCode::CONFLICT, "nothing-to-do", TokenFault::Void.to_string())
            }
            NewTokenFault::Order(order) => {
                Self::new(StatusCode::BAD_REQUEST, "token-order", order.to_string())
            }
            NewTokenFault::NameTaken => {
                Self::new(StatusCode::CONFLICT, "name-taken", fault.to_string()).fix("choose another name")
            }
            NewTokenFault::Store(fault) => fault.into(),
        }
    }
}

impl From<ContainFault> for Refuse {
    fn from(fault: ContainFault) -> Self {
        match fault {
            ContainFault::Rules(rule) => {
                let code = match &rule {
                    ContainmentFault::Banned => "device-banned",
                    ContainmentFault::Already(_) => "nothing-to-do",
                    ContainmentFault::NothingLive => "nothing-live",
                };
                Self::new(StatusCode::CONFLICT, code, rule.to_string())
            }
            ContainFault::LastWayIn => Self::new(
                StatusCode::CONFLICT,
                "last-administrator",
                fault.to_string(),
            )
            .fix(
                "let another one in first: touchmark token create --kind operator --role admin --organisation --device NAME",
            ),
            ContainFault::Store(fault) => fault.into(),
            ContainFault::Publish(fault) => fault.into(),
            ContainFault::Gateways(fault) => fault.into(),
            ContainFault::NoEnvironment => Self::internal(&fault),
        }
    }
}

impl From<GatewaysFault> for Refuse {
    fn from(fault: GatewaysFault) -> Self {
        match fault {
            GatewaysFault::Store(fault) => fault.into(),
            GatewaysFault::Archive(fault) => fault.into(),
            GatewaysFault::Unknown(_) => {
                Self::new(StatusCode::NOT_FOUND, "gateway-unknown", fault.to_string())
                    .fix("touchmark gateway list")
            }
            GatewaysFault::Feed(fault) => fault.into(),
            GatewaysFault::Asks { .. } => Self::new(StatusCode::CONFLICT, "gateway-asks", fault.to_string())
                .fix("stop it on its host, and say it again once it has been silent for 30 s; or at once: --yes"),
            GatewaysFault::Declaration(ended) => Self::value("ttl_s", ended),
        }
    }
}

impl From<PublishFault> for Refuse {
    fn from(fault: PublishFault) -> Self {
        match fault {
            PublishFault::Store(fault) => fault.into(),
            PublishFault::Feed(fault) => Self::internal(&fault),
            PublishFault::Unknown(name) => environment_unknown(name.as_str()),
            PublishFault::Behind => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "feed-behind",
                fault.to_string(),
            )
            .detail(
                "what was asked for is recorded; gateways hear of it as soon as the authority can tell them",
            )
            .fix("look into the server's log; repeating is safe"),
        }
    }
}

/// No space for what may wait.
pub(crate) fn disk_full() -> Refuse {
    Refuse::new(StatusCode::SERVICE_UNAVAILABLE, "disk-full", "the disk of the authority is full").fix(
        "make space on the file system of its data directory; repeating is safe, and it goes on by itself",
    )
}

/// No such environment.
pub(crate) fn environment_unknown(name: &str) -> Refuse {
    Refuse::new(StatusCode::NOT_FOUND, "environment-unknown", format!("no environment `{name}`"))
        .fix("touchmark env list")
}

impl From<EnvironmentRefusal> for Refuse {
    fn from(refusal: EnvironmentRefusal) -> Self {
        let (status, code, fix) = match refusal {
            EnvironmentRefusal::Exists(_) => (
                StatusCode::CONFLICT,
                "environment-exists",
                "choose another name; what is there: touchmark env list",
            ),
            EnvironmentRefusal::TrustDomainExists => (
                StatusCode::CONFLICT,
                "trust-domain-exists",
                "choose another trust domain; which are taken: touchmark env list",
            ),
            EnvironmentRefusal::Reserved(_) | EnvironmentRefusal::NameLength { .. } => {
                (StatusCode::BAD_REQUEST, "environment-name", "choose another name")
            }
            EnvironmentRefusal::TrustDomain(_) => (
                StatusCode::BAD_REQUEST,
                "trust-domain",
                "give one of its own: touchmark env create NAME --trust-domain HOST",
            ),
            EnvironmentRefusal::Lifetime => (StatusCode::BAD_REQUEST, "lifetime", "choose one of these"),
            EnvironmentRefusal::Grace => (StatusCode::BAD_REQUEST, "grace", "choose a shorter grace"),
            EnvironmentRefusal::Overlap => {
                (StatusCode::BAD_REQUEST, "overlap", "choose a shorter overlap or a longer life")
            }
        };
        Self::new(status, code, refusal.to_string()).fix(fix)
    }
}

impl From<EnvironmentFault> for Refuse {
    fn from(fault: EnvironmentFault) -> Self {
        match fault {
            EnvironmentFault::Refused(refusal) => refusal.into(),
            EnvironmentFault::Store(fault) => fault.into(),
            EnvironmentFault::Publish(fault) => fault.into(),
            EnvironmentFault::NoRoot
            | EnvironmentFault::Vault(_)
            | EnvironmentFault::Authority(_)
            | EnvironmentFault::Certificate(_)
            | EnvironmentFault::Hierarchy(_)
            | EnvironmentFault::Policy(_) => Self::internal(&fault),
        }
    }
}

impl From<PolicyFaults> for Refuse {
    fn from(faults: PolicyFaults) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy-faults", "the policy is not acceptable")
            .detail(faults.to_string())
            .fix("correct every fault that is listed; try it with: touchmark policy check DIR")
    }
}

impl From<PolicyActivationFault> for Refuse {
    fn from(fault: PolicyActivationFault) -> Self {
        match fault {
            PolicyActivationFault::Policy(faults) => faults.into(),
            PolicyActivationFault::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "policy-too-large", fault.to_string())
                    .fix("say more with groups and fewer rules")
            }
            PolicyActivationFault::Store(fault) => fault.into(),
            PolicyActivationFault::Publish(fault) => fault.into(),
            PolicyActivationFault::Gateways(fault) => fault.into(),
        }
    }
}

impl From<ExplainFault> for Refuse {
    fn from(fault: ExplainFault) -> Self {
        match fault {
            ExplainFault::Unknown => Self::new(StatusCode::NOT_FOUND, "unknown", fault.to_string()).fix(
                "touchmark device list shows the devices; names, identifiers, URIs, hashes and serials work",
            ),
            ExplainFault::Unseen(..) => ExplainFault::Unknown.into(),
            ExplainFault::Ambiguous(candidates) => {
                let mut refuse = Self::new(StatusCode::CONFLICT, "ambiguous", "it means several things")
                    .fix("ask again with one of the identifiers");
                refuse.0.candidates = candidates;
                refuse
            }
            ExplainFault::Store(fault) => fault.into(),
            ExplainFault::Archive(fault) => fault.into(),
        }
    }
}

impl From<ArchiveFault> for Refuse {
    fn from(fault: ArchiveFault) -> Self {
        let (status, code) = match &fault {
            ArchiveFault::Write(_) | ArchiveFault::Read { .. } => return Self::internal(&fault),
            ArchiveFault::Damaged { .. } => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-archive-damaged", fault.to_string())
                    .fix("an operator must look: touchmark audit verify");
            }
            ArchiveFault::NotRegistered => (StatusCode::CONFLICT, "log-not-registered"),
            ArchiveFault::OtherKey => (StatusCode::CONFLICT, "log-other-key"),
            ArchiveFault::OutOfOrder { .. } => (StatusCode::CONFLICT, "log-out-of-order"),
            ArchiveFault::BadFrame { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "log-bad-frame"),
            ArchiveFault::Fork => (StatusCode::CONFLICT, "log-fork"),
            ArchiveFault::BadHead => (StatusCode::UNPROCESSABLE_ENTITY, "log-bad-head"),
        };
        Self::new(status, code, fault.to_string())
    }
}

impl From<UploadFault> for Refuse {
    fn from(fault: UploadFault) -> Self {
        match fault {
            UploadFault::Archive(fault) => fault.into(),
            UploadFault::Store(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn what_a_refusal_repeats_moves_and_turns_nothing() {
        let refuse = Refuse::new(StatusCode::NOT_FOUND, "device-unknown", "no device `a\u{202e}b\u{1b}[2J`")
            .detail("line 1: x\u{2066}\nline 2");
        let body = refuse.into_response().into_body().collect().await.unwrap().to_bytes();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.title, r"no device `a\u{202e}b [2J`");
        assert_eq!(problem.detail.unwrap(), "line 1: x\\u{2066}\nline 2");
    }

    /// Wherever below a fault the want of space is.
    #[test]
    fn a_disk_without_space_is_told_as_such() {
        let full = |kind: std::io::ErrorKind| touchmark_durable::WriteFault {
            act: "write",
            path: "file".into(),
            source: kind.into(),
        };
        let code = |refuse: Refuse| (refuse.0.code.clone(), refuse.0.status.unwrap());
        let told = ("disk-full".to_owned(), 503);
        for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded] {
            assert_eq!(code(ArchiveFault::Write(full(kind)).into()), told, "{kind:?}");
            let vault = crate::keys::VaultFault::Write(full(kind));
            assert_eq!(code(EnvironmentFault::Vault(vault).into()), told, "{kind:?}");
        }
        assert_eq!(code(StoreFault::DiskFull.into()), told);
        let other = full(std::io::ErrorKind::PermissionDenied);
        assert_eq!(code(ArchiveFault::Write(other).into()), ("internal".to_owned(), 500));
    }
}
