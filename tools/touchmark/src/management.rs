//! The management API as the operator's certificate may use it.
//!
//! In: the data directory (address, anchors, operator's certificate and key). Out: wire types of `touchmark_api`.
//! No rule lives here: what may be done is decided by the authority.

use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use core::time::Duration;
use serde::Serialize;
use std::path::Path;
use touchmark_api::{
    Containment, ContainmentOutcome, Decision, DecisionQuery, Environment, Explanation, InEnvironment,
    ListQuery, Page, Policy, PolicyDocument, Ready, Token, TokenOrder,
};
use touchmark_dial::{ClientTls, HttpClient, Method, Request, Response};
use touchmark_identity::{EnvironmentName, Name};

/// A page of decisions, and everything else that is asked for: 100,000 decisions of 500 octets.
const ANSWER_OCTETS_MAX: usize = 64 * 1024 * 1024;
/// Decisions when none are asked for.
const DECISIONS: usize = 10_000;
/// Time for an answer, on top of what the authority was told to wait. Connecting has a shorter limit of its own.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where it makes keys or reads logs first.
const PATIENCE_LONG: Duration = Duration::from_secs(60);

/// A client of the management API. A clone has a connection of its own.
#[derive(Clone, Debug)]
pub struct Management {
    client: HttpClient,
}

impl Management {
    /// As the operator of this data directory.
    pub(crate) fn open(home: &Home) -> Result<Self, Failure> {
        let ready = home.ready()?;
        Self::for_operator(home, &ready)
    }

    pub fn for_operator(home: &Home, ready: &Ready) -> Result<Self, Failure> {
        let (chain, key) = home.operator();
        let url = home::address(ready.api.clone(), "management API")?;
        Self::with_files(&url, Path::new(&ready.ca), &chain, &key)
    }

    pub(crate) fn with_files(url: &str, anchors: &Path, chain: &Path, key: &Path) -> Result<Self, Failure> {
        let tls = ClientTls::from_pem_files(anchors, Some((chain, key)))?.to_authority(None)?;
        Ok(Self { client: HttpClient::new(url.parse()?, Some(tls))? })
    }

    /// Any GET, with a query made of a value's fields.
    pub async fn get<T, Q>(&mut self, path: &str, query: &Q) -> Result<T, Failure>
    where
        T: serde::de::DeserializeOwned,
        Q: Serialize + ?Sized,
    {
        let request = Request::get(with_query(path, query)?)
            .header("accept", "application/json")?
            .response_octets_max(ANSWER_OCTETS_MAX)
            .timeout(PATIENCE_LONG);
        self.ask(request).await
    }

    /// Any POST.
    pub async fn post<T, B>(&mut self, path: &str, body: &B) -> Result<T, Failure>
    where
        T: serde::de::DeserializeOwned,
        B: Serialize + ?Sized,
    {
        self.ask(Request::new(Method::POST, path).json(body)?.timeout(PATIENCE_LONG)).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(&mut self, request: Request) -> Result<T, Failure> {
        Ok(self.send(request).await?.json()?)
    }

    async fn send(&mut self, request: Request) -> Result<Response, Failure> {
        self.client.send(request).await.map_err(Failure::at_authority)
    }

    /// A POST that is answered without a body.
    pub async fn tell<B: Serialize + ?Sized>(&mut self, path: &str, body: &B) -> Result<(), Failure> {
        self.send(Request::new(Method::POST, path).json(body)?).await?.ok()?;
        Ok(())
    }

    /// Sets or checks a policy.
    pub async fn set_policy(
        &mut self,
        environment: &str,
        document: &PolicyDocument,
    ) -> Result<Policy, Failure> {
        let path = policy_path(environment);
        self.send_and_wait(Method::PUT, path, document, document.wait_ms).await
    }

    pub async fn token(&mut self, order: &TokenOrder) -> Result<Token, Failure> {
        self.post("/v1/tokens", order).await
    }

    pub async fn environment(&mut self, name: &EnvironmentName) -> Result<Environment, Failure> {
        self.get(&format!("/v1/environments/{}", segment(name.as_str())), &()).await
    }

    /// `verb` is `revoke`, `quarantine`, `release` or `ban`.
    pub async fn contain(
        &mut self,
        device: &str,
        verb: &str,
        order: &Containment,
    ) -> Result<ContainmentOutcome, Failure> {
        let path = format!("/v1/devices/{}/{verb}", segment(device));
        let outcome = self.post_containment(path, order).await;
        outcome.map_err(|failure| failure.what(format!("{verb} device {device}")))
    }

    /// `parties` is `operators` or `services`.
    pub(crate) async fn revoke_party(
        &mut self,
        parties: &str,
        name: &str,
        order: &Containment,
    ) -> Result<ContainmentOutcome, Failure> {
        let path = format!("/v1/{parties}/{}/revoke", segment(name));
        let outcome = self.post_containment(path, order).await;
        outcome.map_err(|failure| failure.what(format!("revoke {name}")))
    }

    pub(crate) async fn revoke_certificate(
        &mut self,
        id: &str,
        order: &Containment,
    ) -> Result<ContainmentOutcome, Failure> {
        let path = format!("/v1/certificates/{}/revoke", segment(id));
        let outcome = self.post_containment(path, order).await;
        outcome.map_err(|failure| failure.what(format!("revoke certificate {id}")))
    }

    async fn post_containment(
        &mut self,
        path: String,
        order: &Containment,
    ) -> Result<ContainmentOutcome, Failure> {
        self.send_and_wait(Method::POST, path, order, order.wait_ms).await
    }

    /// An act whose answer waits for gateways.
    async fn send_and_wait<T, B>(
        &mut self,
        method: Method,
        path: String,
        body: &B,
        wait_ms: Option<u64>,
    ) -> Result<T, Failure>
    where
        T: serde::de::DeserializeOwned,
        B: Serialize + ?Sized,
    {
        let wait = Duration::from_millis(wait_ms.unwrap_or_default());
        let request = Request::new(method, path).json(body)?;
        self.ask(request.timeout(wait.saturating_add(PATIENCE))).await
    }

    pub async fn explain(
        &mut self,
        id: &str,
        environment: Option<&EnvironmentName>,
    ) -> Result<Explanation, Failure> {
        let query = InEnvironment { environment: environment.cloned() };
        let answer = self.get(&format!("/v1/explain/{}", segment(id)), &query).await;
        answer.map_err(|failure| failure.what(format!("explain {id}")))
    }

    /// Decisions, newest first: as many as the query asks for, else `DECISIONS`.
    pub async fn decisions(&mut self, query: &DecisionQuery) -> Result<Vec<Decision>, Failure> {
        self.list("/v1/decisions", query.clone(), Some(query.limit.unwrap_or(DECISIONS))).await
    }

    /// A list, page by page: whole, or its first rows.
    pub async fn list<T, Q>(&mut self, path: &str, query: Q, limit: Option<usize>) -> Result<Vec<T>, Failure>
    where
        T: serde::de::DeserializeOwned,
        Q: ListQuery,
    {
        let mut all = Vec::new();
        let take = |page| {
            all.extend::<Vec<T>>(page);
            Ok(())
        };
        self.pages(path, query, limit, take).await?;
        Ok(all)
    }

    /// Gives the pages of a list as they come, so that a fleet needs no memory here.
    pub async fn pages<T, Q>(
        &mut self,
        path: &str,
        mut query: Q,
        limit: Option<usize>,
        mut take: impl FnMut(Vec<T>) -> Result<(), Failure>,
    ) -> Result<(), Failure>
    where
        T: serde::de::DeserializeOwned,
        Q: ListQuery,
    {
        let mut left = limit.unwrap_or(usize::MAX);
        while left > 0 {
            *query.limit() = Some(left.min(Q::LIMIT_MAX));
            let Page { mut items, next } = self.get::<Page<T>, Q>(path, &query).await?;
            items.truncate(left);
            left -= items.len();
            take(items)?;
            match next {
                Some(next) if query.cursor().as_ref() != Some(&next) => *query.cursor() = Some(next),
                Some(_) | None => break,
            }
        }
        Ok(())
    }
}

/// The trust anchors of an environment: from the data directory, else (it is new) from the authority.
pub(crate) async fn anchors_pem(home: &Home, environment: &EnvironmentName) -> Result<String, Failure> {
    match home::read(&home.anchors(environment)) {
        Ok(pem) => Ok(pem),
        Err(_) => Ok(Management::open(home)?.environment(environment).await?.anchors_pem),
    }
}

/// For what is done here without the authority: refuses an environment that it does not know, as far as it can be asked.
pub(crate) async fn known_environment(home: &Home, environment: &EnvironmentName) -> Result<(), Failure> {
    if home.anchors(environment).exists() {
        return Ok(());
    }
    let Ok(mut management) = Management::open(home) else { return Ok(()) };
    match management.environment(environment).await {
        Err(failure) if failure.code() == "environment-unknown" => Err(failure),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Why a device can do nothing from here: there is no such environment, or it was not enrolled here.
pub async fn no_credential(home: &Home, environment: &EnvironmentName, name: &Name) -> Failure {
    if let Err(failure) = known_environment(home, environment).await {
        return failure.what(format!("device {name}"));
    }
    Failure::new(Exit::NotFound, "no-credential", "this device has no credential here")
        .what(home.device(environment, name).display().to_string())
        .fix(format!("touchmark device enroll {name} --env {environment}"))
}

/// Where an environment's policy is read and set.
pub fn policy_path(environment: &str) -> String {
    format!("/v1/environments/{}/policy", segment(environment))
}

/// A path segment: everything but unreserved characters is escaped (RFC 3986 §2.3).
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, octet| {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

/// The fields of a flat struct as a query; `()` has none.
fn with_query<Q: Serialize + ?Sized>(path: &str, query: &Q) -> Result<String, Failure> {
    let value = serde_json::to_value(query)
        .map_err(|error| Failure::internal("the query has no form").why(error.to_string()))?;
    let mut whole = path.to_owned();
    for (place, (name, value)) in value.as_object().into_iter().flatten().enumerate() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        whole.push(if place == 0 { '?' } else { '&' });
        whole.push_str(&format!("{name}={}", segment(&text)));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_any_form_fit_into_a_path() {
        let rows = [
            ("pump-01", "pump-01"),
            (
                "spiffe://lab.touchmark.internal/d/pump-01",
                "spiffe%3A%2F%2Flab.touchmark.internal%2Fd%2Fpump-01",
            ),
            ("AB:CD", "AB%3ACD"),
            ("../x?y#z", "..%2Fx%3Fy%23z"),
        ];
        for (text, expected) in rows {
            assert_eq!(segment(text), expected);
        }
    }

    #[test]
    fn absent_fields_leave_no_trace_in_a_query() {
        let query =
            DecisionQuery { device: Some("pump-01".parse().unwrap()), limit: Some(5), ..Default::default() };
        assert_eq!(with_query("/v1/decisions", &query).unwrap(), "/v1/decisions?device=pump-01&limit=5");
        assert_eq!(with_query("/v1/decisions", &DecisionQuery::default()).unwrap(), "/v1/decisions");
        assert_eq!(with_query("/v1/log", &()).unwrap(), "/v1/log");
    }
}
