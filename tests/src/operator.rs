//! An operator of the authority: what the command line would ask of the management API.

use crate::device::Key;
use crate::lab::Lab;
use crate::patience::until;
use std::path::Path;
use touchmark_api::{
    Containment, ContainmentOutcome, Decision, Environment, EnvironmentOrder, Explanation, Page, Token,
    TokenKind, TokenOrder,
};
use touchmark_dial::{
    BaseUrl, BlockingHttp, ClientIdentity, ClientTls, DialFault, HttpClient, Request, Response,
};
use touchmark_identity::RevocationReason;
use touchmark_x509::Certificate;

/// A caller of the management API.
#[derive(Debug)]
pub struct Operator {
    http: BlockingHttp,
}

impl Operator {
    /// With a certificate and key in files.
    pub fn with_files(lab: &Lab, chain: &Path, key: &Path) -> Self {
        let tls = ClientTls::from_pem_files(&lab.anchors(), Some((chain, key))).unwrap();
        Self::with_tls(lab, tls)
    }

    /// With a key of the test's own, and the certificate that it was given.
    pub fn with_key(lab: &Lab, key: &Key, chain: &[Certificate]) -> Self {
        let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        let identity = ClientIdentity::from_der(chain, key.pkcs8());
        let anchors = std::fs::read(lab.anchors()).unwrap();
        Self::with_tls(lab, ClientTls::from_pem(&anchors, Some(identity), Default::default()).unwrap())
    }

    /// Without any certificate.
    pub fn nobody(lab: &Lab) -> Self {
        Self::with_tls(lab, ClientTls::from_pem_files(&lab.anchors(), None).unwrap())
    }

    fn with_tls(lab: &Lab, tls: ClientTls) -> Self {
        let base: BaseUrl = lab.api().parse().unwrap();
        Self { http: BlockingHttp::new(HttpClient::new(base, Some(tls)).unwrap()).unwrap() }
    }

    /// Any request; the answer as it came.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn send(&mut self, request: Request) -> Result<Response, DialFault> {
        self.http.send(request)
    }

    /// GET.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn get(&mut self, path: &str) -> Result<Response, DialFault> {
        self.send(Request::get(path))
    }

    /// Makes a token.
    pub fn token(&mut self, order: &TokenOrder) -> Token {
        self.http.post_json("/v1/tokens", order).unwrap()
    }

    /// Makes an environment with certificates that live so long.
    pub fn environment(&mut self, name: &str, device_lifetime_s: Option<u64>) -> Environment {
        let order = EnvironmentOrder { device_lifetime_s, ..environment_order(name) };
        self.http.post_json("/v1/environments", &order).unwrap()
    }

    /// Makes an environment.
    pub fn environment_like(&mut self, order: &EnvironmentOrder) -> Environment {
        self.http.post_json("/v1/environments", order).unwrap()
    }

    /// `revoke`, `quarantine`, `release`, `ban`.
    ///
    /// # Errors
    /// The refusal.
    pub fn contain(
        &mut self,
        device: &str,
        verb: &str,
        order: &Containment,
    ) -> Result<ContainmentOutcome, DialFault> {
        self.http.post_json(&format!("/v1/devices/{device}/{verb}"), order)
    }

    /// Revokes for key compromise.
    pub fn revoke(&mut self, device: &str) -> ContainmentOutcome {
        let order = Containment { reason: Some(RevocationReason::KeyCompromise), ..Containment::default() };
        self.contain(device, "revoke", &order).unwrap()
    }

    /// The four questions.
    ///
    /// # Errors
    /// The refusal.
    pub fn explain(&mut self, id: &str) -> Result<Explanation, DialFault> {
        self.http.get_json(&format!("/v1/explain/{id}"))
    }

    /// What gateways decided about a device, oldest first.
    pub fn decisions(&mut self, device: &str) -> Vec<Decision> {
        self.all_decisions(&format!("?device={device}"))
    }

    /// What gateways decided, with a query, oldest first.
    pub fn all_decisions(&mut self, query: &str) -> Vec<Decision> {
        let answer = self.get(&format!("/v1/decisions{query}")).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let page: Page<Decision> = serde_json::from_slice(&answer.body).unwrap();
        let mut decisions = page.items;
        decisions.reverse();
        decisions
    }

    /// Waits until the authority has such a decision about a device; gives it.
    pub fn decided(&mut self, device: &str, action: &str, resource: &str, verdict: &str) -> Decision {
        until(&format!("the decision {action} {resource} {verdict} about {device}"), || {
            let of = |d: &Decision| {
                d.action == action && d.resource.as_deref() == Some(resource) && d.verdict == verdict
            };
            self.decisions(device).into_iter().find(of)
        })
    }

    /// Versions, sizes, gateways.
    pub fn status(&mut self) -> touchmark_api::StatusReport {
        self.http.get_json("/v1/status").unwrap()
    }
}

fn order(environment: &str) -> TokenOrder {
    TokenOrder::new(environment.parse().unwrap(), 3600)
}

/// With the defaults.
pub fn environment_order(name: &str) -> EnvironmentOrder {
    EnvironmentOrder::new(name.parse().unwrap())
}

/// For one device, once.
pub fn device_token(environment: &str, device: &str) -> TokenOrder {
    TokenOrder { device: Some(device.parse().unwrap()), ..order(environment) }
}

/// For new devices whose names start so.
pub fn prefix_token(environment: &str, prefix: &str, uses: u32) -> TokenOrder {
    TokenOrder { prefix: Some(prefix.parse().unwrap()), uses: Some(uses), ..order(environment) }
}

/// For an operator with one role.
pub fn operator_token(name: &str, roles: &[&str]) -> TokenOrder {
    TokenOrder {
        kind: Some(TokenKind::Operator),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..device_token("lab", name)
    }
}
