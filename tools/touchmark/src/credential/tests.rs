//! Every write of an enrolment and of a renewal is the last one, once; afterwards the device goes on.

use super::*;
use core::cell::Cell;
use std::os::unix::fs::PermissionsExt as _;
use touchmark_ca::create_root;
use touchmark_identity::{Incarnation, Name, Timestamp};

thread_local! {
    /// Writes until the power is cut; `None` is a steady supply.
    static WRITES_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Called before each write: an error once the power is gone.
pub(super) fn fuse() -> Result<(), Failure> {
    let left = WRITES_LEFT.get();
    if left == Some(0) {
        return Err(Failure::internal("power cut"));
    }
    WRITES_LEFT.set(left.map(|left| left - 1));
    Ok(())
}

fn name() -> Name {
    "pump-01".parse().unwrap()
}

/// A certificate for the key of a request, as an authority would answer it each time it is asked.
fn certified(pending: &Pending) -> Vec<Certificate> {
    let now = Timestamp::from_unix_s(1_800_000_000);
    vec![create_root("pump-01", &pending.key, Incarnation::FIRST, now, [7; 16]).unwrap()]
}

/// The authority's side: what was issued for which key, and which pairs have proven themselves.
#[derive(Default)]
struct Authority {
    issued: Vec<SpkiHash>,
    confirmed: Vec<SpkiHash>,
}

impl Authority {
    /// One whole run, up to its end or the power cut.
    fn renew(&mut self, directory: &CredentialDir) -> Result<(), Failure> {
        let held = directory.try_hold()?.unwrap();
        if let Renewal::Requested(pending) = held.begin_renewal(&name())? {
            let key = pending.key.public_key().spki_hash();
            if !self.issued.contains(&key) {
                self.issued.push(key);
            }
            held.keep_unconfirmed(&certified(&pending))?;
        }
        held.unconfirmed_tls()?;
        self.confirmed.push(spki(&directory.beside("key.pem.new")).unwrap());
        held.finish_renewal()
    }
}

fn enrol(directory: &CredentialDir) -> Result<(), Failure> {
    let held = directory.try_hold()?.unwrap();
    let pending = held.begin_enrolment(&name())?;
    let chain = certified(&pending);
    held.finish_enrolment(&chain, &chain[0].to_pem())
}

/// Key of the pair in force, which must be one.
fn in_force(directory: &CredentialDir) -> SpkiHash {
    assert!(directory.is_there().unwrap());
    directory.tls().unwrap();
    let key = spki(&directory.key()).unwrap();
    assert_eq!(key, directory.certificate().unwrap().spki_hash());
    key
}

fn names(directory: &CredentialDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const WHOLE: [&str; 3] = ["anchors.pem", "chain.pem", "key.pem"];

/// Runs `act` with the power cut before its first write, its second, and so on, until it has enough.
fn cut_at_each_write(mut act: impl FnMut(u32) -> bool) -> u32 {
    for writes in 0..100 {
        WRITES_LEFT.set(Some(writes));
        let ended = act(writes);
        WRITES_LEFT.set(None);
        if ended {
            return writes;
        }
    }
    panic!("it never ends");
}

#[test]
fn a_power_cut_at_any_write_of_a_renewal_loses_no_working_pair_and_no_certificate() {
    let cuts = cut_at_each_write(|writes| {
        WRITES_LEFT.set(None);
        let folder = tempfile::tempdir().unwrap();
        let directory = CredentialDir::new(folder.path().to_owned());
        enrol(&directory).unwrap();
        let old = in_force(&directory);
        let mut authority = Authority::default();
        WRITES_LEFT.set(Some(writes));
        let ended = authority.renew(&directory).is_ok();
        WRITES_LEFT.set(None);
        // The device starts again, perhaps without ever coming to renew.
        let kept = in_force(&directory);
        assert!(kept == old || authority.confirmed.contains(&kept), "write {writes}: never proven");
        if kept == old {
            authority.renew(&directory).unwrap();
        }
        let new = in_force(&directory);
        assert_ne!(new, old, "write {writes}");
        assert_eq!(authority.issued, [new], "write {writes}: one successor, whatever was cut off");
        assert_eq!(names(&directory), WHOLE, "write {writes}");
        let mode = std::fs::metadata(directory.key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "write {writes}");
        ended
    });
    assert!(cuts >= 8, "only {cuts} writes were cut");
}

#[test]
fn a_power_cut_at_any_write_of_an_enrolment_leaves_none_or_a_whole_one() {
    cut_at_each_write(|writes| {
        let folder = tempfile::tempdir().unwrap();
        let directory = CredentialDir::new(folder.path().to_owned());
        WRITES_LEFT.set(Some(writes));
        let ended = enrol(&directory).is_ok();
        WRITES_LEFT.set(None);
        if !directory.is_there().unwrap() {
            enrol(&directory).unwrap();
        }
        in_force(&directory);
        assert_eq!(names(&directory), WHOLE, "write {writes}");
        ended
    });
}

#[test]
fn a_power_cut_while_a_successor_is_given_up_leaves_the_pair_in_force() {
    cut_at_each_write(|writes| {
        WRITES_LEFT.set(None);
        let folder = tempfile::tempdir().unwrap();
        let directory = CredentialDir::new(folder.path().to_owned());
        enrol(&directory).unwrap();
        let old = in_force(&directory);
        let held = directory.try_hold().unwrap().unwrap();
        let Renewal::Requested(pending) = held.begin_renewal(&name()).unwrap() else { panic!("nothing yet") };
        held.keep_unconfirmed(&certified(&pending)).unwrap();
        WRITES_LEFT.set(Some(writes));
        let ended = held.give_up().is_ok();
        WRITES_LEFT.set(None);
        drop(held);
        assert_eq!(in_force(&directory), old, "write {writes}");
        Authority::default().renew(&directory).unwrap();
        assert_eq!(names(&directory), WHOLE, "write {writes}");
        ended
    });
}

#[test]
fn what_waits_for_its_certificate_is_told_from_what_waits_for_its_proof() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    enrol(&directory).unwrap();
    let old = in_force(&directory);
    let held = directory.try_hold().unwrap().unwrap();
    let Renewal::Requested(first) = held.begin_renewal(&name()).unwrap() else { panic!("nothing yet") };
    let Renewal::Requested(again) = held.begin_renewal(&name()).unwrap() else { panic!("nothing came") };
    assert!(!first.resumed && again.resumed);
    assert_eq!(first.request_der, again.request_der, "the same request is the same certificate");
    let mode = std::fs::metadata(directory.beside("key.pem.new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the key is readable by its owner alone, from its first moment");
    held.keep_unconfirmed(&certified(&first)).unwrap();
    let Renewal::Unconfirmed(new) = held.begin_renewal(&name()).unwrap() else { panic!("it came") };
    assert_eq!(new.spki_hash(), first.key.public_key().spki_hash());
    drop(held);
    assert_eq!(in_force(&directory), old, "nothing takes its place before it has proven itself");
}

#[test]
fn an_enrolment_and_a_renewal_do_not_take_up_each_others_keys() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    enrol(&directory).unwrap();
    let held = directory.try_hold().unwrap().unwrap();
    let Renewal::Requested(renewal) = held.begin_renewal(&name()).unwrap() else { panic!("nothing yet") };
    held.keep_unconfirmed(&certified(&renewal)).unwrap();
    let enrolment = held.begin_enrolment(&name()).unwrap();
    assert_ne!(enrolment.request_der, renewal.request_der);
    assert_eq!(held.begin_enrolment(&name()).unwrap().request_der, enrolment.request_der);
    let Renewal::Requested(after) = held.begin_renewal(&name()).unwrap() else { panic!("it was given up") };
    assert_ne!(after.request_der, enrolment.request_der);
}

#[test]
fn a_request_that_does_not_fit_the_key_beside_it_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    let held = directory.try_hold().unwrap().unwrap();
    let first = held.begin_enrolment(&name()).unwrap();
    std::fs::copy(directory.beside("request.der.new"), directory.beside("kept")).unwrap();
    held.give_up().unwrap();
    let second = held.begin_enrolment(&name()).unwrap();
    assert_ne!(first.request_der, second.request_der, "a refused key is not shown again");
    for foreign in [std::fs::read(directory.beside("kept")).unwrap(), vec![0x30, 0x80], Vec::new()] {
        std::fs::write(directory.beside("request.der.new"), &foreign).unwrap();
        assert_ne!(held.begin_enrolment(&name()).unwrap().request_der, foreign);
    }
}

#[test]
fn a_chain_without_its_key_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    std::fs::write(folder.path().join("chain.pem.new"), "no certificate").unwrap();
    assert!(!directory.is_there().unwrap());
    assert!(!folder.path().join("chain.pem.new").exists());
}

#[test]
fn a_write_that_was_cut_off_leaves_no_key_lying_about() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    let left = [".key.pem.new.7-1.tmp", ".chain.pem.issued.7-12.tmp", ".renewal.der.new.7-3.tmp"];
    let others = [".feed.key.7-1.tmp", ".key.pem.new", "key.pem.new.7-1.tmp"];
    left.iter().chain(&others).for_each(|name| std::fs::write(directory.beside(name), "x").unwrap());
    assert!(!directory.is_there().unwrap());
    let mut expected = others.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(names(&directory), expected);
}

#[test]
fn one_at_a_time_changes_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let directory = CredentialDir::new(folder.path().to_owned());
    let held = directory.try_hold().unwrap();
    assert!(held.is_some() && directory.try_hold().unwrap().is_none());
    assert!(!directory.is_there().unwrap(), "to look is allowed meanwhile");
    drop(held);
    assert!(directory.try_hold().unwrap().is_some());
}
