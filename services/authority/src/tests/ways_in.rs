//! Who is let in, who could do what, and that somebody always can let an operator in.

use crate::containment::ContainFault;
use crate::operators::{Caller, Operators};
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, request};
use std::collections::BTreeSet;
use std::time::Duration;
use touchmark_identity::RevocationReason;
use touchmark_inventory::{CertificateRow, PartyRow, Store as _};
use touchmark_journal::{IdentityKind, Reach, Scope, TokenSubject};
use touchmark_ra::{Contain, RevokeCertificate, RevokeParty, TokenOrder, Verb, VoidToken};
use touchmark_testkit::name;
use touchmark_x509::Certificate;

const REASON: RevocationReason = RevocationReason::KeyCompromise;
const OPERATOR_LIFE: Duration = Duration::from_secs(30 * 86_400);
const OPERATOR: IdentityKind = IdentityKind::Operator;

async fn revoke(
    house: &House,
    kind: IdentityKind,
    who: &str,
) -> Result<touchmark_api::ContainmentOutcome, ContainFault> {
    let home = tempfile::tempdir().unwrap();
    let party = party(house, kind, who);
    let containments = house.containments(home.path());
    containments
        .revoke_party(bootstrapped(RevokeParty { party, reason: REASON }), false, Duration::ZERO)
        .await
}

async fn revoke_one(house: &House, certificate: &Certificate) -> Result<(), ContainFault> {
    let home = tempfile::tempdir().unwrap();
    let certificate = house.row(&certificate.fingerprint());
    let act = RevokeCertificate { certificate, reach: Reach::Organisation, reason: REASON };
    house.containments(home.path()).revoke_one(bootstrapped(act), false, Duration::ZERO).await.map(drop)
}

fn party(house: &House, kind: IdentityKind, who: &str) -> PartyRow {
    house.tokens.party(kind, &name(who)).unwrap().unwrap()
}

fn caller(house: &House, operators: &Operators, certificate: &Certificate) -> Result<Caller, String> {
    operators.caller(&house.row(&certificate.fingerprint())).map_err(|fault| fault.to_string())
}

/// R104: of everyone, exactly those are said to be able whose own request would pass.
#[tokio::test]
async fn those_who_could_are_those_whose_request_would_pass() {
    let house = House::new().await;
    let operators = house.operators();
    // Expires first: it came before the others.
    let expired = house.joins(OPERATOR, "edna", &["admin"]).await;
    house.pass(OPERATOR_LIFE - Duration::from_secs(30 * 60));
    let admin = house.joins(OPERATOR, "adam", &["admin"]).await;
    let fleet = house.joins(OPERATOR, "fay", &["fleet"]).await;
    let auditor = house.joins(OPERATOR, "ann", &["auditor"]).await;
    let revoked = house.joins(OPERATOR, "rex", &["admin"]).await;
    let service = house.joins(IdentityKind::Service, "svc-01", &["service"]).await;
    // One whose only proven certificate was replaced, by one that was revoked.
    let superseded = house.joins(OPERATOR, "sue", &["admin"]).await;
    house.issuance.confirm(&superseded.fingerprint(), None, "test").await.unwrap();
    let newer = house.renew(&superseded, &request()).await.unwrap();
    house.issuance.confirm(&newer.fingerprint(), None, "test").await.unwrap();
    let device = house.first(IdentityKind::Operational).await;
    revoke_one(&house, &newer).await.unwrap();
    revoke(&house, OPERATOR, "rex").await.unwrap();
    let all = [
        ("edna", &expired),
        ("adam", &admin),
        ("fay", &fleet),
        ("ann", &auditor),
        ("rex", &revoked),
        ("svc-01", &service),
        ("sue", &superseded),
        (DEVICE, &device),
    ];
    let row = |certificate: &Certificate| house.row(&certificate.fingerprint());
    let target = house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap();
    let over_a_device = || Contain { device: target.clone(), verb: Verb::Revoke(REASON) };
    let ban = || Contain { device: target.clone(), verb: Verb::Ban(REASON) };
    let of = |certificate: CertificateRow| {
        let reach = operators.reach_of_holder(&certificate).unwrap();
        RevokeCertificate { certificate, reach, reason: REASON }
    };
    macro_rules! held {
        ($what:literal, $act:expr, $able:expr) => {{
            let said: BTreeSet<String> = operators
                .who_can(&$act)
                .unwrap()
                .into_iter()
                .map(|(party, _)| party.name.to_string())
                .collect();
            let mut pass = BTreeSet::new();
            for (who, certificate) in all {
                if caller(&house, &operators, certificate)
                    .is_ok_and(|caller| operators.permit(&caller, $act).is_ok())
                {
                    pass.insert(who.to_owned());
                }
            }
            assert_eq!(said, pass, "{}", $what);
            let expected: BTreeSet<String> = $able.iter().map(|&who: &&str| who.to_owned()).collect();
            assert_eq!(said, expected, "{}", $what);
        }};
    }
    for (after, edna) in [(Duration::ZERO, true), (Duration::from_secs(45 * 60), false)] {
        house.pass(after);
        let with = |able: &[&'static str]| -> Vec<&'static str> {
            let mut able = able.to_vec();
            able.extend(edna.then_some("edna"));
            // Its overlap lasts three days.
            able.push("sue");
            able
        };
        held!("revoke a device", over_a_device(), with(&["adam", "fay"]));
        held!("ban a device", ban(), with(&["adam"]));
        held!("revoke an operator's certificate", of(row(&fleet)), with(&["adam"]));
        held!("revoke a service's certificate", of(row(&service)), with(&["adam"]));
        held!("revoke a device's certificate", of(row(&device)), with(&["adam", "fay"]));
    }
    for (who, certificate, says) in [
        ("edna", &expired, "outside its validity"),
        ("rex", &revoked, "revoked"),
        (DEVICE, &device, "not an operator's or a service's"),
    ] {
        let fault = caller(&house, &operators, certificate).unwrap_err();
        assert!(fault.contains(says), "{who}: {fault}");
    }
    assert!(caller(&house, &operators, &superseded).is_ok(), "in its overlap");
    house.pass(Duration::from_secs(3 * 86_400 + 1));
    let fault = caller(&house, &operators, &superseded).unwrap_err();
    assert!(fault.contains("superseded"), "{fault}");
}

#[tokio::test]
async fn the_last_who_can_let_others_in_cannot_be_shut_out() {
    let house = House::new().await;
    let first = house.joins(OPERATOR, "adam", &["admin"]).await;
    house.joins(OPERATOR, "fay", &["fleet"]).await;
    let last = |outcome: Result<(), ContainFault>| matches!(outcome, Err(ContainFault::LastWayIn));
    assert!(last(revoke(&house, OPERATOR, "adam").await.map(drop)), "a fleet operator lets nobody in");
    assert!(last(revoke_one(&house, &first).await), "its only certificate");
    // With a second one, the first may go.
    house.issuance.confirm(&first.fingerprint(), None, "test").await.unwrap();
    let second = house.renew(&first, &request()).await.unwrap();
    house.issuance.confirm(&second.fingerprint(), None, "test").await.unwrap();
    revoke_one(&house, &first).await.unwrap();
    assert!(last(revoke_one(&house, &second).await), "its last certificate");
    // An admin whose certificate is over lets nobody in either.
    house.joins(OPERATOR, "bea", &["admin"]).await;
    house.pass(OPERATOR_LIFE - Duration::from_secs(3600));
    let third = house.renew(&second, &request()).await.unwrap();
    house.issuance.confirm(&third.fingerprint(), None, "test").await.unwrap();
    house.pass(Duration::from_secs(7200));
    assert!(last(revoke(&house, OPERATOR, "adam").await.map(drop)), "the other's certificate is over");
    // Nor does one for long whose certificate was replaced by one that was revoked.
    let sue = house.joins(OPERATOR, "sue", &["admin"]).await;
    house.issuance.confirm(&sue.fingerprint(), None, "test").await.unwrap();
    let newer = house.renew(&sue, &request()).await.unwrap();
    house.issuance.confirm(&newer.fingerprint(), None, "test").await.unwrap();
    revoke_one(&house, &newer).await.unwrap();
    assert!(last(revoke(&house, OPERATOR, "adam").await.map(drop)), "the other's is in its overlap");
    house.joins(OPERATOR, "cay", &["admin"]).await;
    revoke(&house, OPERATOR, "adam").await.unwrap();
    assert!(last(revoke(&house, OPERATOR, "cay").await.map(drop)));
    revoke(&house, OPERATOR, "fay").await.unwrap();
}

/// Whom an operator let in is said when it is revoked, by the tokens that were its own.
#[tokio::test]
async fn whom_a_revoked_operator_let_in_is_counted() {
    let house = House::new().await;
    house.joins(OPERATOR, "adam", &["admin"]).await;
    let thief = house.joins(OPERATOR, "thea", &["admin"]).await;
    let operators = house.operators();
    let thief = caller(&house, &operators, &thief).unwrap();
    let order = |kind, subject, uses, roles: &[&str]| TokenOrder {
        scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
        kind,
        subject,
        uses,
        lifetime: Duration::from_secs(60),
        model: None,
        hosts: Vec::new(),
        roles: Some(roles.iter().map(|&role| role.to_owned()).collect()).filter(|_| !roles.is_empty()),
        reach: Reach::Organisation,
        known: None,
    };
    let many = order(IdentityKind::Operational, TokenSubject::Prefix("pump".parse().unwrap()), 5, &[]);
    let many = house.tokens.create(operators.permit(&thief, many).unwrap()).await.unwrap();
    for pump in ["pump-01", "pump-02", "pump-03"] {
        house.joins_on(&many, pump).await;
    }
    let mut named = BTreeSet::new();
    for (kind, who, role) in [(OPERATOR, "tom", "fleet"), (IdentityKind::Service, "tap-01", "service")] {
        let token = order(kind, TokenSubject::Named(name(who)), 1, &[role]);
        let token = house.tokens.create(operators.permit(&thief, token).unwrap()).await.unwrap();
        house.joins_on(&token, who).await;
        named.insert(who.to_owned());
    }
    // Itself, again.
    let known = Some(party(&house, OPERATOR, "thea"));
    let again = TokenOrder { known, ..order(OPERATOR, TokenSubject::Named(name("thea")), 1, &["admin"]) };
    let again = house.tokens.create(operators.permit(&thief, again).unwrap()).await.unwrap();
    house.joins_on(&again, "thea").await;
    // Not its own, and one that nobody used.
    house.joins(OPERATOR, "bea", &["admin"]).await;
    house.joins(IdentityKind::Operational, "pump-09", &[]).await;
    let open = order(OPERATOR, TokenSubject::Named(name("nobody")), 1, &["admin"]);
    let open = house.tokens.create(operators.permit(&thief, open).unwrap()).await.unwrap();
    // In a dry run it is alive still, and none of those that it let in.
    let home = tempfile::tempdir().unwrap();
    let act = bootstrapped(RevokeParty { party: party(&house, OPERATOR, "thea"), reason: REASON });
    let dry = house.containments(home.path()).revoke_party(act, true, Duration::ZERO).await.unwrap();
    for outcome in [dry, revoke(&house, OPERATOR, "thea").await.unwrap()] {
        let let_in = outcome.let_in.unwrap();
        let said: BTreeSet<String> = let_in.parties.iter().map(|one| one.name.to_string()).collect();
        assert_eq!((&said, let_in.parties_total, let_in.device_enrolments), (&named, 2, 3));
    }
    assert!(house.store.token(open.token).unwrap().unwrap().void, "its open tokens are void");
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_void_and_roles_come_with_the_enrolment() {
    let house = House::new().await;
    house.joins(OPERATOR, "fay", &["fleet"]).await;
    let token = house.token(OPERATOR, TokenSubject::Named(name("fay"))).await;
    assert_eq!(party(&house, OPERATOR, "fay").roles, ["fleet"], "a token without roles changes none");
    let row = house.store.token(token.token).unwrap().unwrap();
    let row = house.tokens.void(bootstrapped(VoidToken(row))).await.unwrap();
    assert!(row.void && house.store.token(token.token).unwrap().unwrap().void);
    let order = TokenOrder {
        scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
        kind: OPERATOR,
        subject: TokenSubject::Named(name("fay")),
        uses: 1,
        lifetime: Duration::from_secs(60),
        model: None,
        hosts: Vec::new(),
        roles: Some(vec!["admin".to_owned()]),
        reach: Reach::Organisation,
        known: Some(party(&house, OPERATOR, "fay")),
    };
    let token = house.tokens.create(bootstrapped(order)).await.unwrap();
    assert_eq!(party(&house, OPERATOR, "fay").roles, ["fleet"], "not before it enrols");
    house.joins_on(&token, "fay").await;
    assert_eq!(party(&house, OPERATOR, "fay").roles, ["admin"]);
}

/// R108: what the policy refuses is recorded with the cause of the act, and to become somebody known takes the right to
/// make operators as well.
#[tokio::test]
async fn what_the_policy_refuses_is_recorded_under_its_cause() {
    let house = House::new().await;
    let operators = house.operators();
    let fleet = house.joins(OPERATOR, "fay", &["fleet"]).await;
    house.joins(IdentityKind::Service, "svc-01", &["service"]).await;
    let device = house.joins(IdentityKind::Operational, DEVICE, &[]).await;
    let fleet = caller(&house, &operators, &fleet).unwrap();
    let target = house.store.device(house.row(&device.fingerprint()).device.unwrap()).unwrap().unwrap();
    let ban = Contain { device: target.clone(), verb: Verb::Ban(REASON) };
    assert!(operators.permit(&fleet, ban).is_err());
    assert!(operators.permit(&fleet, Contain { device: target, verb: Verb::Revoke(REASON) }).is_ok());
    let policy = crate::operators::policies::ActivatePolicy(name("lab"));
    assert!(operators.permit(&fleet, policy).is_err());
    // Whoever may enrol devices does not become a service that is known.
    let order = TokenOrder {
        scope: Scope { organisation: name("example"), environment: Some(name("lab")) },
        kind: IdentityKind::Operational,
        subject: TokenSubject::Named(name("svc-01")),
        uses: 1,
        lifetime: Duration::from_secs(60),
        model: None,
        hosts: Vec::new(),
        roles: None,
        reach: Reach::Environment,
        known: None,
    };
    assert!(operators.permit(&fleet, order.clone()).is_ok(), "a device of that name");
    let known = Some(party(&house, IdentityKind::Service, "svc-01"));
    assert!(operators.permit(&fleet, TokenOrder { known, ..order }).is_err());
    operators.refusals.finish().await.unwrap();
    let entries = house.store.journal_from(0, usize::MAX).unwrap();
    let mut recorded: Vec<(String, String, u64)> = entries
        .into_iter()
        .filter_map(|stored| match stored.entry.event {
            touchmark_journal::Event::Refused(refused) => {
                Some((stored.entry.envelope.cause, refused.code, refused.count))
            }
            _ => None,
        })
        .collect();
    recorded.sort_unstable();
    let expected = ["api/device/ban", "api/policy", "api/tokens"];
    let expected = expected.map(|cause| (cause.to_owned(), "not-permitted".to_owned(), 1));
    assert_eq!(recorded, expected);
}
