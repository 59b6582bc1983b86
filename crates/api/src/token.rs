//! Enrolment tokens.

use crate::KnownText;
use serde::{Deserialize, Serialize};

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenOrder {
    /// Where it is good.
    pub environment: String,
    /// For this device (or service) only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// For new devices whose names start so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How often a prefix token may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Model that the device gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Seconds it lives.
    pub ttl_s: u64,
    /// `device` (default), `service`, `gateway` or `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Host names and addresses in a service's certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Roles of an operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Whether an operator's roles hold in the whole organisation, and not in the environment alone.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub organisation: bool,
}

/// The answer, and the only time that the password is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// `tok_...`.
    pub token: String,
    /// HTTP Basic user name: the device's name or the prefix.
    pub username: String,
    /// HTTP Basic password.
    pub password: String,
    /// Last moment of use.
    pub expires: String,
    /// Where it is good.
    pub environment: String,
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Token").field("token", &self.token).finish_non_exhaustive()
    }
}

/// `GET /v1/tokens`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenQuery {
    /// Where they are good.
    pub environment: String,
    /// Made before this one (`tok_...`, from `next`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most this many (1..=1000, 100 by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A token as it stands; its password is not kept. Also the answer to `POST /v1/tokens/{id}/void`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// `tok_...`.
    pub token: String,
    /// Where it is good.
    pub environment: KnownText,
    /// `device`, `service` or `operator`.
    pub kind: String,
    /// The name that it lets in, or `PREFIX*`; `null` once erased.
    pub subject: KnownText,
    /// Uses made.
    pub uses: u32,
    /// Uses allowed.
    pub uses_max: u32,
    /// `usable`, `used`, `expired` or `void`.
    pub state: String,
    /// Last moment of use.
    pub expires: String,
    /// Who made it.
    pub created_by: String,
    pub created_at: String,
    /// Model that a device gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Of an operator's: where its roles hold, `environment` or `organisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<String>,
}
