//! Errors as problem details (RFC 9457): what happened, why, what helps, and one stable code. The authority, the gateway
//! and the command line (`--json`) write this type, and every client reads it.

use crate::Candidate;
use core::fmt;
use serde::{Deserialize, Serialize};
use touchmark_identity::printable;

/// The namespace of [`Problem::kind`]: a UUID of the project (RFC 9562), the one of its private extensions.
const NAMESPACE: &str = "urn:uuid:07e944d1-3bec-48b5-9127-bad06ebb9940";

/// `application/problem+json`. Every member may be absent where it is read: a server that is not ours may send anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// URI of the kind of problem: a namespace with the code as its fragment.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened, for people.
    pub title: String,
    /// HTTP status; `null` where no server refused.
    pub status: Option<u16>,
    /// Stable, in kebab case: `device-unknown`. For programs; empty only in what others send.
    pub code: String,
    /// Why, with the values.
    pub detail: Option<String>,
    /// A command or act that helps.
    pub fix: Option<String>,
    /// The field of the request that is not acceptable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// On what it was tried (command line only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Exit code (command line only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// What an ambiguous identifier may mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

impl Problem {
    pub fn new(status: Option<u16>, code: &str, title: impl Into<String>) -> Self {
        let kind = format!("{NAMESPACE}#{code}");
        Self { kind, status, code: code.to_owned(), title: title.into(), ..Self::default() }
    }

    /// The code, unless a stranger sent none.
    pub fn code(&self) -> Option<&str> {
        Some(self.code.as_str()).filter(|code| !code.is_empty())
    }
}

impl fmt::Display for Problem {
    /// One line for a person, control characters blanked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Some(self.title.as_str()).filter(|title| !title.is_empty());
        f.write_str(&printable(self.detail.as_deref().or(title).unwrap_or("no reason given")))?;
        match self.code() {
            Some(code) if code.chars().all(|c| c.is_ascii_graphic()) => write!(f, " ({code})"),
            Some(_) | None => Ok(()),
        }
    }
}
