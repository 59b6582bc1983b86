//! Device policies.

use serde::{Deserialize, Serialize};

/// `PUT /v1/environments/{name}/policy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// Name and text of each `.cedar` file.
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    pub topics: String,
    /// Only check it.
    #[serde(default)]
    pub dry_run: bool,
}

/// The policy in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its environment.
    pub environment: String,
    /// SHA-256 over the bundle.
    pub version: String,
    /// Since when; absent on a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<String>,
    /// Name and text of each `.cedar` file.
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    pub topics: String,
    /// Every rule's `@id`.
    pub rules: Vec<String>,
}
