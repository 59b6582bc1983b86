//! The gateways of an environment: who they are, what each has in force, and the wait for their word.
//!
//! In: what the feed saw of them, and the rows of the services that are gateways. Out: one line for each. A gateway is
//! a service that registered a decision log or asked for the feed. One whose certificates are all dead may still run and
//! serve by the feed it holds: it stays one until it cannot. Nothing here polls: a report wakes who waits for it, and no
//! store resource is held meanwhile.

use crate::audit::archive::ArchiveFault;
use crate::audit::sightings::DecisionIntake;
use crate::feed::{Applied, EnvironmentFeed, Feeds, PublishFault, RefusedPoll, Reports, Seen};
use crate::http::views::word;
use crate::operators::reading::{Environments, Read};
use crate::operators::{Caller, accepted};
use crate::store::commit::Commits;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchmark_api::{EnforcementState, Gateway, GatewayEnforcement, GatewayStanding, Word};
use touchmark_identity::{Actor, EnvironmentName, Fingerprint, Name, SpiffeId, Timestamp};
use touchmark_inventory::{CertificateRow, Command, GatewayAbsenceRow, Holder, PartyRow, StoreFault};
use touchmark_journal::{Draft, EnforcementReported, Envelope, Event, IdentityKind, Scope};
use touchmark_listen::Clock;
use touchmark_ra::{
    Act as _, Declaration, DeclarationEnded, DeclareGateway, Mandate, declare_gateway, gateway_returned,
};
use touchmark_status::{Enforcement, GatewayView, ONLINE_WITHIN, Position, StalenessClass};

/// How long after the end of its last certificate a gateway that is silent may still serve somebody: devices whose clocks
/// are behind accept its certificate, and they are not that far behind.
const SERVES_AFTER_ITS_END: Duration = Duration::from_secs(86_400);

/// Why it is not known who the gateways are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewaysFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    #[error(transparent)]
    Declaration(#[from] DeclarationEnded),
    #[error("no gateway `{0}` in this environment")]
    Unknown(Name),
    #[error(transparent)]
    Feed(#[from] PublishFault),
    #[error("gateway `{name}` asked for the feed {} s ago: it may be serving devices", ago.as_secs())]
    Asks { name: Name, ago: Duration },
}

pub(crate) struct Gateways {
    commits: Commits,
    feeds: Arc<Feeds>,
    intake: Arc<DecisionIntake>,
    clock: Clock,
}

/// The gateways of an environment as they were before a change.
pub(crate) struct Before {
    environment: EnvironmentName,
    feed: Arc<EnvironmentFeed>,
    applied: BTreeMap<Name, Applied>,
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
    /// The authority accepts none of its certificates.
    is_refused: bool,
    /// Its last poll, if that was refused.
    refused: Option<RefusedPoll>,
    applied: Option<Applied>,
    /// Only while it is in force.
    absence: Option<GatewayAbsenceRow>,
}

impl Known {
    fn view(&self) -> GatewayView {
        let asked = self.seen.map(|seen| seen.since).max(self.refused.map(|poll| poll.since));
        GatewayView {
            asked: asked.map(|since| since.elapsed()),
            applied: self.applied.map(|applied| applied.position),
            declared_offline: self.absence.is_some(),
            refused: self.is_refused,
            cut_off: self.refused.is_some_and(|poll| poll.cut_off),
        }
    }

    /// How long ago it showed that it serves by what it holds.
    fn asks(&self) -> Option<Duration> {
        let refused = self.refused.filter(|poll| !poll.cut_off).map(|poll| poll.since);
        let since = if self.is_refused { refused } else { self.seen.map(|seen| seen.since) };
        since.map(|since| since.elapsed()).filter(|ago| *ago < ONLINE_WITHIN)
    }

    fn last_seen(&self) -> Option<Timestamp> {
        self.seen.map(|seen| seen.at).max(self.refused.map(|poll| poll.at))
    }
}

impl Gateways {
    pub(crate) fn new(
        commits: Commits,
        feeds: Arc<Feeds>,
        intake: Arc<DecisionIntake>,
        clock: Clock,
    ) -> Self {
        Self { commits, feeds, intake, clock }
    }

    /// What a gateway has in force, and how many sessions that ended. Whoever waits for it is told at once; the record
    /// follows. `None` for a position that the feed never had.
    ///
    /// # Errors
    /// [`GatewaysFault`]; only the record is missing then.
    pub(crate) async fn acknowledged(
        &self,
        gateway: &Caller,
        position: Position,
        applied_at: Timestamp,
        sessions_closed: u64,
    ) -> Result<Option<()>, GatewaysFault> {
        let feed = self.feeds.of(&gateway.environment)?;
        let news = feed.acknowledge(&gateway.name, position, applied_at, sessions_closed);
        if news != Some(true) {
            return Ok(news.map(drop));
        }
        let event = Event::EnforcementReported(EnforcementReported {
            gateway: gateway.name.clone(),
            epoch: position.epoch,
            seq: position.seq,
            applied_at,
            sessions_closed,
        });
        let envelope = Envelope {
            scope: Scope {
                organisation: self.intake.organisation.clone(),
                environment: Some(gateway.environment.clone()),
            },
            actor: Actor::automation(gateway.name.clone()),
            cause: "api/feed/acknowledgement".into(),
            at: self.clock.now(),
        };
        let entries = vec![Draft { envelope, event, private: None }];
        self.commits.commit(Command { preconditions: Vec::new(), entries }).await?;
        Ok(Some(()))
    }

    /// The gateways of an environment, by name: those that the authority accepts, and those that may still serve though
    /// it does not, since they asked in this run of the authority or their certificates ended but a day ago.
    fn known(
        &self,
        environment: &EnvironmentName,
        feed: &EnvironmentFeed,
    ) -> Result<Vec<Known>, GatewaysFault> {
        let (seen, refused, applied) = (feed.seen(), feed.refused_polls(), feed.applied());
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
            let (seen, refused) = (seen.get(&party.name).copied(), refused.get(&party.name).copied());
            let accepts = |row: &CertificateRow| accepted(row, now).is_ok();
            let holder = Holder::Party { kind: party.kind, name: party.name.clone() };
            let mut is_refused = false;
            if !store.current_certificates(&holder)?.iter().any(accepts) {
                let all = store.certificates_of_party(party.kind, &party.name)?;
                let end = all.iter().map(|row| row.validity.not_after()).max();
                let may_serve = end.is_some_and(|end| end.plus(SERVES_AFTER_ITS_END) > now);
                if seen.is_none() && refused.is_none() && !may_serve {
                    continue;
                }
                is_refused = !all.iter().any(accepts);
            }
            let applied = applied.get(&party.name).copied();
            let away = |row: &&GatewayAbsenceRow| {
                row.scope.environment.as_ref() == Some(environment)
                    && row.gateway == party.name
                    && row.is_in_force(now)
            };
            let absence = absences.iter().find(away).cloned();
            known.push(Known { name: party.name, seen, is_refused, refused, applied, absence });
        }
        known.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(known)
    }

    /// What is to be remembered before a change, so that [`Self::enforced`] can say what came of it.
    ///
    /// # Errors
    /// [`PublishFault::Unknown`].
    pub(crate) fn before(&self, environment: &EnvironmentName) -> Result<Before, PublishFault> {
        let feed = self.feeds.of(environment)?;
        let applied = feed.applied();
        Ok(Before { environment: environment.clone(), feed, applied })
    }

    /// Waits, `wait` at most, until the gateways that can answer have `position` in force, and says what each has.
    ///
    /// `accepted` is when the change was durable.
    ///
    /// # Errors
    /// [`GatewaysFault`]; the change is durable and on its way all the same.
    pub(crate) async fn enforced(
        &self,
        before: &Before,
        accepted: Instant,
        wait: Duration,
    ) -> Result<Enforced, GatewaysFault> {
        let (up, feed) = (self.feeds.up(), &before.feed);
        // The feed has followed the change.
        let position = feed.position();
        let mut known = self.known(&before.environment, feed)?;
        let awaited: Vec<&Known> = known.iter().filter(|one| one.view().is_awaited(up)).collect();
        let settled = |one: &Known, reports: &Reports| {
            let applied = reports.applied.get(&one.name).is_some_and(|a| a.position >= position);
            applied || one.is_refused && reports.refused.get(&one.name).is_some_and(|poll| poll.cut_off)
        };
        feed.wait_for_reports(wait, |reports| awaited.iter().all(|one| settled(one, reports))).await;
        let (seen, refused, applied) = (feed.seen(), feed.refused_polls(), feed.applied());
        let mut enforced = Enforced::default();
        for now in &mut known {
            now.seen = seen.get(&now.name).copied();
            now.refused = refused.get(&now.name).copied();
            now.applied = applied.get(&now.name).copied();
            let in_force = now.applied.filter(|applied| applied.position >= position);
            if let Some(applied) = in_force {
                let before = before.applied.get(&now.name).map_or(0, |applied| applied.sessions_closed_total);
                let closed = applied.sessions_closed_total.saturating_sub(before);
                enforced.sessions_closed = enforced.sessions_closed.saturating_add(closed);
            }
            let took = |applied: Applied| applied.heard.saturating_duration_since(accepted).as_millis();
            enforced.gateways.push(GatewayEnforcement {
                state: Word::Known(match now.view().enforcement(position) {
                    Enforcement::Applied => EnforcementState::Applied,
                    Enforcement::Late => EnforcementState::Late,
                    Enforcement::Unknown => EnforcementState::Unknown,
                    Enforcement::Offline => EnforcementState::Offline,
                    Enforcement::CutOff => EnforcementState::CutOff,
                }),
                refused: now.is_refused,
                applied_at: in_force.map(|applied| applied.at),
                applied_ms: in_force.map(|applied| u64::try_from(took(applied)).unwrap_or(u64::MAX)),
                last_seen: now.last_seen(),
                name: now.name.clone(),
            });
        }
        Ok(enforced)
    }

    /// Notes a poll of a gateway that the authority accepts: a declared absence ends with it, which is recorded.
    pub(crate) async fn asked(
        &self,
        feed: &EnvironmentFeed,
        gateway: &Caller,
        class: Option<StalenessClass>,
    ) {
        feed.saw(&gateway.name, self.clock.now(), class);
        self.is_back(feed, &gateway.environment, &gateway.name).await;
    }

    /// Notes a poll that was refused for its certificate. A declared absence ends with it, too, unless it says that it
    /// serves nobody.
    pub(crate) async fn refused(&self, certificate: &Fingerprint, cut_off: bool) {
        let Ok(Some(row)) = self.commits.store().certificate_by_fingerprint(certificate) else { return };
        let (IdentityKind::Service, Some(identity), Some(environment)) =
            (row.kind, row.identity, row.scope.environment)
        else {
            return;
        };
        let Ok(feed) = self.feeds.of(&environment) else { return };
        feed.refused(&identity.name, self.clock.now(), cut_off);
        if !cut_off {
            self.is_back(&feed, &environment, &identity.name).await;
        }
    }

    async fn is_back(&self, feed: &EnvironmentFeed, environment: &EnvironmentName, gateway: &Name) {
        if !feed.is_back(gateway) {
            return;
        }
        if let Err(fault) = self.end_absence(environment, gateway).await {
            tracing::error!(%gateway, %fault, "a gateway that was declared offline asks, and that cannot be recorded");
            feed.declared_away(gateway);
        }
    }

    async fn end_absence(&self, environment: &EnvironmentName, gateway: &Name) -> Result<(), StoreFault> {
        let now = self.clock.now();
        let of = |row: &GatewayAbsenceRow| {
            row.scope.environment.as_ref() == Some(environment) && row.gateway == *gateway
        };
        let absences = self.commits.store().gateway_absences()?;
        let Some(row) = absences.into_iter().find(|row| of(row) && row.is_in_force(now)) else {
            return Ok(());
        };
        self.commits.commit(gateway_returned(row.scope, row.gateway, now)).await?;
        tracing::warn!(%gateway, declared_by = %row.declared_by, "a gateway that was declared offline asks again: it is counted on from now on");
        Ok(())
    }

    /// Records that a gateway does not run, or does. It holds until the gateway asks again.
    ///
    /// # Errors
    /// [`GatewaysFault::Asks`] for one that is to be offline and asked a moment ago, unless `although_online`.
    pub(crate) async fn declare(
        &self,
        mandate: Mandate<DeclareGateway>,
        although_online: bool,
    ) -> Result<(), GatewaysFault> {
        let DeclareGateway { scope, gateway, declaration } = &mandate.act().clone();
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
        let away = match (&scope.environment, declaration) {
            (Some(environment), Declaration::Offline(_)) => Some(self.feeds.of(environment)?),
            (None, _) | (_, Declaration::Online) => None,
        };
        if let (Some(environment), Some(feed), false) = (&scope.environment, &away, although_online) {
            let known = self.known(environment, feed)?.into_iter().find(|one| one.name == *gateway);
            // Declared before, it has not asked since.
            if let Some(ago) = known.filter(|one| one.absence.is_none()).and_then(|one| one.asks()) {
                return Err(GatewaysFault::Asks { name: gateway.clone(), ago });
            }
        }
        let command = declare_gateway(mandate, self.clock.now())?;
        self.commits.commit(command).await?;
        if let Some(feed) = away {
            feed.declared_away(gateway);
        }
        Ok(())
    }

    /// All gateways of an environment, by name.
    ///
    /// # Errors
    /// [`GatewaysFault`].
    pub(crate) fn list(&self, read: &Mandate<Read<Environments>>) -> Result<Vec<Gateway>, GatewaysFault> {
        let Some(environment) = read.act().environment() else { return Ok(Vec::new()) };
        let feed = &*self.feeds.of(environment)?;
        let head = feed.position();
        let shown = |one: Known| {
            let view = one.view();
            let standing = match (view.is_online(), view.enforcement(head)) {
                _ if view.refused && view.cut_off => GatewayStanding::CutOff,
                _ if view.declared_offline => GatewayStanding::Offline,
                _ if view.refused => GatewayStanding::Refused,
                (true, Enforcement::Applied) => GatewayStanding::Online,
                (true, _) => GatewayStanding::Late,
                (false, _) => GatewayStanding::Unknown,
            };
            let applied = one.applied.filter(|applied| applied.position.epoch == head.epoch);
            Gateway {
                feed_age_s: one.seen.map(|seen| seen.since.elapsed().as_secs()),
                last_seen: one.last_seen(),
                name: one.name,
                environment: environment.clone(),
                standing: Word::Known(standing),
                staleness: one.seen.and_then(|seen| seen.class).map(|class| word(class.as_str())),
                applied_seq: applied.map(|applied| applied.position.seq),
                feed_seq: head.seq,
                applied_at: applied.map(|applied| applied.at),
                offline_until: one.absence.as_ref().and_then(|row| row.until),
                offline_by: one.absence.map(|row| row.declared_by),
            }
        };
        Ok(self.known(environment, feed)?.into_iter().map(shown).collect())
    }
}

#[cfg(test)]
mod tests;
