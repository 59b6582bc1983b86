//! What explain answers, against a ledger that the test keeps.

use crate::audit::archive::Archives;
use crate::audit::explain::{Explain, ExplainFault};
use crate::operators::reading::Sight;
use crate::tests::house::{DEVICE, House, LIFETIME, request};
use std::collections::BTreeMap;
use std::time::Duration;
use touchmark_api::Explanation;
use touchmark_identity::{Actor, Fingerprint, RevocationReason};
use touchmark_inventory::{SightingRow, Store as _};
use touchmark_journal::{IdentityKind, Reach, Scope};
use touchmark_ra::{Contain, Mandate, RevokeCertificate, SuccessorPlan, Verb};
use touchmark_testkit::name;
use touchmark_x509::Certificate;

const OPERATOR: IdentityKind = IdentityKind::Operator;

fn try_explain(house: &House, asked: &str) -> Result<Explanation, ExplainFault> {
    let home = tempfile::tempdir().unwrap();
    let explain =
        Explain::new(house.commits.clone(), house.hierarchy.clone(), house.operators(), house.clock.clone());
    let sight = Sight { whole: true, environments: Vec::new() };
    explain.explain(asked, &sight, &Archives::new(home.path().to_owned()))
}

fn explain(house: &House, asked: &str) -> Explanation {
    try_explain(house, asked).unwrap_or_else(|fault| panic!("{fault}"))
}

fn by_person(who: &str) -> Actor {
    Actor::person(name(who))
}

/// Certificate, action, resource.
type Place = (String, String, String);

fn is_seen(
    house: &House,
    ledger: &mut BTreeMap<Place, (u64, u64)>,
    at: u64,
    of: &Certificate,
    acts: &[(&str, &str, u64, u64)],
) {
    let rows: Vec<SightingRow> = acts
        .iter()
        .map(|&(action, resource, allowed, denied)| {
            let place = (of.fingerprint().to_string(), action.to_owned(), resource.to_owned());
            let sum = ledger.entry(place).or_default();
            *sum = (sum.0 + allowed, sum.1 + denied);
            SightingRow {
                scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
                fingerprint: of.fingerprint(),
                relying_party: name("gateway-01"),
                action: action.to_owned(),
                resource: resource.to_owned(),
                first: house.clock.now(),
                last: house.clock.now().plus(Duration::from_secs(at)),
                allowed,
                denied,
                folded: false,
            }
        })
        .collect();
    house.store.add_sightings(&name("gateway-01"), (1, at), &rows).unwrap();
}

#[tokio::test]
async fn where_a_device_was_and_what_it_loses_is_what_was_seen() {
    let house = House::new().await;
    let mut ledger = BTreeMap::new();
    let old = house.first(IdentityKind::Operational).await;
    house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
    is_seen(&house, &mut ledger, 1, &old, &[("publish", "plant/1/x", 3, 1), ("connect", "mqtt", 2, 0)]);
    is_seen(&house, &mut ledger, 2, &old, &[("publish", "plant/1/x", 4, 0)]);
    house.pass(LIFETIME / 2);
    let new = house.renew(&old, &request()).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    is_seen(
        &house,
        &mut ledger,
        3,
        &new,
        &[("publish", "plant/1/y", 5, 0), ("subscribe", "plant/2/#", 0, 7)],
    );
    // Somebody else's are not its own.
    let other = house.joins(IdentityKind::Operational, "pump-02", &[]).await;
    is_seen(&house, &mut BTreeMap::new(), 4, &other, &[("publish", "plant/1/x", 9, 9)]);

    for asked in [DEVICE.to_owned(), old.fingerprint().to_string(), new.fingerprint().to_string()] {
        let found = explain(&house, &asked);
        let seen = found.where_used.unwrap();
        let last: Vec<_> = seen.iter().map(|one| &one.last).collect();
        assert!(last.is_sorted_by(|one, next| one >= next), "{asked}: newest first: {last:?}");
        let told: BTreeMap<Place, (u64, u64)> = seen
            .iter()
            .map(|one| {
                let place = (one.certificate.to_string(), one.action.to_string(), one.resource.clone());
                (place, (one.allowed, one.denied))
            })
            .collect();
        assert_eq!((told.len(), &told), (seen.len(), &ledger), "{asked}");
        let expiry = found.on_expiry.unwrap();
        assert_eq!(expiry.not_after, new.validity().not_after(), "{asked}: of the newest");
        assert_eq!(expiry.actions_lost, ["publish plant/1/y"], "{asked}: what was refused is not lost");
        assert_eq!(
            expiry.in_s,
            i64::try_from(new.validity().not_after().unix_s() - house.clock.now().unix_s()).unwrap()
        );
        let states: Vec<_> =
            found.certificates.iter().map(|one| (one.generation, one.state.to_string())).collect();
        assert_eq!(states, [(2, "confirmed".to_owned()), (1, "superseded".to_owned())], "{asked}");
    }
    assert_eq!(explain(&house, "pump-02").where_used.unwrap().len(), 1);
}

/// Each revocation is the deed of who did it, and the history is the device's own journal, newest first.
#[tokio::test]
async fn who_revoked_is_who_did_it() {
    let house = House::new().await;
    let home = tempfile::tempdir().unwrap();
    let containments = house.containments(home.path());
    let mut ledger: BTreeMap<Fingerprint, String> = BTreeMap::new();
    for who in ["adam", "bea", "cay"] {
        let certificate = house.first(IdentityKind::Operational).await;
        ledger.insert(certificate.fingerprint(), format!("person:{who}"));
        house.pass(Duration::from_secs(60));
        let row = house.row(&certificate.fingerprint());
        let act = RevokeCertificate {
            certificate: row,
            reach: Reach::Organisation,
            reason: RevocationReason::Superseded,
        };
        let mandate = Mandate::permitted_unchecked(by_person(who), "test", act);
        containments.revoke_one(mandate, false, Duration::ZERO).await.unwrap();
        // Something else at another time, by another one.
        house.pass(Duration::from_secs(60));
        let device = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
        for verb in [Verb::Quarantine(None), Verb::Release] {
            let device = house.store.device(device.device).unwrap().unwrap();
            let mandate = Mandate::permitted_unchecked(by_person("zoe"), "test", Contain { device, verb });
            containments.contain(mandate, false, Duration::ZERO).await.unwrap();
        }
        house.pass(Duration::from_secs(60));
    }
    let found = explain(&house, DEVICE);
    let told: BTreeMap<String, String> = found
        .certificates
        .iter()
        .map(|one| {
            (
                one.fingerprint.unwrap().to_string(),
                one.revoked_by.as_ref().map(ToString::to_string).unwrap_or_default(),
            )
        })
        .collect();
    let expected: BTreeMap<String, String> =
        ledger.into_iter().map(|(fingerprint, who)| (fingerprint.to_string(), who)).collect();
    assert_eq!(told, expected);
    let device = found.device.unwrap().id;
    let journal: Vec<u64> =
        house.store.journal_of_device(device, 100).unwrap().iter().map(|stored| stored.entry.seq).collect();
    let told: Vec<u64> = found.history.iter().map(|one| one.seq).collect();
    assert_eq!(told, journal);
    assert!(told.is_sorted_by(|one, next| one > next), "{told:?}");
}

#[tokio::test]
async fn who_can_revoke_depends_on_what_it_is() {
    let house = House::new().await;
    house.joins(OPERATOR, "adam", &["admin"]).await;
    house.joins(OPERATOR, "fay", &["fleet"]).await;
    house.joins(OPERATOR, "ann", &["auditor"]).await;
    house.joins(IdentityKind::Service, "svc-01", &["service"]).await;
    house.first(IdentityKind::Operational).await;
    for (asked, able) in [(DEVICE, vec!["adam", "fay"]), ("svc-01", vec!["adam"]), ("fay", vec!["adam"])] {
        let found = explain(&house, asked);
        let able_now = found.who_can_revoke.unwrap().into_iter();
        let mut told: Vec<String> = able_now.map(|one| one.name.to_string()).collect();
        told.sort_unstable();
        assert_eq!(told, able, "{asked}");
    }
    house.contain(Verb::Revoke(RevocationReason::KeyCompromise)).await;
    assert_eq!(explain(&house, DEVICE).on_expiry, None, "nothing is left to expire");
}

/// A name that means several things is not guessed at.
#[tokio::test]
async fn a_device_and_an_operator_of_one_name_are_told_apart() {
    let house = House::new().await;
    house.first(IdentityKind::Operational).await;
    house.joins(OPERATOR, DEVICE, &["admin"]).await;
    let answer = try_explain(&house, DEVICE);
    assert!(matches!(answer, Err(ExplainFault::Ambiguous(all)) if all.len() == 2));
}

/// What an environment does not know by a handle is not looked for in another.
#[tokio::test]
async fn a_uri_means_what_its_own_environment_knows_by_it() {
    let house = House::new().await;
    house.another_environment("plant", SuccessorPlan::default()).await;
    house.first(IdentityKind::Operational).await;
    house.joins(OPERATOR, "adam", &["admin"]).await;
    house.joins(IdentityKind::Service, "svc-01", &["service"]).await;
    let uri = |environment: &str, letter: char, handle: &str| {
        let trust = house.hierarchy.trust_of(&name(environment)).unwrap();
        format!("spiffe://{}/{letter}/{handle}", trust.environment.trust_domain)
    };
    let known = [('d', DEVICE, "operational"), ('o', "adam", "operator"), ('s', "svc-01", "service")];
    for (letter, handle, kind) in known {
        let found = try_explain(&house, &uri("lab", letter, handle)).unwrap();
        let told: Vec<_> = found
            .identities
            .iter()
            .map(|one| (one.environment.as_str(), one.kind == kind, one.handle.as_str(), one.generation))
            .collect();
        assert_eq!(told, [("lab", true, handle, 1)]);
        for foreign in
            [uri("plant", letter, handle), uri("lab", if letter == 'd' { 'o' } else { 'd' }, handle)]
        {
            let answer = try_explain(&house, &foreign);
            assert!(matches!(answer, Err(ExplainFault::Unknown)), "{foreign}: {answer:?}");
        }
    }
}

/// What is there and not seen is told apart for the record of the refusal, and for nobody else.
#[tokio::test]
async fn what_is_not_seen_is_named_by_its_place() {
    use crate::audit::explain::ExplainFault;
    let house = House::new().await;
    let certificate = house.first(IdentityKind::Operational).await;
    let home = tempfile::tempdir().unwrap();
    let explain =
        Explain::new(house.commits.clone(), house.hierarchy.clone(), house.operators(), house.clock.clone());
    let archives = Archives::new(home.path().to_owned());
    let device = house.row(&certificate.fingerprint()).device;
    let elsewhere = Sight { whole: false, environments: vec![name("yard")] };
    let nothing = Sight { whole: false, environments: Vec::new() };
    for sight in [elsewhere, nothing] {
        for asked in [DEVICE.to_owned(), certificate.fingerprint().to_string(), device.unwrap().to_string()] {
            let found = explain.explain(&asked, &sight, &archives).map(drop).unwrap_err();
            let ExplainFault::Unseen(environment, of) = found else { panic!("{asked}: {found:?}") };
            assert_eq!((environment, of), (Some(name("lab")), device), "{asked}");
        }
        let found = explain.explain("nobody", &sight, &archives).map(drop).unwrap_err();
        assert!(matches!(found, ExplainFault::Unknown), "{found:?}");
    }
    let here = Sight { whole: false, environments: vec![name("lab")] };
    assert!(explain.explain(DEVICE, &here, &archives).is_ok());
}
