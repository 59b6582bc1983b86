//! One rule of a device policy, taken apart as far as it does not depend on the device.

use cedar_policy::PolicySet;
use touchmark_policy::{Action, Effect, RuleId};

/// For whom a rule speaks: the head of its scope, by which rules are filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Everyone,
    Device(String),
    Group(String),
}

/// What a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Everything,
    Gateway,
    AllTopics,
    Topics(String),
    AllUpdates,
    Updates(String),
}

impl Target {
    /// Can this be the target of `action` at all?
    pub(crate) fn suits(&self, action: Action) -> bool {
        match self {
            Self::Everything => true,
            Self::Gateway => action == Action::Connect,
            Self::AllTopics | Self::Topics(_) => matches!(action, Action::Publish | Action::Subscribe),
            Self::AllUpdates | Self::Updates(_) => action == Action::RequestUpdate,
        }
    }
}

/// One rule. The condition is Cedar's own, as a permit for everyone: it is allowed exactly when the condition holds.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    pub(crate) effect: Effect,
    pub(crate) head: Head,
    pub(crate) actions: Vec<Action>,
    pub(crate) target: Target,
    pub(crate) condition: Option<PolicySet>,
}
