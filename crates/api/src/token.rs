//! Enrolment tokens.

use crate::{Reach, SubjectKind, TokenKind, TokenState, Word};
use serde::{Deserialize, Serialize};
use touchmark_identity::{EnvironmentName, Name, NamePrefix, Timestamp, TokenId};

/// `POST /v1/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenOrder {
    /// Where it is good.
    pub environment: EnvironmentName,
    /// For this device (or service) only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Name>,
    /// For new devices whose names start so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<NamePrefix>,
    /// How often a prefix token may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// Model that the device gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Seconds it lives.
    pub ttl_s: u64,
    /// A device by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TokenKind>,
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

impl TokenOrder {
    /// For whatever is named, once.
    pub fn new(environment: EnvironmentName, ttl_s: u64) -> Self {
        Self {
            environment,
            device: None,
            prefix: None,
            uses: None,
            model: None,
            ttl_s,
            kind: None,
            hosts: Vec::new(),
            roles: Vec::new(),
            organisation: false,
        }
    }
}

/// The answer, and the only time that the password is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub token: TokenId,
    /// HTTP Basic user name: the device's name or the prefix.
    pub username: NamePrefix,
    /// HTTP Basic password.
    pub password: String,
    /// Last moment of use.
    pub expires: Timestamp,
    /// Where it is good.
    pub environment: EnvironmentName,
}

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Token").field("token", &self.token).finish_non_exhaustive()
    }
}

/// A token as it stands; its password is not kept. Also the answer to `POST /v1/tokens/{id}/void`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    pub token: TokenId,
    /// Where it is good.
    pub environment: Option<EnvironmentName>,
    pub kind: Word<SubjectKind>,
    /// The name that it lets in, or `PREFIX*`; `null` once erased.
    pub subject: Option<String>,
    /// Uses made.
    pub uses: u32,
    /// Uses allowed.
    pub uses_max: u32,
    pub state: Word<TokenState>,
    /// Last moment of use.
    pub expires: Timestamp,
    /// Who made it.
    pub created_by: Name,
    pub created_at: Timestamp,
    /// Model that a device gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Of an operator's: where its roles hold, `environment` or `organisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Word<Reach>>,
}
