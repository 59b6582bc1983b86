//! Device policies.

use crate::GatewayEnforcement;
use serde::{Deserialize, Serialize};
use touchmark_identity::{EnvironmentName, Timestamp};

/// `PUT /v1/environments/{name}/policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Name and text of each `.cedar` file.
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    pub topics: String,
    /// Only check it.
    #[serde(default)]
    pub dry_run: bool,
    /// Milliseconds to wait for gateways to report (5000 by default, 10000 at most).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub environment: EnvironmentName,
    /// SHA-256 over the bundle.
    pub version: String,
    /// Since when; absent on a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<Timestamp>,
    /// Name and text of each `.cedar` file.
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    pub topics: String,
    /// Every rule's `@id`.
    pub rules: Vec<String>,
    /// Once it was put in force: every gateway of the environment, and whether it is in force there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<PolicyEnforcement>,
}

/// What became of a policy at the gateways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyEnforcement {
    /// Every gateway of the environment.
    pub gateways: Vec<GatewayEnforcement>,
    /// Live sessions that gateways ended, as far as they reported in time.
    pub sessions_closed: u64,
}
