//! Renewal: may the holder of this certificate have its successor?
//!
//! In: a request with proven possession, the rows of the certificate whose key was proven in the same TLS
//! connection. Out: an order, or a [`Refusal`]. Only the identity's newest proven certificate opens this way: an
//! older one is a copy that somebody kept, or a device that fell back.
//! Standard: RFC 7030 §4.2.2.

use crate::admission::{Admitted, newest_generation, scope_strings};
use crate::fault::EnrolmentFault;
use crate::holder::holder_actor;
use crate::issue_rate::may_issue;
use crate::refusal::Refusal;
use crate::trust::Trusts;
use core::time::Duration;
use touchmark_ca::{IssuanceOrder, OrderParts};
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{CertificateId, EnvironmentName, Fingerprint, Timestamp};
use touchmark_inventory::{
    CertificateRow, CertificateState, DeviceRow, EnvironmentRow, Facts, Holder, IssueRow, Precondition,
};
use touchmark_journal::{Envelope, RenewalFacts, RenewalManner, Standing};
use touchmark_x509::Certificate;
use touchmark_x509::csr::{Form, Granted};

/// The certificate whose key was proven, and the rows around it.
#[derive(Debug)]
pub struct Presented<'a> {
    /// Its row.
    pub row: &'a CertificateRow,
    pub environment: &'a EnvironmentRow,
    /// Its device, unless it is an operator's or service's.
    pub device: Option<&'a DeviceRow>,
    /// The current certificates of the identity.
    pub certificates: &'a [CertificateRow],
    /// What the identity was given last, the newest first: at least as many as [`crate::ISSUES_AT_ONCE`].
    pub issues: &'a [IssueRow],
    /// How long past its end it may still be renewed.
    pub grace: Duration,
}

impl<'a> Presented<'a> {
    /// What the rules judge of the facts.
    ///
    /// # Errors
    /// [`Refusal::CertificateUnknown`] for what is nobody's any more; an environment or profile that is not there.
    pub fn of(facts: &'a Facts, trusts: &'a Trusts) -> Result<Self, EnrolmentFault> {
        let row = facts.certificate().ok_or(Refusal::CertificateUnknown)?;
        let of = &facts.of;
        Holder::of(row).ok_or(Refusal::CertificateUnknown)?;
        let environment = row.scope.environment.as_ref().ok_or(Refusal::CertificateUnknown)?;
        let trust = trusts.of(environment).ok_or(EnrolmentFault::UnknownEnvironment)?;
        if row.device.is_some() && of.device.is_none() {
            return Err(Refusal::CertificateUnknown.into());
        }
        Ok(Self {
            row,
            environment: &trust.environment,
            device: of.device.as_ref(),
            certificates: &of.current,
            issues: &of.issues,
            grace: trust.profiles.get(&row.kind).ok_or(EnrolmentFault::NoProfile)?.grace,
        })
    }
}

impl Presented<'_> {
    /// The newest certificate of the identity that took this one's place by being proven.
    pub fn newer(&self) -> Option<CertificateId> {
        let newer = |row: &&CertificateRow| {
            row.generation > self.row.generation
                && row.confirmed_at.is_some()
                && row.identity == self.row.identity
        };
        self.certificates.iter().filter(newer).max_by_key(|row| row.generation).map(|row| row.certificate)
    }

    /// Whether its holder may have a successor at all; `label` is the environment that was asked for.
    ///
    /// # Errors
    /// [`Refusal`]. A ban is told first: nothing else matters then.
    pub fn may_renew(&self, label: Option<&EnvironmentName>, now: Timestamp) -> Result<(), Refusal> {
        if let Some(asked) = label.filter(|asked| **asked != self.environment.name) {
            return Err(Refusal::CertificateEnvironment {
                certificate: self.environment.name.clone(),
                asked: asked.clone(),
            });
        }
        if let Some(device) = self.device.filter(|device| device.standing == Standing::Banned) {
            return Err(Refusal::Standing { device: device.device, standing: device.standing });
        }
        match self.row.state {
            CertificateState::Confirmed | CertificateState::Issued => {}
            CertificateState::Superseded => return Err(Refusal::Superseded { newer: self.newer() }),
            CertificateState::Revoked | CertificateState::Burned => return Err(Refusal::Revoked),
            // Nobody was handed it: whoever presents it did not get it from us.
            CertificateState::Intended => return Err(Refusal::CertificateUnknown),
        }
        if let Some(device) = self.device.filter(|device| device.standing != Standing::Active) {
            return Err(Refusal::Standing { device: device.device, standing: device.standing });
        }
        let not_after = self.row.validity.not_after();
        if now.unix_s() > not_after.plus(self.grace).unix_s() {
            return Err(Refusal::Late { not_after, grace: self.grace });
        }
        Ok(())
    }

    /// Whether its holder may declare it the current one; `meant` is the certificate that the request names.
    ///
    /// # Errors
    /// [`Refusal`]. What is confirmed already may be confirmed again. While a device is held off nobody knows which of
    /// two that bear its name is the thief: its succession stands still.
    pub fn may_confirm(&self, meant: Option<&Fingerprint>, now: Timestamp) -> Result<(), Refusal> {
        if meant.is_some_and(|meant| self.row.fingerprint.as_ref() != Some(meant)) {
            return Err(Refusal::OtherCertificate);
        }
        match self.row.state {
            CertificateState::Superseded => return Err(Refusal::Superseded { newer: self.newer() }),
            CertificateState::Revoked | CertificateState::Burned => return Err(Refusal::Revoked),
            CertificateState::Intended => return Err(Refusal::CertificateUnknown),
            CertificateState::Issued | CertificateState::Confirmed => {}
        }
        if let Some(device) = self.device.filter(|device| device.standing != Standing::Active) {
            return Err(Refusal::Standing { device: device.device, standing: device.standing });
        }
        match self.row.validity.contains(now) {
            true => Ok(()),
            false => Err(Refusal::Expired { not_after: self.row.validity.not_after() }),
        }
    }
}

/// What the order takes from elsewhere than the request.
#[derive(Debug)]
pub struct RenewalTerms<'a> {
    /// The certificate that was presented, for the names that its successor carries on.
    pub old: &'a Certificate,
    /// Whether the identity proved the key that is asked for in a certificate before.
    pub key_proven: bool,
    /// What the profile and the authority put into every certificate.
    pub form: &'a Form,
    /// Who set the renewal going, as the requester says.
    pub manner: RenewalManner,
}

/// Decides on a renewal. The commit demands that the presented certificate is confirmed: its proof is recorded before.
///
/// # Errors
/// [`Refusal`]; nothing is recorded.
pub fn admit_renewal(
    request: &EnrolmentRequest,
    presented: &Presented<'_>,
    terms: &RenewalTerms<'_>,
    cause: &str,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    presented.may_renew(request.label(), now)?;
    let row = presented.row;
    let (Some(identity), Some(holder), Some(actor)) = (&row.identity, Holder::of(row), holder_actor(row))
    else {
        return Err(Refusal::CertificateUnknown);
    };
    let (dns, ips) = (terms.old.dns_sans().to_vec(), terms.old.ip_sans().to_vec());
    // From the inventory as it is now: this is how changes of model or group reach a certificate.
    let scope_strings = presented.device.map_or_else(Vec::new, |device| scope_strings(device.model.as_ref()));
    request.csr().within(&Granted {
        common_name: identity.name.as_str(),
        uri: &identity.to_string(),
        dns: &dns,
        ips: &ips,
        scope: &scope_strings,
        form: terms.form,
    })?;
    let public_key = request.csr().public_key().clone();
    // A key that was in use before is no new key: whoever copied it has the successor, too. Another identity's key is
    // refused as such, by the commit.
    if terms.key_proven || row.spki == Some(public_key.spki_hash()) {
        return Err(Refusal::SameKey);
    }
    may_issue(presented.issues, None, row.validity.lifetime(), now)
        .map_err(|wait| Refusal::TooSoon { wait })?;
    let newest = newest_generation(presented.issues);
    let mut still = vec![Precondition::CertificateInState {
        certificate: row.certificate,
        state: CertificateState::Confirmed,
    }];
    if let Holder::Device(device) = holder {
        still.push(Precondition::DeviceStanding { device, standing: Standing::Active });
    }
    let mut preconditions = still.clone();
    preconditions.push(Precondition::KeyUsable { spki: public_key.spki_hash(), holder: holder.clone() });
    // A certificate that came between reading and committing would have the same generation.
    preconditions.push(Precondition::NewestGeneration { holder, generation: newest });
    let order = IssuanceOrder::admitted_unchecked(OrderParts {
        scope: row.scope.clone(),
        identity: identity.clone(),
        kind: row.kind,
        device: row.device,
        public_key,
        csr_sha256: request.csr().digest(),
        scope_strings,
        dns,
        ips,
        token: None,
        replaces: Some(row.certificate),
        renewal: Some(RenewalFacts { lead_s: lead_s(row, now), manner: terms.manner }),
        generation: newest.saturating_add(1),
    });
    let envelope = Envelope { scope: row.scope.clone(), actor, cause: cause.into(), at: now };
    Ok(Admitted { order, preconditions, still, entries: Vec::new(), envelope })
}

/// Seconds of life left; negative past the end.
fn lead_s(row: &CertificateRow, now: Timestamp) -> i64 {
    let seconds = |moment: Timestamp| i64::try_from(moment.unix_s()).unwrap_or(i64::MAX);
    seconds(row.validity.not_after()).saturating_sub(seconds(now))
}
