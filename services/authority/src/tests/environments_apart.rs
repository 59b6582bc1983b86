//! Environments: what their profiles say when nothing is asked for, and that makers of one vouch for nothing in another.

use crate::operators::policies::{ActivatePolicy, Policies};
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, LIFETIME};
use std::time::Duration;
use touchmark_identity::EnvironmentName;
use touchmark_inventory::Store as _;
use touchmark_journal::IdentityKind;
use touchmark_listen::PeerChain;
use touchmark_policy_cedar::PolicyBundle;
use touchmark_ra::SuccessorPlan;
use touchmark_ra::{RegisterMaker, WithdrawMaker};
use touchmark_status::open_feed_file;
use touchmark_testkit::name;
use touchmark_x509::Certificate;

macro_rules! made_by_openssl {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/ra/tests/makers/", $file))
    };
}

fn read(pem: &str) -> Certificate {
    Certificate::from_pem_many(pem).unwrap().remove(0)
}

/// Kind, life, overlap, grace in seconds.
fn profiles(house: &House, environment: &str) -> Vec<(IdentityKind, u64, u64, u64)> {
    let trust = house.hierarchy.trust_of(&name(environment)).unwrap();
    let mut rows: Vec<_> = trust
        .profiles
        .values()
        .map(|one| {
            (one.profile.kind, one.profile.lifetime.as_secs(), one.overlap.as_secs(), one.grace.as_secs())
        })
        .collect();
    rows.sort_unstable();
    rows
}

#[tokio::test]
async fn profiles_are_what_the_documentation_says_when_nothing_is_asked_for() {
    use IdentityKind::{Operational, Operator, Service};
    const DAY: u64 = 86_400;
    let house = House::new().await;
    let (operator, service) =
        ((Operator, 30 * DAY, 3 * DAY, 10 * DAY), (Service, 90 * DAY, 9 * DAY, 30 * DAY));
    let expect = |device: (u64, u64)| {
        let mut rows = [(Operational, LIFETIME.as_secs(), device.0, device.1), operator, service];
        rows.sort_unstable();
        rows
    };
    assert_eq!(profiles(&house, "lab"), expect((LIFETIME.as_secs() / 10, LIFETIME.as_secs() / 3)));
    let (grace, overlap) = (Some(Duration::from_secs(7)), Some(Duration::from_secs(9)));
    house.another_environment("plant", SuccessorPlan { grace, overlap, ..SuccessorPlan::default() }).await;
    assert_eq!(profiles(&house, "plant"), expect((9, 7)));
    assert_eq!(house.hierarchy.default_trust().unwrap().environment.name.as_str(), "lab");
    house.another_environment("aaa", SuccessorPlan::default()).await;
    assert_eq!(
        house.hierarchy.default_trust().unwrap().environment.name.as_str(),
        "lab",
        "not the first by name"
    );
}

#[tokio::test]
async fn a_maker_vouches_in_its_own_environment_only() {
    let house = House::new().await;
    house.another_environment("plant", SuccessorPlan::default()).await;
    let chain = PeerChain {
        leaf: read(made_by_openssl!("acme-sn-1.pem")).der().to_vec(),
        rest: vec![read(made_by_openssl!("acme-factory.pem")).der().to_vec()],
    };
    let found =
        |environment: &str| house.makers.initial(&name(environment), &chain, house.clock.now()).is_ok();
    let acme = || RegisterMaker { environment: name("plant"), name: name("acme") };
    let plant = house.hierarchy.trust_of(&name("plant")).unwrap();
    let anchor = read(made_by_openssl!("acme-ca.pem"));
    house.makers.register(bootstrapped(acme()), &plant, &anchor).await.unwrap();
    assert_eq!((found("plant"), found("lab")), (true, false));
    house.makers.withdraw(bootstrapped(WithdrawMaker(acme())), &plant).await.unwrap();
    assert_eq!((found("plant"), found("lab")), (false, false));
}

/// What is put in force is what gateways are told, and what cannot stand in one journal leaf is refused before.
#[tokio::test]
async fn a_policy_is_told_to_gateways_and_one_that_is_too_large_is_not_recorded() {
    let house = House::new().await;
    let home = tempfile::tempdir().unwrap();
    let policies = Policies::new(
        house.commits.clone(),
        house.gateways(home.path()),
        name("example"),
        house.clock.clone(),
    );
    let lab: EnvironmentName = name("lab");
    let told = || {
        let octets = house.feeds.since(&lab, None, house.clock.now()).unwrap();
        let verifier = house.feeds.signer().verifier();
        let set = open_feed_file(&octets, &verifier, &lab, None, house.clock.now()).unwrap();
        set.state().policies().unwrap().version
    };
    let mut bundle = PolicyBundle::starter();
    bundle.files.push(("more.cedar".into(), "@id(\"no\")\nforbid (principal, action, resource);\n".into()));
    let activate =
        |bundle| policies.activate(bootstrapped(ActivatePolicy(lab.clone())), bundle, Duration::ZERO);
    let before = told();
    let activated = activate(bundle.clone()).await.unwrap();
    assert!(told() == activated.version && told() != before);
    assert!(activated.rules.contains(&"no".to_owned()));
    bundle.files.push(("long.cedar".into(), format!("// {}\n", "x".repeat(60_000))));
    let length = house.store.journal_len().unwrap();
    let refused = activate(bundle).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("octets"), "{refused}");
    assert_eq!((house.store.journal_len().unwrap(), told()), (length, activated.version));
}

/// A gateway that lags more than what is kept gets a snapshot, and one that lags less exactly what it misses.
#[tokio::test]
async fn who_lags_gets_what_it_misses_or_all() {
    let house = House::new().await;
    let (lab, verifier) = (name("lab"), house.feeds.signer().verifier());
    house.joins(IdentityKind::Operational, DEVICE, &[]).await;
    let now = house.clock.now();
    let feed = house.feeds.of(&lab).unwrap();
    let (begun, first) = (feed.position(), house.feeds.since(&lab, None, now).unwrap());
    // As many deltas as are kept, and one that is not.
    for _ in 0..513 {
        house.contain(touchmark_ra::Verb::Quarantine(None)).await;
        house.contain(touchmark_ra::Verb::Release).await;
    }
    let head = feed.position();
    assert!(head.seq > begun.seq + 1024, "{head:?}");
    let alone = |octets: &[u8]| open_feed_file(octets, &verifier, &lab, None, now).map(|set| set.position());
    let late = house.feeds.since(&lab, Some(begun), now).unwrap();
    assert_eq!(alone(&late).unwrap(), head, "a snapshot: it stands alone");
    assert!(alone(&[first, late].concat()).is_ok());
    let just = touchmark_status::Position { seq: head.seq - 1024, ..head };
    let deltas = house.feeds.since(&lab, Some(just), now).unwrap();
    assert!(alone(&deltas).is_err(), "deltas do not stand alone");
}

/// A key that is not the certificate's is never used.
#[tokio::test]
async fn a_key_that_is_not_the_certificates_stops_the_loading() {
    let house = House::new().await;
    let version = house.hierarchy.default_trust().unwrap().issuing.version().to_string();
    let vault = house.environments.vault();
    std::fs::remove_file(house.keys().join(format!("{version}.key"))).unwrap();
    vault.create(&version, touchmark_x509::KeyAlgorithm::P256).unwrap();
    let fault = house.hierarchy.reload(&*house.store, vault).unwrap_err();
    assert!(fault.to_string().contains("does not belong to its certificate"), "{fault}");
}

/// A gateway's first key is its key for ever, and it cannot have in force what never was.
#[tokio::test]
async fn a_gateway_keeps_its_key_and_reports_nothing_from_the_future() {
    let home = tempfile::tempdir().unwrap();
    let archives = crate::audit::archive::Archives::new(home.path().to_owned());
    let vkey = |seed| {
        let signer = touchmark_tilelog::NoteSigner::from_seed("gateway-01", &[seed; 32]).unwrap();
        signer.verifier_key().to_string()
    };
    for (seed, taken) in [(1, true), (1, true), (2, false)] {
        assert_eq!(archives.register(&name("gateway-01"), &vkey(seed)).is_ok(), taken, "{seed}");
    }
    let house = House::new().await;
    let feed = house.feeds.of(&name("lab")).unwrap();
    let head = feed.position();
    let next = touchmark_status::Position { seq: head.seq + 1, ..head };
    let says = |position| feed.acknowledge(&name("gateway-01"), position, house.clock.now(), 0);
    assert_eq!((says(next), says(head), says(head)), (None, Some(true), Some(false)));
}
