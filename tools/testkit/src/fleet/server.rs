//! The authority's front: what its machine can do in a second, how long its queue may grow, and what it answers.
//!
//! In: a request as it arrives. Out: when it is its turn, and then its answer. One machine, one queue in the order of
//! arrival; every request costs a part of a turn, and a certificate a whole one more.

use super::authority::{Authority, Given};
use core::time::Duration;
use touchmark_agent::lifecycle::{Answer, Call};
use touchmark_enrol::est::EstFault;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Fingerprint, Name, Secret, Timestamp};
use touchmark_ra::EnrolmentFault;
use touchmark_x509::csr::UnprovenCsr;

/// Connections that are open at once; more are refused. The service has such a limit, too.
pub(super) const QUEUE_MAX: usize = 4096;
/// A request without a certificate costs this part of one.
const SMALL: u64 = 8;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Request {
    /// Who waits for the answer.
    pub(super) device: usize,
    pub(super) boot: u32,
    pub(super) call: Call,
    pub(super) sent_at: Timestamp,
    /// The certificate whose key the connection proves.
    pub(super) peer: Option<Fingerprint>,
    pub(super) csr: Vec<u8>,
    pub(super) name: Name,
    pub(super) password: String,
}

/// What the machine is doing.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) up: bool,
    /// Microseconds that a certificate takes.
    turn_us: u64,
    busy_until_us: u64,
    queued: usize,
    pub(super) queued_most: usize,
}

impl Server {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            up: true,
            turn_us: 1_000_000 / u64::from(capacity.max(1)),
            busy_until_us: 0,
            queued: 0,
            queued_most: 0,
        }
    }

    /// A request arrives: when it is its turn, or `None` when too many wait already.
    pub(super) fn enter(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.queued >= QUEUE_MAX {
            return None;
        }
        self.queued += 1;
        self.queued_most = self.queued_most.max(self.queued);
        Some(self.busy_for(self.turn_us / SMALL, now))
    }

    /// A request leaves the queue. A certificate that was made for it holds up those behind it.
    pub(super) fn leave(&mut self, made: bool, now: Timestamp) -> Timestamp {
        self.queued = self.queued.saturating_sub(1);
        if made { self.busy_for(self.turn_us, now) } else { now }
    }

    fn busy_for(&mut self, span_us: u64, now: Timestamp) -> Timestamp {
        self.busy_until_us = self.busy_until_us.max(now.unix_ms() * 1000) + span_us;
        Timestamp::from_unix_ms(self.busy_until_us.div_ceil(1000))
    }
}

/// Why it answers with no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    ByTheRules,
    Paced,
    /// What the authority could not do.
    Fault,
}

/// What the authority answers, and the certificate in it.
pub(super) fn answer(
    authority: &mut Authority,
    request: &Request,
    now: Timestamp,
) -> (Answer, Option<Given>, Option<Denied>) {
    let outcome = answered(authority, request, now);
    // What records the proof together with what is asked has recorded none when it refused.
    let by_itself = matches!(request.call, Call::Renew | Call::Confirm);
    if let Some(peer) = request.peer.filter(|_| !by_itself || outcome.is_err()) {
        authority.used(peer, now);
    }
    match outcome {
        Ok((answer, given)) => (answer, given, None),
        Err(fault) => {
            let denied = match &fault {
                EnrolmentFault::Refused(_) => Denied::ByTheRules,
                EnrolmentFault::TooMany { .. } => Denied::Paced,
                _ => Denied::Fault,
            };
            (refused(&fault.in_est(intent(request.call)).fault), None, Some(denied))
        }
    }
}

fn answered(
    authority: &mut Authority,
    request: &Request,
    now: Timestamp,
) -> Result<(Answer, Option<Given>), EnrolmentFault> {
    let peer = || request.peer.ok_or(EnrolmentFault::NoCredential);
    let issuing = authority.trust.issuing.certificate().clone();
    Ok(match request.call {
        Call::Anchors => {
            (Answer::Anchors { certificates: vec![issuing, authority.trust.root.clone()] }, None)
        }
        Call::Hint => (Answer::Hint(authority.hinted(peer()?, now)?), None),
        Call::Confirm => {
            authority.confirm(peer()?, now)?;
            (Answer::Confirmed, None)
        }
        Call::Enrol { .. } | Call::Renew => {
            let given = certificate(authority, request, now)?;
            let certificates = vec![given.certificate.clone(), issuing];
            (Answer::Certificates { certificates, hint: Some(given.hint) }, Some(given))
        }
    })
}

fn certificate(
    authority: &mut Authority,
    request: &Request,
    now: Timestamp,
) -> Result<Given, EnrolmentFault> {
    let csr = UnprovenCsr::from_der(&request.csr).and_then(UnprovenCsr::prove_possession);
    let csr = csr.map_err(touchmark_ra::Refusal::from)?;
    let label = Some(authority.trust.environment.name.clone());
    let (intent, peer) = (intent(request.call), request.peer.filter(|_| request.call == Call::Renew));
    let credential = match peer {
        Some(peer) => PresentedCredential::ClientCertificate(peer),
        None => PresentedCredential::Token {
            username: request.name.clone().into(),
            password: Secret::new(request.password.clone()),
        },
    };
    authority.enrol(EnrolmentRequest::new(intent, csr, label, credential, None), peer, now)
}

fn intent(call: Call) -> Intent {
    match call {
        Call::Enrol { .. } => Intent::Enrol,
        Call::Renew | Call::Confirm | Call::Hint | Call::Anchors => Intent::Renew,
    }
}

/// As the device reads it: status, code, wait.
fn refused(fault: &EstFault) -> Answer {
    let refusal = fault.to_refusal();
    // A 401 has no words.
    let code = if refusal.body.is_empty() { String::new() } else { fault.code().to_owned() };
    let retry_after = fault.retry_after().map(|wait| Duration::from_secs(wait.as_secs().max(1)));
    Answer::Refused { status: refusal.status, code, says: refusal.body, retry_after }
}
