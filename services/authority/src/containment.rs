//! Containment with live effect: durable event, then feed, then CRL, then what the gateways report.

use crate::commit::Commits;
use crate::crls::Crls;
use crate::feed::{Feeds, PublishFault, feed_standing, revocation};
use crate::hierarchy::Hierarchy;
use crate::journal_log::JournalLog;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use touchmark_api::{ContainmentOutcome, GatewayApplied};
use touchmark_identity::{EnvironmentName, Name, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, DeviceRow, StoreFault};
use touchmark_journal::{Event, Standing};
use touchmark_listen::Clock;
use touchmark_ra::{ContainmentFault, Mandate, ban, quarantine, release, revoke};
use touchmark_status::{Change, Position};

/// A gateway that polled within this time is expected to report.
const GATEWAY_SILENT: Duration = Duration::from_secs(30);

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
    /// A device without an environment cannot exist.
    #[error("the device has no environment")]
    NoEnvironment,
}

/// The use case.
pub(crate) struct Containments {
    /// Rows.
    pub commits: Commits,
    /// Authorities.
    pub hierarchy: Arc<Hierarchy>,
    /// Feeds.
    pub feeds: Arc<Feeds>,
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
        let mut outcome = ContainmentOutcome {
            device: device.name.as_ref().map_or_else(|| touchmark_api::NO_DATA.into(), ToString::to_string),
            seq: None,
            accepted_at: None,
            dry_run,
            certificates: dead
                .iter()
                .map(|row| row.fingerprint.map_or_else(|| row.certificate.to_string(), |f| f.to_string()))
                .collect(),
            sessions_closed: 0,
            gateways: Vec::new(),
            gateways_silent: Vec::new(),
            rule,
        };
        if dry_run {
            return Ok(outcome);
        }
        let feed = self.feeds.of(&environment)?;
        let expected = feed.seen_since(Timestamp::from_unix_ms(
            now.unix_ms().saturating_sub(u64::try_from(GATEWAY_SILENT.as_millis()).unwrap_or(u64::MAX)),
        ));
        let before = feed.applied();
        // Durable first; what follows is effect, and each part of it is made good by the next start.
        let receipt = self.commits.commit(command).await?;
        self.log.wake();
        outcome.seq = Some(receipt.first_seq);
        outcome.accepted_at = Some(self.clock.now().to_string());
        let position = self.take_effect(&environment, device, verb, &dead).await?;
        feed.wait_until_applied(position, &expected, wait).await;
        let applied = feed.applied();
        let total = |all: &std::collections::BTreeMap<Name, crate::feed::Applied>, name: &Name| {
            all.get(name).map_or(0, |applied| applied.sessions_closed_total)
        };
        for name in &expected {
            match applied.get(name).filter(|applied| applied.position >= position) {
                Some(report) => {
                    outcome.sessions_closed += total(&applied, name) - total(&before, name);
                    outcome
                        .gateways
                        .push(GatewayApplied { name: name.to_string(), applied_at: report.at.to_string() });
                }
                None => outcome.gateways_silent.push(name.to_string()),
            }
        }
        Ok(outcome)
    }

    /// Tells the gateways, then signs the CRL: the feed is what ends sessions.
    async fn take_effect(
        &self,
        environment: &EnvironmentName,
        device: &DeviceRow,
        verb: Verb,
        dead: &[CertificateRow],
    ) -> Result<Position, ContainFault> {
        let store = self.commits.store();
        let mut changes = Vec::new();
        if let Some(handle) = device.name.clone() {
            let now_standing = store.device(device.device)?.map_or(device.standing, |row| row.standing);
            changes.extend(match (verb, feed_standing(now_standing)) {
                (Verb::Revoke(_), _) => None,
                (_, Some(standing)) => Some(Change::SetStanding { handle, standing }),
                (_, None) => Some(Change::ClearStanding(handle)),
            });
        }
        let mut shards = BTreeSet::new();
        for before in dead {
            if let Some(row) = store.certificate(before.certificate)? {
                changes.extend(revocation(&row));
                changes.extend(row.spki.map(Change::DenyKey));
                shards.insert(row.crl_shard);
            }
        }
        let position = self.feeds.publish(environment, changes, self.clock.now())?;
        if let Some(trust) = self.hierarchy.trust_of(environment).filter(|_| !shards.is_empty()) {
            let shards: Vec<u32> = shards.into_iter().collect();
            if let Err(fault) = self.crls.sign_now(&trust, &shards).await {
                tracing::error!(%fault, "revoked and told to gateways, but the CRL is still the old one");
            }
        }
        Ok(position)
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
