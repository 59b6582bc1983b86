//! Renewals over a store that loses commits, at once and in any order: the holder always keeps a certificate that
//! works, and never has more than one successor that waits for its proof.

use crate::issuance::{EnrolmentFault, Shown};
use crate::tests::house::{DEVICE, House, LIFETIME, request};
use std::sync::Arc;
use std::time::Duration;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::Secret;
use touchmark_inventory::{CertificateState, Fault, Store as _, StoreFault};
use touchmark_journal::{CloneResponse, IdentityKind, Standing, TokenSubject};
use touchmark_ra::Proven;
use touchmark_ra::SuccessorPlan;
use touchmark_ra::Use;
use touchmark_testkit::name;
use touchmark_x509::KeyPlace;
use touchmark_x509::csr::UnprovenCsr;

const KINDS: [IdentityKind; 3] = [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator];

/// The states of all certificates of the identity, oldest first, burned ones left out.
fn states(house: &House, kind: IdentityKind) -> Vec<CertificateState> {
    let mut rows = house.rows(kind);
    rows.retain(|row| row.state != CertificateState::Burned);
    rows.sort_by_key(|row| row.generation);
    rows.iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn whatever_commit_of_a_renewal_is_lost_the_old_certificate_works_and_the_same_request_gets_one_successor()
 {
    use Fault::{Lost, None as Passes, StoredButReportedLost as Stored};
    // The first commit is the proof of the old certificate, the second the intent, the third the result.
    let faults: [(&str, &[Fault]); 10] = [
        ("the proof of the old one is lost", &[Lost]),
        ("the proof of the old one is stored, nobody is told", &[Stored]),
        ("the intent is lost", &[Passes, Lost]),
        ("the intent is stored, nobody is told", &[Passes, Stored]),
        ("the certificate is lost", &[Passes, Passes, Lost]),
        ("the certificate is stored, nobody is told", &[Passes, Passes, Stored]),
        ("the intent is stored, then its burning is lost", &[Passes, Stored, Lost]),
        ("the intent is stored, then its burning is stored, nobody is told", &[Passes, Stored, Stored]),
        ("the certificate is lost twice", &[Passes, Passes, Lost, Passes, Passes, Lost]),
        ("everything goes wrong", &[Stored, Lost, Stored, Stored, Stored, Passes, Passes, Stored]),
    ];
    for (kind, place) in
        KINDS.into_iter().flat_map(|kind| [(kind, KeyPlace::Inside), (kind, KeyPlace::Outside)])
    {
        for (what, plan) in faults {
            let house = House::keyed(place).await;
            let old = house.first(kind).await;
            let der = request();
            house.store.plan_faults(plan.iter().copied());
            let mut tries = 0;
            let new = loop {
                tries += 1;
                assert!(tries <= 10, "{kind:?}, {what}: never renewed");
                match house.renew(&old, &der).await {
                    Ok(certificate) => break certificate,
                    Err(EnrolmentFault::Store(StoreFault::Storage(_))) => {
                        let state = house.row(&old.fingerprint()).state;
                        assert!(state.is_live(), "{kind:?}, {what}: the old one is {state:?}");
                        assert_ne!(state, CertificateState::Superseded, "{kind:?}, {what}");
                    }
                    Err(other) => panic!("{kind:?}, {what}: refused for good: {other}"),
                }
            };
            let again = house.renew(&old, &der).await.unwrap();
            assert_eq!(again.fingerprint(), new.fingerprint(), "{kind:?}, {what}: the same again");
            use CertificateState::{Confirmed, Issued, Superseded};
            assert_eq!(states(&house, kind), [Confirmed, Issued], "{kind:?}, {what}");
            // With a key here there are fewer commits, and the last faults meet this one.
            let mut confirmed = Err(EnrolmentFault::NoCredential);
            for _ in plan.iter().chain([&Passes]) {
                confirmed = house.issuance.confirm(&new.fingerprint(), None, "test").await;
                house.would_have_ended();
            }
            confirmed.unwrap_or_else(|fault| panic!("{kind:?}, {what}: {fault}"));
            assert_eq!(states(&house, kind), [Superseded, Confirmed], "{kind:?}, {what}");
        }
    }
}

#[tokio::test]
async fn a_confirmation_that_is_lost_may_be_said_again() {
    for (what, fault, first) in
        [("lost", Fault::Lost, false), ("stored", Fault::StoredButReportedLost, false)]
    {
        let house = House::new().await;
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.store.plan_faults([fault]);
        if fault == Fault::StoredButReportedLost {
            house.would_have_ended();
        }
        let told = house.issuance.confirm(&new.fingerprint(), None, "test").await;
        assert_eq!(told.is_ok(), first, "{what}");
        for _ in 0..2 {
            house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
        }
        let refused = house.issuance.confirm(&old.fingerprint(), None, "test").await;
        let code = refusal(refused.unwrap_err());
        assert_eq!(code, "certificate-superseded", "{what}");
    }
}

fn refusal(fault: EnrolmentFault) -> &'static str {
    match fault {
        EnrolmentFault::Refused(refusal) => refusal.code(),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_renewals_at_once_leave_few_successors_and_one_that_waits() {
    let house = Arc::new(House::new().await);
    let old = house.first(IdentityKind::Operational).await;
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let (house, old) = (Arc::clone(&house), old.clone());
        at_once.spawn(async move { house.renew(&old, &request()).await.map(drop) });
    }
    let outcomes = at_once.join_all().await;
    let told = outcomes.into_iter().filter_map(Result::err).map(refusal).collect::<Vec<_>>();
    assert_eq!(told, ["renewal-too-soon"; 992], "each that got none is told when to come");
    let rows = house.rows(IdentityKind::Operational);
    let issued = rows.iter().filter(|row| row.state == CertificateState::Issued).count();
    let confirmed = rows.iter().filter(|row| row.state == CertificateState::Confirmed).count();
    assert_eq!((rows.len(), issued, confirmed), (9, 1, 1));
    let newest = rows.iter().max_by_key(|row| row.generation).unwrap();
    assert_eq!((newest.state, newest.generation), (CertificateState::Issued, 9));
    assert_eq!(house.row(&old.fingerprint()).state, CertificateState::Confirmed);
}

#[tokio::test]
async fn successors_that_nobody_uses_come_ever_more_slowly_and_never_end() {
    let house = House::new().await;
    let old = house.first(IdentityKind::Operational).await;
    let mut last = request();
    for number in 0..8 {
        last = request();
        house.renew(&old, &last).await.unwrap_or_else(|fault| panic!("{number}: {fault}"));
    }
    let part = LIFETIME / 64;
    for slow in 0..3 {
        assert_eq!(refusal(house.renew(&old, &request()).await.unwrap_err()), "renewal-too-soon", "{slow}");
        house.renew(&old, &last).await.unwrap_or_else(|fault| panic!("the same request: {fault}"));
        house.pass(part - Duration::from_secs(2));
        assert_eq!(refusal(house.renew(&old, &request()).await.unwrap_err()), "renewal-too-soon", "{slow}");
        house.pass(Duration::from_secs(3));
        last = request();
        house.renew(&old, &last).await.unwrap_or_else(|fault| panic!("after its time, {slow}: {fault}"));
    }
    let new = house.renew(&old, &last).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    // Using one makes no room for more: a holder that renews and uses in a loop is held to the same rate.
    assert_eq!(
        refusal(house.renew(&new, &request()).await.unwrap_err()),
        "renewal-too-soon",
        "one that is used"
    );
    house.pass(part + Duration::from_secs(1));
    house.renew(&new, &request()).await.unwrap_or_else(|fault| panic!("after its time: {fault}"));
}

/// A renewal that is asked for again with a fresh signature is the same renewal.
#[tokio::test]
async fn one_key_gets_one_successor_however_often_it_is_asked_for() {
    for kind in [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator] {
        let house = House::new().await;
        let old = house.first(kind).await;
        let key = crate::tests::house::key();
        let asked = || touchmark_x509::request::certification_request("", None, &key).unwrap();
        let first = house.renew(&old, &asked()).await.unwrap();
        for _ in 0..20 {
            assert_eq!(house.renew(&old, &asked()).await.unwrap().der(), first.der(), "{kind:?}");
        }
        assert_eq!(house.rows(kind).len(), 2, "{kind:?}");
    }
}

/// What a thief spends with the old certificate, or with another key, keeps nobody out whom an operator lets in.
#[tokio::test]
async fn a_token_lets_a_device_in_whose_rate_was_spent() {
    let house = House::new().await;
    let old = house.first(IdentityKind::Operational).await;
    for _ in 0..8 {
        house.renew(&old, &request()).await.unwrap();
    }
    assert_eq!(refusal(house.renew(&old, &request()).await.unwrap_err()), "renewal-too-soon");
    let new = house.first(IdentityKind::Operational).await;
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    house.renew(&new, &request()).await.unwrap_or_else(|fault| panic!("let in anew: {fault}"));
}

#[tokio::test]
async fn a_device_that_slept_comes_back_inside_the_grace_and_not_after() {
    let grace = Duration::from_secs(3600);
    let rows = [
        ("just before the end", LIFETIME - Duration::from_secs(30), Ok(())),
        ("just after the end", LIFETIME + Duration::from_secs(30), Ok(())),
        ("at the last moment", LIFETIME + grace - Duration::from_secs(61), Ok(())),
        ("after the grace", LIFETIME + grace + Duration::from_secs(1), Err("renewal-late")),
    ];
    for proven_before in [true, false] {
        for (what, slept, expected) in rows {
            let house = House::with(SuccessorPlan { grace: Some(grace), ..SuccessorPlan::default() }).await;
            let old = house.first(IdentityKind::Operational).await;
            if proven_before {
                house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
            }
            house.pass(slept);
            let outcome = house.renew(&old, &request()).await.map(drop).map_err(refusal);
            assert_eq!(outcome, expected, "{what}, proven before: {proven_before}");
            let device = house.row(&old.fingerprint()).device.unwrap();
            let late = house.store.renewals_of(device).unwrap().and_then(|row| row.last_lead_s);
            let over = house.clock.now() > old.validity().not_after();
            assert_eq!(late.is_some_and(|lead| lead < 0), over && expected.is_ok(), "{what}: {late:?}");
        }
    }
}

#[tokio::test]
async fn a_feed_moves_only_when_it_has_something_to_say() {
    let house = House::new().await;
    let environment = name("lab");
    // Nothing to say says where it stands.
    let position = || house.feeds.of(&environment).unwrap().position();
    let first = house.first(IdentityKind::Operational).await;
    let before = position();
    house.issuance.confirm(&first.fingerprint(), None, "test").await.unwrap();
    assert_eq!(position(), before, "a first use takes nobody's place");
    let second = house.renew(&first, &request()).await.unwrap();
    assert_eq!(position(), before, "nor does a successor that nobody proved");
    house.issuance.confirm(&second.fingerprint(), None, "test").await.unwrap();
    assert_eq!(position().seq, before.seq + 1, "the first is superseded");
}

/// What was recorded and could not be said is said with the next commit that touches a feed, or with the next turn of the upkeep.
#[tokio::test]
async fn a_feed_goes_on_where_it_stopped() {
    for upkeep in [false, true] {
        let house = House::new().await;
        let position = || house.feeds.of(&name("lab")).unwrap().position();
        let first = house.first(IdentityKind::Operational).await;
        house.issuance.confirm(&first.fingerprint(), None, "test").await.unwrap();
        let second = house.renew(&first, &request()).await.unwrap();
        let before = position();
        house.store.refuse_journal_reads(1);
        house.issuance.confirm(&second.fingerprint(), None, "test").await.unwrap();
        assert_eq!(position(), before, "recorded, and not said");
        if upkeep {
            house.commits.catch_up().unwrap();
        } else {
            house.first(IdentityKind::Operator).await;
            assert_eq!(position(), before, "it touches no feed");
            house.contain(touchmark_ra::Verb::Quarantine(None)).await;
        }
        assert_eq!(position().seq, before.seq + 1, "the first is superseded");
        house.commits.catch_up().unwrap();
        assert_eq!(position().seq, before.seq + 1, "once");
    }
}

#[tokio::test]
async fn what_is_over_confirms_nothing_but_by_its_renewal() {
    let house = House::new().await;
    let old = house.first(IdentityKind::Operational).await;
    house.issuance.confirm(&old.fingerprint(), None, "test").await.unwrap();
    let new = house.renew(&old, &request()).await.unwrap();
    house.pass(LIFETIME + Duration::from_secs(1));
    let refused = house.issuance.confirm(&new.fingerprint(), None, "test").await;
    assert_eq!(refusal(refused.unwrap_err()), "certificate-expired");
    house.issuance.proven(&new.fingerprint(), Proven::Here, "test").await.unwrap();
    assert_eq!(house.row(&new.fingerprint()).state, CertificateState::Issued);
    house.renew(&new, &request()).await.unwrap();
    assert_eq!(house.row(&new.fingerprint()).state, CertificateState::Confirmed);
}

#[tokio::test]
async fn an_older_certificate_after_a_newer_one_rings_once_an_hour_and_quarantines_where_the_profile_says_so()
{
    for (on_clone, standing) in
        [(CloneResponse::Alarm, Standing::Active), (CloneResponse::Quarantine, Standing::Quarantined)]
    {
        let house = House::with(SuccessorPlan { on_clone, ..SuccessorPlan::default() }).await;
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
        let device = house.row(&old.fingerprint()).device.unwrap();
        let alarms = || house.store.renewals_of(device).unwrap().map_or(0, |row| row.clone_alarms);
        let look = async |what| {
            house.issuance.look_at(&old.fingerprint(), what, &name("gateway-01"), "test").await.unwrap();
            alarms()
        };
        assert_eq!(look(Use::Other).await, 0, "{on_clone:?}: its overlap is not over");
        assert_eq!(refusal(house.renew(&old, &request()).await.unwrap_err()), "certificate-superseded");
        assert_eq!(look(Use::Renewal).await, 1, "{on_clone:?}: only the newest may renew");
        assert_eq!(look(Use::Renewal).await, 1, "{on_clone:?}: told already");
        assert_eq!(house.store.device(device).unwrap().unwrap().standing, standing, "{on_clone:?}");
        house.pass(Duration::from_secs(3601) + LIFETIME / 10);
        assert_eq!(look(Use::Other).await, 2, "{on_clone:?}: after an hour, and after the overlap");
        house.issuance.look_at(&new.fingerprint(), Use::Other, &name("gateway-01"), "test").await.unwrap();
        assert_eq!(alarms(), 2, "{on_clone:?}: the newest is no clone");
        let expected = if standing == Standing::Active { Ok(()) } else { Err("device-quarantined") };
        assert_eq!(house.renew(&new, &request()).await.map(drop).map_err(refusal), expected);
    }
}

#[tokio::test]
async fn an_alarm_that_could_not_be_recorded_rings_again() {
    let house = House::new().await;
    let old = house.first(IdentityKind::Operational).await;
    let new = house.renew(&old, &request()).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    let device = house.row(&old.fingerprint()).device.unwrap();
    house.store.plan_faults([Fault::Lost]);
    let (older, seen_by) = (old.fingerprint(), name(DEVICE));
    let look = || house.issuance.look_at(&older, Use::Renewal, &seen_by, "test");
    assert!(look().await.is_err());
    look().await.unwrap();
    assert_eq!(house.store.renewals_of(device).unwrap().unwrap().clone_alarms, 1);
}

#[tokio::test]
async fn when_more_is_asked_than_can_be_made_a_renewal_has_its_place_and_a_first_enrolment_waits_behind() {
    let house = House::paced(SuccessorPlan::default(), std::num::NonZeroU32::new(1)).await;
    let old = house.first(IdentityKind::Operational).await;
    house.pass(Duration::from_secs(10));
    let waits = |fault: EnrolmentFault| match fault {
        EnrolmentFault::TooMany { retry_after } => retry_after,
        other => panic!("{other}"),
    };
    let mut wait = Duration::ZERO;
    for _ in 0..4 {
        if let Err(fault) = house.renew(&old, &request()).await {
            wait = waits(fault);
        }
    }
    assert_eq!(wait, Duration::from_secs(1), "two at once, then one a second");
    let rows = house.rows(IdentityKind::Operational);
    assert_eq!(rows.len(), 3, "what was paced left no intent");
    let token = house.token(IdentityKind::Service, TokenSubject::Named(name("relay"))).await;
    let der = request();
    let sent = || {
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let password = Secret::new(token.password.expose().clone());
        let credential = PresentedCredential::Token { username: name("relay"), password };
        EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None)
    };
    let behind = waits(house.issuance.enrol(sent(), Shown::default(), "test").await.unwrap_err());
    assert_eq!(behind, Duration::from_secs(2), "after the renewal's place");
    house.pass(wait);
    house.renew(&old, &request()).await.unwrap();
    house.pass(behind);
    house.issuance.enrol(sent(), Shown::default(), "test").await.unwrap();
    assert_eq!(house.uses(&token), 1, "being sent away spent nothing");
}

/// What was issued and never came is over before it is asked for again: the answer must be of use.
#[tokio::test]
async fn an_answer_that_was_lost_until_it_was_over_is_given_anew() {
    let plan = SuccessorPlan { grace: Some(LIFETIME * 2), ..SuccessorPlan::default() };
    let house = House::with(plan).await;
    let old = house.first(IdentityKind::Operational).await;
    let der = request();
    let lost = house.renew(&old, &der).await.unwrap();
    house.pass(LIFETIME + Duration::from_secs(60));
    let new = house.renew(&old, &der).await.unwrap();
    assert!(new.validity().contains(house.clock.now()), "until {}", new.validity().not_after());
    assert_eq!(new.spki_hash(), lost.spki_hash(), "the request is the same");
    assert_eq!(house.renew(&old, &der).await.unwrap().fingerprint(), new.fingerprint());
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    use CertificateState::{Confirmed, Superseded};
    assert_eq!(states(&house, IdentityKind::Operational), [Superseded, Superseded, Confirmed]);
}

#[tokio::test]
async fn an_overlap_is_as_long_as_the_operator_said() {
    for (said, expected) in
        [(None, LIFETIME / 10), (Some(Duration::ZERO), Duration::ZERO), (Some(LIFETIME), LIFETIME)]
    {
        let house = House::with(SuccessorPlan { overlap: said, ..SuccessorPlan::default() }).await;
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
        let from = house.row(&old.fingerprint()).refused_from.unwrap();
        assert_eq!(from, house.clock.now().plus(expected), "{said:?}");
    }
}

/// A fault, or a caller that went away, between the two commits strands an intent and the token's use: both come back
/// by themselves, and another key may use the token then.
#[tokio::test]
async fn an_intent_that_nobody_works_on_is_burned_and_its_token_can_be_used_again() {
    let minute = Duration::from_secs(60);
    let house = House::new().await;
    let kind = IdentityKind::Operational;
    let token = house.token(kind, TokenSubject::Named(name(DEVICE))).await;
    house.store.plan_faults([Fault::None, Fault::Lost]);
    house.enrol(&crate::tests::house::key(), &token).await.unwrap_err();
    assert_eq!(house.uses(&token), 1, "stranded");
    assert_eq!(house.issuance.burn_stranded(minute).await.unwrap(), 0, "somebody may still work on it");
    house.pass(minute - Duration::from_secs(1));
    assert_eq!(house.issuance.burn_stranded(minute).await.unwrap(), 0);
    house.pass(Duration::from_secs(1));
    assert_eq!(house.issuance.burn_stranded(minute).await.unwrap(), 1);
    assert_eq!(house.issuance.burn_stranded(minute).await.unwrap(), 0, "once");
    assert_eq!(house.uses(&token), 0);
    house.enrol(&crate::tests::house::key(), &token).await.unwrap();
}

/// Whoever steals an operator's or a service's key and is overtaken, or overtakes, is noticed at its next use.
#[tokio::test]
async fn a_clone_of_an_operator_or_a_service_raises_the_alarm() {
    for kind in [IdentityKind::Operator, IdentityKind::Service] {
        let house = House::new().await;
        let old = house.first(kind).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
        let alarms = || house.store.parties().unwrap()[0].clone_alarms;
        let look = |what| {
            let (house, used) = (&house, old.fingerprint());
            async move { house.issuance.look_at(&used, what, &name("api"), "test").await.unwrap() }
        };
        look(Use::Other).await;
        assert_eq!(alarms(), 0, "{kind:?}: in its overlap");
        look(Use::Renewal).await;
        assert_eq!(alarms(), 1, "{kind:?}: only the newest may renew");
        look(Use::Renewal).await;
        assert_eq!(alarms(), 1, "{kind:?}: one alarm an hour");
    }
}

/// A superseded certificate that the profile had revoked is still one that another took the place of: to renew with it
/// is as suspicious as before.
#[tokio::test]
async fn a_renewal_with_what_was_revoked_for_being_replaced_raises_the_alarm() {
    let house = House::new().await;
    let old = house.first(IdentityKind::Operational).await;
    let new = house.renew(&old, &request()).await.unwrap();
    house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    house.pass(LIFETIME / 10 + Duration::from_secs(1));
    let command = touchmark_ra::revoke_superseded(&[house.row(&old.fingerprint())], house.clock.now());
    house.commits.commit(command.unwrap()).await.unwrap();
    assert_eq!(refusal(house.renew(&old, &request()).await.unwrap_err()), "certificate-revoked");
    let device = house.row(&old.fingerprint()).device.unwrap();
    assert_eq!(house.store.renewals_of(device).unwrap().unwrap().clone_alarms, 1);
    // One that an operator revoked is no clone's.
    house.contain(touchmark_ra::Verb::Revoke(touchmark_identity::RevocationReason::KeyCompromise)).await;
    assert_eq!(refusal(house.renew(&new, &request()).await.unwrap_err()), "certificate-revoked");
    assert_eq!(house.store.renewals_of(device).unwrap().unwrap().clone_alarms, 1);
}
