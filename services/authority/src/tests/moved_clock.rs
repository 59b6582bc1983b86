//! A clock that jumps ahead for a moment, and comes back: nothing that ends by time ends for good.

use crate::containment::Containments;
use crate::feed::crls::{Published, kept_from};
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, LIFETIME, request};
use std::time::Duration;
use touchmark_ca::{CRL_LIFETIME, ENDED_KEPT};
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, Store as _};
use touchmark_journal::{IdentityKind, Standing};
use touchmark_ra::SuccessorPlan;
use touchmark_ra::{Contain, Verb};
use touchmark_status::{StatusSet, open_feed_file};
use touchmark_testkit::name;
use touchmark_x509::crl::Crl;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A house with one device, and what contains it.
struct Lab {
    house: House,
    containments: Containments,
    _home: tempfile::TempDir,
}

impl Lab {
    async fn with(plan: SuccessorPlan) -> Self {
        let home = tempfile::tempdir().unwrap();
        let house = House::with(plan).await;
        let containments = house.containments(home.path());
        containments.crls.refresh_all().await.unwrap();
        Self { house, containments, _home: home }
    }

    fn device(&self) -> DeviceRow {
        self.house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap()
    }

    async fn contain(&self, verb: Verb) {
        let mandate = bootstrapped(Contain { device: self.device(), verb });
        self.containments.contain(mandate, false, Duration::ZERO).await.unwrap();
    }

    async fn revoke(&self) {
        self.contain(Verb::Revoke(RevocationReason::KeyCompromise)).await;
    }

    /// What the upkeep does each second, and each hour with the feeds.
    async fn turn(&self) -> usize {
        self.house.time.look();
        self.containments.crls.refresh_all().await.unwrap();
        self.containments.end_due_quarantines().await.unwrap();
        self.containments.revoke_superseded().await.unwrap();
        self.house.feeds.prune(kept_from(&self.house.time))
    }

    /// The feed as a gateway reads it that has nothing yet.
    fn feed(&self) -> StatusSet {
        let (now, lab) = (self.house.clock.now(), name("lab"));
        let octets = self.house.feeds.since(&lab, None, now).unwrap();
        open_feed_file(&octets, &self.house.feeds.signer().verifier(), &lab, None, now).unwrap()
    }

    fn published(&self, row: &CertificateRow) -> Published {
        self.containments.crls.get(row.authority_version, row.crl_shard).unwrap()
    }

    /// Whether CRL and feed name a certificate.
    fn named(&self, row: &CertificateRow) -> (bool, bool) {
        let crl = Crl::from_der(&self.published(row).der).unwrap();
        let fed = self.feed().state().revocation(&row.authority_version, &row.serial).is_some();
        (crl.find(&row.serial).is_some(), fed)
    }
}

#[tokio::test]
async fn a_quarantine_ends_when_its_time_has_passed_and_not_when_a_clock_jumps() {
    for ahead in [HOUR + SECOND, 40 * DAY] {
        let lab = Lab::with(SuccessorPlan::default()).await;
        lab.house.first(IdentityKind::Operational).await;
        let until = lab.house.clock.now().plus(HOUR);
        lab.contain(Verb::Quarantine(Some(until))).await;
        let held = async |held: bool, what: &str| {
            lab.turn().await;
            let (standing, fed) = match held {
                true => (Standing::Quarantined, Some(touchmark_status::Standing::Quarantined)),
                false => (Standing::Active, None),
            };
            assert_eq!(lab.device().standing, standing, "{ahead:?}: {what}");
            assert_eq!(lab.feed().state().standing(&name(DEVICE)), fed, "{ahead:?}: {what}");
        };
        held(true, "just made").await;
        lab.house.clock_goes(ahead);
        held(true, "the clock jumped").await;
        lab.house.pass(5 * MINUTE);
        held(true, "it is still there").await;
        lab.house.clock_goes_back(ahead);
        held(true, "it is back").await;
        lab.house.pass(55 * MINUTE - SECOND);
        held(true, "a second before the end").await;
        lab.house.pass(SECOND);
        held(false, "its time has passed").await;
    }
}

/// A machine whose clock was wrong at the start: what the clock says and keeps saying is the time.
#[tokio::test]
async fn a_quarantine_ends_by_a_clock_that_stays_where_it_went() {
    let lab = Lab::with(SuccessorPlan::default()).await;
    lab.house.first(IdentityKind::Operational).await;
    let until = lab.house.clock.now().plus(HOUR);
    lab.contain(Verb::Quarantine(Some(until))).await;
    lab.house.clock_goes(HOUR);
    for (passes, standing) in [
        (SECOND, Standing::Quarantined),
        (10 * MINUTE - 2 * SECOND, Standing::Quarantined),
        (SECOND, Standing::Active),
    ] {
        lab.turn().await;
        lab.house.pass(passes);
        lab.turn().await;
        assert_eq!(lab.device().standing, standing, "{passes:?}");
    }
}

#[tokio::test]
async fn an_overlap_is_not_ended_for_good_by_a_clock_that_jumps() {
    let lab = Lab::with(SuccessorPlan { revoke_superseded: true, ..SuccessorPlan::default() }).await;
    let old = lab.house.first(IdentityKind::Operational).await;
    let new = lab.house.renew(&old, &request()).await.unwrap();
    lab.house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
    let overlap = LIFETIME / 10 + SECOND;
    for (ahead, passes, state) in [
        (overlap, Duration::ZERO, CertificateState::Superseded),
        (Duration::ZERO, Duration::ZERO, CertificateState::Superseded),
        (Duration::ZERO, overlap, CertificateState::Revoked),
    ] {
        lab.house.clock_goes(ahead);
        lab.house.pass(passes);
        lab.turn().await;
        assert_eq!(lab.house.row(&old.fingerprint()).state, state, "{ahead:?}, {passes:?}");
        lab.house.clock_goes_back(ahead);
    }
}

/// RFC 5280 §3.3: an entry stays until it was in a CRL that was made after the certificate's end.
#[tokio::test]
async fn a_revoked_certificate_is_named_until_one_crl_period_after_its_end() {
    let lab = Lab::with(SuccessorPlan::default()).await;
    let dead = lab.house.first(IdentityKind::Operational).await.fingerprint();
    lab.revoke().await;
    let dead = lab.house.row(&dead);
    let end = dead.validity.not_after();
    let goes_to = |moment: Timestamp| lab.house.pass(moment.since(lab.house.clock.now()));
    assert_eq!(lab.named(&dead), (true, true), "just revoked");
    let last = end.plus(ENDED_KEPT);
    for moment in [end, end.plus(SECOND), end.plus(CRL_LIFETIME / 2 + MINUTE), end.plus(CRL_LIFETIME), last] {
        goes_to(moment);
        assert_eq!(lab.turn().await, 0, "{moment}");
        assert_eq!(lab.named(&dead), (true, true), "{moment}");
    }
    let told = lab.published(&dead);
    assert!(told.this_update > end, "a CRL that was made after the end names it");
    goes_to(last.plus(SECOND));
    assert_eq!(lab.turn().await, 1);
    assert_eq!(lab.named(&dead), (true, false), "the CRL is made again when it is due");
    goes_to(told.due);
    assert_eq!(lab.turn().await, 0);
    assert_eq!(lab.named(&dead), (false, false));
}

#[tokio::test]
async fn a_clock_that_jumps_drops_no_revocation() {
    for ahead in [2 * LIFETIME + ENDED_KEPT, 40 * DAY] {
        let lab = Lab::with(SuccessorPlan::default()).await;
        let dead = lab.house.first(IdentityKind::Operational).await.fingerprint();
        lab.revoke().await;
        let dead = lab.house.row(&dead);
        let before = lab.published(&dead).number;
        lab.house.clock_goes(ahead);
        for passes in [Duration::ZERO, 9 * MINUTE] {
            lab.house.pass(passes);
            assert_eq!(lab.turn().await, 0, "{ahead:?}");
            assert_eq!(lab.named(&dead), (true, true), "{ahead:?}: the clock is ahead");
        }
        assert!(lab.published(&dead).number > before, "{ahead:?}: a CRL was made meanwhile");
        lab.house.clock_goes_back(ahead);
        for passes in [Duration::ZERO, MINUTE, CRL_LIFETIME / 2] {
            lab.house.pass(passes);
            assert_eq!(lab.turn().await, 0, "{ahead:?}");
            assert_eq!(lab.named(&dead), (true, true), "{ahead:?}: it is back");
        }
    }
}

#[tokio::test]
async fn a_crl_from_the_future_is_made_again_and_half_a_life_later_again() {
    // An hour is no half of a life: it is the revocation that makes a CRL then.
    for (ahead, revokes) in [(HOUR, true), (CRL_LIFETIME / 2, false), (40 * DAY, false), (40 * DAY, true)] {
        let lab = Lab::with(SuccessorPlan::default()).await;
        let device = lab.house.first(IdentityKind::Operational).await.fingerprint();
        let row = lab.house.row(&device);
        let what = format!("{ahead:?}, revokes: {revokes}");
        let first = lab.published(&row);
        lab.house.clock_goes(ahead);
        if revokes {
            lab.revoke().await;
        }
        lab.turn().await;
        let early = lab.published(&row);
        assert!(early.number > first.number, "{what}");
        lab.house.clock_goes_back(ahead);
        assert!(early.this_update > lab.house.clock.now(), "{what}: nobody can use it now");
        lab.turn().await;
        let now = lab.house.clock.now();
        let again = lab.published(&row);
        let read = Crl::from_der(&again.der).unwrap();
        assert_eq!((read.number(), read.this_update()), (again.number, again.this_update), "{what}");
        assert!(again.number > early.number && again.this_update <= now, "{what}");
        assert_eq!(read.find(&row.serial).is_some(), revokes, "{what}");
        assert_eq!(again.due, now.plus(CRL_LIFETIME / 2), "{what}");
        for (passes, number) in [
            (Duration::ZERO, again.number),
            (CRL_LIFETIME / 2 - SECOND, again.number),
            (SECOND, again.number + 1),
            (SECOND, again.number + 1),
        ] {
            lab.house.pass(passes);
            lab.turn().await;
            assert_eq!(lab.published(&row).number, number, "{what}: {passes:?} later");
        }
    }
}

/// A list is dated a little back, for readers whose clocks are slow: a step of that size makes no new one.
#[tokio::test]
async fn a_small_step_of_the_clock_makes_no_crl() {
    let lab = Lab::with(SuccessorPlan::default()).await;
    let device = lab.house.first(IdentityKind::Operational).await.fingerprint();
    lab.house.clock_goes(20 * SECOND);
    lab.revoke().await;
    let row = lab.house.row(&device);
    let number = lab.published(&row).number;
    lab.house.clock_goes_back(20 * SECOND);
    lab.turn().await;
    assert_eq!(lab.published(&row).number, number);
}
