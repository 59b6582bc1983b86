//! A gateway that is known not to run: containments name it and do not count on it.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{Actor, EnvironmentName, Name, Permission, Timestamp};
use touchmark_inventory::Command;
use touchmark_journal::{Draft, Envelope, Event, GatewayDeclared, Scope};

/// An end that is past.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an absence that has ended already is none")]
pub struct DeclarationEnded;

/// What an operator says of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declaration {
    /// It runs, or is expected to.
    Online,
    /// It does not run, until this moment if one is given.
    Offline(Option<Timestamp>),
}

/// Say that a gateway runs, or does not.
#[derive(Clone, Debug)]
pub struct DeclareGateway {
    pub scope: Scope,
    pub gateway: Name,
    /// What is said of it.
    pub declaration: Declaration,
}

impl Act for DeclareGateway {
    fn permission(&self) -> Permission {
        Permission::GatewayDeclare
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.scope.environment.as_ref()
    }

    fn cause(&self) -> &'static str {
        "api/gateways"
    }
}

/// The command that records it.
///
/// # Errors
/// [`DeclarationEnded`].
pub fn declare_gateway(
    mandate: Mandate<DeclareGateway>,
    now: Timestamp,
) -> Result<Command, DeclarationEnded> {
    let DeclareGateway { scope, gateway, declaration } = mandate.act();
    let (offline, until) = match *declaration {
        Declaration::Online => (false, None),
        Declaration::Offline(until) if until.is_some_and(|until| until <= now) => {
            return Err(DeclarationEnded);
        }
        Declaration::Offline(until) => (true, until),
    };
    let event = Event::GatewayDeclared(GatewayDeclared { gateway: gateway.clone(), offline, until });
    Ok(Command { preconditions: Vec::new(), entries: vec![mandate.draft(scope, now, event, None)] })
}

/// The command that ends a declared absence: the gateway itself asked.
pub fn gateway_returned(scope: Scope, gateway: Name, now: Timestamp) -> Command {
    let actor = Actor::automation(gateway.clone());
    let envelope = Envelope { scope, actor, cause: "api/feed".into(), at: now };
    let event = Event::GatewayDeclared(GatewayDeclared { gateway, offline: false, until: None });
    Command { preconditions: Vec::new(), entries: vec![Draft { envelope, event, private: None }] }
}
