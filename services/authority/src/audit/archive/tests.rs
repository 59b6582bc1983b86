//! What an archive takes, what it refuses without a trace, and what it says about itself when it is opened again.

use super::*;
use std::time::Duration;
use touchmark_decisions::{
    Act, AddressFamily, EpochOpened, FrameBuilder, PresentedCertificate, Proof, Resource, SessionId,
    SessionOpened, Verdict,
};
use touchmark_identity::{Fingerprint, Incarnation, SerialNumber, Timestamp};
use touchmark_policy::Action;
use touchmark_tilelog::{NoteSigner, TileLog};

pub(crate) const FINGERPRINT: Fingerprint = Fingerprint([7; 32]);

pub(crate) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000).plus(Duration::from_millis(ms))
}

pub(crate) fn epoch_opened() -> Record {
    Record::EpochOpened(EpochOpened { at: at(0), previous_epoch_clean: true, status: None })
}

pub(crate) fn session(handle: &str, environment: &str, fingerprint: Fingerprint) -> Record {
    Record::SessionOpened(SessionOpened {
        session: SessionId(1),
        at: at(1),
        verdict: Verdict::Allow,
        rule: None,
        resource: Resource::from(handle),
        certificate: Some(PresentedCertificate {
            fingerprint,
            issuer: Fingerprint([9; 32]),
            serial: SerialNumber::draw(Incarnation::FIRST, [3; 16]),
        }),
        handle: name(handle),
        environment: name(environment),
        policy: None,
        status: None,
        tls: None,
        proof: Proof::Mtls,
        peer_address_family: AddressFamily::V4,
    })
}

pub(crate) fn publish(ms: u64) -> Record {
    Record::Act(Act {
        session: SessionId(1),
        at: at(ms),
        action: Action::Publish,
        resource: Resource::from("plant/x"),
        verdict: Verdict::Allow,
        rule: None,
        policy: None,
        count: core::num::NonZeroU32::MIN,
    })
}

pub(crate) fn frame(gateway: &str, epoch: u32, first: u64, records: &[Record]) -> Vec<u8> {
    let mut builder = FrameBuilder::new(name(gateway), epoch, first);
    for record in records {
        builder.push(record).unwrap();
    }
    builder.finish()
}

/// Four good frames: one session, three times two publishes.
pub(crate) fn day(gateway: &str) -> Vec<Vec<u8>> {
    vec![
        frame(gateway, 1, 0, &[epoch_opened(), session("pump-01", "lab", FINGERPRINT)]),
        frame(gateway, 1, 1, &[publish(2), publish(3)]),
        frame(gateway, 1, 3, &[publish(4), publish(5)]),
        frame(gateway, 1, 5, &[publish(6), publish(7)]),
    ]
}

/// The key of a gateway's log, and its signed head over frames.
pub(crate) fn signed(gateway: &str, frames: &[Vec<u8>]) -> (String, String) {
    let home = tempfile::tempdir().unwrap();
    let signer = NoteSigner::from_seed(&format!("{gateway}.example/decisions"), &[5; 32]).unwrap();
    let vkey = signer.verifier_key().to_string();
    let mut log = TileLog::open(home.path(), signer, Mode::Private0600, None).unwrap();
    log.append(frames).unwrap();
    log.publish().unwrap();
    (vkey, log.checkpoint_note().to_owned())
}

const GATEWAY: &str = "gateway-01";

struct Lab {
    home: tempfile::TempDir,
    archives: Archives,
    gateway: Name,
}

impl Lab {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let archives = Archives::new(home.path().to_owned());
        archives.register(&name(GATEWAY), &signed(GATEWAY, &[]).0).unwrap();
        Self { home, archives, gateway: name(GATEWAY) }
    }

    fn restart(&mut self) {
        self.archives = Archives::new(self.home.path().to_owned());
    }

    fn send(&self, first: u64, frames: &[Vec<u8>], head: Option<&str>) -> Result<u64, ArchiveFault> {
        let taken =
            self.archives.with(&self.gateway, |archive| archive.accept(&name("lab"), first, frames, head))?;
        taken.map(|accepted| accepted.next_leaf)
    }

    fn file(&self, file: &str) -> PathBuf {
        self.home.path().join(GATEWAY).join(file)
    }

    fn decisions(&self) -> usize {
        let mut decisions = 0;
        self.archives.visit(|_| decisions += 1).unwrap();
        decisions
    }
}

#[test]
fn a_refused_frame_leaves_no_trace() {
    let mut lab = Lab::new();
    let day = day(GATEWAY);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("a gap", day[2].clone()),
        ("another gateway's", frame("gateway-02", 1, 1, &[publish(2)])),
        ("an epoch left out", frame(GATEWAY, 3, 0, &[epoch_opened()])),
        ("an epoch opened twice", frame(GATEWAY, 1, 1, &[publish(2), epoch_opened()])),
        ("not a frame", b"frame".to_vec()),
        ("of another environment", frame(GATEWAY, 1, 1, &[session("pump-01", "plant", FINGERPRINT)])),
    ];
    assert_eq!(lab.send(0, &day[..1], None).unwrap(), 1);
    let before = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
    for (what, bad) in rows {
        for _ in 0..2 {
            let fault = lab.send(1, &[bad.clone(), day[3].clone()], None).unwrap_err();
            assert!(matches!(fault, ArchiveFault::BadFrame { leaf: 1, .. }), "{what}: {fault}");
            let fault = lab.send(1, &day[3..], None).unwrap_err();
            assert!(matches!(fault, ArchiveFault::BadFrame { leaf: 1, .. }), "after {what}: {fault}");
        }
        assert_eq!(std::fs::read(lab.file(FRAMES_FILE)).unwrap(), before, "{what}");
    }
    assert_eq!(lab.send(1, &day[1..], None).unwrap(), 4, "what was wanted is still taken");
    lab.restart();
    assert_eq!(lab.send(4, &[], None).unwrap(), 4);
    assert_eq!(lab.decisions(), 7);
}

#[test]
fn good_frames_before_a_bad_one_are_kept() {
    let mut lab = Lab::new();
    let day = day(GATEWAY);
    lab.send(0, &[day[0].clone(), day[1].clone(), b"bad".to_vec(), day[2].clone()], None).unwrap_err();
    lab.restart();
    assert_eq!(lab.send(2, &day[2..], Some(&signed(GATEWAY, &day).1)).unwrap(), 4);
    lab.restart();
    assert_eq!(lab.decisions(), 7);
}

#[test]
fn frames_under_a_head_that_is_not_theirs_are_not_taken() {
    let lab = Lab::new();
    let day = day(GATEWAY);
    let mut other = day.clone();
    other[3] = frame(GATEWAY, 1, 5, &[publish(6)]);
    let rows = [("of another history", signed(GATEWAY, &other).1), ("of another log", signed("x", &day).1)];
    for (what, head) in rows {
        let fault = lab.send(0, &day, Some(&head)).unwrap_err();
        assert!(matches!(fault, ArchiveFault::Fork | ArchiveFault::BadHead), "{what}: {fault}");
        assert_eq!(lab.decisions(), 0, "{what}");
    }
    // A head over the first of them is a head of theirs.
    let head = signed(GATEWAY, &day[..2]).1;
    assert_eq!(lab.send(0, &day, Some(&head)).unwrap(), 4);
    assert_eq!(std::fs::read_to_string(lab.file(CHECKPOINT_FILE)).unwrap(), head);
}

#[test]
fn a_damaged_archive_is_set_aside_as_it_is() {
    type Harm = fn(&Lab);
    let harms: [(&str, Harm); 6] = [
        ("a bit flipped", |lab| {
            let mut bytes = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
            let place = bytes.len() / 2;
            bytes[place] ^= 1;
            std::fs::write(lab.file(FRAMES_FILE), bytes).unwrap();
        }),
        ("cut below its head", |lab| {
            let bytes = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
            std::fs::write(lab.file(FRAMES_FILE), &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("rubbish behind", |lab| {
            let mut bytes = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
            bytes.extend_from_slice(b"rubbish");
            std::fs::write(lab.file(FRAMES_FILE), bytes).unwrap();
        }),
        ("no key", |lab| std::fs::remove_file(lab.file(VKEY_FILE)).unwrap()),
        ("no text for a key", |lab| std::fs::write(lab.file(VKEY_FILE), b"\xff").unwrap()),
        ("another's head", |lab| {
            std::fs::write(lab.file(CHECKPOINT_FILE), signed("x", &[]).1).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let mut lab = Lab::new();
        let day = day(GATEWAY);
        lab.send(0, &day, Some(&signed(GATEWAY, &day).1)).unwrap();
        harm(&lab);
        let before = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
        lab.restart();
        for _ in 0..2 {
            let fault = lab.send(4, &[], None).unwrap_err();
            assert!(matches!(fault, ArchiveFault::Damaged { .. }), "{what}: {fault}");
        }
        let again = lab.archives.register(&lab.gateway, &signed(GATEWAY, &[]).0);
        assert!(matches!(again, Err(ArchiveFault::Damaged { .. })), "{what}: no second key");
        assert!(lab.archives.visit(drop).is_err(), "{what}: no answer that looks complete");
        assert_eq!(std::fs::read(lab.file(FRAMES_FILE)).unwrap(), before, "{what}");
        lab.archives.register(&name("gateway-02"), &signed("gateway-02", &[]).0).unwrap();
    }
}

#[test]
fn the_beginning_of_a_frame_that_was_never_acknowledged_is_cut() {
    let mut lab = Lab::new();
    let day = day(GATEWAY);
    lab.send(0, &day[..2], Some(&signed(GATEWAY, &day[..2]).1)).unwrap();
    let whole = std::fs::read(lab.file(FRAMES_FILE)).unwrap();
    let next = with_length(2, &day[2]).unwrap();
    for cut in 1..next.len() {
        std::fs::write(lab.file(FRAMES_FILE), [&whole, &next[..cut]].concat()).unwrap();
        lab.restart();
        assert_eq!(lab.send(2, &[], None).unwrap(), 2, "cut to {cut}");
        assert_eq!(std::fs::read(lab.file(FRAMES_FILE)).unwrap(), whole, "cut to {cut}");
    }
}
