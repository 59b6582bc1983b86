//! Anchors and policy of one state of the feed, read once and shared by everything that is decided on them.

use std::sync::Arc;
use touchmark_identity::{AuthorityVersionId, Fingerprint, TrustDomain};
use touchmark_policy_cedar::CompiledPolicy;
use touchmark_status::{Anchor, AnchorRole, PolicyBundle, StatusSet};
use touchmark_x509::Certificate;
use touchmark_x509::path::PRESENTED_MAX;

/// What changes rarely.
pub(crate) struct TrustBasis {
    /// Rises when the anchors change; path results of another generation are not used.
    pub(crate) generation: u64,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) roots: Vec<Certificate>,
    pub(crate) issuing: Vec<Issuing>,
    /// Where initial certificates come from: known for what they are, so that their holders are told.
    pub(crate) makers: Vec<Maker>,
    /// `None` when there is none, or when it does not compile: then nothing is permitted.
    pub(crate) policy: Option<Arc<CompiledPolicy>>,
    anchors: Vec<Anchor>,
}

/// An authority that issues certificates of this environment.
pub(crate) struct Issuing {
    pub(crate) version: AuthorityVersionId,
    pub(crate) certificate: Certificate,
}

/// A maker, and the anchor of its initial certificates.
pub(crate) struct Maker {
    pub(crate) version: AuthorityVersionId,
    pub(crate) certificate: Certificate,
}

/// What a basis is made of, copied out of the set.
pub(crate) struct Sources {
    trust_domain: TrustDomain,
    anchors: Vec<Anchor>,
    policy: Option<PolicyBundle>,
}

impl Sources {
    pub(crate) fn of(set: &StatusSet) -> Self {
        Self {
            trust_domain: set.trust_domain().clone(),
            anchors: set.state().anchors().to_vec(),
            policy: set.state().policies().cloned(),
        }
    }
}

impl TrustBasis {
    pub(crate) fn of(set: &StatusSet, old: Option<&Self>) -> Self {
        Self::from_sources(Sources::of(set), old)
    }

    pub(crate) fn from_sources(sources: Sources, old: Option<&Self>) -> Self {
        let Sources { trust_domain, anchors, policy } = sources;
        let generation = match old {
            Some(old) if old.anchors == anchors => old.generation,
            Some(old) => old.generation + 1,
            None => 0,
        };
        let policy = policy.and_then(|bundle| compiled(bundle, old));
        let (mut roots, mut issuing, mut makers) = (Vec::new(), Vec::new(), Vec::new());
        for anchor in &anchors {
            let certificate = match Certificate::from_der(&anchor.certificate_der) {
                Ok(certificate) => certificate,
                Err(error) => {
                    tracing::error!(%error, authority = %anchor.authority_version, "an anchor of the feed is no certificate");
                    continue;
                }
            };
            match anchor.role {
                AnchorRole::Root => roots.push(certificate),
                AnchorRole::Issuing => {
                    issuing.push(Issuing { version: anchor.authority_version, certificate });
                }
                AnchorRole::Maker => makers.push(Maker { version: anchor.authority_version, certificate }),
            }
        }
        Self { generation, trust_domain, roots, issuing, makers, policy, anchors }
    }

    /// The authority that has this certificate.
    pub(crate) fn issuing_version(&self, certificate: &Fingerprint) -> Option<AuthorityVersionId> {
        let found = self.issuing.iter().find(|issuing| issuing.certificate.fingerprint() == *certificate)?;
        Some(found.version)
    }

    /// Whether this certificate is a root now.
    pub(crate) fn is_root(&self, certificate: &Fingerprint) -> bool {
        self.roots.iter().any(|root| root.fingerprint() == *certificate)
    }

    /// The certificates that can have issued `leaf`. What the peer sent along is not looked at: an issuer that the
    /// feed does not name is none.
    pub(crate) fn issuers_of(&self, leaf: &Certificate) -> Vec<Certificate> {
        self.issuing
            .iter()
            .filter(|issuing| issuing.certificate.subject_der() == leaf.issuer_der())
            .map(|issuing| issuing.certificate.clone())
            .take(PRESENTED_MAX)
            .collect()
    }
}

fn compiled(bundle: PolicyBundle, old: Option<&TrustBasis>) -> Option<Arc<CompiledPolicy>> {
    let PolicyBundle { version, files, topics } = bundle;
    let bundle = touchmark_policy_cedar::PolicyBundle { files, topics };
    if bundle.version().as_bytes() != &version {
        tracing::error!(
            "the feed's policy is not the version that it says; nothing is permitted until it is"
        );
        return None;
    }
    let same = old.and_then(|old| old.policy.as_ref()).filter(|policy| policy.version() == bundle.version());
    if let Some(policy) = same {
        return Some(Arc::clone(policy));
    }
    match CompiledPolicy::compile(&bundle) {
        Ok(policy) => Some(Arc::new(policy)),
        Err(faults) => {
            tracing::error!(%faults, "the feed's policy does not compile here; nothing is permitted until one does");
            None
        }
    }
}
