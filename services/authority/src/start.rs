//! Start: raw configuration to running ports, in one place. What is missing is made; what is damaged stops us.

use crate::archive::Archives;
use crate::bootstrap::{BootstrapFault, ensure_operator, own_identity};
use crate::commit::Commits;
use crate::config::{AuthorityConfig, log_vkey};
use crate::confirmation::Confirmations;
use crate::containment::Containments;
use crate::crls::{CrlPublishFault, Crls, RootCrl};
use crate::enrolment::Enrolments;
use crate::entropy::random;
use crate::environments::{EnvironmentFault, EnvironmentPlan, Environments, bootstrap_actor};
use crate::explain::Explain;
use crate::feed::{Feeds, PublishFault};
use crate::hierarchy::{Hierarchy, HierarchyFault};
use crate::http::{Shell, api_router, est_router, public_router, serve_http, serve_http_plain};
use crate::journal_log::{JournalLog, JournalLogFault};
use crate::keys::{KeyVault, VaultFault};
use crate::operators::Operators;
use crate::policies::Policies;
use crate::ports::{Ports, PortsFault};
use crate::refusals::Refusals;
#[cfg(any(feature = "sabotage-answer-before-commit", feature = "sabotage-no-fsync"))]
use crate::sabotage;
use crate::sightings::{DecisionIntake, UploadFault};
use crate::store::SqliteStore;
use crate::tokens::Tokens;
use crate::{recovery, upkeep};

use std::sync::Arc;
use tokio::task::JoinSet;
use touchmark_api::{LogAddress, Pids, Ready};
use touchmark_durable::{Mode, WriteFault, create_dir_durable, write_atomic};
use touchmark_identity::{Incarnation, OrganisationName, Secret, Timestamp};
use touchmark_inventory::{Command, Store, StoreFault};
use touchmark_journal::{Draft, Envelope, Event, IdentityKind, Scope, Started};
use touchmark_listen::{
    BadServerIdentity, BadServerTls, Clock, Limits, PathCheck, PathRefusal, PortPolicy, ServerIdentity,
    ServerTls, StopSwitch, serve_plain, serve_tls,
};
use touchmark_policy_cedar::{OperatorPolicy, PolicyFaults};
use touchmark_ra::{Act, Mandate};
use touchmark_status::{FeedFault, FeedSigner};
use touchmark_tilelog::{BadSeed, NoteSigner};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::path::{Purpose, validate};

/// Connections on each port: room for both other ports and the gateway within 20,000 descriptors.
const CONNECTIONS_MAX: usize = 4096;

/// Why the authority does not run. An operator must act.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartFault {
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
    Hierarchy(#[from] HierarchyFault),
    #[error("the status feed: {0}")]
    Feed(#[from] FeedFault),
    #[error(transparent)]
    Publish(#[from] PublishFault),
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
    #[error("there is no default environment")]
    NoDefault,
}

/// A running authority.
pub struct Authority {
    ready: Ready,
    stop: StopSwitch,
    tasks: JoinSet<()>,
}

impl Authority {
    /// Where everything is.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Asks all ports to finish.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Returns when all ports are closed and the last head is signed.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Starts the authority.
///
/// # Errors
/// [`StartFault`]; nothing listens.
pub async fn start(config: AuthorityConfig, clock: Clock) -> Result<Authority, StartFault> {
    #[cfg(any(feature = "sabotage-answer-before-commit", feature = "sabotage-no-fsync"))]
    sabotage::demand_consent();
    create_dir_durable(&config.data, Mode::Private0600)?;
    let vault = Arc::new(KeyVault::open(&config.keys(), &passphrase(&config)?, random())?);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.database())?);
    let ports = Ports::bind(&config)?;
    let public = format!("http://{}", ports.public.address());
    let crl_url_base = format!("{public}/crl");
    let organisation: OrganisationName = "touchmark".parse().expect("the word is a name");
    let (last_epoch, octet) = store.started()?;
    let incarnation = Incarnation::try_from(octet).map_err(|()| StartFault::Incarnation(octet))?;
    let epoch = last_epoch + 1;
    let commits = Commits::new(store.clone());

    let environments = Arc::new(Environments {
        commits: commits.clone(),
        vault: vault.clone(),
        crl_url_base: crl_url_base.clone(),
        organisation: organisation.clone(),
        incarnation,
        clock: clock.clone(),
    });
    ensure_default_environment(&environments, &config, &*store).await?;
    record_start(&commits, &organisation, epoch, incarnation, clock.now()).await?;
    let closed = recovery::close_open_intents(&commits, &clock).await?;
    if closed > 0 {
        tracing::warn!(closed, "intents left by a crash were burned and are listed as revoked");
    }
    let hierarchy = Arc::new(Hierarchy::load(&*store, &vault, incarnation, crl_url_base)?);
    let feed_seed = vault.open_or_create_seed("feed", random())?;
    let feeds =
        Feeds::load(FeedSigner::from_seed(feed_seed.expose())?, epoch, &hierarchy, &*store, clock.now());
    let feeds = Arc::new(feeds?);

    let log_origin = format!("{organisation}.touchmark.internal/journal");
    let log_seed = vault.open_or_create_seed("journal-log", random())?;
    let log_signer = NoteSigner::from_seed(&log_origin, log_seed.expose())?;
    let vkey = log_signer.verifier_key().to_string();
    write_atomic(&log_vkey(&config.data), vkey.as_bytes(), Mode::Public0644)?;
    let log = Arc::new(JournalLog::open(&config.log(), log_signer, store.clone())?);

    let (root, root_signer) = environments.ensure_root().await?;
    let roots = vec![RootCrl {
        version: root.authority_version,
        scope: root.scope.clone(),
        certificate: Certificate::from_der(&root.certificate)?,
        signer: root_signer,
    }];
    let crls = Arc::new(Crls::new(commits.clone(), hierarchy.clone(), roots, clock.clone()));
    let confirmations =
        Arc::new(Confirmations::new(commits.clone(), hierarchy.clone(), feeds.clone(), clock.clone()));
    let operator_policy = Arc::new(OperatorPolicy::compile(OperatorPolicy::starter_text())?);
    let operators = Arc::new(Operators::new(commits.clone(), operator_policy, clock.clone()));
    let shell = Shell {
        clock: clock.clone(),
        organisation: organisation.clone(),
        store: store.clone(),
        hierarchy: hierarchy.clone(),
        enrolments: Arc::new(Enrolments::new(commits.clone(), hierarchy.clone(), clock.clone())),
        confirmations: confirmations.clone(),
        containments: Arc::new(Containments {
            commits: commits.clone(),
            hierarchy: hierarchy.clone(),
            feeds: feeds.clone(),
            crls: crls.clone(),
            log: log.clone(),
            clock: clock.clone(),
        }),
        environments,
        policies: Arc::new(Policies::new(
            commits.clone(),
            feeds.clone(),
            organisation.clone(),
            clock.clone(),
        )),
        tokens: Arc::new(Tokens::new(commits.clone(), clock.clone())),
        operators: operators.clone(),
        explain: Arc::new(Explain {
            commits: commits.clone(),
            hierarchy: hierarchy.clone(),
            operators,
            clock: clock.clone(),
        }),
        feeds,
        crls,
        log,
        intake: Arc::new(DecisionIntake {
            archives: Archives::new(config.decisions()),
            commits: commits.clone(),
            confirmations,
            organisation: organisation.clone(),
        }),
        refusals: Arc::new(Refusals::new(commits, organisation, clock.clone())),
        log_directory: config.log(),
        log_origin: log_origin.clone(),
    };
    shell.intake.catch_up().await?;
    shell.crls.refresh_all().await?;
    let trust = hierarchy.default_trust().ok_or(StartFault::NoDefault)?;
    let identity = server_identity(&shell, &trust.environment, &config).await?;
    ensure_operator(&config, &shell.tokens, &shell.enrolments, &trust.environment).await?;
    write_anchors(&config, &hierarchy)?;
    let log = LogAddress { origin: log_origin, vkey, tiles: format!("{public}/log") };
    let ready = Ready {
        est: Some(format!("https://{}", ports.est.address())),
        api: Some(format!("https://{}", ports.api.address())),
        public: Some(public),
        http: None,
        sink: None,
        mqtt: None,
        ca: anchors_file(&config, trust.environment.name.as_str()).display().to_string(),
        crl: Some(trust.issuing.crl_url(0)),
        data: config.data.display().to_string(),
        pids: Pids { authority: Some(std::process::id()), gateway: None },
        log: Some(log),
    };
    let (stop, tasks) = listen(shell, ports, &identity, clock)?;
    Ok(Authority { ready, stop, tasks })
}

fn passphrase(config: &AuthorityConfig) -> Result<Secret<Vec<u8>>, StartFault> {
    let path = match &config.passphrase_file {
        Some(path) => path.clone(),
        None => {
            create_dir_durable(&config.keys(), Mode::Private0600)?;
            let path = config.keys().join("passphrase");
            if !path.exists() {
                let fresh = Secret::new(hex::encode(random::<32>()));
                write_atomic(&path, fresh.expose().as_bytes(), Mode::Private0600)?;
            }
            path
        }
    };
    let mut bytes = std::fs::read(&path).map_err(|source| StartFault::Passphrase { path, source })?;
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    Ok(Secret::new(bytes))
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
    let plan = EnvironmentPlan { name, trust_domain, device_lifetime: config.device_lifetime, default: true };
    // Nobody can permit the first environment: the data directory is new and only its owner can start us on it.
    let mandate = Mandate::assert_permitted(bootstrap_actor(), Act::EnvironmentCreate);
    Ok(environments.create(mandate, &plan).await?)
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

/// A fresh server certificate at every start: an authority whose own certificate expired repairs itself.
async fn server_identity(
    shell: &Shell,
    environment: &touchmark_inventory::EnvironmentRow,
    config: &AuthorityConfig,
) -> Result<ServerIdentity, StartFault> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !config.listen.is_loopback() && !config.listen.is_unspecified() {
        hosts.push(config.listen.to_string());
    }
    let name = "authority".parse().expect("the word is a name");
    let own = own_identity(
        &shell.tokens,
        &shell.enrolments,
        environment,
        IdentityKind::Service,
        &name,
        hosts,
        Vec::new(),
    )
    .await?;
    // We hold its key: that is the proof.
    shell.confirmations.proven(&own.enrolled.certificate.fingerprint(), "bootstrap").await?;
    let [issuing, _] = &own.enrolled.chain;
    let chain = vec![own.enrolled.certificate.der().to_vec(), issuing.der().to_vec()];
    Ok(ServerIdentity::new(chain, own.key.to_pkcs8())?)
}

fn anchors_file(config: &AuthorityConfig, environment: &str) -> std::path::PathBuf {
    config.anchors().join(format!("{environment}.pem"))
}

fn write_anchors(config: &AuthorityConfig, hierarchy: &Hierarchy) -> Result<(), WriteFault> {
    create_dir_durable(&config.anchors(), Mode::Public0644)?;
    for trust in hierarchy.all() {
        let pem: String = trust.chain().iter().map(|certificate| certificate.to_pem()).collect();
        let file = anchors_file(config, trust.environment.name.as_str());
        write_atomic(&file, pem.as_bytes(), Mode::Public0644)?;
    }
    Ok(())
}

/// Any certificate of any of our environments has a path; what it may do is asked on every request.
struct OwnPaths(Arc<Hierarchy>);

impl PathCheck for OwnPaths {
    fn check(&self, leaf: &[u8], intermediates: &[&[u8]], now: Timestamp) -> Result<(), PathRefusal> {
        let malformed = |_| PathRefusal { code: "path-malformed" };
        let leaf = Certificate::from_der(leaf).map_err(malformed)?;
        let mut presented = Vec::with_capacity(intermediates.len());
        for intermediate in intermediates {
            presented.push(Certificate::from_der(intermediate).map_err(malformed)?);
        }
        let mut outcome = Err(PathRefusal { code: "path-unknown-issuer" });
        for trust in self.0.all() {
            let anchors = [trust.issuing.certificate().clone(), trust.root.clone()];
            match validate(&leaf, &presented, &anchors, now, Purpose::Client) {
                Ok(_) => return Ok(()),
                Err(fault) => outcome = Err(PathRefusal { code: fault.code() }),
            }
        }
        outcome
    }
}

fn listen(
    shell: Shell,
    ports: Ports,
    identity: &ServerIdentity,
    clock: Clock,
) -> Result<(StopSwitch, JoinSet<()>), StartFault> {
    let paths: Arc<dyn PathCheck> = Arc::new(OwnPaths(shell.hierarchy.clone()));
    let est_tls = ServerTls::new(PortPolicy::Enrolment, identity, paths.clone(), clock.clone())?;
    let api_tls = ServerTls::new(PortPolicy::Api, identity, paths, clock)?;
    let limits = Limits { connections_max: CONNECTIONS_MAX, ..Limits::default() };
    let (switch, stop) = StopSwitch::new();
    let mut tasks = JoinSet::new();
    for (bound, tls, router, cause) in [
        (ports.est, est_tls, est_router(shell.clone()), "est/handshake"),
        (ports.api, api_tls, api_router(shell.clone()), "api/handshake"),
    ] {
        let refusals = shell.refusals.clone();
        let on_fault = move |_, fault: &touchmark_listen::AcceptFault| {
            refusals.count(None, cause, fault.code(), None);
        };
        let on_connection = move |accepted, stop| serve_http(accepted, stop, router.clone());
        let stop = stop.clone();
        tasks.spawn(async move {
            serve_tls(bound, tls, limits, stop, on_connection, on_fault).await;
        });
    }
    let router = public_router(shell.clone());
    let on_connection = move |stream, _, stop| serve_http_plain(stream, stop, router.clone());
    let public_stop = stop.clone();
    tasks.spawn(async move {
        serve_plain(ports.public, limits, public_stop, on_connection).await;
    });
    tasks.spawn(upkeep::advance_log(shell.clone(), stop.clone()));
    tasks.spawn(upkeep::tick(shell, stop));
    Ok((switch, tasks))
}
