//! A mandate: the proof that the operator policy let this actor do this act to this target.

use touchmark_identity::{Actor, DeviceId, EnvironmentName, Permission, Timestamp};
use touchmark_journal::{Draft, Envelope, Event, Private, Reach, Salt, Scope};

/// Something that takes a permission, with what it is done to.
pub trait Act {
    /// The permission that it takes.
    fn permission(&self) -> Permission;

    /// Another that it takes as well.
    fn also(&self) -> Option<Permission> {
        None
    }

    /// Where the permission must hold; `None` is the organisation.
    fn environment(&self) -> Option<&EnvironmentName>;

    /// What the operator must reach: the environment, or the organisation.
    fn reach(&self) -> Reach {
        Reach::Environment
    }

    /// Roles that it gives to an operator: nobody gives what they may not do themselves.
    fn gives(&self) -> &[String] {
        &[]
    }

    /// The cause in the journal, of what is done and of what is refused.
    fn cause(&self) -> &'static str;

    /// The device that it is done to.
    fn device(&self) -> Option<DeviceId> {
        None
    }
}

/// Made from one permitted decision, spent on one command. What the act is done to is inside, so that nothing else
/// can be done with it.
#[derive(Debug)]
pub struct Mandate<A> {
    actor: Actor,
    rule: String,
    act: A,
}

impl<A: Act> Mandate<A> {
    /// Declares that `rule` of the operator policy permitted `act` to `actor`. Called only with that permit at hand.
    pub fn permitted_unchecked(actor: Actor, rule: impl Into<String>, act: A) -> Self {
        Self { actor, rule: rule.into(), act }
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The rule that permitted it.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What, and to what.
    pub fn act(&self) -> &A {
        &self.act
    }

    /// Spends it where nothing is recorded: a question that is answered.
    pub fn into_act(self) -> A {
        self.act
    }

    /// The entry that records it.
    pub fn draft(
        &self,
        scope: &Scope,
        now: Timestamp,
        event: Event,
        private: Option<(Salt, Private)>,
    ) -> Draft {
        let envelope = Envelope {
            scope: scope.clone(),
            actor: self.actor.clone(),
            cause: self.act.cause().into(),
            at: now,
        };
        Draft { envelope, event, private }
    }
}
