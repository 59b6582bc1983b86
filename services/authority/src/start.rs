//! Start: raw configuration to running ports, in one place. What is damaged stops us before anything is written.
//!
//! Order: the directory is locked; all that may refuse is opened; what must outlive this run is written down (ports,
//! the log's public key); then rows are recorded; then the doors open.

pub(crate) mod bootstrap;
pub(crate) mod upkeep;

mod client_paths;
mod data_lock;
mod descriptors;
mod first_roles;
mod listeners;
mod local_operator;
mod opening;
mod server_certificate;
mod wiring;

pub(crate) use data_lock::DataLock;
pub(crate) use local_operator::LocalOperator;
pub(crate) use server_certificate::ServerCertificate;
use server_certificate::is_due;

use crate::audit::journal_log::JournalLogFault;
use crate::audit::sightings::UploadFault;
use crate::config::{AuthorityConfig, log_vkey};
use crate::feed::crls::{CrlPublishFault, RootCrl, kept_from};
use crate::feed::{Feeds, Follower, PublishFault};
use crate::http::ports::PortsFault;
use crate::issuance::close_open_intents;
use crate::issuance::hierarchy::{Hierarchy, HierarchyFault};
use crate::issuance::makers::MakersFault;
use crate::keys::VaultFault;
use crate::operators::environments::{
    EnvironmentFault, Environments, anchors_file, bootstrap_actor, write_anchors,
};
use crate::start::bootstrap::BootstrapFault;
use crate::start::bootstrap::bootstrapped;
use crate::steady_time::{SteadyTime, may_start};
use crate::store::commit::Commits;
use crate::store::disk_reserve::is_disk_full;
use opening::Opened;
use std::sync::Arc;
use touchmark_api::{LogAddress, Pids, Ready};
use touchmark_durable::{Mode, WriteFault, first_second, write_changed};
use touchmark_identity::{Incarnation, OrganisationName, Timestamp};
use touchmark_inventory::{Command, Store, StoreFault};
use touchmark_journal::{Draft, Envelope, Event, Scope, Started};
use touchmark_listen::{BadServerIdentity, BadServerTls, Bound, Clock};
use touchmark_policy_cedar::PolicyFaults;
use touchmark_ra::{EnvironmentPlan, SuccessorPlan};
use touchmark_status::FeedFault;
use touchmark_supervise::{Lost, Supervisor};
use touchmark_tilelog::BadSeed;
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
pub(crate) use wiring::{Founded, Wired, wire};

/// Why the authority does not run. An operator must act.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartFault {
    #[error(
        "{0} is in use by a running authority; two on one directory would sign two histories with one key. \
         Stop that one, or give this one another directory"
    )]
    InUse(std::path::PathBuf),
    #[error(
        "it listens on every address, and no name says how others reach it: certificates would point nowhere"
    )]
    NoHost,
    #[error("the lock {path} cannot be taken: {source}")]
    Lock { path: std::path::PathBuf, source: std::io::Error },
    #[error("the data directory: {0}")]
    Data(#[from] WriteFault),
    #[error("the passphrase file {path}: {source}")]
    Passphrase { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Vault(#[from] VaultFault),
    #[error("the database: {0}")]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Ports(#[from] PortsFault),
    #[error(transparent)]
    Environment(#[from] EnvironmentFault),
    #[error(transparent)]
    Hierarchy(HierarchyFault),
    #[error("the status feed: {0}")]
    Feed(#[from] FeedFault),
    #[error(transparent)]
    Publish(#[from] PublishFault),
    #[error("the makers: {0}")]
    Makers(#[from] MakersFault),
    #[error("the journal's log: {0}")]
    Log(#[from] JournalLogFault),
    #[error(transparent)]
    LogKey(#[from] BadSeed),
    #[error(transparent)]
    Crl(#[from] CrlPublishFault),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapFault),
    #[error("the operator policy: {0}")]
    OperatorPolicy(#[from] PolicyFaults),
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    #[error(transparent)]
    ServerIdentity(#[from] BadServerIdentity),
    #[error(transparent)]
    Tls(#[from] BadServerTls),
    #[error("the decision archives: {0}")]
    Intake(#[from] UploadFault),
    #[error("the stored incarnation octet {0:#04x} is not valid")]
    Incarnation(u8),
    #[error("{0}")]
    Clock(String),
    #[error("there is no default environment")]
    NoDefault,
}

impl StartFault {
    /// Whether somewhere below it is a full disk.
    pub fn is_disk_full(&self) -> bool {
        is_disk_full(self)
    }
}

impl From<HierarchyFault> for StartFault {
    /// A key that is missing or does not open is the same fault wherever it shows.
    fn from(fault: HierarchyFault) -> Self {
        match fault {
            HierarchyFault::Vault(fault) => Self::Vault(fault),
            other => Self::Hierarchy(other),
        }
    }
}

/// A running authority.
pub struct Authority {
    ready: Ready,
    feeds: Arc<Feeds>,
    tasks: Supervisor,
    /// Last: the directory is free when everything else is gone.
    _lock: DataLock,
}

impl Authority {
    /// Where everything is.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Asks all ports to finish: who waits for news is answered at once.
    pub fn stop(&self) {
        self.feeds.end_waits();
        self.tasks.stop();
    }

    /// Returns when a part of it has ended for good; the rest ends by itself then.
    pub async fn lost(&self) -> Lost {
        self.tasks.lost().await
    }

    /// Returns when all ports are closed and the last head is signed; says which part ended for good, if one did.
    pub async fn stopped(self) -> Option<Lost> {
        self.tasks.ended().await
    }
}

/// Starts the authority.
///
/// # Errors
/// [`StartFault`]; nothing listens.
pub async fn start(config: AuthorityConfig, clock: Clock) -> Result<Authority, StartFault> {
    let host = config.host().ok_or(StartFault::NoHost)?;
    let lock = DataLock::take(&config.data)?;
    if !config.accept_clock && !config.database().exists() {
        may_start(clock.now(), None).map_err(StartFault::Clock)?;
    }
    let tasks = Supervisor::new();
    let connections_max = descriptors::connections_max();
    let organisation: OrganisationName = "touchmark".parse().expect("the word is a name");
    let Opened { store, vault, feed_signer, log, reserve, log_origin, ports, incarnation, epoch } =
        Opened::open(&config, &organisation, &tasks)?;
    let known = newest_moment(&*store)?;
    if !config.accept_clock {
        may_start(clock.now(), known).map_err(StartFault::Clock)?;
    }
    let time = SteadyTime::begin(clock.clone(), known);
    let address = |bound: &Bound| match host.contains(':') {
        true => format!("[{host}]:{}", bound.address().port()),
        false => format!("{host}:{}", bound.address().port()),
    };
    let public = format!("http://{}", address(&ports.public));
    let crl_url_base = format!("{public}/crl");
    let hierarchy = Arc::new(Hierarchy::load(&*store, &vault, incarnation, crl_url_base.clone())?);

    // Everything is open. From here on there are traces: first what certificates and auditors will point at.
    ports.keep(&config)?;
    let vkey = log.vkey();
    write_changed(&log_vkey(&config.data), vkey.as_bytes(), Mode::Public0644)?;
    // Earlier versions signed with either form of s, up to the first start of one that does not.
    let low_s_since = first_second(&config.data.join("low-s-since"), clock.now().unix_s())?;
    let low_s_since = Timestamp::from_unix_s(low_s_since);
    let commits = Commits::new(store.clone());
    let environments = Arc::new(Environments::new(
        commits.clone(),
        vault.clone(),
        crl_url_base,
        organisation.clone(),
        incarnation,
        clock.clone(),
        config.anchors(),
    ));
    ensure_default_environment(&environments, &config, &*store).await?;
    record_start(&commits, &organisation, epoch, incarnation, clock.now()).await?;
    let closed = close_open_intents(&commits, &clock).await?;
    if closed > 0 {
        tracing::warn!(closed, "intents left by a crash were burned and are listed as revoked");
    }
    let given = first_roles::give(&commits, clock.now()).await?;
    if given > 0 {
        tracing::warn!(
            given,
            "services from before roles are gateways from now on; who is one stands in the journal"
        );
    }
    hierarchy.reload(&*store, &vault)?;
    let followed = store.journal_len()?;
    let feeds =
        Arc::new(Feeds::load(feed_signer, epoch, &hierarchy, &*store, clock.now(), kept_from(&time))?);
    commits.feed(Follower::new(feeds.clone(), hierarchy.clone(), store.clone(), time.clock(), followed));
    let (root, root_signer) = environments.ensure_root().await?;
    let roots = vec![RootCrl {
        version: root.authority_version,
        scope: root.scope.clone(),
        certificate: Certificate::from_der(&root.certificate)?,
        signer: root_signer,
    }];
    let founded = Founded {
        commits,
        environments,
        hierarchy: hierarchy.clone(),
        feeds,
        roots,
        log,
        reserve,
        time,
        log_origin: log_origin.clone(),
        organisation,
    };
    let Wired { shell, upkeep, own } = wire(founded, &config, &clock)?;
    shell.intake.catch_up().await?;
    shell.crls.refresh_all().await?;
    let trust = hierarchy.default_trust().ok_or(StartFault::NoDefault)?;
    let server = ServerCertificate::obtain(own.clone(), config.names()).await?;
    let operator = LocalOperator::of(own, config.operator());
    operator.renew_if_due().await?;
    for trust in hierarchy.all() {
        write_anchors(&config.anchors(), &trust)?;
    }
    let ready = Ready {
        est: Some(format!("https://{}", address(&ports.est))),
        api: Some(format!("https://{}", address(&ports.api))),
        public: Some(public.clone()),
        http: None,
        sink: None,
        mqtt: None,
        ca: anchors_file(&config.anchors(), &trust.environment.name).display().to_string(),
        crl: Some(trust.issuing.crl_url(0)),
        data: config.data.display().to_string(),
        pids: Pids { authority: Some(std::process::id()), gateway: None },
        log: Some(LogAddress { origin: log_origin, vkey, tiles: format!("{public}/log") }),
    };
    let feeds = shell.feeds.clone();
    listeners::serve(shell, upkeep, ports, (server, operator), (connections_max, low_s_since), &tasks)?;
    Ok(Authority { ready, feeds, tasks, _lock: lock })
}

/// When the newest journal entry was made.
fn newest_moment(store: &dyn Store) -> Result<Option<Timestamp>, StoreFault> {
    let Some(last) = store.journal_len()?.checked_sub(1) else { return Ok(None) };
    Ok(store.journal_from(last, 1)?.pop().map(|stored| stored.entry.envelope.at))
}

async fn ensure_default_environment(
    environments: &Environments,
    config: &AuthorityConfig,
    store: &dyn Store,
) -> Result<(), StartFault> {
    if !store.environments()?.is_empty() {
        return Ok(());
    }
    let name = config.default_environment.clone();
    let trust_domain = format!("{name}.touchmark.internal").parse().map_err(|_| StartFault::NoDefault)?;
    let plan = EnvironmentPlan {
        name,
        trust_domain,
        device_lifetime: config.device_lifetime,
        default: true,
        successors: SuccessorPlan::default(),
    };
    Ok(environments.create(bootstrapped(plan)).await?)
}

async fn record_start(
    commits: &Commits,
    organisation: &OrganisationName,
    epoch: u64,
    incarnation: Incarnation,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let event = Event::Started(Started {
        incarnation: incarnation.octet(),
        epoch,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let scope = Scope { organisation: organisation.clone(), environment: None };
    let envelope = Envelope { scope, actor: bootstrap_actor(), cause: "start".into(), at: now };
    let entries = vec![Draft { envelope, event, private: None }];
    commits.commit(Command { preconditions: Vec::new(), entries }).await.map(drop)
}

#[cfg(test)]
mod tests;
