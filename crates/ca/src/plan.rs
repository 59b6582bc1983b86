//! Planning: an order and a profile become the exact octets to sign, linted before anything is recorded.

use crate::authority::IssuingAuthority;
use crate::order::{IssuanceOrder, OrderParts};
use core::time::Duration;
use touchmark_identity::{
    BadValidity, CertificateId, Incarnation, ProfileVersionId, SerialNumber, Timestamp, Validity,
};
use touchmark_journal::{CertificateIntended, Event, IdentityKind, IntentPrivate, Private, Scope};
use touchmark_x509::certificate::{BadCertificate, ExtendedKeyUsage};
use touchmark_x509::lint::{Expectation, Finding, Kind, lint};
use touchmark_x509::tbs::{LeafContents, TbsCertificate};
use touchmark_x509::{Certificate, PublicKey};

/// A device whose clock is a little slow must be able to use its certificate at once.
const BACKDATE_MAX: Duration = Duration::from_secs(30);

/// For what an authority signs about itself: as early as the certificates that it issues.
pub(crate) fn backdated(now: Timestamp) -> Timestamp {
    Timestamp::from_unix_s(now.unix_s().saturating_sub(BACKDATE_MAX.as_secs()))
}

/// What may be issued: one immutable version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// This version.
    pub version: ProfileVersionId,
    /// What it issues.
    pub kind: IdentityKind,
    /// Whole life, both end seconds counted; at least two seconds.
    pub lifetime: Duration,
}

impl Profile {
    /// Purposes: services answer as well as call; devices and operators only call.
    pub fn extended_key_usages(&self) -> &'static [ExtendedKeyUsage] {
        match self.kind {
            IdentityKind::Operational | IdentityKind::Operator => &[ExtendedKeyUsage::ClientAuth],
            IdentityKind::Service => &[ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth],
        }
    }
}

/// Why an order could not be planned. Only an operator or we can act; the device did nothing wrong.
#[derive(Debug, thiserror::Error)]
pub enum PlanFault {
    /// The authority was not prepared for this profile version.
    #[error("profile version {0} is not prepared under this authority")]
    NoTemplate(ProfileVersionId),
    /// The profile, or the name, is for another kind of identity.
    #[error("an order for `{}` fits neither another profile nor another kind of name", .0.as_str())]
    Kind(IdentityKind),
    /// The issuing certificate ends before the new one could begin.
    #[error("the issuing authority's certificate has expired")]
    IssuerExpired,
    /// No span is left.
    #[error(transparent)]
    Validity(#[from] BadValidity),
    /// What was written cannot be read back.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// The result breaks our own lints: it is not signed.
    #[error("the planned certificate would not be in order: {words}", words = Finding::in_words(.0))]
    Lint(Vec<Finding>),
}

/// Decided and linted; one use. What is signed later is exactly [`IssuancePlan::tbs`].
#[derive(Debug)]
pub struct IssuancePlan {
    pub(crate) certificate: CertificateId,
    pub(crate) scope: Scope,
    pub(crate) tbs: TbsCertificate,
    pub(crate) parts: OrderParts,
    pub(crate) serial: SerialNumber,
    pub(crate) validity: Validity,
    pub(crate) crl_shard: u32,
    pub(crate) authority_version: touchmark_identity::AuthorityVersionId,
    pub(crate) issuer_key: PublicKey,
    pub(crate) profile_version: ProfileVersionId,
}

/// Turns an order into a plan.
///
/// `random` gives the serial its 128 bits and the row its identifier.
///
/// # Errors
/// [`PlanFault`]; nothing was recorded and the order is spent.
pub fn plan(
    order: IssuanceOrder,
    profile: &Profile,
    authority: &IssuingAuthority,
    incarnation: Incarnation,
    now: Timestamp,
    random: [u8; 26],
) -> Result<IssuancePlan, PlanFault> {
    let parts = order.into_parts();
    if parts.kind != profile.kind || parts.identity.kind != parts.kind.path() {
        return Err(PlanFault::Kind(parts.kind));
    }
    let (mut serial_random, mut id_random) = ([0; 16], [0; 10]);
    serial_random.copy_from_slice(&random[..16]);
    id_random.copy_from_slice(&random[16..]);
    let serial = SerialNumber::draw(incarnation, serial_random);
    let crl_shard = authority.crl_shard(&serial);
    let template =
        authority.template(profile.version, crl_shard).ok_or(PlanFault::NoTemplate(profile.version))?;
    let issuer = authority.certificate();
    let validity = validity(profile.lifetime, issuer, now)?;
    let tbs = template.fill(&LeafContents {
        serial,
        validity,
        public_key: &parts.public_key,
        common_name: &parts.identity.name,
        uri: &parts.identity,
        dns: &parts.dns,
        ip: &parts.ips,
        scope: &parts.scope_strings,
    });
    let twin = Certificate::from_der(&tbs.with_placeholder_signature())?;
    let expected = Expectation { issuer, lifetime_max: profile.lifetime, kind: Kind::Leaf, now };
    let findings = lint(&twin, &expected);
    if !findings.is_empty() {
        return Err(PlanFault::Lint(findings));
    }
    Ok(IssuancePlan {
        certificate: CertificateId::draw(now, id_random),
        scope: parts.scope.clone(),
        tbs,
        serial,
        validity,
        crl_shard,
        authority_version: authority.version(),
        issuer_key: issuer.public_key().clone(),
        profile_version: profile.version,
        parts,
    })
}

fn validity(lifetime: Duration, issuer: &Certificate, now: Timestamp) -> Result<Validity, PlanFault> {
    let backdate = BACKDATE_MAX.min(lifetime / 10).as_secs();
    let not_before = now.unix_s().saturating_sub(backdate).max(issuer.validity().not_before().unix_s());
    let last = not_before.saturating_add(lifetime.as_secs()).saturating_sub(1);
    let not_after = last.min(issuer.validity().not_after().unix_s());
    if not_after <= now.unix_s() {
        return Err(PlanFault::IssuerExpired);
    }
    Ok(Validity::new(not_before, not_after)?)
}

impl IssuancePlan {
    /// The octets that will be signed.
    pub fn tbs(&self) -> &[u8] {
        self.tbs.as_bytes()
    }

    /// The row's identifier.
    pub fn certificate(&self) -> CertificateId {
        self.certificate
    }

    /// Its serial, unique under the authority version only if the store says so.
    pub fn serial(&self) -> (touchmark_identity::AuthorityVersionId, SerialNumber) {
        (self.authority_version, self.serial)
    }

    /// Organisation and environment.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The event and private part to record before the key is used.
    pub fn intent(&self, sha256: impl Fn(&[u8]) -> [u8; 32]) -> (Event, Private) {
        let event = Event::CertificateIntended(CertificateIntended {
            certificate: self.certificate,
            device: self.parts.device,
            kind: self.parts.kind,
            authority_version: self.authority_version,
            profile_version: self.profile_version,
            serial: self.serial,
            validity: self.validity,
            tbs_sha256: sha256(self.tbs()),
            token: self.parts.token,
            replaces: self.parts.replaces,
            generation: self.parts.generation,
            crl_shard: self.crl_shard,
            renewal: self.parts.renewal,
        });
        let private = Private::Intent(IntentPrivate {
            identity: self.parts.identity.clone(),
            spki: self.parts.public_key.spki_hash(),
            csr_sha256: self.parts.csr_sha256,
            tbs: self.tbs().to_vec(),
        });
        (event, private)
    }
}
