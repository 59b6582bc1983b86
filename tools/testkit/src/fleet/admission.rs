//! The authority's first half: is this request admitted, was it answered before, and what is said when not.
//!
//! In: a request whose TLS connection proved `peer`. Out: a certificate from `issuance`, or [`Denied`].

use super::authority::{Authority, RENEWAL, sha256};
use core::time::Duration;
use touchmark_enrol::est::EstFault;
use touchmark_enrol::{Draw, EnrolmentRequest, RenewalHint, RenewalWindow};
use touchmark_identity::{Fingerprint, Name, SerialNumber, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, Conflict, Holder, Precondition, Store, StoreFault,
};
use touchmark_journal::RenewalManner;
use touchmark_ra::{EnrolmentFacts, Refusal, RenewalTerms, admit, admit_renewal};
use touchmark_x509::Certificate;

/// As `services/authority`: when to come back after a storage fault.
const RETRY: Duration = Duration::from_secs(5);
const ENROLMENT: &str = "est/simpleenroll";

/// Why nobody is handed a certificate.
#[derive(Debug)]
pub(super) enum Denied {
    Refused(Refusal),
    Store(StoreFault),
    /// Too many at once.
    Paced {
        retry_after: Duration,
    },
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreFault> for Denied {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<&Denied> for EstFault {
    fn from(denied: &Denied) -> Self {
        match denied {
            Denied::Store(_) => Self::Unavailable { retry_after: RETRY },
            Denied::Paced { retry_after } => Self::Unavailable { retry_after: *retry_after },
            Denied::Refused(Refusal::Request(fault)) => Self::Csr(fault.clone()),
            Denied::Refused(
                Refusal::Token
                | Refusal::TokenExpired
                | Refusal::TokenUsed
                | Refusal::TokenVoid
                | Refusal::CertificateUnknown,
            ) => Self::Unauthorised,
            Denied::Refused(refusal) => Self::Forbidden { code: refusal.code(), says: refusal.to_string() },
        }
    }
}

/// What a device is given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) certificate: Certificate,
    pub(super) hint: RenewalHint,
    /// Made just now, rather than given once more.
    pub(super) fresh: bool,
}

impl Authority {
    /// `simpleenroll` on a token.
    pub(super) fn enrol(
        &mut self,
        request: &EnrolmentRequest,
        username: &Name,
        password: &str,
        now: Timestamp,
    ) -> Result<Given, Denied> {
        let secret = sha256(password.as_bytes());
        again_after_conflict(|| self.enrol_once(request, username, &secret, now))
    }

    fn enrol_once(
        &mut self,
        request: &EnrolmentRequest,
        username: &Name,
        secret: &[u8; 32],
        now: Timestamp,
    ) -> Result<Given, Denied> {
        let token = self.store.token_by_secret(secret)?.ok_or(Refusal::Token)?;
        let device = self.device_named(username)?;
        let holder = device.as_ref().map(|device| Holder::Device(device.device));
        let on_it = |row: &CertificateRow| row.token == Some(token.token);
        if let Some(before) = self.given_before(request, holder.as_ref(), on_it)?
            && let Some(again) = self.again(&before, now)?
        {
            return Ok(again);
        }
        // Read again: a burn gave a use back.
        let token = self.store.token_by_secret(secret)?.ok_or(Refusal::Token)?;
        let (environment, key) = (&self.environment.name, request.csr().public_key().spki_hash());
        let read = self.store.token_facts(secret, environment, username, &key)?.ok_or(Refusal::Token)?;
        let facts = EnrolmentFacts {
            environment: &self.environment,
            token: Some(&token),
            username,
            device: device.as_ref(),
            party: None,
            only_burned: read.only_burned,
            current: &read.of.current,
            issues: &read.of.issues,
            form: self.issuing.form(self.profile.version).expect("the profile is prepared"),
        };
        let random = self.chance.octets();
        let admitted = admit(request, &facts, ENROLMENT, now, random)?;
        self.issue(admitted, now)
    }

    /// `simplereenroll`.
    pub(super) fn renew(
        &mut self,
        request: &EnrolmentRequest,
        peer: &Fingerprint,
        now: Timestamp,
    ) -> Result<Given, Denied> {
        let outcome = again_after_conflict(|| self.renew_once(request, peer, now));
        if let Err(denied) = &outcome {
            if matches!(denied, Denied::Refused(Refusal::Superseded { newer: Some(_) })) {
                self.suspect(peer, RENEWAL, now);
            }
            // What the authority could not do is no failure of the device.
            if let (Denied::Refused(refusal), Ok(rows)) = (denied, self.rows(peer)) {
                *self.refused.entry((rows.device.device, refusal.code())).or_default() += 1;
            }
        }
        outcome
    }

    fn renew_once(
        &mut self,
        request: &EnrolmentRequest,
        peer: &Fingerprint,
        now: Timestamp,
    ) -> Result<Given, Denied> {
        let mut rows = self.rows(peer)?;
        self.presented(&rows).may_renew(request.label(), now)?;
        if rows.row.state == CertificateState::Issued {
            self.proven(peer, true, RENEWAL, now)?;
            rows = self.rows(peer)?;
        }
        let mine = rows.row.certificate;
        let on_its_word = |row: &CertificateRow| row.token.is_none() && row.replaces == Some(mine);
        let holder = Holder::Device(rows.device.device);
        if let Some(before) = self.given_before(request, Some(&holder), on_its_word)? {
            if let Some(again) = self.again(&before, now)? {
                return Ok(again);
            }
            // It may have been burned just now.
            rows = self.rows(peer)?;
        }
        let der = rows.row.der.as_deref().ok_or(Refusal::CertificateUnknown)?;
        let key = request.csr().public_key().spki_hash();
        let terms = RenewalTerms {
            key_proven: self
                .store
                .certificate_facts(peer, Some(&key))?
                .is_some_and(|facts| facts.of.key_proven),
            old: &Certificate::from_der(der).expect("what we issued can be read"),
            form: self.issuing.form(self.profile.version).expect("the profile is prepared"),
            manner: RenewalManner::Automatic,
        };
        let admitted = admit_renewal(request, &self.presented(&rows), &terms, RENEWAL, now)?;
        self.issue(admitted, now)
    }

    /// What an earlier request for the same key was given on the same word, and nobody proved yet.
    fn given_before(
        &self,
        request: &EnrolmentRequest,
        holder: Option<&Holder>,
        on_the_same_word: impl Fn(&CertificateRow) -> bool,
    ) -> Result<Option<CertificateRow>, StoreFault> {
        let Some(holder) = holder else { return Ok(None) };
        let key = request.csr().public_key().spki_hash();
        let unproven = |row: &CertificateRow| {
            matches!(row.state, CertificateState::Intended | CertificateState::Issued)
                && row.spki == Some(key)
        };
        let current = self.store.current_certificates(holder)?;
        Ok(current.into_iter().find(|row| unproven(row) && on_the_same_word(row)))
    }

    /// When the certificate of the connection is to be renewed.
    pub(super) fn hinted(&self, peer: &Fingerprint, now: Timestamp) -> Result<RenewalHint, Denied> {
        let rows = self.rows(peer)?;
        self.presented(&rows).may_renew(None, now)?;
        let window = self.planner.window(rows.row.validity, draw(&rows.row.serial));
        Ok(hint(window, now))
    }
}

/// Something moved between reading and committing: what it is for good is seen by reading once more.
fn again_after_conflict(mut act: impl FnMut() -> Result<Given, Denied>) -> Result<Given, Denied> {
    match act() {
        Err(Denied::Store(StoreFault::Conflict(_))) => act().map_err(|denied| match denied {
            Denied::Store(StoreFault::Conflict(Conflict { failed: Precondition::KeyUsable { .. } })) => {
                Denied::Refused(Refusal::Key)
            }
            other => other,
        }),
        outcome => outcome,
    }
}

/// For the planner: the serial's random octets, so that the seed decides. The service takes the fingerprint's.
pub(super) fn draw(serial: &SerialNumber) -> Draw {
    let mut draw = Draw::default();
    for (to, from) in draw.iter_mut().zip(serial.der_content().iter().skip(1)) {
        *to = *from;
    }
    draw
}

/// A window, and the wait until it begins.
pub(super) fn hint(window: RenewalWindow, now: Timestamp) -> RenewalHint {
    let wait = window.start().since(now).as_secs().max(1);
    RenewalHint { window, retry_after: Some(Duration::from_secs(wait)) }
}
