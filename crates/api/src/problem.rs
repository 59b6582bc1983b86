//! Errors on the wire (RFC 9457): what, why, how to fix, and one stable code.

use crate::Candidate;
use serde::{Deserialize, Serialize};

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code in kebab case: `device-unknown`.
    pub code: String,
    /// What happened, for people.
    pub title: String,
    /// Why, with the values.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// A command or act that helps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
    /// What an ambiguous identifier may mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}
