//! The four questions: which device holds which certificate, where is it used, who can revoke it, what
//! happens when it expires.

use crate::device::{Certificate, Device, History, Renewals};
use crate::{Action, IdentityKind, Reach, RevokerKind, SubjectKind, Word};
use serde::{Deserialize, Serialize};
use touchmark_identity::{CertificateId, EnvironmentName, Fingerprint, Name, Timestamp};

/// `GET /v1/explain/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked for.
    pub asked: String,
    /// The certificate that was asked for, or whose key, serial number or decision was; `null` for a name.
    #[serde(default)]
    pub matched: Option<CertificateId>,
    /// The device, or `null` for an operator's or service's certificate.
    pub device: Option<Device>,
    /// The operator or service, or `null` for a device's certificate.
    #[serde(default)]
    pub party: Option<Party>,
    /// What environments know it as.
    #[serde(default)]
    pub identities: Vec<KnownIdentity>,
    /// Which certificates it holds or held, newest first.
    pub certificates: Vec<Certificate>,
    /// Where they are used, or `null`.
    pub where_used: Option<Vec<Sighting>>,
    /// Who can revoke them: exactly those whose dry run succeeds.
    pub who_can_revoke: Option<Vec<Revoker>>,
    /// What happens when the newest live one expires, or `null`.
    pub on_expiry: Option<OnExpiry>,
    /// How its renewals went, or `null`.
    pub renewals: Option<Renewals>,
    /// What happened, newest first.
    pub history: Vec<History>,
    /// The decision that was asked for, if the identifier was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<crate::Decision>,
    /// What was left out or shown together to keep the answer short, one phrase each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A device, operator or service as one environment knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownIdentity {
    pub environment: EnvironmentName,
    pub kind: Word<IdentityKind>,
    /// The opaque name in the URI of its certificates.
    pub handle: Name,
    /// The highest of its certificates; 0 before the first.
    pub generation: u64,
}

/// Whose certificate is no device's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub kind: Word<SubjectKind>,
    pub name: Name,
    pub environment: Option<EnvironmentName>,
    /// Its roles.
    pub roles: Vec<String>,
    /// Where an operator's roles hold: `environment` or `organisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Word<Reach>>,
}

/// Where a certificate was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub certificate: Fingerprint,
    /// Which gateway.
    pub gateway: Name,
    /// What for.
    pub action: Word<Action>,
    /// Topic or path; if `folded`, what many of them begin with.
    pub resource: String,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
    /// Times allowed.
    pub allowed: u64,
    /// Times denied.
    pub denied: u64,
    /// Whether this is many places, told together because the device used too many to keep apart.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub folded: bool,
}

impl Sighting {
    /// The resource for people.
    pub fn place(&self) -> String {
        if self.folded { format!("{}* (many)", self.resource) } else { self.resource.clone() }
    }
}

/// Somebody who can revoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoker {
    pub kind: Word<RevokerKind>,
    /// The operator's name.
    pub name: Name,
    /// The rule that permits it.
    pub rule: String,
}

/// What happens at expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnExpiry {
    /// Last moment of the newest live certificate.
    pub not_after: Timestamp,
    /// Last moment of the whole chain: the earliest of all certificates in it.
    pub chain_not_after: Timestamp,
    /// Seconds from now; negative when past.
    pub in_s: i64,
    /// `refused`: connections are refused from then on; whether something renews it by itself is said, too.
    pub effect: String,
    /// What the device can no longer do.
    pub actions_lost: Vec<String>,
    /// What brings it back.
    pub way_back: String,
}

/// One of several things that an identifier may mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub kind: Word<SubjectKind>,
    /// An identifier that is not ambiguous.
    pub id: String,
    /// For people.
    pub name: String,
}
