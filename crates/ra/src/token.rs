//! Tokens: an operator's permission for one device, or for a number of new ones, to enrol.

use crate::containment::reach_of;
use crate::mandate::{Act, Mandate};
use core::net::IpAddr;
use core::time::Duration;
use touchmark_identity::{EnvironmentName, Name, Permission, Timestamp, TokenId, is_dns_name};
use touchmark_inventory::{Command, PartyRow, Precondition, TokenRow};
use touchmark_journal::{
    Event, IdentityKind, Private, Reach, Salt, Scope, TokenCreated, TokenPrivate, TokenSubject, TokenVoided,
};

/// A token that lies around is a hole: a week bounds what a forgotten one can do.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(7 * 86_400);
/// What the journal's field and the row's column hold.
const USES_MAX: u32 = u32::MAX;
/// Host names in one service certificate.
const HOSTS_MAX: usize = 16;

/// What an operator asked for.
#[derive(Clone, Debug)]
pub struct TokenOrder {
    /// Where it is good.
    pub scope: Scope,
    /// What it enrols.
    pub kind: IdentityKind,
    /// Whom.
    pub subject: TokenSubject,
    /// How often.
    pub uses: u32,
    /// For how long.
    pub lifetime: Duration,
    /// Model of the device.
    pub model: Option<Name>,
    /// Host names and addresses of a service.
    pub hosts: Vec<String>,
    /// Roles that an operator or service gets when it enrols; `None` when it keeps those that it has.
    pub roles: Option<Vec<String>>,
    /// Where an operator's roles hold.
    pub reach: Reach,
    /// The operator or service that has this name already: whoever holds the token can become it.
    pub known: Option<PartyRow>,
}

/// Why a token cannot be made as asked: the operator must ask otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// No uses, or too many, or several for one name.
    #[error(
        "a token has 1 to {USES_MAX} uses; one for a single name, a service or an operator has exactly 1"
    )]
    Uses,
    /// No name is longer than this prefix.
    #[error("a prefix has at most {} characters: a name goes on after it", Name::OCTETS_MAX - 1)]
    Prefix,
    /// No time, or too much.
    #[error("a token lives from 1 second to {} days", TOKEN_LIFETIME_MAX.as_secs() / 86_400)]
    Lifetime,
    /// Host names only make sense in a service's certificate.
    #[error("host names are for services only, {HOSTS_MAX} at most")]
    Hosts,
    /// Neither an IP address nor a DNS name that a certificate may carry.
    #[error("`{host}` is neither an IP address nor a DNS name in lower case; wildcards are not given")]
    Host {
        /// As asked.
        host: String,
    },
    /// Nothing is left to take back.
    #[error("the token is void already")]
    Void,
}

/// The permission that making such a token takes; taking it back takes the same.
fn enrolment_of(kind: IdentityKind) -> Permission {
    match kind {
        IdentityKind::Operational => Permission::DeviceEnrol,
        IdentityKind::Service => Permission::ServiceEnrol,
        IdentityKind::Operator => Permission::OperatorEnrol,
    }
}

impl Act for TokenOrder {
    fn permission(&self) -> Permission {
        enrolment_of(self.kind)
    }

    /// To become somebody known takes the permission to make operators.
    fn also(&self) -> Option<Permission> {
        self.known.as_ref().map(|_| Permission::OperatorEnrol)
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.scope.environment.as_ref()
    }

    /// The names of operators and services are the organisation's: one of another environment is out of reach.
    fn reach(&self) -> Reach {
        let elsewhere = self.known.as_ref().is_some_and(|known| known.scope != self.scope);
        match self.known.as_ref().map_or(Reach::Environment, reach_of) {
            Reach::Environment if !elsewhere && self.kind != IdentityKind::Operator => Reach::Environment,
            Reach::Environment if !elsewhere => self.reach,
            Reach::Environment | Reach::Organisation => Reach::Organisation,
        }
    }

    fn gives(&self) -> &[String] {
        match (self.kind, &self.roles, &self.known) {
            (IdentityKind::Operator, Some(roles), _) => roles,
            (IdentityKind::Operator, None, Some(known)) => &known.roles,
            _ => &[],
        }
    }

    fn cause(&self) -> &'static str {
        "api/tokens"
    }
}

/// Take a token back. What was enrolled with it before stays.
#[derive(Clone, Debug)]
pub struct VoidToken(pub TokenRow);

impl Act for VoidToken {
    fn permission(&self) -> Permission {
        enrolment_of(self.0.kind)
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.0.scope.environment.as_ref()
    }

    fn reach(&self) -> Reach {
        match self.0.kind {
            IdentityKind::Operator => self.0.reach,
            IdentityKind::Service | IdentityKind::Operational => Reach::Environment,
        }
    }

    fn cause(&self) -> &'static str {
        "api/tokens/void"
    }
}

/// The command that takes a token back.
///
/// # Errors
/// [`TokenFault::Void`] when it is void already.
pub fn void_token(mandate: Mandate<VoidToken>, now: Timestamp) -> Result<Command, TokenFault> {
    let VoidToken(row) = mandate.act();
    if row.void {
        return Err(TokenFault::Void);
    }
    let event = Event::TokenVoided(TokenVoided { token: row.token });
    Ok(Command { preconditions: Vec::new(), entries: vec![mandate.draft(&row.scope, now, event, None)] })
}

/// The command that makes a token; its password's hash is stored, never the password.
///
/// # Errors
/// [`TokenFault`] when the order is out of bounds.
pub fn create_token(
    mandate: Mandate<TokenOrder>,
    secret_sha256: [u8; 32],
    now: Timestamp,
    random: [u8; 26],
) -> Result<(TokenId, Timestamp, Command), TokenFault> {
    let order = mandate.act();
    let single = matches!(order.subject, TokenSubject::Named(_));
    if order.uses == 0 || (single && order.uses != 1) {
        return Err(TokenFault::Uses);
    }
    if matches!(&order.subject, TokenSubject::Prefix(prefix) if prefix.as_str().len() >= Name::OCTETS_MAX) {
        return Err(TokenFault::Prefix);
    }
    if order.lifetime.is_zero() || order.lifetime > TOKEN_LIFETIME_MAX {
        return Err(TokenFault::Lifetime);
    }
    if order.hosts.len() > HOSTS_MAX || (order.kind != IdentityKind::Service && !order.hosts.is_empty()) {
        return Err(TokenFault::Hosts);
    }
    if let Some(host) = order.hosts.iter().find(|host| host.parse::<IpAddr>().is_err() && !is_dns_name(host))
    {
        return Err(TokenFault::Host { host: host.clone() });
    }
    let (mut id, mut salt) = ([0; 10], [0; 16]);
    id.copy_from_slice(&random[..10]);
    salt.copy_from_slice(&random[10..]);
    let token = TokenId::draw(now, id);
    let expires_at = now.plus(order.lifetime);
    let event = Event::TokenCreated(TokenCreated {
        token,
        kind: order.kind,
        uses: order.uses,
        expires_at,
        roles: order.roles.clone().filter(|_| order.kind != IdentityKind::Operational),
        reach: (order.kind == IdentityKind::Operator).then_some(order.reach),
    });
    let private = Private::Token(TokenPrivate {
        secret_sha256,
        subject: order.subject.clone(),
        model: order.model.clone(),
        hosts: order.hosts.clone(),
    });
    let home = match (order.kind, &order.subject, &order.scope.environment) {
        (IdentityKind::Operational, ..) | (_, _, None) => None,
        (kind, TokenSubject::Named(name), Some(environment)) => {
            Some(Precondition::PartyHome { kind, name: name.clone(), environment: environment.clone() })
        }
        _ => return Err(TokenFault::Uses),
    };
    let entries = vec![mandate.draft(&order.scope, now, event, Some((Salt(salt), private)))];
    Ok((token, expires_at, Command { preconditions: home.into_iter().collect(), entries }))
}
