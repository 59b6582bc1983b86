//! Who calls: no handler gets a caller but through here, on every request.

use super::super::problem::Refuse;
use super::super::{Peer, Shell};
use crate::clones::{Use, was_superseded};
use crate::confirmation::Proven;
use crate::operators::{Caller, CallerFault, ROLE_GATEWAY};
use axum::extract::FromRequestParts;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use touchmark_identity::EnvironmentName;
use touchmark_journal::IdentityKind;
use touchmark_policy_cedar::OperatorVerb;

/// A live operator or service.
pub(super) struct Called(pub(super) Caller);

impl FromRequestParts<Shell> for Called {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, shell: &Shell) -> Result<Self, Refuse> {
        let peer = parts.extensions.get::<Peer>().and_then(|peer| peer.0);
        let fingerprint = peer.ok_or(CallerFault::Unknown)?;
        // A device has nothing to say here, but its key was proven all the same.
        let row = shell.confirmations.proven(&fingerprint, Proven::Here, "api").await?;
        let row = row.ok_or(CallerFault::Unknown)?;
        let caller = shell.operators.caller(&row).inspect_err(|_| {
            shell.refusals.count(None, "api", "caller-refused", None);
        });
        if was_superseded(&row) {
            shell.look_at_use(&fingerprint, Use::Other, "api", "api").await;
        }
        Ok(Self(caller?))
    }
}

impl Called {
    /// A caller that may do `verb` in `environment`.
    pub(super) fn may(
        &self,
        shell: &Shell,
        verb: OperatorVerb,
        environment: &EnvironmentName,
    ) -> Result<(), Refuse> {
        self.permitted(shell, verb, environment).map(drop)
    }

    fn permitted(
        &self,
        shell: &Shell,
        verb: OperatorVerb,
        environment: &EnvironmentName,
    ) -> Result<String, Refuse> {
        Ok(shell.operators.permits(&self.0, verb, environment).inspect_err(|_| {
            shell.refusals.count(Some(environment), "api", "not-permitted", None);
        })?)
    }

    /// A caller that may do `verb` somewhere that concerns the whole organisation: asked for its own environment.
    pub(super) fn may_at_home(&self, shell: &Shell, verb: OperatorVerb) -> Result<(), Refuse> {
        self.may(shell, verb, &self.0.environment.clone())
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

/// A JSON body, or a problem that says what is wrong with it.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> axum::extract::FromRequest<Shell> for Body<T> {
    type Rejection = Refuse;

    async fn from_request(request: axum::extract::Request, shell: &Shell) -> Result<Self, Refuse> {
        match axum::Json::<T>::from_request(request, shell).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => {
                let status = match &rejection {
                    JsonRejection::BytesRejection(_) => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                Err(Refuse::new(status, "body-invalid", "the body is not what this address takes")
                    .detail(rejection.body_text()))
            }
        }
    }
}

/// A query, or a problem that says what is wrong with it.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shell> for Query<T> {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, shell: &Shell) -> Result<Self, Refuse> {
        match axum::extract::Query::<T>::from_request_parts(parts, shell).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Refuse::value("query", rejection.body_text())),
        }
    }
}
