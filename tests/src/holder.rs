//! Somebody who holds a certificate, and what it can ask of EST with it: a successor, a confirmation, a hint.

use crate::device::{Device, Enrolment, Key, chain, est_client_as};
use crate::lab::Lab;
use touchmark_api::Token;
use touchmark_dial::{BlockingHttp, DialFault, HttpClient, Method, Request, Response};
use touchmark_enrol::est::{EstPost, renew_request};
use touchmark_enrol::renewal::{CONFIRM_PATH, RENEWAL_PATH};
use touchmark_identity::{EnvironmentName, Fingerprint};
use touchmark_x509::Certificate;

/// A key, its certificate, and a connection that proves both.
#[derive(Debug)]
pub struct Holder {
    /// The private key.
    pub key: Key,
    /// Leaf first.
    pub chain: Vec<Certificate>,
    http: BlockingHttp,
}

impl Holder {
    /// Of a certificate that it has.
    pub fn new(lab: &Lab, key: Key, chain: Vec<Certificate>) -> Self {
        let http = BlockingHttp::new(est_client_as(lab, Some((&key, &chain)))).unwrap();
        Self { key, chain, http }
    }

    /// Enrols a new key with a token.
    pub fn enrolled(lab: &Lab, token: &Token) -> Self {
        let label = Some(token.environment.as_str());
        let (key, chain) = Device::new(lab).enrol(label, token);
        Self::new(lab, key, chain)
    }

    /// SHA-256 of its certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.chain[0].fingerprint()
    }

    /// Sends any request with its certificate.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn send(&mut self, request: Request) -> Result<Response, DialFault> {
        self.http.send(request)
    }

    /// Asks for a successor, with a request as it will stand on the wire.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn ask(&mut self, label: Option<&str>, csr: &[u8]) -> Result<Response, DialFault> {
        self.send(renewal(label, csr).to_request())
    }

    /// Gets a successor for a new key; it must succeed.
    pub fn renewed(&mut self, lab: &Lab) -> Self {
        let key = Key::new();
        let answer = self.ask(None, &key.request("")).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let chain = chain(&key, &answer.body);
        Self::new(lab, key, chain)
    }

    /// Gets a successor for a new key, if there is one to be had.
    pub fn try_renewed(&mut self) -> Option<(Key, Vec<Certificate>)> {
        let key = Key::new();
        let answer = self.ask(None, &key.request("")).ok().filter(|answer| answer.status == 200)?;
        let chain = chain(&key, &answer.body);
        Some((key, chain))
    }

    /// Declares its certificate the current one; `body` as it will be sent.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn confirm(&mut self, body: &str) -> Result<Response, DialFault> {
        self.send(Request::new(Method::POST, CONFIRM_PATH).body(body.to_owned()))
    }

    /// Asks when to renew.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn hint(&mut self) -> Result<Response, DialFault> {
        self.send(Request::get(RENEWAL_PATH))
    }

    /// A client of its own, for many requests at once.
    pub(crate) fn client(&self, lab: &Lab) -> HttpClient {
        est_client_as(lab, Some((&self.key, &self.chain)))
    }
}

/// A renewal, ready to be sent by whoever holds a certificate.
pub fn renewal(label: Option<&str>, csr: &[u8]) -> Enrolment {
    let label: Option<EnvironmentName> = label.map(|label| label.parse().unwrap());
    let EstPost { path, headers, body, .. } = renew_request(label.as_ref(), csr);
    Enrolment::raw(path, &headers, body)
}
