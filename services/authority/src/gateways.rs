//! The gateways of an environment: who they are, what each has in force, and the wait for their word.
//!
//! In: what the feed saw of them, and the rows of the services that are gateways. Out: one line for each. A gateway is
//! a service that registered a decision log or asked for the feed; one whose every certificate is dead is none any
//! more. Nothing here polls: an acknowledgement wakes who waits for it, and no store resource is held meanwhile.

use crate::archive::ArchiveFault;
use crate::commit::Commits;
use crate::feed::{Applied, EnvironmentFeed, Feeds, Seen};
use crate::sightings::DecisionIntake;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchmark_api::{EnforcementState, Gateway, GatewayEnforcement, GatewayStanding};
use touchmark_identity::{EnvironmentName, Name, SpiffeId};
use touchmark_inventory::{GatewayAbsenceRow, Holder, PartyRow, StoreFault};
use touchmark_journal::{IdentityKind, Scope};
use touchmark_listen::Clock;
use touchmark_ra::{Declaration, DeclarationFault, Mandate, declare_gateway};
use touchmark_status::{Enforcement, GatewayView, Position};

/// Why it is not known who the gateways are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewaysFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    #[error(transparent)]
    Declaration(#[from] DeclarationFault),
    #[error("no gateway `{0}` in this environment")]
    Unknown(Name),
}

/// The use case.
pub(crate) struct Gateways {
    pub(crate) commits: Commits,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) intake: Arc<DecisionIntake>,
    pub(crate) clock: Clock,
}

/// What the reports of the gateways come to.
#[derive(Debug, Default)]
pub(crate) struct Enforced {
    pub(crate) gateways: Vec<GatewayEnforcement>,
    pub(crate) sessions_closed: u64,
}

/// What is known of one gateway.
struct Known {
    name: Name,
    seen: Option<Seen>,
    applied: Option<Applied>,
    /// Only while it is in force.
    absence: Option<GatewayAbsenceRow>,
}

impl Known {
    fn view(&self) -> GatewayView {
        GatewayView {
            asked: self.seen.map(|seen| seen.since.elapsed()),
            applied: self.applied.map(|applied| applied.position),
            declared_offline: self.absence.is_some(),
        }
    }
}

impl Gateways {
    /// The gateways of an environment that hold a certificate, by name.
    fn known(
        &self,
        environment: &EnvironmentName,
        feed: &EnvironmentFeed,
    ) -> Result<Vec<Known>, GatewaysFault> {
        let (seen, applied) = (feed.seen(), feed.applied());
        let registered: BTreeSet<Name> = self.intake.archives.gateways()?.into_iter().collect();
        let (store, now) = (self.commits.store(), self.clock.now());
        let absences = store.gateway_absences()?;
        let mut known = Vec::new();
        for party in store.parties()? {
            let here = party.kind == IdentityKind::Service
                && party.scope.environment.as_ref() == Some(environment)
                && party.name.as_str() != SpiffeId::AUTHORITY;
            if !here || !(registered.contains(&party.name) || seen.contains_key(&party.name)) {
                continue;
            }
            let holder = Holder::Party { kind: party.kind, name: party.name.clone() };
            if store.current_certificates(&holder)?.is_empty() {
                continue;
            }
            let (seen, applied) = (seen.get(&party.name).copied(), applied.get(&party.name).copied());
            let away = |row: &&GatewayAbsenceRow| {
                row.scope.environment.as_ref() == Some(environment)
                    && row.gateway == party.name
                    && row.is_in_force(now)
            };
            let absence = absences.iter().find(away).cloned();
            known.push(Known { name: party.name, seen, applied, absence });
        }
        known.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(known)
    }

    /// Waits, `wait` at most, until the gateways that can answer have `position` in force, and says what each has.
    ///
    /// `before` is what they had when the change was `accepted`.
    ///
    /// # Errors
    /// [`GatewaysFault`]; the change is durable and on its way all the same.
    pub(crate) async fn enforced(
        &self,
        environment: &EnvironmentName,
        feed: &EnvironmentFeed,
        position: Position,
        (before, accepted): (&BTreeMap<Name, Applied>, Instant),
        wait: Duration,
    ) -> Result<Enforced, GatewaysFault> {
        let up = self.feeds.up();
        let known = self.known(environment, feed)?;
        let awaited: Vec<Name> =
            known.iter().filter(|one| one.view().is_awaited(up)).map(|one| one.name.clone()).collect();
        feed.wait_until_applied(position, &awaited, wait).await;
        let (seen, applied) = (feed.seen(), feed.applied());
        let mut enforced = Enforced::default();
        for Known { name, absence, .. } in known {
            let (seen, applied) = (seen.get(&name).copied(), applied.get(&name).copied());
            let now = Known { name, seen, applied, absence };
            let in_force = applied.filter(|applied| applied.position >= position);
            if let Some(applied) = in_force {
                let before = before.get(&now.name).map_or(0, |applied| applied.sessions_closed_total);
                let closed = applied.sessions_closed_total.saturating_sub(before);
                enforced.sessions_closed = enforced.sessions_closed.saturating_add(closed);
            }
            let took = |applied: Applied| applied.heard.saturating_duration_since(accepted).as_millis();
            enforced.gateways.push(GatewayEnforcement {
                state: match now.view().enforcement(position) {
                    Enforcement::Applied => EnforcementState::Applied,
                    Enforcement::Late => EnforcementState::Late,
                    Enforcement::Unknown => EnforcementState::Unknown,
                    Enforcement::Offline => EnforcementState::Offline,
                },
                applied_at: in_force.map(|applied| applied.at.to_string()),
                applied_ms: in_force.map(|applied| u64::try_from(took(applied)).unwrap_or(u64::MAX)),
                last_seen: seen.map(|seen| seen.at.to_string()),
                name: now.name.to_string(),
            });
        }
        Ok(enforced)
    }

    /// Records that a gateway does not run, or does.
    ///
    /// # Errors
    /// [`GatewaysFault`].
    pub(crate) async fn declare(
        &self,
        mandate: &Mandate,
        scope: Scope,
        gateway: &Name,
        declaration: Declaration,
    ) -> Result<(), GatewaysFault> {
        let parties = self.commits.store().parties()?;
        let is_it = |row: &PartyRow| {
            row.kind == IdentityKind::Service
                && row.name == *gateway
                && row.scope.environment == scope.environment
                && gateway.as_str() != SpiffeId::AUTHORITY
        };
        if !parties.iter().any(is_it) {
            return Err(GatewaysFault::Unknown(gateway.clone()));
        }
        let command = declare_gateway(mandate, scope, gateway.clone(), declaration, self.clock.now())?;
        self.commits.commit(command).await?;
        Ok(())
    }

    /// All gateways of an environment, by name.
    ///
    /// # Errors
    /// [`GatewaysFault`].
    pub(crate) fn list(
        &self,
        environment: &EnvironmentName,
        feed: &EnvironmentFeed,
    ) -> Result<Vec<Gateway>, GatewaysFault> {
        let head = feed.position();
        let shown = |one: Known| {
            let view = one.view();
            let standing = match (view.is_online(), view.enforcement(head)) {
                (true, Enforcement::Applied) => GatewayStanding::Online,
                (true, _) => GatewayStanding::Late,
                (false, _) if view.declared_offline => GatewayStanding::Offline,
                (false, _) => GatewayStanding::Unknown,
            };
            let applied = one.applied.filter(|applied| applied.position.epoch == head.epoch);
            Gateway {
                name: one.name.to_string(),
                environment: environment.to_string(),
                standing,
                feed_age_s: view.asked.map(|asked| asked.as_secs()),
                staleness: one.seen.and_then(|seen| seen.class).map(|class| class.as_str().to_owned()),
                applied_seq: applied.map(|applied| applied.position.seq),
                feed_seq: head.seq,
                applied_at: applied.map(|applied| applied.at.to_string()),
                last_seen: one.seen.map(|seen| seen.at.to_string()),
                offline_until: one.absence.as_ref().and_then(|row| row.until).map(|until| until.to_string()),
                offline_by: one.absence.map(|row| row.declared_by.to_string()),
            }
        };
        Ok(self.known(environment, feed)?.into_iter().map(shown).collect())
    }
}
