//! Every decision is counted once, whatever went wrong between keeping and counting; and a gateway confirms
//! certificates of its own devices only.

use super::*;
use crate::audit::archive::tests::{FINGERPRINT, day, epoch_opened, frame, name, session, signed};
use crate::issuance::Issuance;
use crate::issuance::hierarchy::Hierarchy;
use crate::issuance::makers::Makers;
use crate::store::SqliteStore;
use crate::tests::house::operators;
use crate::tests::house::{DEVICE, House, LIFETIME, quick_vault, request};
use std::path::Path;
use touchmark_decisions::{Proof, Record, SessionOpened, Verdict};
use touchmark_identity::{Fingerprint, Incarnation, Timestamp};
use touchmark_inventory::{CertificateState, Command, Store};
use touchmark_journal::Draft;
use touchmark_listen::Clock;
use touchmark_policy::DenyReason;
use touchmark_testkit::JournalBuilder;

pub(crate) const GATEWAY: &str = "gateway-01";

/// An intake as `start` makes one.
pub(crate) fn intake(store: Arc<dyn Store>, archives: &Path) -> Arc<DecisionIntake> {
    let clock = Clock::new(|| Timestamp::from_unix_s(1_700_000_100));
    let keys = tempfile::tempdir().unwrap();
    let vault = quick_vault(keys.path());
    let hierarchy =
        Arc::new(Hierarchy::load(&*store, &vault, Incarnation::FIRST, "http://localhost".into()).unwrap());
    let commits = Commits::new(store);
    let makers = Arc::new(Makers::load(commits.clone(), hierarchy.clone(), clock.clone()).unwrap());
    let operators = operators(&commits, &clock);
    let issuance = Arc::new(Issuance::new(commits.clone(), hierarchy, makers, operators, None, clock));
    let archives = Archives::new(archives.to_owned());
    Arc::new(DecisionIntake::new(archives, commits, issuance, name("example")))
}

pub(crate) fn commit(store: &dyn Store, entries: Vec<Draft>) {
    let (tell, told) = std::sync::mpsc::channel();
    let done = Box::new(move |outcome| tell.send(outcome).unwrap());
    store.submit(Command { preconditions: Vec::new(), entries }, done);
    told.recv().unwrap().unwrap();
}

pub(crate) fn gateway() -> Caller {
    Caller {
        kind: IdentityKind::Service,
        name: name(GATEWAY),
        roles: Vec::new(),
        environment: name("lab"),
        reach: touchmark_journal::Reach::Environment,
    }
}

/// A gateway, and a certificate of `handle` that is issued and not yet confirmed.
pub(crate) fn people(
    builder: &mut JournalBuilder,
    handle: &str,
    fingerprint: Fingerprint,
    device: bool,
) -> Vec<Draft> {
    let id = device.then(|| builder.device_id());
    let version = builder.authority_version();
    let mut intent = builder.intent(id, version);
    intent.handle = name(handle);
    let mut entries = vec![builder.party_registered(IdentityKind::Service, GATEWAY, &[])];
    entries.extend(id.map(|id| builder.device_registered(id, handle)));
    entries.push(builder.intended(&intent));
    entries.push(builder.issued(intent.certificate, fingerprint));
    entries
}

struct Lab {
    home: tempfile::TempDir,
    store: Arc<SqliteStore>,
    intake: Arc<DecisionIntake>,
}

impl Lab {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&home.path().join("store.db")).unwrap());
        commit(&*store, people(&mut JournalBuilder::new(), "pump-01", FINGERPRINT, true));
        let intake = intake(store.clone(), &home.path().join("decisions"));
        intake.archives.register(&name(GATEWAY), &signed(GATEWAY, &[]).0).unwrap();
        Self { home, store, intake }
    }

    fn restart(&mut self) {
        self.intake = intake(self.store.clone(), &self.home.path().join("decisions"));
    }

    /// Publishes counted of the certificate, and the position.
    fn counted(&self) -> (u64, Option<(u32, u64)>) {
        let seen = self.store.sightings_of(&FINGERPRINT).unwrap();
        let publishes = seen.iter().filter(|row| row.action == "publish").map(|row| row.allowed).sum();
        (publishes, self.store.sightings_position(&name(GATEWAY)).unwrap())
    }

    fn state(&self, fingerprint: &Fingerprint) -> CertificateState {
        self.store.certificate_by_fingerprint(fingerprint).unwrap().unwrap().state
    }
}

#[tokio::test]
async fn good_frames_before_a_bad_one_are_counted() {
    let lab = Lab::new();
    let day = day(GATEWAY);
    let upload = [day[0].clone(), day[1].clone(), b"bad".to_vec()];
    let refused = lab.intake.take(&gateway(), 0, &upload, None).await;
    assert!(matches!(refused, Err(UploadFault::Archive(ArchiveFault::BadFrame { leaf: 2, .. }))));
    assert_eq!(lab.counted(), (2, Some((1, 3))));
    assert_eq!(lab.state(&FINGERPRINT), CertificateState::Confirmed);
    lab.intake.take(&gateway(), 2, &day[2..], None).await.unwrap();
    lab.intake.take(&gateway(), 0, &day, None).await.unwrap();
    assert_eq!(lab.counted(), (6, Some((1, 7))), "each counted once");
}

#[tokio::test]
async fn what_was_kept_and_not_counted_is_counted_from_the_stored_position() {
    let mut lab = Lab::new();
    let day = day(GATEWAY);
    let keep = |lab: &Lab, first: u64, frames: &[Vec<u8>]| {
        let kept = lab
            .intake
            .archives
            .with(&name(GATEWAY), |archive| archive.accept(&name("lab"), first, frames, None).map(drop));
        kept.unwrap().unwrap();
    };
    lab.intake.take(&gateway(), 0, &day[..2], None).await.unwrap();
    keep(&lab, 2, &day[2..3]);
    assert_eq!(lab.counted(), (2, Some((1, 3))));
    lab.restart();
    lab.intake.catch_up().await.unwrap();
    assert_eq!(lab.counted(), (4, Some((1, 5))));
    keep(&lab, 3, &day[3..]);
    lab.intake.take(&gateway(), 4, &[], None).await.unwrap();
    assert_eq!(lab.counted(), (6, Some((1, 7))), "an upload of nothing counts what waits");
}

#[tokio::test]
async fn a_count_that_failed_and_was_stored_is_not_repeated() {
    let lab = Lab::new();
    let day = day(GATEWAY);
    lab.intake.take(&gateway(), 0, &day[..2], None).await.unwrap();
    let rows = lab.intake.archives.with(&name(GATEWAY), |archive| {
        archive.accept(&name("lab"), 2, &day[2..3], None).unwrap();
        let (tally, reached) = archive.uncounted((1, 3)).unwrap().unwrap();
        let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
        (tally.rows(&scope, &name(GATEWAY)), reached)
    });
    let (rows, reached) = rows.unwrap();
    // The store did it, and its answer was lost: the archive was not told.
    lab.store.add_sightings(&name(GATEWAY), reached, &rows).unwrap();
    lab.intake.take(&gateway(), 3, &day[3..], None).await.unwrap();
    assert_eq!(lab.counted(), (6, Some((1, 7))));
}

#[tokio::test]
async fn the_position_never_falls() {
    let lab = Lab::new();
    lab.store.add_sightings(&name(GATEWAY), (2, 0), &[]).unwrap();
    lab.intake.take(&gateway(), 0, &day(GATEWAY), None).await.unwrap();
    assert_eq!(lab.counted(), (0, Some((2, 0))));
}

#[tokio::test]
async fn uploads_at_once_are_counted_once() {
    let lab = Lab::new();
    let day = day(GATEWAY);
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (intake, day) = (lab.intake.clone(), day.clone());
        uploads.spawn(async move { intake.take(&gateway(), 0, &day, None).await.unwrap().next_leaf });
    }
    assert_eq!(uploads.join_all().await, [4; 8]);
    assert_eq!(lab.counted(), (6, Some((1, 7))));
}

#[tokio::test]
async fn an_authority_starts_beside_a_damaged_archive() {
    let mut lab = Lab::new();
    lab.intake.take(&gateway(), 0, &day(GATEWAY), None).await.unwrap();
    let file = lab.home.path().join("decisions").join(GATEWAY).join("frames");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4] ^= 2;
    std::fs::write(&file, bytes).unwrap();
    lab.restart();
    lab.intake.catch_up().await.unwrap();
    let refused = lab.intake.take(&gateway(), 4, &[], None).await;
    assert!(matches!(refused, Err(UploadFault::Archive(ArchiveFault::Damaged { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_gateway_confirms_devices_of_its_environment_only() {
    let (elsewhere, service) = (Fingerprint([8; 32]), Fingerprint([9; 32]));
    let mut builder = JournalBuilder::numbered(1);
    // Whose certificate it is, what the record says, whether that confirms it.
    let rows = [
        ("its own device", FINGERPRINT, "pump-01", true),
        ("a device by another handle", FINGERPRINT, "pump-02", false),
        ("a device of another environment", elsewhere, "pump-01", false),
        ("a service", service, "relay", false),
    ];
    for (what, fingerprint, handle, confirms) in rows {
        let lab = Lab::new();
        builder.move_to("lab");
        commit(&*lab.store, people(&mut builder, "relay", service, false));
        builder.move_to("plant");
        let mut plant = people(&mut builder, "pump-01", elsewhere, true);
        plant.remove(0);
        commit(&*lab.store, plant);
        let forged = frame(GATEWAY, 1, 0, &[epoch_opened(), session(handle, "lab", fingerprint)]);
        lab.intake.take(&gateway(), 0, &[forged], None).await.unwrap();
        let expected = if confirms { CertificateState::Confirmed } else { CertificateState::Issued };
        assert_eq!(lab.state(&fingerprint), expected, "{what}");
    }
    let lab = Lab::new();
    let abroad = frame(GATEWAY, 1, 0, &[epoch_opened(), session("pump-01", "plant", FINGERPRINT)]);
    let refused = lab.intake.take(&gateway(), 0, &[abroad], None).await;
    assert!(matches!(refused, Err(UploadFault::Archive(ArchiveFault::BadFrame { .. }))));
    assert_eq!(lab.state(&FINGERPRINT), CertificateState::Issued);
}

#[tokio::test]
async fn a_gateway_that_refuses_a_superseded_certificate_raises_the_clone_alarm() {
    let deny = |reason| Verdict::Deny(reason);
    let rows = [
        ("superseded, its key proven", deny(DenyReason::Superseded), Proof::Mtls, DEVICE, true, 1),
        (
            "superseded, in its overlap by our clock",
            deny(DenyReason::Superseded),
            Proof::Mtls,
            DEVICE,
            false,
            0,
        ),
        ("superseded, its key not proven", deny(DenyReason::Superseded), Proof::None, DEVICE, true, 0),
        ("superseded, by another handle", deny(DenyReason::Superseded), Proof::Mtls, "pump-02", true, 0),
        ("refused for another reason", deny(DenyReason::Quarantined), Proof::Mtls, DEVICE, true, 0),
        ("allowed", Verdict::Allow, Proof::Mtls, DEVICE, true, 0),
    ];
    for (what, verdict, proof, handle, over, alarms) in rows {
        let house = House::new().await;
        let old = house.first(IdentityKind::Operational).await;
        let new = house.renew(&old, &request()).await.unwrap();
        house.issuance.confirm(&new.fingerprint(), None, "test").await.unwrap();
        if over {
            house.pass(LIFETIME / 10 + std::time::Duration::from_secs(1));
        }
        let home = tempfile::tempdir().unwrap();
        let intake = Arc::new(DecisionIntake::new(
            Archives::new(home.path().to_owned()),
            house.commits.clone(),
            house.issuance.clone(),
            name("example"),
        ));
        intake.archives.register(&name(GATEWAY), &signed(GATEWAY, &[]).0).unwrap();
        let Record::SessionOpened(opened) = session(handle, "lab", old.fingerprint()) else { panic!() };
        let opened = Record::SessionOpened(SessionOpened { verdict, proof, ..opened });
        let frame = frame(GATEWAY, 1, 0, &[epoch_opened(), opened]);
        intake.take(&gateway(), 0, &[frame], None).await.unwrap();
        let device = house.row(&old.fingerprint()).device.unwrap();
        let rung = house.store.renewals_of(device).unwrap().map_or(0, |row| row.clone_alarms);
        assert_eq!(rung, alarms, "{what}");
    }
}

/// A device may publish to as many topics of its own as it likes. A million with TOUCHMARK_LONG_TESTS=1.
#[tokio::test(flavor = "multi_thread")]
async fn topics_without_number_neither_grow_the_database_nor_the_answer_nor_hold_up_a_commit() {
    use touchmark_decisions::{Act, Resource, SessionId};
    let long = std::env::var_os("TOUCHMARK_LONG_TESTS").is_some_and(|value| value == "1");
    let (topics, at_once) = (if long { 1_000_000 } else { 30_000 }, 1_000);
    let lab = Lab::new();
    let size = || -> u64 {
        let files = std::fs::read_dir(lab.home.path()).unwrap().map(|file| file.unwrap().metadata().unwrap());
        files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
    };
    let before = size();
    let opened = frame(GATEWAY, 1, 0, &[epoch_opened(), session("pump-01", "lab", FINGERPRINT)]);
    lab.intake.take(&gateway(), 0, &[opened], None).await.unwrap();
    for batch in 0..topics / at_once {
        let act = |number: u64| {
            Record::Act(Act {
                session: SessionId(1),
                at: Timestamp::from_unix_s(1_700_000_000),
                action: touchmark_policy::Action::Publish,
                resource: Resource::from(format!("plant/pump-01/{}/{number}/t", number % 7).as_str()),
                verdict: Verdict::Allow,
                rule: None,
                policy: None,
                count: core::num::NonZeroU32::MIN,
            })
        };
        let acts: Vec<Record> = (0..at_once).map(|number| act(batch * at_once + number)).collect();
        let first = 1 + batch * at_once;
        let frames: Vec<Vec<u8>> = acts
            .chunks(500)
            .zip(0..)
            .map(|(acts, chunk)| frame(GATEWAY, 1, first + chunk * 500, acts))
            .collect();
        lab.intake.take(&gateway(), 1 + batch * 2, &frames, None).await.unwrap();
        assert!(lab.store.sightings_of(&FINGERPRINT).unwrap().len() <= touchmark_inventory::RESOURCES_MAX);
    }
    assert_eq!(lab.counted().0, topics);
    // Something else is recorded beside it.
    let (store, mut builder) = (lab.store.clone(), JournalBuilder::numbered(7));
    commit(&*store, vec![builder.refused("csr-key", 1, None)]);
    let grown = size().saturating_sub(before);
    assert!(grown <= 5_000_000, "{grown} octets more for {topics} topics");
}

/// What a gateway wrote down as one record is counted as one place, and the audit adds it up.
#[tokio::test]
async fn acts_on_several_topics_in_one_record_are_one_place() {
    use touchmark_decisions::{Act, Resource, SessionId};
    let lab = Lab::new();
    let act = |action, resource: &str, count: u32| {
        Record::Act(Act {
            session: SessionId(1),
            at: Timestamp::from_unix_s(1_700_000_000),
            action,
            resource: Resource::from(resource),
            verdict: Verdict::Allow,
            rule: None,
            policy: None,
            count: count.try_into().unwrap(),
        })
    };
    use touchmark_policy::Action::{Publish, Subscribe};
    let records = [
        epoch_opened(),
        session("pump-01", "lab", FINGERPRINT),
        act(Publish, "plant/pump-01/x/1", 1),
        act(Publish, "plant/pump-01/y", 3),
        act(Publish, "plant/pump-01/x/#", 500),
        act(Subscribe, "cmd/pump-01/#", 2),
    ];
    lab.intake.take(&gateway(), 0, &[frame(GATEWAY, 1, 0, &records)], None).await.unwrap();
    let rows = lab.store.sightings_of(&FINGERPRINT).unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| (&*row.action, &*row.resource, row.folded, row.allowed)).collect();
    assert_eq!(
        shown,
        [
            ("connect", "pump-01", false, 1),
            ("publish", "plant/pump-01/x/", true, 501),
            ("publish", "plant/pump-01/y", false, 3),
            ("subscribe", "cmd/pump-01/#", false, 2),
        ]
    );
}
