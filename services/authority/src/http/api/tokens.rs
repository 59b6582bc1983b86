//! Tokens: made, listed, taken back.

use super::super::Shell;
use super::super::problem::Refuse;
use super::caller::{Body, Called, Query};
use super::paging::bad_cursor;
use crate::containment::ContainFault;
use crate::http::views;
use crate::operators::{ROLE_GATEWAY, ROLE_SERVICE};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::time::Duration;
use touchmark_api::{ListIn, Page, Token, TokenInfo, TokenKind, TokenOrder};
use touchmark_identity::{Permission, SpiffeId};
use touchmark_journal::{IdentityKind, Reach, Scope, TokenSubject};
use touchmark_ra::VoidToken;

/// Roles of one operator.
const ROLES_MAX: usize = 16;

/// The roles that a token gives: those of the operator policy to an operator, the one of its kind to a service. A new
/// credential for somebody known changes no role unless roles are given.
fn roles_of(
    shell: &Shell,
    kind: IdentityKind,
    of_kind: Option<&str>,
    asked: Vec<String>,
    known: bool,
) -> Result<Option<Vec<String>>, Refuse> {
    let (roles, may_be): (Vec<String>, Vec<String>) = match (kind, of_kind) {
        (IdentityKind::Operator, _) => (asked, shell.operators.roles()),
        (_, Some(role)) if asked.is_empty() => (vec![role.to_owned()], vec![role.to_owned()]),
        (_, Some(role)) => (asked, vec![role.to_owned()]),
        (_, None) if asked.is_empty() => return Ok(None),
        (_, None) => return Err(Refuse::value("roles", "a device has none")),
    };
    if roles.len() > ROLES_MAX || roles.iter().any(|role| !may_be.contains(role)) {
        return Err(Refuse::value("roles", format!("at most {ROLES_MAX} of: {}", may_be.join(", "))));
    }
    if roles.is_empty() && !known {
        let list = may_be.join(", ");
        return Err(Refuse::value(
            "roles",
            format!("an operator without a role may do nothing; one of: {list}"),
        ));
    }
    Ok(Some(roles).filter(|roles| !roles.is_empty()))
}

pub(super) async fn list(
    State(shell): State<Shell>,
    called: Called,
    Query(query): Query<ListIn>,
) -> Result<Json<Page<TokenInfo>>, Refuse> {
    let read = called.read_in(&shell, query.environment.clone())?;
    let paging = called.paging(&shell, "/v1/tokens", &query)?;
    let before = paging.after.as_deref().map(|id| id.parse().map_err(|_| bad_cursor())).transpose()?;
    let rows = shell.rows.tokens(&read, before, paging.limit)?;
    let now = shell.clock.now();
    let rows = rows.iter().map(|row| (row.token.to_string(), views::token(row, now)));
    Ok(Json(paging.page(&shell, rows.collect())))
}

pub(super) async fn void(
    State(shell): State<Shell>,
    called: Called,
    Path(id): Path<String>,
) -> Result<Json<TokenInfo>, Refuse> {
    let mandate = called.token(&shell, &id, (Permission::DeviceEnrol, "api/tokens/void"), VoidToken)?;
    let row = shell.tokens.void(mandate).await?;
    Ok(Json(views::token(&row, shell.clock.now())))
}

pub(super) async fn create(
    State(shell): State<Shell>,
    called: Called,
    Body(order): Body<TokenOrder>,
) -> Result<(StatusCode, Json<Token>), Refuse> {
    let environment = order.environment;
    let (kind, of_kind) = match order.kind.unwrap_or(TokenKind::Device) {
        TokenKind::Device => (IdentityKind::Operational, None),
        TokenKind::Service => (IdentityKind::Service, Some(ROLE_SERVICE)),
        TokenKind::Gateway => (IdentityKind::Service, Some(ROLE_GATEWAY)),
        TokenKind::Operator => (IdentityKind::Operator, None),
    };
    let uses = order.uses.unwrap_or(1);
    let subject = match (order.device, order.prefix) {
        (Some(device), None) => TokenSubject::Named(device),
        (None, Some(prefix)) => TokenSubject::Prefix(prefix),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Refuse::value("device", "give either a device or a prefix"));
        }
    };
    let known = match (&subject, kind) {
        (TokenSubject::Named(name), IdentityKind::Service | IdentityKind::Operator) => {
            // A token for it would let somebody stand in for EST and the API.
            if name.as_str() == SpiffeId::AUTHORITY {
                return Err(Refuse::new(
                    StatusCode::CONFLICT,
                    "name-reserved",
                    "that is the authority's own name",
                )
                .fix("choose another name"));
            }
            shell.tokens.party(kind, name)?
        }
        _ => None,
    };
    let reach = match (kind, order.organisation, &known) {
        (IdentityKind::Operator, true, Some(_)) if order.roles.is_empty() => {
            return Err(Refuse::value("organisation", "where roles hold is said with the roles"));
        }
        (IdentityKind::Operator, true, _) => Reach::Organisation,
        // A new credential without roles changes nothing of them.
        (IdentityKind::Operator, false, Some(known)) if order.roles.is_empty() => known.reach,
        (IdentityKind::Operator, false, _) => Reach::Environment,
        (_, true, _) => return Err(Refuse::value("organisation", "only an operator's roles hold somewhere")),
        (_, false, _) => Reach::Environment,
    };
    // What is wrong with them depends on who is known: told only to whoever may make such a token.
    let (roles, wrong) = match roles_of(&shell, kind, of_kind, order.roles, known.is_some()) {
        Ok(roles) => (roles, None),
        Err(wrong) => (None, Some(wrong)),
    };
    let scope = Scope { organisation: shell.organisation.clone(), environment: Some(environment.clone()) };
    let order = touchmark_ra::TokenOrder {
        scope,
        kind,
        subject,
        uses,
        lifetime: Duration::from_secs(order.ttl_s),
        model: order.model,
        hosts: order.hosts,
        roles,
        reach,
        known,
    };
    let mandate = called.permit(&shell, order)?;
    shell.has_space()?;
    called.trust(&shell, &mandate)?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let touchmark_ra::TokenOrder { known, roles, reach, .. } = mandate.act();
    if let (IdentityKind::Operator, Some(known), Some(roles)) = (kind, known, roles)
        && shell.operators.would_close_last_way_in(known, roles, *reach)?
    {
        return Err(ContainFault::LastWayIn.into());
    }
    let made = shell.tokens.create(mandate).await?;
    let token = Token {
        token: made.token,
        username: made.username,
        password: made.password.expose().clone(),
        expires: made.expires_at,
        environment,
    };
    Ok((StatusCode::CREATED, Json(token)))
}
