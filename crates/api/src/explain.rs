//! The four questions: which device holds which certificate, where is it used, who can revoke it, what
//! happens when it expires.

use crate::KnownText;
use crate::device::{Certificate, Device, History, Renewals};
use serde::{Deserialize, Serialize};

/// `GET /v1/explain/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked for.
    pub asked: String,
    /// The certificate that was asked for, or whose key, serial number or decision was; `null` for a name.
    #[serde(default)]
    pub matched: Option<String>,
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
    pub environment: String,
    /// `operational`, `service` or `operator`.
    pub kind: String,
    /// The opaque name in the URI of its certificates.
    pub handle: String,
    /// The highest of its certificates; 0 before the first.
    pub generation: u64,
}

/// Whose certificate is no device's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// `service` or `operator`.
    pub kind: String,
    pub name: String,
    pub environment: KnownText,
    /// Its roles.
    pub roles: Vec<String>,
    /// Where an operator's roles hold: `environment` or `organisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
}

/// Where a certificate was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub certificate: String,
    /// Which gateway.
    pub gateway: String,
    /// What for.
    pub action: String,
    /// Topic or path; if `folded`, what many of them begin with.
    pub resource: String,
    /// First seen.
    pub first: String,
    /// Last seen.
    pub last: String,
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
    /// `person` or `automation`.
    pub kind: String,
    /// The operator's name.
    pub name: String,
    /// The rule that permits it.
    pub rule: String,
}

/// What happens at expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnExpiry {
    /// Last moment of the newest live certificate.
    pub not_after: String,
    /// Last moment of the whole chain: the earliest of all certificates in it.
    pub chain_not_after: String,
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
    /// `device` or `certificate`.
    pub kind: String,
    /// An identifier that is not ambiguous.
    pub id: String,
    /// For people.
    pub name: String,
}
