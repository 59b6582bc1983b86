//! What happens by itself while the authority runs: each turn of the upkeep is seen at what it leaves.

use crate::audit::journal_log::JournalLog;
use crate::config::AuthorityConfig;
use crate::http::Shell;
use crate::start::bootstrap::bootstrapped;
use crate::start::upkeep::tick;
use crate::start::{Founded, LocalOperator, ServerCertificate, Wired, wire};
use crate::store::disk_reserve::DiskReserve;
use crate::tests::house::{DEVICE, House, LIFETIME, key, request};
use std::sync::Arc;
use std::time::Duration;
use touchmark_ca::{CRL_LIFETIME, ENDED_KEPT};
use touchmark_identity::RevocationReason;
use touchmark_inventory::{CertificateState, Fault, Store as _};
use touchmark_journal::{Event, IdentityKind, Standing, TokenSubject};
use touchmark_listen::StopSwitch;
use touchmark_ra::SuccessorPlan;
use touchmark_ra::{Contain, Verb, contain};
use touchmark_status::{StatusSet, open_feed_file};
use touchmark_testkit::name;
use touchmark_tilelog::NoteSigner;
use touchmark_x509::crl::Crl;

const HOUR: Duration = Duration::from_secs(3600);

struct Running {
    house: House,
    shell: Shell,
    stop: StopSwitch,
    ticks: tokio::task::JoinHandle<()>,
    _home: tempfile::TempDir,
}

/// The use cases as a start wires them, on the house's rows and clock; files below `home`.
pub(super) fn shell_over(house: &House, home: &std::path::Path) -> (Wired, AuthorityConfig) {
    let config = AuthorityConfig {
        data: home.to_owned(),
        hosts: Vec::new(),
        listen: [127, 0, 0, 1].into(),
        est_port: 0,
        api_port: 0,
        public_port: 0,
        passphrase_file: None,
        default_environment: name("lab"),
        enrolments_per_second: None,
        accept_clock: false,
        device_lifetime: LIFETIME,
    };
    let signer = NoteSigner::from_seed("example.org/journal", &[7; 32]).unwrap();
    let founded = Founded {
        commits: house.commits.clone(),
        environments: house.environments.clone(),
        hierarchy: house.hierarchy.clone(),
        feeds: house.feeds.clone(),
        roots: Vec::new(),
        log: Arc::new(JournalLog::open(&home.join("log"), signer, house.store.clone()).unwrap()),
        reserve: Arc::new(DiskReserve::open(home)),
        time: house.time.clone(),
        log_origin: "example.org/journal".into(),
        organisation: name("example"),
    };
    let wired = wire(founded, &config, &house.clock).unwrap();
    (wired, config)
}

impl Running {
    /// Wired as at a start, on the house's rows and clock.
    async fn start(successors: SuccessorPlan) -> Self {
        let house = House::with(successors).await;
        let home = tempfile::tempdir().unwrap();
        let (Wired { shell, upkeep, own }, config) = shell_over(&house, home.path());
        house.held_against_its_rows(&shell.crls);
        let server = Arc::new(ServerCertificate::obtain(own.clone(), config.names()).await.unwrap());
        let operator = Arc::new(LocalOperator::of(own, config.operator()));
        let (stop, listener) = StopSwitch::new();
        let ticks = tokio::spawn(tick(upkeep, server, operator, listener));
        let running = Self { house, shell, stop, ticks, _home: home };
        running.until("the first CRL", |running| running.crl_number() > 0).await;
        running
    }

    /// Waits for a condition; time is the runtime's, which goes on as soon as everybody waits.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("waited 100 s for {what}");
    }

    async fn turns(&self, count: u32) {
        tokio::time::sleep(Duration::from_secs(1) * count).await;
    }

    fn crl_number(&self) -> u64 {
        let version = self.house.hierarchy.default_trust().unwrap().issuing.version();
        self.shell.crls.get(version, 0).map_or(0, |published| published.number)
    }

    fn standing(&self) -> Standing {
        self.house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap().standing
    }

    fn feed(&self) -> StatusSet {
        let (now, lab) = (self.house.clock.now(), name("lab"));
        let octets = self.house.feeds.since(&lab, None, now).unwrap();
        open_feed_file(&octets, &self.house.feeds.signer().verifier(), &lab, None, now).unwrap()
    }

    /// Counts of refusals with this code, in the order in which they were recorded.
    fn recorded(&self, wanted: &str) -> Vec<u64> {
        let entries = self.house.store.journal_from(0, usize::MAX).unwrap();
        let of_code = entries.iter().filter_map(|stored| match &stored.entry.event {
            Event::Refused(refused) if refused.code == wanted => Some(refused.count),
            _ => None,
        });
        of_code.collect()
    }

    async fn ends(self) -> House {
        self.stop.stop();
        self.ticks.await.unwrap();
        self.house
    }
}

#[tokio::test(start_paused = true)]
async fn a_timed_quarantine_ends_and_the_crl_is_made_again_at_half_its_life() {
    let running = Running::start(SuccessorPlan::default()).await;
    running.house.first(IdentityKind::Operational).await;
    let until = running.house.clock.now().plus(HOUR);
    running.house.contain(Verb::Quarantine(Some(until))).await;
    running.house.pass(HOUR - Duration::from_secs(1));
    running.turns(3).await;
    assert_eq!(running.standing(), Standing::Quarantined);
    running.house.pass(Duration::from_secs(1));
    running.until("the end of the quarantine", |running| running.standing() == Standing::Active).await;
    let number = running.crl_number();
    running.house.pass(CRL_LIFETIME / 2 - HOUR - Duration::from_secs(1));
    running.turns(3).await;
    assert_eq!(running.crl_number(), number, "before half of its life");
    running.house.pass(Duration::from_secs(2));
    running.until("another CRL", |running| running.crl_number() == number + 1).await;
    running.turns(3).await;
    assert_eq!(running.crl_number(), number + 1, "once");
    running.ends().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_superseded_dies_and_ended_certificates_leave_the_feed() {
    let running = Running::start(SuccessorPlan { revoke_superseded: true, ..SuccessorPlan::default() }).await;
    let house = &running.house;
    let old = house.first(IdentityKind::Operational).await;
    let new = house.renew(&old, &request()).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    running.turns(11).await;
    assert_eq!(house.row(&old.fingerprint()).state, CertificateState::Superseded, "in its overlap");
    house.pass(LIFETIME / 10 + Duration::from_secs(1));
    let dead = |running: &Running| running.house.row(&old.fingerprint()).state == CertificateState::Revoked;
    running.until("the end of the superseded one", dead).await;
    let row = house.row(&old.fingerprint());
    let told =
        |running: &Running| running.feed().state().revocation(&row.authority_version, &row.serial).is_some();
    assert!(told(&running));
    house.pass(LIFETIME + ENDED_KEPT + HOUR);
    running.turns(3).await;
    tokio::time::sleep(HOUR).await;
    running.until("it to leave the feed", |running| !told(running)).await;
    running.ends().await;
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_a_fault_left_is_burned_and_its_token_is_good_again() {
    let running = Running::start(SuccessorPlan::default()).await;
    let house = &running.house;
    let token = house.token(IdentityKind::Operational, TokenSubject::Named(name(DEVICE))).await;
    house.store.plan_faults([Fault::None, Fault::Lost]);
    assert!(house.enrol(&key(), &token).await.is_err());
    assert_eq!((house.uses(&token), house.store.open_intents().unwrap().len()), (1, 1));
    running.turns(11).await;
    assert_eq!(house.store.open_intents().unwrap().len(), 1, "somebody may be working on it");
    house.pass(Duration::from_secs(61));
    running
        .until("the intent to be burned", |running| running.house.store.open_intents().unwrap().is_empty())
        .await;
    assert_eq!(house.uses(&token), 0);
    running.ends().await;
}

/// What is recorded while the feed cannot be brought up to it is told with the next turn.
#[tokio::test(start_paused = true)]
async fn what_a_feed_could_not_follow_is_told_with_the_next_turn() {
    let running = Running::start(SuccessorPlan::default()).await;
    let house = &running.house;
    house.first(IdentityKind::Operational).await;
    let behind = async |verb: Verb| {
        let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
        let command = contain(bootstrapped(Contain { device, verb }), house.clock.now()).unwrap();
        house.store.refuse_journal_reads(1);
        house.commits.commit(command).await.unwrap();
    };
    let told = |running: &Running| running.feed().state().standing(&name(DEVICE));
    behind(Verb::Quarantine(None)).await;
    assert!(told(&running).is_none(), "the test is void: the feed has followed");
    running.until("the quarantine", |running| told(running).is_some()).await;
    behind(Verb::Release).await;
    running.until("its end", |running| told(running).is_none()).await;
    behind(Verb::Revoke(RevocationReason::KeyCompromise)).await;
    running.until("the revocation", |running| running.feed().state().revoked_len() == 1).await;
    let [row] = &house.rows(IdentityKind::Operational)[..] else { panic!("one certificate") };
    let named = |running: &Running| {
        let published = running.shell.crls.get(row.authority_version, row.crl_shard).unwrap();
        Crl::from_der(&published.der).unwrap().find(&row.serial).is_some()
    };
    running.until("the CRL", named).await;
    running.ends().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_recorded_while_it_runs_and_the_rest_at_the_end() {
    let running = Running::start(SuccessorPlan::default()).await;
    let refusals = running.shell.refusals.clone();
    for _ in 0..3 {
        refusals.count(Some(&name("lab")), "api", "not-permitted", None);
    }
    running.until("the refusals", |running| !running.recorded("not-permitted").is_empty()).await;
    assert_eq!(running.recorded("not-permitted"), [3]);
    running.turns(3).await;
    assert_eq!(running.recorded("not-permitted"), [3], "once");
    let stop = async {
        // Those of one second wait for the next: at the end nobody will ask again.
        refusals.count(Some(&name("lab")), "api", "not-permitted", None);
        running.stop.stop();
    };
    stop.await;
    let Running { house, ticks, shell, .. } = running;
    ticks.await.unwrap();
    let total = |entries: Vec<touchmark_inventory::StoredEntry>| -> u64 {
        let of_code = entries.iter().filter_map(|stored| match &stored.entry.event {
            Event::Refused(refused) if refused.code == "not-permitted" => Some(refused.count),
            _ => None,
        });
        of_code.sum()
    };
    assert_eq!(total(house.store.journal_from(0, usize::MAX).unwrap()), 4);
    drop(shell);
}
