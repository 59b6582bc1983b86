//! One enrolment by EST (RFC 7030) over TLS, as any device does it: token, request, certificate, files.
//!
//! In: a server's address, the anchors to trust, a token, and the folder for the credential.
//! Out: the certificate, with key and chain on disk. A lost answer is asked for again with the same request.

use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure};
use crate::home;
use core::time::Duration;
use std::io::Read as _;
use std::path::Path;
use touchmark_dial::{ClientTls, DialFault, HttpClient, Request, StatusCode, TlsReason};
use touchmark_enrol::est;
use touchmark_identity::{EnvironmentName, Name, NamePrefix, Secret};
use touchmark_x509::Certificate;
use touchmark_x509::signer::Signer as _;

/// Times a server is asked again that is busy, or whose connections break; the request stays the same, so nothing is issued twice.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// One exchange: far more than a server that lives needs.
const EXCHANGE_MAX: Duration = Duration::from_secs(15);
/// A token file is two short lines.
const TOKEN_OCTETS_MAX: u64 = 4096;

/// What a token file or a token's JSON says: user name and password of HTTP Basic. The user name is the device's, or the
/// prefix of a token for many, and then the request names the device.
#[derive(Debug)]
pub struct TokenSecret {
    pub username: NamePrefix,
    pub password: Secret<String>,
}

impl TokenSecret {
    /// Two lines: user name, password. What `token create` prints is taken as well, as text and as JSON.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::usage("a token is two lines: user name, password")
                .fix("touchmark token create --env lab --device NAME --out FILE")
        };
        if text.trim_start().starts_with('{') {
            return Self::of(serde_json::from_str(text).map_err(|_| bad())?);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut next = |label: &str| {
            let line = lines.next()?;
            Some(line.strip_prefix(label).filter(|rest| rest.starts_with(' ')).unwrap_or(line).trim())
        };
        let username = next("username").and_then(|name| name.parse().ok()).ok_or_else(bad)?;
        let password = next("password").filter(|password| !password.contains(' ')).ok_or_else(bad)?;
        Ok(Self { username, password: Secret::new(password.to_owned()) })
    }

    /// Refuses a token that is for another name, before anything is made for it.
    pub fn demand(&self, name: &Name) -> Result<(), Failure> {
        let username = self.username.as_str();
        if username == name.as_str() || self.username.begins(name) {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, "token-name", format!("the token is not for `{name}`"))
            .why(format!("it is for `{username}`, or for names that go on after that"))
            .fix(format!("touchmark token create --env ENV --device {name} --out FILE")))
    }

    /// From a file, or from stdin for `-`; never from an argument, which everybody on the machine can read.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        if path != Path::new("-") {
            return Self::parse(Secret::new(home::read(path)?).expose());
        }
        let mut text = String::new();
        std::io::stdin()
            .take(TOKEN_OCTETS_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::internal("stdin cannot be read").why(error.to_string()))?;
        Self::parse(Secret::new(text).expose())
    }

    /// From the authority's answer.
    pub fn of(token: touchmark_api::Token) -> Result<Self, Failure> {
        let username = token
            .username
            .parse()
            .map_err(|_| Failure::new(Exit::Unreachable, "answer", "the token's user name is no name"))?;
        Ok(Self { username, password: Secret::new(token.password) })
    }
}

/// Who asks where.
pub struct Enrolment<'a> {
    /// Base URL of EST.
    pub est: &'a str,
    /// PEM of the anchors: what the server's certificate and ours are held against.
    pub anchors_pem: &'a str,
    pub environment: &'a EnvironmentName,
    pub name: &'a Name,
}

impl Enrolment<'_> {
    /// Enrols. When this returns, the credential is on disk.
    pub async fn run(&self, token: &TokenSecret, directory: &CredentialDir) -> Result<Certificate, Failure> {
        let tls =
            ClientTls::from_pem(self.anchors_pem.as_bytes(), None, Default::default())?.to_authority(None)?;
        let mut client = HttpClient::new(self.est.parse()?, Some(tls))?;
        let held = directory.hold().await?;
        let pending = held.begin_enrolment(self.name)?;
        let what = || format!("{} in {} at {}", self.name, self.environment, self.est);
        let answer = self.ask(&mut client, &pending.request_der, token).await;
        let body = match answer {
            Ok(body) => body,
            Err(failure) => {
                // Refused for good: the next attempt starts with a fresh key.
                if failure.exit() != Exit::Unreachable {
                    held.give_up()?;
                }
                return Err(failure.what(what()));
            }
        };
        let bad = |why: String| {
            Failure::new(Exit::Unreachable, "est-answer", "the answer holds no certificate for us")
                .what(what())
                .why(why)
        };
        let anchors = Certificate::from_pem_many(self.anchors_pem)
            .map_err(|fault| bad(format!("the anchors: {fault}")))?;
        let enrolled = est::parse_certs_response(&body)
            .and_then(|bag| est::choose(&bag, &anchors, &pending.key.public_key().spki_hash()))
            .map_err(|fault| bad(fault.to_string()))?;
        let mut chain = vec![enrolled.leaf.clone()];
        chain.extend(enrolled.chain);
        held.finish_enrolment(&chain, self.anchors_pem)?;
        Ok(enrolled.leaf)
    }

    async fn ask(
        &self,
        client: &mut HttpClient,
        request_der: &[u8],
        token: &TokenSecret,
    ) -> Result<Vec<u8>, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let credentials = (token.username.as_str(), &token.password);
            let post = est::enrol_request(Some(self.environment), request_der, Some(credentials));
            let mut request =
                Request::new(touchmark_dial::Method::POST, post.path).body(post.body).timeout(EXCHANGE_MAX);
            for (name, value) in post.headers {
                request = request.header(name, value)?;
            }
            if let Some(authorization) = &post.authorization {
                request = request.header("Authorization", authorization.expose())?;
            }
            let again = match client.send(request).await {
                Ok(answer) if answer.status == StatusCode::OK => return Ok(answer.body.to_vec()),
                Ok(answer) => {
                    let busy = answer.status == StatusCode::SERVICE_UNAVAILABLE;
                    let refused = answer.ok().err().map(refusal);
                    let refused =
                        refused.unwrap_or_else(|| Failure::internal("no certificate in the answer"));
                    if !busy || Failure::at_authoritys_machine(refused.code(), "").is_some() {
                        return Err(refused);
                    }
                    refused
                }
                // A server that dies breaks connections in every state; asking again is safe. One that is silent stays so.
                Err(
                    fault @ (DialFault::Unreachable { .. }
                    | DialFault::Protocol { .. }
                    | DialFault::Tls { reason: TlsReason::Protocol(_), .. }),
                ) => Failure::at_authority(fault),
                Err(fault) => return Err(Failure::at_authority(fault)),
            };
            if attempt >= ATTEMPTS {
                return Err(again);
            }
            tokio::time::sleep(PAUSE * attempt).await;
        }
    }
}

/// EST refuses in plain text for whoever reads it, with a code in brackets at its end: the text, and the code.
pub fn words(problem: &touchmark_api::Problem) -> (&str, &str) {
    let text = problem.detail.as_deref().unwrap_or_default().trim();
    match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
        Some((says, code)) if code.chars().all(|c| c.is_ascii_lowercase() || c == '-') => (says, code),
        _ => (text, problem.code().unwrap_or("est-refused")),
    }
}

fn refusal(fault: DialFault) -> Failure {
    let DialFault::Status { status, problem } = fault else { return Failure::at_authority(fault) };
    let (says, code) = words(&problem);
    if let Some(failure) = Failure::at_authoritys_machine(code, says) {
        return failure;
    }
    let (exit, fix) = match status {
        401 => (
            Exit::Denied,
            "touchmark token create --env ENV --device NAME   (a token is good once, for its time, for its name)",
        ),
        403 => (Exit::Denied, "touchmark explain NAME   (what became of this device?)"),
        404 => (Exit::NotFound, "touchmark env list"),
        400..=499 => (Exit::Usage, "correct the request as the text above says"),
        _ => (Exit::Unreachable, "look into the authority's log; asking again is safe"),
    };
    Failure::new(exit, code, format!("the enrolment was refused with {status}")).why(says).fix(fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_two_lines() {
        let read = TokenSecret::parse("pump-01\nabc\n").unwrap();
        assert_eq!((read.username.as_str(), read.password.expose().as_str()), ("pump-01", "abc"));
        let printed = "username  pump-\npassword  abc\nexpires   soon\n";
        let json =
            r#"{"token":"tok_1","username":"pump-","password":"abc","expires":"soon","environment":"lab"}"#;
        for (name, text) in [("prefix", "pump-\nabc"), ("as printed", printed), ("as JSON", json)] {
            let read = TokenSecret::parse(text).unwrap();
            assert_eq!((read.username.as_str(), read.password.expose().as_str()), ("pump-", "abc"), "{name}");
            assert!(read.demand(&"pump-7".parse().unwrap()).is_ok(), "{name}");
            for other in ["pump", "valve-7"] {
                assert!(read.demand(&other.parse().unwrap()).is_err(), "{name}: {other}");
            }
        }
        for (name, text) in [
            ("empty", ""),
            ("no password", "pump-01\n"),
            ("no name", "\nabc"),
            ("bad", "a b\nc"),
            ("other JSON", "{}"),
            ("two words", "pump-01\na b"),
        ] {
            assert!(TokenSecret::parse(text).is_err(), "{name}");
        }
    }
}
