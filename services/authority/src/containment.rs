//! Containment with live effect: durable event, then feed, then CRL, then what the gateways report.

use crate::commit::Commits;
use crate::crls::Crls;
use crate::feed::{Feeds, PublishFault, feed_standing, revocation};
use crate::gateways::{Gateways, GatewaysFault};
use crate::hierarchy::Hierarchy;
use crate::journal_log::JournalLog;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use touchmark_api::{ContainmentOutcome, KnownText};
use touchmark_identity::{EnvironmentName, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, DeviceRow, StoreFault, denies_keys};
use touchmark_journal::{Draft, Event, IdentityKind, Standing};
use touchmark_listen::Clock;
use touchmark_ra::{
    ContainmentFault, Mandate, ban, quarantine, release, revoke, revoke_certificate, revoke_superseded,
};
use touchmark_status::{Change as FeedChange, Position};

/// Superseded certificates that are revoked in one command; the next turn takes more.
const SUPERSEDED_AT_ONCE: usize = 1_000;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Kill its certificates.
    Revoke(RevocationReason),
    /// Hold it off, until this moment if one is given.
    Quarantine(Option<Timestamp>),
    /// End a quarantine.
    Release,
    /// End it for ever.
    Ban(RevocationReason),
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainFault {
    /// The RA's rules.
    #[error(transparent)]
    Rules(#[from] ContainmentFault),
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The feed; the event is durable, and gateways learn it with their next snapshot.
    #[error(transparent)]
    Publish(#[from] PublishFault),
    /// Who has it in force; it is durable, and on its way.
    #[error(transparent)]
    Gateways(#[from] GatewaysFault),
    /// A device without an environment cannot exist.
    #[error("the device has no environment")]
    NoEnvironment,
}

/// One decided change, on its way to rows, feed and CRL.
struct Change<'a> {
    environment: EnvironmentName,
    /// For people: the device's name, or the identity of the certificate.
    name: KnownText,
    /// The device whose standing changes.
    holder: Option<&'a DeviceRow>,
    /// The rows that die.
    dead: Vec<CertificateRow>,
    command: Command,
    rule: String,
}

/// The use case.
pub(crate) struct Containments {
    /// Rows.
    pub commits: Commits,
    /// Authorities.
    pub hierarchy: Arc<Hierarchy>,
    /// Feeds.
    pub feeds: Arc<Feeds>,
    /// Who must hear of it.
    pub gateways: Arc<Gateways>,
    /// CRLs.
    pub crls: Arc<Crls>,
    /// The journal's log, to wake.
    pub log: Arc<JournalLog>,
    /// The clock.
    pub clock: Clock,
}

impl Containments {
    /// Decides, and does it unless `dry_run`. Waits up to `wait` for the gateways' reports.
    ///
    /// # Errors
    /// [`ContainFault`].
    pub(crate) async fn contain(
        &self,
        mandate: Mandate,
        rule: String,
        device: &DeviceRow,
        verb: Verb,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let environment = device.scope.environment.clone().ok_or(ContainFault::NoEnvironment)?;
        let now = self.clock.now();
        let certificates = self.commits.store().certificates_of_device(device.device)?;
        let command = match verb {
            Verb::Revoke(reason) => revoke(mandate, device, &certificates, reason, now)?,
            Verb::Quarantine(until) => quarantine(mandate, device, until, now)?,
            Verb::Release => release(mandate, device, now)?,
            Verb::Ban(reason) => ban(mandate, device, &certificates, reason, now)?,
        };
        let dead = killed_by(&command, &certificates);
        let name = device.name.as_ref().map(ToString::to_string).into();
        let holder = match verb {
            Verb::Revoke(_) => None,
            Verb::Quarantine(_) | Verb::Release | Verb::Ban(_) => Some(device),
        };
        let change = Change { environment, name, holder, dead, command, rule };
        self.carry_out(change, dry_run, wait).await
    }

    /// Kills one certificate, whoever holds it; the device's tokens and standing stay.
    ///
    /// # Errors
    /// [`ContainFault`].
    pub(crate) async fn revoke_one(
        &self,
        mandate: Mandate,
        rule: String,
        row: &CertificateRow,
        reason: RevocationReason,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let environment = row.scope.environment.clone().ok_or(ContainFault::NoEnvironment)?;
        let command = revoke_certificate(mandate, row, reason, self.clock.now())?;
        let name = row.identity.as_ref().map(ToString::to_string).into();
        let change = Change { environment, name, holder: None, dead: vec![row.clone()], command, rule };
        self.carry_out(change, dry_run, wait).await
    }

    async fn carry_out(
        &self,
        change: Change<'_>,
        dry_run: bool,
        wait: Duration,
    ) -> Result<ContainmentOutcome, ContainFault> {
        let mut outcome = ContainmentOutcome {
            device: change.name.clone(),
            seq: None,
            accepted_at: None,
            dry_run,
            certificates: change
                .dead
                .iter()
                .map(|row| row.fingerprint.map_or_else(|| row.certificate.to_string(), |f| f.to_string()))
                .collect(),
            sessions_closed: 0,
            gateways: Vec::new(),
            already: false,
            rule: change.rule.clone(),
        };
        if dry_run {
            return Ok(outcome);
        }
        let feed = self.feeds.of(&change.environment)?;
        let before = feed.applied();
        // Durable first; what follows is effect, and each part of it is made good by the upkeep.
        let receipt = self.commits.commit(change.command.clone()).await?;
        let accepted = Instant::now();
        self.log.wake();
        outcome.seq = Some(receipt.first_seq);
        outcome.accepted_at = Some(self.clock.now().to_string());
        let position = self.take_effect(&change).await?;
        let from = (&before, accepted);
        let enforced = self.gateways.enforced(&change.environment, &feed, position, from, wait).await?;
        outcome.gateways = enforced.gateways;
        outcome.sessions_closed = enforced.sessions_closed;
        Ok(outcome)
    }

    /// Tells the gateways, then signs the CRL: the feed is what ends sessions.
    async fn take_effect(&self, change: &Change<'_>) -> Result<Position, ContainFault> {
        let store = self.commits.store();
        let read = || {
            let mut changes = Vec::new();
            if let Some((device, handle)) = change.holder.and_then(|d| d.name.clone().map(|name| (d, name))) {
                let standing = store.device(device.device)?.map_or(device.standing, |row| row.standing);
                changes.push(match feed_standing(standing) {
                    Some(standing) => FeedChange::SetStanding { handle, standing },
                    None => FeedChange::ClearStanding(handle),
                });
            }
            let denies =
                |draft: &Draft| matches!(&draft.event, Event::CertificatesRevoked(e) if denies_keys(e));
            let denied = change.command.entries.iter().any(denies);
            for before in &change.dead {
                if let Some(row) = store.certificate(before.certificate)? {
                    changes.extend(revocation(&row));
                    changes.extend(row.spki.filter(|_| denied).map(FeedChange::DenyKey));
                }
            }
            Ok(changes)
        };
        let published = self.feeds.publish(&change.environment, self.clock.now(), read);
        let shards: BTreeSet<u32> = change.dead.iter().map(|row| row.crl_shard).collect();
        // Neither waits for the other to succeed; what fails is made good by the upkeep.
        if let Some(trust) = self.hierarchy.trust_of(&change.environment).filter(|_| !shards.is_empty()) {
            let shards: Vec<u32> = shards.into_iter().collect();
            if let Err(fault) = self.crls.sign_now(&trust, &shards).await {
                tracing::error!(%fault, "revoked and told to gateways, but the CRL is still the old one");
            }
        }
        Ok(published?)
    }

    /// Revokes what is superseded and past its overlap, in environments whose profiles ask for it.
    ///
    /// # Errors
    /// [`ContainFault`]; the next turn goes on.
    pub(crate) async fn revoke_superseded(&self) -> Result<(), ContainFault> {
        let now = self.clock.now();
        for trust in self.hierarchy.all() {
            let asked: Vec<IdentityKind> =
                trust.profiles.values().filter(|p| p.revoke_superseded).map(|p| p.profile.kind).collect();
            if asked.is_empty() {
                continue;
            }
            let environment = trust.environment.name.clone();
            let mut rows = Vec::new();
            for kind in asked {
                rows.extend(self.commits.store().superseded_due(
                    &environment,
                    kind,
                    now,
                    SUPERSEDED_AT_ONCE,
                )?);
            }
            let Some((dead, command)) = revoke_superseded(&rows, now) else { continue };
            let change = Change {
                environment,
                name: KnownText::NONE,
                holder: None,
                dead: dead.into_iter().cloned().collect(),
                command,
                rule: "profile/revoke-superseded".into(),
            };
            self.carry_out(change, false, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Quarantines whose time is over end by themselves: the device's standing goes back to active.
    ///
    /// # Errors
    /// [`ContainFault`].
    pub(crate) async fn end_due_quarantines(&self) -> Result<(), ContainFault> {
        let now = self.clock.now();
        for trust in self.hierarchy.all() {
            for device in self.commits.store().standing_exceptions(&trust.environment.name)? {
                let due = device.standing_until.is_some_and(|until| now >= until);
                if due && device.standing == Standing::Quarantined {
                    let actor = touchmark_identity::Actor::automation(
                        "quarantine-timer".parse().expect("the word is a name"),
                    );
                    // The operator who set the end permitted this act when the quarantine was made.
                    let mandate = Mandate::assert_permitted(actor, touchmark_ra::Act::DeviceQuarantine);
                    let wait = Duration::ZERO;
                    self.contain(mandate, "quarantine-ttl".into(), &device, Verb::Release, false, wait)
                        .await?;
                }
            }
        }
        Ok(())
    }
}

/// The rows that the command kills.
fn killed_by(command: &Command, certificates: &[CertificateRow]) -> Vec<CertificateRow> {
    let named: BTreeSet<_> = command
        .entries
        .iter()
        .filter_map(|draft| match &draft.event {
            Event::CertificatesRevoked(revoked) => Some(revoked.certificates.iter().map(|c| c.certificate)),
            _ => None,
        })
        .flatten()
        .collect();
    let dead =
        |row: &&CertificateRow| named.contains(&row.certificate) && row.state != CertificateState::Revoked;
    certificates.iter().filter(dead).cloned().collect()
}

#[cfg(test)]
mod tests;
