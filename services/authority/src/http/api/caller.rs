//! Who calls: no handler gets a caller but through here, on every request.

use super::super::problem::{Refuse, environment_unknown};
use super::super::{Peer, Shell};
use crate::issuance::hierarchy::Trust;
use crate::operators::reading::{Environments, Kind, Read, Sight};
use crate::operators::{Caller, CallerFault, ROLE_GATEWAY};
use axum::extract::FromRequestParts;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use touchmark_identity::EnvironmentName;
use touchmark_journal::{IdentityKind, Reach};
use touchmark_ra::{Act, Mandate};

/// Environments that a refusal names.
const NAMED_MAX: usize = 16;

/// A gateway that is well answers in milliseconds; one that is late is named after this.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long to wait for gateways to report.
pub(super) fn wait_of(asked_ms: Option<u64>) -> Duration {
    asked_ms.map_or(WAIT_DEFAULT, Duration::from_millis).min(WAIT_MAX)
}

/// A live operator or service.
pub(super) struct Called(pub(super) Caller);

impl FromRequestParts<Shell> for Called {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, shell: &Shell) -> Result<Self, Refuse> {
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.0);
        let fingerprint = peer.ok_or(CallerFault::Unknown)?;
        // A device has nothing to say here, but its key was proven all the same.
        let row = shell.used(&fingerprint, "api").await?;
        let row = row.ok_or(CallerFault::Unknown)?;
        let caller = shell.operators.caller(&row).inspect_err(|_| {
            shell.refusals.count(None, "api", "caller-refused", None);
        });
        Ok(Self(caller?))
    }
}

impl Called {
    /// The mandate for an act; that it is refused is recorded.
    pub(super) fn permit<A: Act>(&self, shell: &Shell, act: A) -> Result<Mandate<A>, Refuse> {
        Ok(shell.operators.permit(&self.0, act)?)
    }

    /// The mandate to read all of an environment, which has to be there.
    pub(super) fn read<K: Kind>(
        &self,
        shell: &Shell,
        environment: EnvironmentName,
    ) -> Result<Mandate<Read<K>>, Refuse> {
        let read = self.permit(shell, Read::all_of(environment))?;
        self.trust(shell, &read)?;
        Ok(read)
    }

    /// The mandates to read all of an environment, or of every environment where the caller may.
    pub(super) fn read_in<K: Kind>(
        &self,
        shell: &Shell,
        environment: Option<EnvironmentName>,
    ) -> Result<Vec<Mandate<Read<K>>>, Refuse> {
        match environment {
            Some(environment) => Ok(vec![self.read(shell, environment)?]),
            None => self.read_all(shell),
        }
    }

    /// The mandates to read all that the caller may, of every environment: one at least.
    pub(super) fn read_all<K: Kind>(&self, shell: &Shell) -> Result<Vec<Mandate<Read<K>>>, Refuse> {
        let all = self.readable(shell);
        if all.is_empty() {
            self.permit(shell, Read::<K>::all_of(self.0.environment.clone()))?;
        }
        Ok(all)
    }

    /// What the caller may read of a kind: in one environment, or wherever it may, which may be nowhere.
    pub(super) fn sight<K: Kind>(
        &self,
        shell: &Shell,
        environment: Option<EnvironmentName>,
    ) -> Result<Sight, Refuse> {
        let everywhere = environment.is_none() && self.0.reach == Reach::Organisation;
        let one = environment.map(|name| self.read::<K>(shell, name)).transpose()?;
        let read = one.map_or_else(|| self.readable(shell), |one| vec![one]);
        let environments: Vec<_> = read.iter().filter_map(|read| read.act().environment().cloned()).collect();
        Ok(Sight { whole: everywhere && !environments.is_empty(), environments })
    }

    fn readable<K: Kind>(&self, shell: &Shell) -> Vec<Mandate<Read<K>>> {
        let all = shell.hierarchy.all().into_iter();
        let read = all.map(|trust| Read::all_of(trust.environment.name.clone()));
        read.filter_map(|read| shell.operators.try_permit(&self.0, read).ok()).collect()
    }

    /// The environment that an act is permitted in.
    pub(super) fn trust<A: Act>(&self, shell: &Shell, mandate: &Mandate<A>) -> Result<Arc<Trust>, Refuse> {
        let name = mandate.act().environment().unwrap_or(&self.0.environment);
        shell.hierarchy.trust_of(name).ok_or_else(|| self.environment_unknown(shell, name.as_str()))
    }

    /// That there is no such environment, and which of those there are the caller may see.
    pub(super) fn environment_unknown(&self, shell: &Shell, name: &str) -> Refuse {
        let readable = self.readable::<Environments>(shell);
        let mut seen: Vec<&str> = readable
            .iter()
            .filter_map(|read| read.act().environment())
            .map(EnvironmentName::as_str)
            .collect();
        seen.sort_unstable();
        let more = seen.len().saturating_sub(NAMED_MAX);
        seen.truncate(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        environment_unknown(name).detail(format!("there are: {}{more}", seen.join(", ")))
    }

    /// A gateway: a service with that role. What another service's key opens is no feed, and its word confirms nothing.
    pub(super) fn gateway(self) -> Result<Caller, Refuse> {
        let is_gateway =
            self.0.kind == IdentityKind::Service && self.0.roles.iter().any(|role| role == ROLE_GATEWAY);
        if is_gateway {
            return Ok(self.0);
        }
        Err(Refuse::new(StatusCode::FORBIDDEN, "gateway-only", "this address is for gateways").fix(
            "an operator makes a token for a gateway: touchmark token create --kind gateway --device NAME",
        ))
    }
}

/// A JSON body, or a problem that names the field and says what is taken.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> axum::extract::FromRequest<Shell> for Body<T> {
    type Rejection = Refuse;

    async fn from_request(request: axum::extract::Request, shell: &Shell) -> Result<Self, Refuse> {
        let rejection = match axum::Json::<T>::from_request(request, shell).await {
            Ok(axum::Json(value)) => return Ok(Self(value)),
            Err(rejection) => rejection,
        };
        let status = match &rejection {
            JsonRejection::JsonDataError(_) => {
                return Err(unreadable("body-invalid", &rejection.body_text()));
            }
            JsonRejection::BytesRejection(_) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Err(Refuse::new(status, "body-invalid", "the body is not what this address takes")
            .detail(rejection.body_text()))
    }
}

/// A query, or a problem that names the field and says what is taken.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shell> for Query<T> {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, shell: &Shell) -> Result<Self, Refuse> {
        match axum::extract::Query::<T>::from_request_parts(parts, shell).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(unreadable("value-invalid", &rejection.body_text())),
        }
    }
}

/// `says` is "what failed: field: why".
fn unreadable(code: &str, says: &str) -> Refuse {
    let (_, says) = says.split_once(": ").unwrap_or(("", says));
    let is_path = |text: &str| !text.contains([' ', '`']);
    let (field, why) = match (says.split_once(": "), says.split('`').nth(1)) {
        (Some((field, why)), _) if is_path(field) => (field, why),
        (_, Some(field)) => (field, says),
        (_, None) => ("request", says),
    };
    let mut refuse = Refuse::value(field, why);
    refuse.0.code = code.to_owned();
    refuse
}
