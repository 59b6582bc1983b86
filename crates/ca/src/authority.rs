//! Authorities: how a root and an issuing authority come into being, and what an issuing one keeps at hand.

use crate::plan::{Profile, backdated};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use touchmark_identity::{
    AuthorityVersionId, BadValidity, Incarnation, ProfileVersionId, SerialNumber, Timestamp, Validity,
};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::csr::Form;
use touchmark_x509::lint::{Expectation, Finding, Kind, lint};
use touchmark_x509::tbs::{BadProfile, CaContents, LeafProfile, LeafTemplate, ca_tbs};
use touchmark_x509::{Certificate, Signer, SigningFault};

/// A root outlives every authority under it; twenty years cover a device's life and one roll-over.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 86_400);
/// An issuing authority is replaced while devices that trust the root keep working.
const ISSUING_LIFETIME: Duration = Duration::from_secs(5 * 365 * 86_400);

/// Why an authority did not come into being.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFault {
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFault),
    /// What was written cannot be read back.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// A profile cannot be issued under this authority.
    #[error(transparent)]
    Profile(#[from] BadProfile),
    /// The clock is at the end of time.
    #[error(transparent)]
    Validity(#[from] BadValidity),
    /// Our own lints refuse it.
    #[error("the authority's certificate would not be in order: {words}", words = Finding::in_words(.0))]
    Lint(Vec<Finding>),
    /// The signature does not verify under the issuer's certificate: another key, or a faulty provider.
    #[error("the signature does not verify under the issuer's certificate: is the key another authority's?")]
    Signature,
}

/// A self-signed root.
///
/// # Errors
/// [`AuthorityFault`] when the key fails or the result breaks a lint.
pub fn create_root(
    common_name: &str,
    signer: &dyn Signer,
    incarnation: Incarnation,
    now: Timestamp,
    random: [u8; 16],
) -> Result<Certificate, AuthorityFault> {
    let contents = CaContents {
        common_name,
        serial: SerialNumber::draw(incarnation, random),
        validity: span(now, ROOT_LIFETIME)?,
        public_key: signer.public_key(),
        path_len: Some(1),
        issuer: None,
        crl_url: None,
        signature_algorithm: signer.algorithm(),
    };
    sign(&contents, signer, ROOT_LIFETIME, now)
}

/// An issuing authority's certificate under `root`.
///
/// # Errors
/// [`AuthorityFault`] when the root's key fails or is not that of its certificate, or the result breaks a lint.
#[allow(clippy::too_many_arguments)]
pub fn create_issuing(
    common_name: &str,
    key: &dyn Signer,
    root: &Certificate,
    root_signer: &dyn Signer,
    crl_url: &str,
    incarnation: Incarnation,
    now: Timestamp,
    random: [u8; 16],
) -> Result<Certificate, AuthorityFault> {
    let full = span(now, ISSUING_LIFETIME)?;
    let not_after = full.not_after().min(root.validity().not_after());
    let contents = CaContents {
        common_name,
        serial: SerialNumber::draw(incarnation, random),
        validity: Validity::new(full.not_before().unix_s(), not_after.unix_s())?,
        public_key: key.public_key(),
        path_len: Some(0),
        issuer: Some(root),
        crl_url: Some(crl_url),
        signature_algorithm: root_signer.algorithm(),
    };
    sign(&contents, root_signer, ISSUING_LIFETIME, now)
}

fn span(now: Timestamp, lifetime: Duration) -> Result<Validity, BadValidity> {
    let from = backdated(now);
    Validity::new(from.unix_s(), from.plus(lifetime).unix_s() - 1)
}

fn sign(
    contents: &CaContents<'_>,
    signer: &dyn Signer,
    lifetime_max: Duration,
    now: Timestamp,
) -> Result<Certificate, AuthorityFault> {
    let tbs = ca_tbs(contents);
    let twin = Certificate::from_der(&tbs.with_placeholder_signature())?;
    let issuer = contents.issuer.unwrap_or(&twin);
    let findings = lint(&twin, &Expectation { issuer, lifetime_max, kind: Kind::Authority, now });
    if !findings.is_empty() {
        return Err(AuthorityFault::Lint(findings));
    }
    let message = tbs.as_bytes().to_vec();
    let signature = signer.sign(&message)?;
    // The certificate decides, not the key at hand: a chain that no device accepts must not leave this function.
    contents
        .issuer
        .map_or(contents.public_key, Certificate::public_key)
        .verify(signer.algorithm(), &message, &signature)
        .map_err(|_| AuthorityFault::Signature)?;
    Ok(Certificate::from_der(&tbs.into_certificate(signer.algorithm(), &signature))?)
}

/// An issuing authority ready to plan: certificate, CRL addresses, one template per profile version and shard.
#[derive(Debug)]
pub struct IssuingAuthority {
    version: AuthorityVersionId,
    certificate: Certificate,
    algorithm: touchmark_x509::SignatureAlgorithm,
    crl_url_base: String,
    crl_shards: u32,
    templates: HashMap<(ProfileVersionId, u32), Arc<LeafTemplate>>,
    forms: HashMap<ProfileVersionId, Form>,
}

impl IssuingAuthority {
    /// Prepares an authority. `crl_url_base` is followed by `/<authority version>/<shard>.crl`.
    pub fn new(
        version: AuthorityVersionId,
        certificate: Certificate,
        signer: &dyn Signer,
        crl_url_base: String,
        crl_shards: u32,
    ) -> Self {
        Self {
            version,
            certificate,
            algorithm: signer.algorithm(),
            crl_url_base,
            crl_shards: crl_shards.max(1),
            templates: HashMap::new(),
            forms: HashMap::new(),
        }
    }

    /// Encodes the templates of a profile version.
    ///
    /// # Errors
    /// [`AuthorityFault::Profile`] when the profile cannot be issued here.
    pub fn prepare(&mut self, profile: &Profile) -> Result<(), AuthorityFault> {
        for shard in 0..self.crl_shards {
            let crl_url = self.crl_url(shard);
            let template = LeafTemplate::new(&LeafProfile {
                issuer: &self.certificate,
                signature_algorithm: self.algorithm,
                extended_key_usages: profile.extended_key_usages(),
                crl_url: &crl_url,
            })?;
            self.templates.insert((profile.version, shard), Arc::new(template));
        }
        let form = Form {
            extended_key_usages: profile.extended_key_usages().to_vec(),
            authority_key_id: self.certificate.subject_key_id().unwrap_or_default().to_vec(),
            crl_urls: (0..self.crl_shards).map(|shard| self.crl_url(shard)).collect(),
        };
        self.forms.insert(profile.version, form);
        Ok(())
    }

    /// What all certificates of a profile version have in common; `None` unless it was prepared.
    pub fn form(&self, profile: ProfileVersionId) -> Option<&Form> {
        self.forms.get(&profile)
    }

    /// This key and certificate.
    pub fn version(&self) -> AuthorityVersionId {
        self.version
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Where a shard of its CRL is published.
    pub fn crl_url(&self, shard: u32) -> String {
        format!("{}/{}/{shard}.crl", self.crl_url_base, self.version)
    }

    /// The shard of a serial: by its last octet, which is random.
    pub fn crl_shard(&self, serial: &SerialNumber) -> u32 {
        serial.der_content().last().map_or(0, |octet| u32::from(*octet) % self.crl_shards)
    }

    pub(crate) fn template(&self, profile: ProfileVersionId, shard: u32) -> Option<Arc<LeafTemplate>> {
        self.templates.get(&(profile, shard)).cloned()
    }
}
