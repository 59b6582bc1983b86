//! Who did it. There is no default actor, so nothing is attributed by accident.

use crate::Name;
use core::fmt;
use core::str::FromStr;

/// What sort of party acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActorKind {
    /// A person with an operator certificate.
    Person,
    /// A device acting for itself (enrolment, confirmation).
    Device,
    /// The product itself or a service identity (start-up, recovery, a gateway's report).
    Automation,
}

impl ActorKind {
    /// The word used in rows, JSON and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Device => "device",
            Self::Automation => "automation",
        }
    }

    /// Reads [`ActorKind::as_str`] back.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Person, Self::Device, Self::Automation].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The party at whose word something happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actor {
    /// Person, device or automation.
    pub kind: ActorKind,
    /// The party's name inside its kind.
    pub name: Name,
}

impl Actor {
    /// A person, by the name in the operator certificate.
    pub fn person(name: Name) -> Self {
        Self { kind: ActorKind::Person, name }
    }

    /// A device, by its handle.
    pub fn device(name: Name) -> Self {
        Self { kind: ActorKind::Device, name }
    }

    /// A part of the product, by its service name.
    pub fn automation(name: Name) -> Self {
        Self { kind: ActorKind::Automation, name }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.name)
    }
}

/// Text that names no actor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an actor of the form KIND:NAME")]
pub struct BadActor;

impl FromStr for Actor {
    type Err = BadActor;
    fn from_str(text: &str) -> Result<Self, BadActor> {
        let (kind, name) = text.split_once(':').ok_or(BadActor)?;
        let kind = ActorKind::from_word(kind).ok_or(BadActor)?;
        Ok(Self { kind, name: name.parse().map_err(|_| BadActor)? })
    }
}
