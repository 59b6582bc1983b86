use super::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use touchmark_identity::{EnvironmentName, RevocationReason};
use touchmark_journal::{CertificatesRevoked, RevokedCertificate};
use touchmark_ra::EnvironmentRefusal;
use touchmark_x509::{KeyAlgorithm, SoftwareKey};

const DAY: Duration = Duration::from_secs(86_400);

fn config(data: &Path) -> AuthorityConfig {
    AuthorityConfig {
        data: data.to_owned(),
        hosts: Vec::new(),
        listen: [127, 0, 0, 1].into(),
        est_port: 0,
        api_port: 0,
        public_port: 0,
        passphrase_file: None,
        default_environment: "lab".parse().unwrap(),
        enrolments_per_second: None,
        accept_clock: false,
        device_lifetime: 30 * DAY,
    }
}

async fn run_once(data: &Path) {
    let authority = start(config(data), Clock::system()).await.unwrap();
    authority.stop();
    authority.stopped().await;
}

/// All files but the database's, whose pages may move without a word being said.
fn files(below: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut directories = vec![below.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.file_name().unwrap().to_string_lossy().starts_with("authority.db") {
                all.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn journal_len(data: &Path) -> u64 {
    crate::SqliteStore::open(&crate::config::database(data)).unwrap().journal_len().unwrap()
}

fn issued(data: &Path) -> usize {
    let store = crate::SqliteStore::open(&crate::config::database(data)).unwrap();
    let entries = store.journal_from(0, 1000).unwrap();
    entries.iter().filter(|stored| matches!(stored.entry.event, Event::CertificateIssued(_))).count()
}

/// Waits for a condition, with a cap that only a hang reaches.
async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1500 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited 30 s for {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_before_anything_in_it_changes() {
    let home = tempfile::tempdir().unwrap();
    let first = start(config(home.path()), Clock::system()).await.unwrap();
    until("the first head to cover the journal", || {
        let store = crate::SqliteStore::open_to_read(&crate::config::database(home.path())).unwrap();
        let head = store.log_head().unwrap();
        head.is_some_and(|head| head.size == store.journal_len().unwrap())
    })
    .await;
    let before = files(home.path());
    let second = start(config(home.path()), Clock::system()).await;
    assert!(matches!(second, Err(StartFault::InUse(ref path)) if path == home.path()));
    assert_eq!(files(home.path()), before);
    first.stop();
    first.stopped().await;
    run_once(home.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_key_stops_the_start_and_is_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    run_once(home.path()).await;
    let (entries, keys) = (journal_len(home.path()), files(&home.path().join("keys")));
    // The vault itself, its passphrase, feed, log, root and issuing authority.
    assert_eq!(keys.len(), 6);
    for (key, bytes) in &keys {
        std::fs::remove_file(key).unwrap();
        let before = files(home.path());
        match start(config(home.path()), Clock::system()).await.map(drop) {
            Err(StartFault::Vault(VaultFault::Missing(path))) => assert_eq!(path, *key),
            Err(StartFault::Passphrase { path, .. }) if path.ends_with("passphrase") => {
                assert_eq!(path, *key)
            }
            other => panic!("without {}: {other:?}", key.display()),
        }
        assert_eq!(files(home.path()), before, "without {}", key.display());
        assert_eq!(journal_len(home.path()), entries, "without {}", key.display());
        std::fs::write(key, bytes).unwrap();
    }
    run_once(home.path()).await;
    assert_eq!(files(&home.path().join("keys")), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_leaves_no_trace_of_a_start() {
    let home = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = AuthorityConfig { api_port: taken.local_addr().unwrap().port(), ..config(home.path()) };
    assert!(matches!(start(config, Clock::system()).await.map(drop), Err(StartFault::Ports(_))));
    assert_eq!(journal_len(home.path()), 0);
    assert!(!home.path().join("ports.json").exists());
    assert!(!log_vkey(home.path()).exists());
    run_once(home.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_older_than_its_log_does_not_grow_by_being_refused() {
    let home = tempfile::tempdir().unwrap();
    run_once(home.path()).await;
    for file in ["authority.db", "authority.db-wal", "authority.db-shm"] {
        let _ = std::fs::remove_file(home.path().join(file));
    }
    for _ in 0..3 {
        let refused = start(config(home.path()), Clock::system()).await.map(drop);
        assert!(matches!(refused, Err(StartFault::Log(JournalLogFault::DatabaseBehind { rows: 0, .. }))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_certificate_is_renewed_in_its_last_third() {
    let home = tempfile::tempdir().unwrap();
    let ahead = Arc::new(AtomicU64::new(0));
    let clock = {
        let ahead = ahead.clone();
        Clock::new(move || {
            Clock::system().now().plus(DAY * u32::try_from(ahead.load(Ordering::Relaxed)).unwrap())
        })
    };
    let authority = start(config(home.path()), clock).await.unwrap();
    // The service profile's 90 days: one day before the last third nothing happens for some turns of the upkeep.
    ahead.store(59, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(issued(home.path()), 2, "after 59 days");
    ahead.store(61, Ordering::Relaxed);
    until("one renewal in the last third", || issued(home.path()) == 3).await;
    authority.stop();
    authority.stopped().await;
}

fn local_operator(data: &Path) -> Certificate {
    let pem = std::fs::read_to_string(data.join("operator/operator.pem")).unwrap();
    Certificate::from_pem_many(&pem).unwrap().remove(0)
}

async fn run_once_at(data: &Path, ahead: Duration) {
    let clock = Clock::new(move || Clock::system().now().plus(ahead));
    let authority = start(config(data), clock).await.unwrap();
    authority.stop();
    authority.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_of_the_directory_outlives_its_certificate_but_not_its_revocation() {
    let home = tempfile::tempdir().unwrap();
    run_once(home.path()).await;
    let mut held = local_operator(home.path());
    // The operator profile's 30 days: in its last third, and long after its end.
    for (day, is_new) in [(19, false), (21, true), (40, false), (90, true), (400, true)] {
        run_once_at(home.path(), DAY * day).await;
        let now = local_operator(home.path());
        assert_eq!(now.fingerprint() != held.fingerprint(), is_new, "day {day}");
        held = now;
    }
    let key = home.path().join("operator/operator.key");
    // A start that was cut off between the two files.
    let other = SoftwareKey::generate(KeyAlgorithm::P256).unwrap().to_pkcs8_pem();
    std::fs::write(&key, other.expose()).unwrap();
    run_once_at(home.path(), DAY * 401).await;
    assert_ne!(local_operator(home.path()).fingerprint(), held.fingerprint(), "not a pair");
    held = local_operator(home.path());
    let store = crate::SqliteStore::open(&crate::config::database(home.path())).unwrap();
    let row = store.certificate_by_fingerprint(&held.fingerprint()).unwrap().unwrap();
    let event = Event::CertificatesRevoked(CertificatesRevoked {
        device: None,
        certificates: vec![RevokedCertificate { certificate: row.certificate, spki: held.spki_hash() }],
        reason: RevocationReason::KeyCompromise,
    });
    let at = Clock::system().now().plus(DAY * 402);
    let envelope = Envelope { scope: row.scope.clone(), actor: bootstrap_actor(), cause: "test".into(), at };
    let entries = vec![Draft { envelope, event, private: None }];
    store.commit(Command { preconditions: Vec::new(), entries }).unwrap();
    let row = store.certificate_by_fingerprint(&held.fingerprint()).unwrap().unwrap();
    assert_eq!(row.state, touchmark_inventory::CertificateState::Revoked);
    let entries = store.journal_len().unwrap();
    drop(store);
    run_once_at(home.path(), DAY * 800).await;
    assert_eq!(local_operator(home.path()).fingerprint(), held.fingerprint(), "revoked");
    assert!(journal_len(home.path()) > entries, "the start went on to its other certificates");
}

#[test]
fn a_start_knows_by_which_name_it_is_reached() {
    let home = tempfile::tempdir().unwrap();
    let loopback = ["localhost", "127.0.0.1", "::1"];
    for (listen, hosts, host, more) in [
        ("127.0.0.1", vec![], Some("127.0.0.1"), vec![]),
        ("127.0.0.2", vec![], Some("127.0.0.2"), vec!["127.0.0.2"]),
        ("::1", vec![], Some("::1"), vec![]),
        ("192.0.2.7", vec!["est.example"], Some("est.example"), vec!["est.example"]),
        ("0.0.0.0", vec![], None, vec![]),
        ("::", vec![], None, vec![]),
        ("::", vec!["est.example", "192.0.2.7"], Some("est.example"), vec!["est.example", "192.0.2.7"]),
    ] {
        let hosts = hosts.into_iter().map(str::to_owned).collect();
        let config = AuthorityConfig { listen: listen.parse().unwrap(), hosts, ..config(home.path()) };
        assert_eq!(config.host().as_deref(), host, "{listen}");
        assert_eq!(config.names(), loopback.into_iter().chain(more).collect::<Vec<_>>(), "{listen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_without_a_name_is_refused_and_leaves_no_trace() {
    let home = tempfile::tempdir().unwrap();
    let config = AuthorityConfig { listen: [0, 0, 0, 0].into(), ..config(home.path()) };
    assert!(matches!(start(config, Clock::system()).await.map(drop), Err(StartFault::NoHost)));
    // The database as well.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_created_at_once_are_all_in_force_and_leave_no_spare_keys() {
    let home = tempfile::tempdir().unwrap();
    run_once(home.path()).await;
    let config = config(home.path());
    let opened = Opened::open(&config, &"touchmark".parse().unwrap(), &Supervisor::new()).unwrap();
    let base = "http://127.0.0.1/crl".to_owned();
    let (store, vault) = (opened.store.clone(), opened.vault.clone());
    let hierarchy = Arc::new(Hierarchy::load(&*store, &vault, opened.incarnation, base.clone()).unwrap());
    let now = Clock::system().now();
    let feeds =
        Arc::new(Feeds::load(opened.feed_signer, opened.epoch, &hierarchy, &*store, now, now).unwrap());
    let environments = Arc::new(Environments::new(
        Commits::new(store.clone()),
        vault,
        base,
        "touchmark".parse().unwrap(),
        opened.incarnation,
        Clock::system(),
        config.anchors(),
    ));
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        // Each name twice.
        let name: EnvironmentName = format!("plant-{}", number / 2).parse().unwrap();
        let trust_domain = format!("{name}.example.org").parse().unwrap();
        let plan = EnvironmentPlan {
            name: name.clone(),
            trust_domain,
            device_lifetime: 30 * DAY,
            default: false,
            successors: SuccessorPlan::default(),
        };
        let (environments, hierarchy, feeds) = (environments.clone(), hierarchy.clone(), feeds.clone());
        tasks.spawn(async move {
            match environments.create(bootstrapped(plan.clone())).await {
                Ok(()) => environments.open(&name, &hierarchy, &feeds).map(|()| true).unwrap(),
                Err(EnvironmentFault::Refused(EnvironmentRefusal::Exists(_))) => false,
                Err(other) => panic!("{other}"),
            }
        });
    }
    let created = tasks.join_all().await.into_iter().filter(|created| *created).count();
    assert_eq!(created, 8);
    assert_eq!(hierarchy.all().len(), 9);
    for trust in hierarchy.all() {
        assert!(anchors_file(&config.anchors(), &trust.environment.name).exists());
    }
    // Root, nine issuing authorities, feed, log, passphrase, vault.
    let before = files(&config.keys()).len();
    assert_eq!(before, 14);
    let taken = EnvironmentPlan {
        name: "other".parse().unwrap(),
        trust_domain: "plant-0.example.org".parse().unwrap(),
        device_lifetime: 30 * DAY,
        default: false,
        successors: SuccessorPlan::default(),
    };
    let refused = environments.create(bootstrapped(taken)).await;
    assert!(matches!(refused, Err(EnvironmentFault::Refused(EnvironmentRefusal::TrustDomainExists))));
    assert_eq!(files(&config.keys()).len(), before);
}

#[test]
fn only_what_can_pass_is_tried_again() {
    use touchmark_tilelog::TileLogFault;
    let no_files = std::io::Error::from_raw_os_error(24);
    let read = TileLogFault::Read { file: "tile/0/000".into(), source: no_files };
    let damaged = TileLogFault::Damaged { file: "checkpoint".into(), says: "it is not ours" };
    for (name, fault, passes) in [
        ("no descriptors", read.into(), true),
        ("a busy store", StoreFault::Busy.into(), true),
        ("a store without space", StoreFault::Storage("disk full".into()).into(), true),
        ("a damaged tile", damaged.into(), false),
        ("a fork", TileLogFault::ForkedFromFloor { floor: 9 }.into(), false),
        ("an old copy", TileLogFault::BehindFloor { disk: 1, floor: 9 }.into(), false),
        ("damaged rows", StoreFault::Damaged("head".into()).into(), false),
        ("an old database", JournalLogFault::DatabaseBehind { log: 2, rows: 1 }, false),
    ] {
        let fault: JournalLogFault = fault;
        assert_eq!(fault.may_pass(), passes, "{name}");
    }
}

#[tokio::test]
async fn a_clock_behind_the_journal_refuses_the_start_until_it_is_accepted() {
    let home = tempfile::tempdir().unwrap();
    let at = |s: u64| Clock::new(move || Timestamp::from_unix_s(s));
    let now = Clock::system().now().unix_s();
    let first = start(config(home.path()), at(5)).await.err().unwrap();
    assert!(matches!(&first, StartFault::Clock(text) if text.contains("1970")), "{first}");
    assert!(!home.path().join("ports.json").exists(), "nothing was made");
    run_once(home.path()).await;
    for (what, s) in [("1970", 7), ("16 days back", now - 16 * 86_400), ("two minutes back", now - 120)] {
        let before = (files(home.path()), journal_len(home.path()));
        let refused = start(config(home.path()), at(s)).await.err().unwrap();
        assert!(matches!(&refused, StartFault::Clock(text) if text.contains("clock")), "{what}: {refused}");
        assert_eq!((files(home.path()), journal_len(home.path())), before, "{what}: nothing was written");
    }
    // A jump ahead at one start; then the clock is right again.
    let ahead = start(config(home.path()), at(now + 86_400)).await.unwrap();
    ahead.stop();
    ahead.stopped().await;
    assert!(matches!(start(config(home.path()), at(now)).await.err().unwrap(), StartFault::Clock(_)));
    let accepted =
        start(AuthorityConfig { accept_clock: true, ..config(home.path()) }, at(now)).await.unwrap();
    accepted.stop();
    accepted.stopped().await;
    run_once(home.path()).await;
}
