//! What was decided. A [`Permit`] is the only key to forwarding: it is used up by the act it allows.

use crate::{Action, DenyReason, PolicyVersion, RuleId};

/// The answer to one attempt.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// It may happen, once.
    Permit(Permit),
    /// It may not.
    Deny(Denial),
}

impl Decision {
    /// The permit, or why there is none.
    pub fn permitted(self) -> Result<Permit, Denial> {
        match self {
            Self::Permit(permit) => Ok(permit),
            Self::Deny(denial) => Err(denial),
        }
    }
}

/// Leave for one act, made only by a decision table; neither `Clone` nor constructible elsewhere.
///
/// ```compile_fail,E0599
/// fn twice(permit: touchmark_policy::Permit) -> (touchmark_policy::Permit, touchmark_policy::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
///
/// ```compile_fail,E0639
/// use touchmark_policy::{Action, Permit, PolicyVersion, RuleId};
/// fn made(rule: RuleId) -> Permit {
///     Permit { action: Action::Connect, rule, policy: PolicyVersion([0; 32]) }
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Permit {
    /// What may be done.
    pub action: Action,
    /// The rule that opened.
    pub rule: RuleId,
    /// The policy that the rule stands in.
    pub policy: PolicyVersion,
}

impl Permit {
    /// Uses it up; what is left is what the record says: the rule that opened, and its policy.
    pub fn into_basis(self) -> (RuleId, PolicyVersion) {
        (self.rule, self.policy)
    }
}

/// A refusal with its stable reason, and the rule that forbade where there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub reason: DenyReason,
    /// The forbidding rule; none when nothing opened or the policy was never asked.
    pub rule: Option<RuleId>,
}

impl Denial {
    /// A refusal that no rule took part in.
    pub fn because(reason: DenyReason) -> Self {
        Self { reason, rule: None }
    }
}
