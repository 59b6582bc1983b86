//! The true time, the authority, and the network between it and a device, with everything that can go wrong there.

use super::authority::{Authority, No};
use std::collections::VecDeque;
use std::time::Duration;
use touchmark_agent::lifecycle::{Answer, Call, FirstProof, Input, ServerMoment, Trouble};
use touchmark_agent::store::Pair;
use touchmark_enrol::RenewalHint;
use touchmark_enrol::est;
use touchmark_identity::{Name, Secret, Timestamp};
use touchmark_x509::path::{self, Purpose};
use touchmark_x509::{Certificate, Signer as _};

/// 2026-11-22.
pub(crate) const START_S: u64 = 1_795_305_600;
/// One exchange.
const EXCHANGE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lose {
    Request,
    Answer,
}

/// An answer's certificates, before they are sent: what a malicious server changes.
pub(crate) type Tamper = fn(&mut Authority, Timestamp, Vec<Certificate>) -> Vec<Certificate>;

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) authority: Authority,
    pub(crate) reachable: bool,
    /// For the next exchanges, in order.
    pub(crate) losses: VecDeque<(Call, Lose)>,
    pub(crate) refusals: VecDeque<(Call, u16, &'static str, Option<Duration>)>,
    pub(crate) hint: Option<RenewalHint>,
    pub(crate) tamper: Option<Tamper>,
    /// Added to the Date that the server tells.
    pub(crate) date_skew_s: i64,
    pub(crate) calls: Vec<(Timestamp, Call)>,
}

/// What a device shows when it calls.
pub(crate) struct Caller<'a> {
    pub(crate) name: &'a Name,
    pub(crate) password: Option<&'a str>,
    pub(crate) request: Option<Vec<u8>>,
    pub(crate) current: Option<Pair>,
    pub(crate) successor: Option<Pair>,
    pub(crate) anchors: Vec<Certificate>,
    pub(crate) moment: ServerMoment,
}

impl World {
    pub(crate) fn new(life: Duration) -> Self {
        let now = Timestamp::from_unix_s(START_S);
        Self {
            now,
            authority: Authority::new(now, life),
            reachable: true,
            losses: VecDeque::new(),
            refusals: VecDeque::new(),
            hint: None,
            tamper: None,
            date_skew_s: 0,
            calls: Vec::new(),
        }
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        // The server's own certificate is kept fresh by its own agent.
        if self.authority.server.certificate.validity().not_after().since(self.now)
            < Duration::from_secs(30 * 86_400)
        {
            let now = self.now;
            self.authority.renew_server(now);
        }
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.calls.iter().filter(|(_, made)| *made == call).count()
    }

    /// One exchange over one TLS connection.
    pub(crate) fn call(&mut self, call: Call, caller: &Caller<'_>) -> Input {
        self.pass(EXCHANGE);
        self.calls.push((self.now, call));
        let lost = self.losses.iter().position(|(of, _)| *of == call).and_then(|at| self.losses.remove(at));
        let unreachable = |why| Input::Answered {
            answer: Answer::Unreachable { why, says: "simulated".to_owned() },
            server_time: None,
        };
        if !self.reachable {
            return unreachable(Trouble::Connect);
        }
        if let Err(why) = self.judge_server(caller) {
            return unreachable(why);
        }
        if matches!(lost, Some((_, Lose::Request))) {
            return unreachable(Trouble::Timeout);
        }
        let answer = match self.refusals.iter().position(|(of, ..)| *of == call) {
            Some(at) => {
                let (_, status, code, retry_after) = self.refusals.remove(at).unwrap();
                refused((status, code), retry_after)
            }
            None => self.answer(call, caller).unwrap_or_else(|no| refused(no, None)),
        };
        if matches!(lost, Some((_, Lose::Answer))) {
            return unreachable(Trouble::Timeout);
        }
        let date = i64::try_from(self.now.unix_s()).unwrap() + self.date_skew_s;
        let date = Timestamp::from_unix_s(u64::try_from(date).unwrap());
        Input::Answered { answer, server_time: Some(date) }
    }

    /// As the device's TLS does it.
    fn judge_server(&self, caller: &Caller<'_>) -> Result<(), Trouble> {
        let server = &self.authority.server.certificate;
        let path = |moment| {
            let mut shown = self.authority.published.clone();
            shown.push(self.authority.issuing.certificate.clone());
            path::validate(server, &shown, &caller.anchors, moment, Purpose::Server)
        };
        let judged = match caller.moment {
            ServerMoment::At(now) => path(now),
            ServerMoment::AtOrAfter { now, floor } => path(now).or_else(|fault| {
                let at = floor.max(server.validity().not_before());
                if server.validity().not_after() >= floor { path(at) } else { Err(fault) }
            }),
        };
        judged.map(drop).map_err(|fault| match fault.code() {
            "path-expired" | "path-not-yet-valid" => Trouble::TlsExpired,
            _ => Trouble::TlsUntrusted,
        })
    }

    fn answer(&mut self, call: Call, caller: &Caller<'_>) -> Result<Answer, No> {
        let now = self.now;
        match call {
            Call::Anchors => {
                let certificates = self.authority.ca_certs();
                let der: Vec<_> = certificates.iter().map(Certificate::der).collect();
                let body = est::write_ca_certs(&der, None);
                Ok(Answer::Anchors { certificates: est::parse_certs_response(&body.bytes).unwrap() })
            }
            Call::Enrol { proof: FirstProof::Token } => {
                let secret = Secret::new(caller.password.unwrap().to_owned());
                let post = est::enrol_request(
                    None,
                    caller.request.as_ref().unwrap(),
                    Some((caller.name.as_str(), &secret)),
                );
                let header = post.authorization.unwrap();
                let shown = est::basic_credentials(header.expose()).unwrap();
                let (name, password) = (shown.username.as_str(), shown.password.expose());
                let leaf = self.authority.enrol(now, &post.body, name, password)?;
                Ok(self.certificates(leaf))
            }
            Call::Enrol { proof: FirstProof::Initial } => {
                let post = est::enrol_request(None, caller.request.as_ref().unwrap(), None);
                let leaf = self.authority.enrol_initial(now, &post.body, caller.name.as_str())?;
                Ok(self.certificates(leaf))
            }
            Call::Renew => {
                let post = est::renew_request(None, caller.request.as_ref().unwrap());
                let leaf = self.authority.renew(now, &post.body, &prove(caller.current.as_ref()))?;
                Ok(self.certificates(leaf))
            }
            Call::Confirm => {
                self.authority.confirm(now, &prove(caller.successor.as_ref()))?;
                Ok(Answer::Confirmed)
            }
            Call::Hint => {
                prove(caller.current.as_ref());
                let hint = self.hint.ok_or((404, ""))?;
                Ok(Answer::Hint(RenewalHint::from_json(hint.to_json().as_bytes()).unwrap()))
            }
        }
    }

    fn certificates(&mut self, leaf: Certificate) -> Answer {
        let mut sent = vec![leaf];
        if let Some(tamper) = self.tamper {
            sent = tamper(&mut self.authority, self.now, sent);
        }
        let der: Vec<_> = sent.iter().map(Certificate::der).collect();
        let body = est::write_certs_only(&der, None);
        Answer::Certificates {
            certificates: est::parse_certs_response(&body.bytes).unwrap(),
            hint: self.hint,
        }
    }
}

/// The TLS client's proof: its key signs, and the certificate's key verifies.
fn prove(pair: Option<&Pair>) -> Certificate {
    let pair = pair.expect("a pair to show");
    let leaf = pair.chain.leaf();
    let signature = pair.key.sign(b"handshake").unwrap();
    leaf.public_key()
        .verify(pair.key.algorithm(), b"handshake", &signature)
        .expect("key and chain belong together");
    leaf.clone()
}

fn refused((status, code): No, retry_after: Option<Duration>) -> Answer {
    Answer::Refused { status, code: code.to_owned(), says: "simulated".to_owned(), retry_after }
}
