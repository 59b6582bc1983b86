//! A device as a test plays it: a key, a request, an enrolment over EST.

use crate::lab::Lab;
use touchmark_api::Token;
use touchmark_dial::{
    BaseUrl, BlockingHttp, ClientIdentity, ClientTls, DialFault, HttpClient, Request, Response, TlsVersions,
};
use touchmark_enrol::est::{EstPost, choose, enrol_request, parse_certs_response};
use touchmark_identity::{EnvironmentName, Secret};
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, KeyAlgorithm, Signer as _, SoftwareKey};

/// A device's private key.
#[derive(Debug)]
pub struct Key(SoftwareKey);

impl Key {
    /// A new P-256 key.
    pub fn new() -> Self {
        Self(SoftwareKey::generate(KeyAlgorithm::P256).unwrap())
    }

    /// The same key again.
    pub fn from_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Self {
        Self(SoftwareKey::from_pkcs8(pkcs8.expose()).unwrap())
    }

    /// A PKCS#10 request for it.
    pub fn request(&self, name: &str) -> Vec<u8> {
        certification_request(name, None, &self.0).unwrap()
    }

    /// PKCS#8.
    pub fn pkcs8(&self) -> &Secret<Vec<u8>> {
        self.0.to_pkcs8()
    }

    /// PKCS#8 as PEM.
    pub fn pem(&self) -> String {
        self.0.to_pkcs8_pem().expose().clone()
    }

    /// The key itself.
    pub fn software(&self) -> &SoftwareKey {
        &self.0
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// What an enrolment asks for, ready to be sent as often as wanted.
#[derive(Clone, Debug)]
pub struct Enrolment {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Enrolment {
    /// With a token, for the default environment or a named one.
    pub fn new(label: Option<&str>, csr: &[u8], token: &Token) -> Self {
        Self::named(label, csr, token.username.as_str(), token)
    }

    /// With a prefix token, under a name.
    pub fn named(label: Option<&str>, csr: &[u8], name: &str, token: &Token) -> Self {
        let label: Option<EnvironmentName> = label.map(|label| label.parse().unwrap());
        let password = Secret::new(token.password.clone());
        let EstPost { path, headers, authorization, body } =
            enrol_request(label.as_ref(), csr, Some((name, &password)));
        let mut headers: Vec<_> = headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        headers.extend(authorization.map(|value| ("Authorization", value.expose().clone())));
        Self { path, headers, body }
    }

    /// Any post to EST.
    pub(crate) fn raw(path: String, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Self { path, headers, body }
    }

    /// With another body.
    pub fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// As HTTP.
    pub fn to_request(&self) -> Request {
        let request = Request::new(touchmark_dial::Method::POST, self.path.clone()).body(self.body.clone());
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value).unwrap())
    }
}

/// A device's connection to EST.
#[derive(Debug)]
pub struct Device {
    http: BlockingHttp,
}

impl Device {
    /// Connects when it first sends.
    pub fn new(lab: &Lab) -> Self {
        Self { http: BlockingHttp::new(est_client(lab)).unwrap() }
    }

    /// Sends; the answer as it came.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn send(&mut self, enrolment: &Enrolment) -> Result<Response, DialFault> {
        self.http.send(enrolment.to_request())
    }

    /// Any request.
    ///
    /// # Errors
    /// When there was no answer.
    pub fn request(&mut self, request: Request) -> Result<Response, DialFault> {
        self.http.send(request)
    }

    /// Enrols a new key; it must succeed. Leaf first.
    pub fn enrol(&mut self, label: Option<&str>, token: &Token) -> (Key, Vec<Certificate>) {
        let key = Key::new();
        let enrolment = Enrolment::new(label, &key.request(token.username.as_str()), token);
        let answer = self.send(&enrolment).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let chain = chain(&key, &answer.body);
        (key, chain)
    }
}

impl Device {
    /// Enrols a new key in the default environment, if the token is good. Leaf first.
    pub fn try_enrol(&mut self, token: &Token) -> Option<(Key, Vec<Certificate>)> {
        let key = Key::new();
        let enrolment = Enrolment::new(None, &key.request(token.username.as_str()), token);
        let answer = self.send(&enrolment).ok().filter(|answer| answer.status == 200)?;
        let chain = chain(&key, &answer.body);
        Some((key, chain))
    }
}

/// The certificate for a key and what stands above it, out of an answer.
pub(crate) fn chain(key: &Key, body: &[u8]) -> Vec<Certificate> {
    let certificates = parse_certs_response(body).unwrap();
    let enrolled = choose(&certificates, &[], &key.0.public_key().spki_hash()).unwrap();
    [vec![enrolled.leaf], enrolled.chain].concat()
}

pub(crate) fn est_client(lab: &Lab) -> HttpClient {
    est_client_as(lab, None)
}

/// Shows a certificate, if there is one.
pub(crate) fn est_client_as(lab: &Lab, holder: Option<(&Key, &[Certificate])>) -> HttpClient {
    let anchors = std::fs::read(lab.anchors()).unwrap();
    let identity = holder.map(|(key, chain)| {
        let chain = chain.iter().map(|certificate| certificate.der().to_vec()).collect();
        ClientIdentity::from_der(chain, key.pkcs8())
    });
    let tls = ClientTls::from_pem(&anchors, identity, TlsVersions::Tls13).unwrap();
    let base: BaseUrl = lab.est().parse().unwrap();
    HttpClient::new(base, Some(tls)).unwrap()
}
