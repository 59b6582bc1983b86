//! Environments and profiles.

use crate::{CloneResponse, IdentityKind, Word};
use serde::{Deserialize, Serialize};
use touchmark_identity::{EnvironmentName, Name, ProfileVersionId, Timestamp, TrustDomain};

/// `POST /v1/environments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentOrder {
    pub name: EnvironmentName,
    /// Host of its identities; `<name>.touchmark.internal` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<TrustDomain>,
    /// Seconds that a device certificate lives; 30 days by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_lifetime_s: Option<u64>,
    /// Seconds past its end during which a device certificate may still be renewed; a third of its life by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_renewal_grace_s: Option<u64>,
    /// Seconds that a device certificate still serves once its successor is confirmed; a tenth of its life by default,
    /// at least five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_s: Option<u64>,
    /// What a suspected clone of a device leads to; an alarm by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_clone: Option<CloneResponse>,
    /// Whether a superseded device certificate is revoked, and so listed, once its overlap is over.
    #[serde(default)]
    pub revoke_superseded: bool,
}

impl EnvironmentOrder {
    /// With the defaults.
    pub fn new(name: EnvironmentName) -> Self {
        Self {
            name,
            trust_domain: None,
            device_lifetime_s: None,
            late_renewal_grace_s: None,
            overlap_s: None,
            on_clone: None,
            revoke_superseded: false,
        }
    }
}

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub name: EnvironmentName,
    /// Host of its identities.
    pub trust_domain: TrustDomain,
    /// Whether EST without a label means it.
    pub default: bool,
    /// Certificates from the issuing authority up to the root, PEM.
    pub anchors_pem: String,
    /// Public key of the status feed: 32 octets Ed25519, hexadecimal.
    pub feed_key: String,
    /// CRL addresses of the issuing authority.
    pub crls: Vec<String>,
    /// Profiles in force.
    pub profiles: Vec<Profile>,
    pub created_at: Timestamp,
}

/// A profile version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub id: ProfileVersionId,
    pub name: Name,
    pub kind: Word<IdentityKind>,
    /// Seconds of life.
    pub lifetime_s: u64,
    /// Seconds of overlap after a successor is confirmed.
    pub overlap_s: u64,
    /// Seconds past its end during which a certificate may still be renewed.
    pub grace_s: u64,
    /// What a suspected clone leads to: `alarm` or `quarantine`.
    pub on_clone: Word<CloneResponse>,
    /// Whether what is superseded is revoked once its overlap is over.
    pub revoke_superseded: bool,
}
