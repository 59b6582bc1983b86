//! A gateway that is known not to run: containments name it and do not count on it.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{Actor, Name, Timestamp};
use touchmark_inventory::Command;
use touchmark_journal::{Draft, Envelope, Event, GatewayDeclared, Scope};

/// Why a gateway is not declared so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclarationFault {
    /// The mandate is for something else.
    #[error("the operator was permitted another act")]
    Mandate,
    /// An end that is past.
    #[error("an absence that has ended already is none")]
    Ended,
}

/// What an operator says of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declaration {
    /// It runs, or is expected to.
    Online,
    /// It does not run, until this moment if one is given.
    Offline(Option<Timestamp>),
}

/// The command that records it.
///
/// # Errors
/// [`DeclarationFault`].
pub fn declare_gateway(
    mandate: &Mandate,
    scope: Scope,
    gateway: Name,
    declaration: Declaration,
    now: Timestamp,
) -> Result<Command, DeclarationFault> {
    if mandate.act() != Act::GatewayDeclare {
        return Err(DeclarationFault::Mandate);
    }
    let (offline, until) = match declaration {
        Declaration::Online => (false, None),
        Declaration::Offline(until) if until.is_some_and(|until| until <= now) => {
            return Err(DeclarationFault::Ended);
        }
        Declaration::Offline(until) => (true, until),
    };
    let envelope = Envelope { scope, actor: mandate.actor().clone(), cause: "api/gateways".into(), at: now };
    Ok(recorded(envelope, GatewayDeclared { gateway, offline, until }))
}

/// The command that ends a declared absence: the gateway itself asked.
pub fn gateway_returned(scope: Scope, gateway: Name, now: Timestamp) -> Command {
    let actor = Actor::automation(gateway.clone());
    let envelope = Envelope { scope, actor, cause: "api/feed".into(), at: now };
    recorded(envelope, GatewayDeclared { gateway, offline: false, until: None })
}

fn recorded(envelope: Envelope, declared: GatewayDeclared) -> Command {
    let event = Event::GatewayDeclared(declared);
    Command { preconditions: Vec::new(), entries: vec![Draft { envelope, event, private: None }] }
}
