//! One request: trust anew, decide, record, act, answer.

use super::answer::{Answer, closing, denied, problem};
use super::path::Asked;
use super::{Connection, HttpPort};
use crate::session::{Judge, Session};
use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use core::time::Duration;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use touchmark_decisions::{Act, Record, Resource, Verdict};
use touchmark_policy::{Action, Decision, DecisionTable, Denial, DenyReason, Permit, Topic};

/// Longest body: the same as the longest MQTT packet.
pub(crate) const BODY_OCTETS_MAX: usize = 256 * 1024;
/// Time for a whole body.
const BODY_WAIT: Duration = Duration::from_secs(30);

impl Connection {
    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let session = match self.open(&path).await {
            Ok(session) => session,
            Err(denial) => return closing(denied(&denial)),
        };
        let door = &self.port.door;
        // The connection is no reason to trust: each request asks again.
        if let Err(denial) = session.judge(&door.trust, Judge::Review, door.clock.now()) {
            return closing(denied(&denial));
        }
        match (request.method().clone(), Asked::read(&path)) {
            (Method::POST, Asked::Publish(topic)) => self.publish(&session, request, &topic).await,
            (Method::GET, Asked::Update { model, file }) => self.update(&session, &model, &file).await,
            (_, Asked::Publish(_)) => wrong_method("POST"),
            (_, Asked::Update { .. }) => wrong_method("GET"),
            (_, Asked::Nothing) => {
                let reason = DenyReason::PathInvalid;
                problem(StatusCode::NOT_FOUND, reason.code(), reason.meaning(), reason.next_step())
            }
        }
    }

    async fn publish(&self, session: &Session, request: Request<Incoming>, topic: &str) -> Answer {
        let decision = |table: &DecisionTable| match Topic::new(topic) {
            Ok(topic) => table.publish(&topic),
            Err(_) => Decision::Deny(Denial::because(DenyReason::TopicInvalid)),
        };
        // Decided before the body is read: a refused one costs nothing.
        let (decided, record) = self.port.decide(session, Action::Publish, topic, decision);
        let permit = match decided {
            Ok(permit) => permit,
            Err(denial) => {
                // Refused either way.
                let _ = self.port.door.log.queued(record).await;
                return closing(denied(&denial));
            }
        };
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let payload = match body(request).await {
            Ok(payload) => payload,
            Err(answer) => return answer,
        };
        if self.port.door.log.queued(record).await.is_err() {
            return denied(&Denial::because(DenyReason::LogUnavailable));
        }
        let content_type = content_type.as_ref().and_then(|value: &HeaderValue| value.to_str().ok());
        self.port.publish.forward(permit, &self.arrival, topic, content_type, payload).await
    }

    async fn update(&self, session: &Session, model: &str, file: &str) -> Answer {
        let resource = format!("{model}/{file}");
        let decision = |table: &DecisionTable| table.request_update(model, file);
        let (decided, record) = self.port.decide(session, Action::RequestUpdate, &resource, decision);
        let recorded = self.port.door.log.durable(record).await;
        match (decided, recorded) {
            (Err(denial), _) => denied(&denial),
            (Ok(_), Err(_)) => denied(&Denial::because(DenyReason::LogUnavailable)),
            (Ok(permit), Ok(_)) => self.port.updates.fetch(permit, &self.arrival, model, file).await,
        }
    }
}

impl HttpPort {
    fn decide(
        &self,
        session: &Session,
        action: Action,
        on: &str,
        decision: impl FnOnce(&DecisionTable) -> Decision,
    ) -> (Result<Permit, Denial>, Record) {
        let decided = match session.table() {
            Some(table) => decision(&table),
            None => Decision::Deny(Denial::because(DenyReason::PolicyMissing)),
        };
        let record = |verdict, rule| {
            let (session, at, resource) = (session.id(), self.door.clock.now(), Resource::from(on));
            Record::Act(Act { session, at, action, resource, verdict, rule })
        };
        match decided {
            Decision::Permit(permit) => {
                let record = record(Verdict::Allow, Some(permit.rule().clone()));
                (Ok(permit), record)
            }
            Decision::Deny(denial) => {
                let record = record(Verdict::Deny(denial.reason), denial.rule.clone());
                (Err(denial), record)
            }
        }
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let collected =
        tokio::time::timeout(BODY_WAIT, Limited::new(request.into_body(), BODY_OCTETS_MAX).collect());
    match collected.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let reason = DenyReason::PacketTooLarge;
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(closing(problem(status, reason.code(), reason.meaning(), reason.next_step())))
        }
        Ok(Err(_)) => Err(closing(problem(
            StatusCode::BAD_REQUEST,
            "body-broken",
            "the body ended early",
            "send the whole body",
        ))),
        Err(_) => Err(closing(problem(
            StatusCode::REQUEST_TIMEOUT,
            "body-slow",
            "the body did not come in time",
            "send the body at once",
        ))),
    }
}

fn wrong_method(right: &str) -> Answer {
    let fix = format!("use {right}");
    problem(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "the path takes another method", &fix)
}
