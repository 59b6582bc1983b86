//! One request: trust anew, decide, record, act, answer.

use super::answer::{Answer, closing, denied, problem};
use super::path::Asked;
use super::while_permitted::while_permitted;
use super::{Connection, HttpPort};
use crate::decision_log::denied_resource;
use crate::permitted::{HttpMessage, PermitBasis, Permitted, UpdateFile, may_publish_by_http};
use crate::rates::OverRate;
use crate::session::Session;
use ::http::header::{ALLOW, CONTENT_TYPE};
use ::http::{HeaderValue, Method, Request, StatusCode};
use bytes::Bytes;
use core::num::NonZeroU32;
use core::time::Duration;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Instant;
use touchmark_decisions::{Act, Record, Resource, Verdict};
use touchmark_policy::{Action, DecisionTable, Denial, DenyReason};

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
        let asked = Asked::read(&path);
        // The connection is no reason to trust: each request asks again.
        if let Err(denial) = self.port.judge(&session) {
            let (action, on) = match &asked {
                Asked::Publish(topic) => (Action::Publish, topic.clone()),
                Asked::Update { model, file } => (Action::RequestUpdate, format!("{model}/{file}")),
                Asked::Nothing => (Action::Call, path),
            };
            return self.refuse(&session, action, &on, denial).await;
        }
        match (request.method().clone(), asked) {
            (Method::POST, Asked::Publish(topic)) => self.publish(&session, request, &topic).await,
            (Method::GET, Asked::Update { model, file }) => self.update(&session, &model, &file).await,
            (_, Asked::Publish(topic)) => {
                self.misdirected(&session, Action::Publish, &topic, wrong_method("POST")).await
            }
            (_, Asked::Update { model, file }) => {
                let on = format!("{model}/{file}");
                self.misdirected(&session, Action::RequestUpdate, &on, wrong_method("GET")).await
            }
            (_, Asked::Nothing) => {
                let why = DenyReason::PathInvalid;
                let answer = problem(StatusCode::NOT_FOUND, why.code(), why.meaning(), why.next_step());
                self.misdirected(&session, Action::Call, &path, answer).await
            }
        }
    }

    /// Refuses a path or its method with this answer; recorded like any other denial.
    async fn misdirected(&self, session: &Session, action: Action, on: &str, answer: Answer) -> Answer {
        let told = self.refuse(session, action, on, Denial::because(DenyReason::PathInvalid)).await;
        if told.status() == StatusCode::TOO_MANY_REQUESTS { told } else { answer }
    }

    async fn publish(&self, session: &Session, request: Request<Incoming>, topic: &str) -> Answer {
        // Before the body is read: a refused one costs nothing.
        if let Err(denial) = table_of(session).and_then(|table| may_publish_by_http(topic, &table)) {
            return self.refuse(session, Action::Publish, topic, denial).await;
        }
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let payload = match body(request).await {
            Ok(payload) => payload,
            Err(answer) => return answer,
        };
        match self.metered.take(1, Instant::now()) {
            // The connection carries one request at a time: whoever waits sends nothing more.
            Ok(wait) => tokio::time::sleep(wait).await,
            Err(OverRate) => {
                let denial = Denial::because(DenyReason::Rate);
                return self.refuse(session, Action::Publish, topic, denial).await;
            }
        }
        // Body and rate may take long: what counts is who may send it now.
        let content_type = content_type.as_ref().and_then(|value: &HeaderValue| value.to_str().ok());
        let message = HttpMessage { topic, content_type, payload };
        let judged =
            self.port.judge(session).and_then(|()| Permitted::message(message, &*table_of(session)?));
        let (message, basis) = match judged {
            Ok(permitted) => permitted,
            Err(denial) => return self.refuse(session, Action::Publish, topic, denial).await,
        };
        let record = self.port.record(session, Action::Publish, topic, Ok(basis));
        if self.port.admission.log.published_act(record).await.is_err() {
            return denied(&Denial::because(DenyReason::LogUnavailable));
        }
        self.port.publish.forward(message, &self.arrival).await
    }

    async fn update(&self, session: &Arc<Session>, model: &str, file: &str) -> Answer {
        let resource = format!("{model}/{file}");
        let (asked, asked_file) = (UpdateFile { model, file }, file);
        let (file, basis) = match table_of(session).and_then(|table| Permitted::update(asked, &table)) {
            Ok(permitted) => permitted,
            Err(denial) => return self.refuse(session, Action::RequestUpdate, &resource, denial).await,
        };
        let record = self.port.record(session, Action::RequestUpdate, &resource, Ok(basis));
        match self.port.admission.log.durable(record).await {
            Err(_) => denied(&Denial::because(DenyReason::LogUnavailable)),
            Ok(_) => {
                let answer = self.port.updates.fetch(file, &self.arrival, &self.rate).await;
                let (session, model, file) = (Arc::clone(session), model.to_owned(), asked_file.to_owned());
                while_permitted(answer, move || {
                    let asked = UpdateFile { model: &model, file: &file };
                    session.end_ordered().is_none()
                        && table_of(&session).and_then(|table| Permitted::update(asked, &table)).is_ok()
                })
            }
        }
    }

    /// Records a denial and tells it; beyond the device's allowance it is told only. The connection ends with it.
    async fn refuse(&self, session: &Session, action: Action, on: &str, denial: Denial) -> Answer {
        if !self.arrival.account().may_be_told(self.port.admission.clock.now()) {
            return closing(problem(
                StatusCode::TOO_MANY_REQUESTS,
                denial.reason.code(),
                "too many requests of this device were denied",
                denial.reason.next_step(),
            ));
        }
        let record = self.port.record(session, action, on, Err(&denial));
        // Refused either way.
        let _ = self.port.admission.log.queued(record).await;
        closing(denied(&denial))
    }
}

impl HttpPort {
    fn judge(&self, session: &Session) -> Result<(), Denial> {
        if let Some(reason) = session.end_ordered() {
            return Err(Denial::because(reason));
        }
        session.judge_again(&self.admission.trust, self.admission.clock.now())
    }

    fn record(
        &self,
        session: &Session,
        action: Action,
        on: &str,
        decided: Result<PermitBasis, &Denial>,
    ) -> Record {
        let (verdict, rule, policy, resource) = match decided {
            Ok((rule, policy)) => (Verdict::Allow, Some(rule), Some(policy), Resource::from(on)),
            Err(denial) => {
                let policy = session.table().map(|table| table.version());
                (Verdict::Deny(denial.reason), denial.rule.clone(), policy, denied_resource(on))
            }
        };
        let (session, at) = (session.id(), self.admission.clock.now());
        Record::Act(Act { session, at, action, resource, verdict, rule, policy, count: NonZeroU32::MIN })
    }
}

fn table_of(session: &Session) -> Result<Arc<DecisionTable>, Denial> {
    session.table().ok_or(Denial::because(DenyReason::PolicyMissing))
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

fn wrong_method(right: &'static str) -> Answer {
    let (status, title) = (StatusCode::METHOD_NOT_ALLOWED, "the path takes another method");
    let mut answer = closing(problem(status, "method-not-allowed", title, &format!("use {right}")));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(right));
    answer
}
