//! What a rule is called, what it does, and which version of the policy it comes from.

use crate::PolicyInputFault;
use core::fmt;
use std::sync::Arc;

/// A rule's `@id`: what logs and answers call it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// Longest id.
    pub const OCTETS_MAX: usize = 64;

    /// Checks a text: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub fn new(text: &str) -> Result<Self, PolicyInputFault> {
        let good = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > Self::OCTETS_MAX || !text.bytes().all(good) {
            return Err(PolicyInputFault::RuleId);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule does when it applies. A forbid beats every permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It opens.
    Permit,
    /// It closes.
    Forbid,
}

/// SHA-256 over a policy bundle's canonical bytes: two gateways with the same value decide alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyVersion(pub [u8; 32]);

impl PolicyVersion {
    /// The 32 octets.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyVersion({self})")
    }
}
