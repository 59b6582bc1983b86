//! The key store on a real disk: permissions, links, leftovers; and that it does what the folder in memory does.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use touchmark_agent::lifecycle::{Chain, Input, StateRecord, Stored, StoredSuccessor, Write};
use touchmark_agent::store::{
    CredentialStore, Directory, DirectoryFault, DiskDirectory, FileName, MemoryDirectory, StoreFault,
};
use touchmark_identity::{EnvironmentName, Incarnation, SerialNumber, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::csr::UnprovenCsr;
use touchmark_x509::key::KeyAlgorithm;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, ca_tbs};
use touchmark_x509::{Certificate, Signer as _, SoftwareKey};

fn lab() -> EnvironmentName {
    "lab".parse().unwrap()
}

fn open(state: &Path) -> CredentialStore<DiskDirectory> {
    CredentialStore::new(DiskDirectory::open(state, &lab()).unwrap(), "pump-01".parse().unwrap())
}

/// What an authority makes of a request.
fn certify(request: &[u8]) -> Chain {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let validity = Validity::new(1_795_305_600, 1_797_897_599).unwrap();
    let algorithm = key.algorithm();
    let serial = SerialNumber::draw(Incarnation::FIRST, [1; 16]);
    let tbs = ca_tbs(&CaContents {
        common_name: "lab root",
        serial,
        validity,
        public_key: key.public_key(),
        path_len: None,
        issuer: None,
        crl_url: None,
        signature_algorithm: algorithm,
    });
    let signature = key.sign(tbs.as_bytes()).unwrap();
    let issuer = Certificate::from_der(&tbs.into_certificate(algorithm, &signature)).unwrap();
    let csr = UnprovenCsr::from_der(request).unwrap().prove_possession().unwrap();
    let template = LeafTemplate::new(&LeafProfile {
        issuer: &issuer,
        signature_algorithm: algorithm,
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
        crl_url: "http://localhost/crl",
    });
    let uri = "spiffe://lab.touchmark.internal/d/pump-01".parse().unwrap();
    let tbs = template.unwrap().fill(&LeafContents {
        serial,
        validity,
        public_key: csr.public_key(),
        common_name: &"pump-01".parse().unwrap(),
        uri: &uri,
        dns: &[],
        ip: &[],
        scope: &[],
    });
    let signature = key.sign(tbs.as_bytes()).unwrap();
    let leaf = Certificate::from_der(&tbs.into_certificate(algorithm, &signature)).unwrap();
    Chain::from_stored(vec![leaf]).unwrap()
}

/// One whole renewal; gives the new chain.
fn renew<D: Directory>(store: &mut CredentialStore<D>) -> Chain {
    let Input::Made(StoredSuccessor { key, .. }) = store.perform(&Write::MakeSuccessor) else {
        panic!("no key")
    };
    let chain = certify(&store.request().unwrap().unwrap());
    assert_eq!(chain.key(), key);
    for write in [Write::KeepSuccessor(chain.clone()), Write::Swap { key }] {
        assert!(matches!(store.perform(&write), Input::Done), "{write:?}");
    }
    chain
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_file_has_its_name_and_its_permissions_from_the_start() {
    let state = tempfile::tempdir().unwrap();
    let mut store = open(state.path());
    let chain = renew(&mut store);
    let anchors = vec![chain.leaf().clone()];
    for write in [
        Write::KeepState(Box::new(StateRecord::empty(Timestamp::from_unix_s(0)))),
        Write::KeepAnchors(anchors),
        Write::MakeSuccessor,
    ] {
        assert!(!matches!(store.perform(&write), Input::Failed(_)), "{write:?}");
    }
    let new = certify(&store.request().unwrap().unwrap());
    assert!(matches!(store.perform(&Write::KeepSuccessor(new)), Input::Done));
    let folder = state.path().join("lab");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let expected: Vec<(&str, u32)> = vec![
        ("anchors.pem", 0o644),
        ("chain.pem", 0o644),
        ("chain.pem.new", 0o644),
        ("key.pem", 0o600),
        ("key.pem.new", 0o600),
        ("request.der.new", 0o600),
        ("state.json", 0o600),
    ];
    let seen: Vec<(String, u32)> = names(&folder)
        .into_iter()
        .map(|name| {
            let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode() & 0o777;
            (name, mode)
        })
        .collect();
    assert_eq!(seen, expected.into_iter().map(|(name, mode)| (name.to_owned(), mode)).collect::<Vec<_>>());
    assert_eq!(FileName::ALL.len(), seen.len());
}

#[test]
fn disk_and_memory_hold_the_same_after_the_same_writes() {
    fn outline(stored: &Stored) -> (bool, Option<bool>, usize, bool) {
        let successor = stored.successor.as_ref().map(|successor| successor.chain.is_some());
        (stored.current.is_some(), successor, stored.anchors.len(), stored.state.is_some())
    }
    fn run<D: Directory>(mut store: CredentialStore<D>) -> Vec<(bool, Option<bool>, usize, bool)> {
        let mut seen = vec![outline(&store.load().unwrap())];
        store.perform(&Write::MakeSuccessor);
        seen.push(outline(&store.load().unwrap()));
        let chain = certify(&store.request().unwrap().unwrap());
        for write in [
            Write::KeepSuccessor(chain.clone()),
            Write::Swap { key: chain.key() },
            Write::Swap { key: chain.key() },
            Write::KeepAnchors(vec![chain.leaf().clone()]),
            Write::KeepState(Box::new(StateRecord::empty(Timestamp::from_unix_s(0)))),
            Write::MakeSuccessor,
            Write::DropSuccessor,
            Write::DropSuccessor,
        ] {
            assert!(!matches!(store.perform(&write), Input::Failed(_)), "{write:?}");
            seen.push(outline(&store.load().unwrap()));
        }
        seen
    }
    let state = tempfile::tempdir().unwrap();
    let on_disk = run(open(state.path()));
    assert_eq!(on_disk, run(CredentialStore::new(MemoryDirectory::default(), "pump-01".parse().unwrap())));
    assert_eq!(on_disk.last(), Some(&(true, None, 1, true)));
}

/// T24: a link or a readable file in place of a key is refused, and nothing is written through it.
#[test]
fn a_key_that_is_a_link_or_that_others_can_read_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let mut store = open(state.path());
    renew(&mut store);
    let (key, elsewhere) = (state.path().join("lab/key.pem"), state.path().join("elsewhere"));
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let refused = store.load().unwrap_err();
        assert!(
            matches!(refused, StoreFault::Directory(DirectoryFault::Exposed { .. })),
            "{mode:o}: {refused}"
        );
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&key, &elsewhere).unwrap();
    symlink(&elsewhere, &key).unwrap();
    let refused = store.load().unwrap_err();
    assert!(matches!(refused, StoreFault::Directory(DirectoryFault::NotAFile { .. })), "{refused}");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    let refused = store.load().unwrap_err();
    assert!(matches!(refused, StoreFault::Directory(DirectoryFault::NotAFile { .. })), "{refused}");
}

/// Whoever may write the folder may put a key of their own into it.
#[test]
fn a_folder_that_others_can_write_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    fs::create_dir(&state).unwrap();
    let environment = "lab".parse().unwrap();
    let chmod =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chmod(&state, 0o700);
    DiskDirectory::open(&state, &environment).unwrap();
    for folder in [state.clone(), state.join("lab")] {
        for mode in [0o777, 0o770, 0o702, 0o1777] {
            chmod(&folder, mode);
            let refused = DiskDirectory::open(&state, &environment).unwrap_err();
            assert!(matches!(refused, DirectoryFault::Open { .. }), "{mode:o}: {refused}");
        }
        for mode in [0o755, 0o750, 0o700] {
            chmod(&folder, mode);
            assert!(DiskDirectory::open(&state, &environment).is_ok(), "{mode:o}");
        }
    }
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_and_never_written_through() {
    let state = tempfile::tempdir().unwrap();
    let mut store = open(state.path());
    renew(&mut store);
    let target = state.path().join("target");
    fs::write(&target, "untouched").unwrap();
    for name in ["state.json", "anchors.pem"] {
        let link = state.path().join("lab").join(name);
        let _ = fs::remove_file(&link);
        symlink(&target, &link).unwrap();
        let write = match name {
            "state.json" => Write::KeepState(Box::new(StateRecord::empty(Timestamp::from_unix_s(0)))),
            _ => Write::KeepAnchors(vec![certify(&request()).leaf().clone()]),
        };
        assert!(matches!(store.perform(&write), Input::Done), "{name}");
        assert!(fs::symlink_metadata(&link).unwrap().is_file(), "{name}");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
}

fn request() -> Vec<u8> {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    touchmark_x509::request::certification_request("pump-01", None, &key).unwrap()
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), state.path().join("lab")).unwrap();
    assert!(matches!(DiskDirectory::open(state.path(), &lab()), Err(DirectoryFault::NotAFile { .. })));
}

#[test]
fn key_and_chain_of_different_pairs_are_refused_and_nothing_is_removed() {
    let state = tempfile::tempdir().unwrap();
    let mut store = open(state.path());
    renew(&mut store);
    let folder = state.path().join("lab");
    fs::write(folder.join("chain.pem"), certify(&request()).to_pem()).unwrap();
    let before = names(&folder);
    assert!(matches!(store.load(), Err(StoreFault::Mixed)));
    assert!(matches!(store.current(), Err(StoreFault::Mixed)));
    assert_eq!(names(&folder), before);
}

#[test]
fn half_written_files_of_a_crash_are_cleared_away_and_strangers_files_are_not() {
    let state = tempfile::tempdir().unwrap();
    drop(open(state.path()));
    let folder = state.path().join("lab");
    for name in [".key.pem.new.77-0.tmp", ".state.json.77-1.tmp", "notes.txt", ".hidden"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    drop(open(state.path()));
    assert_eq!(names(&folder), [".hidden", "notes.txt"]);
}

#[test]
fn a_successors_files_that_are_garbage_are_made_anew() {
    type Damage = fn(&Path);
    let rows: &[(&str, Damage)] = &[
        ("a torn key", |folder| fs::write(folder.join("key.pem.new"), "-----BEGIN PRIVATE").unwrap()),
        ("a torn request", |folder| fs::write(folder.join("request.der.new"), [0x30, 0x82]).unwrap()),
        ("another key's request", |folder| fs::write(folder.join("request.der.new"), request()).unwrap()),
        ("no key", |folder| fs::remove_file(folder.join("key.pem.new")).unwrap()),
        ("no request", |folder| fs::remove_file(folder.join("request.der.new")).unwrap()),
        ("a chain of nobody", |folder| {
            fs::remove_file(folder.join("key.pem.new")).unwrap();
            fs::write(folder.join("chain.pem.new"), certify(&request()).to_pem()).unwrap();
        }),
    ];
    for (name, damage) in rows {
        let state = tempfile::tempdir().unwrap();
        let mut store = open(state.path());
        let current = renew(&mut store);
        let Input::Made(StoredSuccessor { key: first, .. }) = store.perform(&Write::MakeSuccessor) else {
            panic!("{name}")
        };
        damage(&state.path().join("lab"));
        let stored = store.load().unwrap();
        assert!(stored.successor.is_none(), "{name}");
        assert_eq!(stored.current, Some(current), "{name}: the pair in force is not touched");
        let Input::Made(StoredSuccessor { key: second, .. }) = store.perform(&Write::MakeSuccessor) else {
            panic!("{name}")
        };
        assert_ne!(first, second, "{name}");
        assert!(store.load().unwrap().successor.is_some(), "{name}");
    }
}

#[test]
fn a_take_over_that_was_not_asked_for_does_not_happen() {
    let state = tempfile::tempdir().unwrap();
    let mut store = open(state.path());
    let current = renew(&mut store);
    let Input::Made(StoredSuccessor { key, .. }) = store.perform(&Write::MakeSuccessor) else {
        panic!("no key")
    };
    assert!(matches!(store.perform(&Write::Swap { key }), Input::Failed(_)), "no chain yet");
    assert!(
        matches!(store.perform(&Write::KeepSuccessor(certify(&request()))), Input::Failed(_)),
        "not its chain"
    );
    let chain = certify(&store.request().unwrap().unwrap());
    assert!(matches!(store.perform(&Write::KeepSuccessor(chain)), Input::Done));
    let other = certify(&request()).key();
    assert!(matches!(store.perform(&Write::Swap { key: other }), Input::Failed(_)), "another one");
    assert_eq!(store.current().unwrap().unwrap().chain, current);
}
