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
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    action: Action,
    rule: RuleId,
    policy: PolicyVersion,
}

impl Permit {
    pub(crate) fn new(action: Action, rule: RuleId, policy: PolicyVersion) -> Self {
        Self { action, rule, policy }
    }

    /// What may be done.
    pub fn action(&self) -> Action {
        self.action
    }

    /// The rule that opened.
    pub fn rule(&self) -> &RuleId {
        &self.rule
    }

    /// The policy that the rule stands in.
    pub fn policy(&self) -> PolicyVersion {
        self.policy
    }

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
