//! Tokens: made and taken back for an operator, or made for the product's own first identities.

use crate::entropy::random;
use crate::sha256;
use crate::store::commit::Commits;
use touchmark_identity::{Name, NamePrefix, Secret, Timestamp, TokenId};
use touchmark_inventory::{Conflict, PartyRow, Precondition, StoreFault, TokenRow};
use touchmark_journal::{Event, IdentityKind, PartyRegistered, TokenSubject};
use touchmark_listen::Clock;
use touchmark_ra::{Mandate, TokenFault, TokenOrder, VoidToken, create_token, void_token};

/// A new token with its password, which is not stored.
#[derive(Debug)]
pub(crate) struct NewToken {
    /// Its identifier.
    pub token: TokenId,
    /// HTTP Basic user name: the device's, or the prefix.
    pub username: NamePrefix,
    /// HTTP Basic password: 128 random bits, hexadecimal.
    pub password: Secret<String>,
    /// Last moment of use.
    pub expires_at: Timestamp,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum NewTokenFault {
    /// Out of the RA's bounds.
    #[error(transparent)]
    Order(#[from] TokenFault),
    /// The name of a service or operator is taken in another environment.
    #[error("another environment has a service or operator of this name; these names are the organisation's")]
    NameTaken,
    #[error(transparent)]
    Store(StoreFault),
}

impl From<StoreFault> for NewTokenFault {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Conflict(Conflict { failed: Precondition::PartyHome { .. } }) => Self::NameTaken,
            other => Self::Store(other),
        }
    }
}

pub(crate) struct Tokens {
    commits: Commits,
    clock: Clock,
}

impl Tokens {
    pub(crate) fn new(commits: Commits, clock: Clock) -> Self {
        Self { commits, clock }
    }

    /// Makes a token. An operator or service that is not known is registered in the same commit, which keeps its name
    /// for its environment; one that is known gets the token's roles when it enrols, and not before.
    ///
    /// # Errors
    /// [`NewTokenFault`].
    pub(crate) async fn create(&self, mandate: Mandate<TokenOrder>) -> Result<NewToken, NewTokenFault> {
        let order = mandate.act();
        let now = self.clock.now();
        let password = Secret::new(hex::encode(random::<16>()));
        let party = match (&order.subject, order.kind) {
            (TokenSubject::Prefix(_), _) | (_, IdentityKind::Operational) => None,
            (TokenSubject::Named(_), _) if order.known.is_some() => None,
            (TokenSubject::Named(name), kind) => {
                let (name, roles) = (name.clone(), order.roles.clone().unwrap_or_default());
                let owner = Some(mandate.actor().name.clone());
                let reach = (kind == IdentityKind::Operator).then_some(order.reach);
                let event = Event::PartyRegistered(PartyRegistered { kind, name, roles, owner, reach });
                Some(mandate.draft(&order.scope, now, event, None))
            }
        };
        let username = match &order.subject {
            TokenSubject::Named(name) => name.clone().into(),
            TokenSubject::Prefix(prefix) => prefix.clone(),
        };
        let (token, expires_at, mut command) =
            create_token(mandate, sha256(password.expose().as_bytes()), now, random())?;
        command.entries.extend(party);
        self.commits.commit(command).await?;
        Ok(NewToken { token, username, password, expires_at })
    }

    /// The operator or service of this name.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn party(&self, kind: IdentityKind, name: &Name) -> Result<Option<PartyRow>, StoreFault> {
        let parties = self.commits.store().parties()?;
        Ok(parties.into_iter().find(|row| row.kind == kind && row.name == *name))
    }

    /// Takes a token back; gives it as it stands then.
    ///
    /// # Errors
    /// [`NewTokenFault`].
    pub(crate) async fn void(&self, mandate: Mandate<VoidToken>) -> Result<TokenRow, NewTokenFault> {
        let VoidToken(row) = mandate.act().clone();
        self.commits.commit(void_token(mandate, self.clock.now())?).await?;
        Ok(self.commits.store().token(row.token)?.unwrap_or(row))
    }
}
