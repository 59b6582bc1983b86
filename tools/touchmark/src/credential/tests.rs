//! Folders that an earlier version made or left in the middle of a change, as that version named its files.

use super::*;
use touchmark_agent::lifecycle::StoredSuccessor;
use touchmark_ca::create_root;
use touchmark_identity::{Incarnation, SpkiHash, Timestamp};
use touchmark_x509::key::KeyAlgorithm;
use touchmark_x509::request::certification_request;
use touchmark_x509::{Signer as _, SoftwareKey};

fn name() -> Name {
    "pump-01".parse().unwrap()
}

/// A key, a request for it, and a certificate for it.
struct Pair {
    key: SoftwareKey,
    request: Vec<u8>,
    chain: String,
}

impl Pair {
    fn new() -> Self {
        let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let request = certification_request("pump-01", None, &key).unwrap();
        let now = Timestamp::from_unix_s(1_800_000_000);
        let chain = create_root("pump-01", &key, Incarnation::FIRST, now, [7; 16]).unwrap().to_pem();
        Self { key, request, chain }
    }

    fn spki(&self) -> SpkiHash {
        self.key.public_key().spki_hash()
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, octets) in files {
            touchmark_durable::write_atomic(&folder.path().join(name), octets, Mode::Private0600).unwrap();
        }
        Self(folder)
    }

    fn directory(&self) -> CredentialDir {
        CredentialDir::new(self.0.path().to_owned())
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Key of the pair in force, and what is on its way.
    fn state(&self) -> (Option<SpkiHash>, Option<StoredSuccessor>) {
        let directory = self.directory();
        let there = directory.is_there(&name()).unwrap();
        let files = DiskDirectory::at(self.0.path().to_owned()).unwrap();
        let stored = CredentialStore::new(files, name()).load().unwrap();
        let current = stored.current.map(|chain| chain.key());
        assert_eq!(there, current.is_some());
        assert!(!there || directory.tls().is_ok(), "key, chain and anchors fit");
        (current, stored.successor)
    }
}

/// Where the earlier version may have been cut off, and which pair is in force afterwards.
#[test]
fn whatever_an_earlier_version_left_in_a_folder_is_gone_on_with() {
    let (old, new) = (Pair::new(), Pair::new());
    let [old_key, new_key] = [&old, &new].map(|pair| pair.key.to_pkcs8_pem().expose().clone().into_bytes());
    let in_force: [(&str, &[u8]); 3] =
        [("key.pem", &old_key), ("chain.pem", old.chain.as_bytes()), ("anchors.pem", old.chain.as_bytes())];
    let (o, n) = (Some(old.spki()), Some(new.spki()));
    /// Files beside the pair in force, which key is in force then, and which one is on its way, with its certificate.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a [u8])], Option<SpkiHash>, Option<(Option<SpkiHash>, bool)>);
    let (request, chain) = (new.request.as_slice(), new.chain.as_bytes());
    let rows: &[Row<'_>] = &[
        ("nothing", &[], o, None),
        ("a renewal's key", &[("key.pem.new", &new_key)], o, None),
        (
            "a renewal's request",
            &[("key.pem.new", &new_key), ("renewal.der.new", request)],
            o,
            Some((n, false)),
        ),
        (
            "a renewal's certificate",
            &[("key.pem.new", &new_key), ("renewal.der.new", request), ("chain.pem.new", chain)],
            o,
            Some((n, true)),
        ),
        (
            "a renewal, its key in force",
            &[("key.pem", &new_key), ("renewal.der.new", request), ("chain.pem.new", chain)],
            n,
            None,
        ),
        (
            "an enrolment's request",
            &[("key.pem.new", &new_key), ("request.der.new", request)],
            o,
            Some((n, false)),
        ),
        (
            "an enrolment's certificate",
            &[("key.pem.new", &new_key), ("request.der.new", request), ("chain.pem.issued", chain)],
            n,
            None,
        ),
        (
            "an enrolment, its key in force",
            &[("key.pem", &new_key), ("request.der.new", request), ("chain.pem.issued", chain)],
            n,
            None,
        ),
        ("an enrolment, tidied up", &[("key.pem", &new_key), ("chain.pem.issued", chain)], n, None),
        ("a certificate without its key", &[("chain.pem.issued", chain)], o, None),
        ("half a certificate", &[("chain.pem.issued", b"-----BEGIN")], o, None),
        ("a torn key", &[("key.pem.new", b"-----BEGIN"), ("renewal.der.new", request)], o, None),
    ];
    for (what, beside, current, successor) in rows {
        let folder = Folder::with(&[&in_force[..], beside].concat());
        let (found, on_its_way) = folder.state();
        assert_eq!(found, *current, "{what}");
        let on_its_way = on_its_way.map(|one| (Some(one.key), one.chain.is_some()));
        assert_eq!(on_its_way, *successor, "{what}");
        let names = folder.names();
        let earlier = |name: &String| name.starts_with("renewal.") || name.ends_with(".issued");
        assert!(!names.iter().any(earlier), "{what}: {names:?}");
        if successor.is_none() && n == *current {
            assert_eq!(names, ["anchors.pem", "chain.pem", "key.pem"], "{what}: nothing is left over");
        }
    }
    let first = [("key.pem.new", new_key.as_slice()), ("chain.pem.issued", chain), ("anchors.pem", chain)];
    assert_eq!(Folder::with(&first).state().0, n, "a first enrolment");
}

#[test]
fn one_process_at_a_time_changes_a_folder() {
    let folder = Folder::with(&[]);
    let held = folder.directory().hold().unwrap();
    assert!(folder.directory().try_hold().unwrap().is_none());
    drop(held);
    assert!(folder.directory().try_hold().unwrap().is_some());
}
