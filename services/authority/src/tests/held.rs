//! What holds of a house at the end of every test: SQL, feeds and CRLs say what the rows say, each computed by itself.

use super::house::House;
use crate::feed::Feeds;
use crate::feed::crls::{Crls, kept_from};
use crate::sha256;
use crate::store::SqliteStore;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use touchmark_identity::{EnvironmentName, SpkiHash, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, DeviceRow, Dying, MemoryStore, Store};
use touchmark_journal::{Draft, Event, Salt, Standing};
use touchmark_status::{FeedSigner, StatusSet, open_feed_file};
use touchmark_testkit::replay;
use touchmark_x509::crl::Crl;
use touchmark_x509::{KeyPlace, PublicKey, SignatureAlgorithm, Signer, SigningFault};

/// What is committed when a certificate is about to be signed, once.
/// What is committed before the next signature, and whether that is to be one of a certificate, or else of a CRL.
pub(super) type Between = Arc<Mutex<Option<(bool, Command)>>>;

/// An authority's key. One that is kept elsewhere signs a certificate only when its intent stands in the journal.
pub(super) struct Watched {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) between: Between,
    pub(super) place: KeyPlace,
}

impl Signer for Watched {
    fn public_key(&self) -> &PublicKey {
        self.signer.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.signer.algorithm()
    }

    fn place(&self) -> KeyPlace {
        self.place
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault> {
        let hash = sha256(message);
        let is_it = |event: &Event| matches!(event, Event::CertificateIntended(e) if e.tbs_sha256 == hash);
        let is_recorded = || {
            let entries = self.store.journal_from(0, usize::MAX).unwrap();
            entries.iter().any(|stored| is_it(&stored.entry.event))
        };
        if self.place == KeyPlace::Outside && is_certificate(message) && !is_recorded() {
            return Err(SigningFault::Keeper);
        }
        let now = self.between.lock().unwrap().take_if(|(wanted, _)| *wanted == is_certificate(message));
        if let Some((_, command)) = now {
            self.store.submit(command, Box::new(|outcome| assert!(outcome.is_ok())));
        }
        self.signer.sign(message)
    }
}

/// A TBSCertificate begins with its version, tagged `[0]` (RFC 5280 §4.1); a TBSCertList does not (§5.1).
fn is_certificate(tbs: &[u8]) -> bool {
    let length_octets = match tbs[1] {
        short if short < 0x80 => 0,
        long => usize::from(long & 0x7f),
    };
    tbs[2 + length_octets] == 0xa0
}

impl House {
    /// Called at the end of each test.
    pub(super) fn is_held(&self) {
        let store = &*self.store;
        replay::assert_rows_equal_replay(store);
        sql_says_the_same(store);
        let now = self.clock.now();
        // What the feeds could not follow is made good by the upkeep.
        self.commits.catch_up().unwrap();
        // What ended long ago may be gone from feeds and CRLs.
        let kept = kept_from(&self.time);
        let rows: Vec<_> = rows(store).into_iter().filter(|row| row.validity.not_after() >= kept).collect();
        let fresh = FeedSigner::from_seed(&[1; 32]).unwrap();
        let fresh = Feeds::load(fresh, 2, &self.hierarchy, store, now, kept).unwrap();
        for trust in self.hierarchy.all() {
            let environment = &trust.environment.name;
            let feed = |feeds: &Feeds| {
                let octets = feeds.since(environment, None, now).unwrap();
                open_feed_file(&octets, &feeds.signer().verifier(), environment, None, now).unwrap()
            };
            feed_says_what_rows_say(store, environment, &rows, &feed(&fresh), "rows");
            if self.would_have_ended.load(Ordering::SeqCst) {
                continue;
            }
            feed_says_what_rows_say(store, environment, &rows, &feed(&self.feeds), "snapshot");
            if let Some(folded) = self.subscription(environment) {
                feed_says_what_rows_say(store, environment, &rows, &folded, "deltas");
            }
        }
        for crls in self.crls.lock().unwrap().iter() {
            crls_say_what_rows_say(self, crls, &rows);
        }
    }

    /// Snapshot and deltas, in the order in which a gateway heard them that asked from the beginning on. `None` where it
    /// would have had to ask for a snapshot.
    fn subscription(&self, environment: &EnvironmentName) -> Option<StatusSet> {
        let (position, first) = self.first_feed.as_ref().filter(|(_, _)| environment.as_str() == "lab")?;
        let later = self.feeds.since(environment, Some(*position), self.clock.now()).unwrap();
        let octets = [first.as_slice(), &later].concat();
        // The latest clock that a test may have shown, so that nothing is refused as from the future.
        let now = Timestamp::from_unix_ms(u64::MAX / 4);
        open_feed_file(&octets, &self.feeds.signer().verifier(), environment, None, now).ok()
    }
}

fn rows(store: &dyn Store) -> Vec<CertificateRow> {
    let entries = store.journal_from(0, usize::MAX).unwrap();
    let intended = entries.iter().filter_map(|stored| match &stored.entry.event {
        Event::CertificateIntended(intended) => Some(intended.certificate),
        _ => None,
    });
    intended.map(|id| store.certificate(id).unwrap().unwrap()).collect()
}

fn devices(store: &dyn Store, environment: &EnvironmentName) -> Vec<DeviceRow> {
    let environment = Some(environment.clone());
    let filter = touchmark_inventory::DeviceFilter { environment, limit: usize::MAX, ..Default::default() };
    store.devices(&filter).unwrap()
}

/// The same events, committed to SQLite, which finds by itself what dies by them: the same journal and rows.
fn sql_says_the_same(memory: &MemoryStore) {
    let home = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(&home.path().join("store.db")).unwrap();
    let journal = replay::journal(memory);
    let commit = |entries: Vec<Draft>| {
        let (tell, told) = std::sync::mpsc::channel();
        sqlite.submit(
            Command { preconditions: Vec::new(), entries },
            Box::new(move |done| tell.send(done).unwrap()),
        );
        usize::try_from(told.recv().unwrap().unwrap().entries).unwrap()
    };
    let draft = |at: usize| {
        let entry = journal[at].entry.clone();
        let private = entry.private.map(|private| (Salt([0; 16]), private));
        Draft { envelope: entry.envelope, event: entry.event, private }
    };
    let (mut waiting, mut at) = (Vec::new(), 0);
    while at < journal.len() {
        let mut next = draft(at);
        if Dying::by(&next.event).is_none() {
            waiting.push(next);
            at += 1;
            continue;
        }
        if !waiting.is_empty() {
            commit(std::mem::take(&mut waiting));
        }
        match &mut next.event {
            Event::HolderRevoked(event) => event.certificates.clear(),
            Event::CertificateRevoked(event) => event.certificates.clear(),
            other => panic!("{other:?}"),
        }
        at += commit(vec![next]);
    }
    if !waiting.is_empty() {
        commit(waiting);
    }
    let events = |store: &dyn Store| -> Vec<Event> {
        replay::journal(store).into_iter().map(|stored| stored.entry.event).collect()
    };
    assert_eq!(events(&sqlite), events(memory), "what dies, found by SQL and in memory");
    let (found, expected) = (sqlite.dump_rows().unwrap(), memory.dump_rows().unwrap());
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    assert!(
        found == expected,
        "SQL says {:#?}, memory {:#?}",
        only(&found, &expected),
        only(&expected, &found)
    );
}

fn feed_says_what_rows_say(
    store: &dyn Store,
    environment: &EnvironmentName,
    rows: &[CertificateRow],
    set: &StatusSet,
    what: &str,
) {
    let state = set.state();
    // Nobody was ever given what was burned.
    let here = |row: &&CertificateRow| {
        row.scope.environment.as_ref() == Some(environment) && row.state != CertificateState::Burned
    };
    for row in rows.iter().filter(here) {
        let (id, of) = (row.certificate, row.identity.as_ref());
        let told = state.revocation(&row.authority_version, &row.serial);
        let revoked =
            (row.state == CertificateState::Revoked).then_some((row.revoked_at, row.revocation_reason));
        let told = told.map(|told| (Some(told.at), Some(told.reason)));
        assert_eq!(told, revoked, "{what}: revocation of {id} of {of:?}");
        if row.state != CertificateState::Revoked {
            let told = state.supersession(&row.authority_version, &row.serial).map(|told| told.effective_at);
            let superseded = row.refused_from.filter(|_| row.state == CertificateState::Superseded);
            assert_eq!(told, superseded, "{what}: supersession of {id} of {of:?}");
        }
    }
    for device in devices(store, environment) {
        let Some(handle) = &device.name else { continue };
        let told = state.standing(handle);
        let expected = match device.standing {
            Standing::Active => None,
            Standing::Quarantined => Some(touchmark_status::Standing::Quarantined),
            Standing::Banned => Some(touchmark_status::Standing::Banned),
        };
        assert_eq!(told, expected, "{what}: standing of {handle}");
    }
    let denied: BTreeSet<SpkiHash> =
        store.denied_keys(environment).unwrap().into_iter().map(|row| row.spki).collect();
    let keys: BTreeSet<SpkiHash> = rows.iter().filter_map(|row| row.spki).collect();
    for key in keys.union(&denied) {
        assert_eq!(state.key_is_denied(key), denied.contains(key), "{what}: key {key}");
    }
    let mut expected: BTreeSet<Vec<u8>> = store
        .authorities()
        .unwrap()
        .into_iter()
        .filter(|row| row.scope.environment.as_ref().is_none_or(|name| name == environment))
        .map(|row| row.certificate)
        .collect();
    let makers = store.makers(environment).unwrap().into_iter().filter(|row| row.withdrawn_at.is_none());
    expected.extend(makers.map(|row| row.certificate));
    let told: BTreeSet<Vec<u8>> = state.anchors().iter().map(|one| one.certificate_der.clone()).collect();
    assert_eq!(told, expected, "{what}: anchors");
    let version = store.policy(environment).unwrap().map(|row| row.version);
    assert_eq!(state.policies().map(|bundle| bundle.version), version, "{what}: policy");
}

/// The newest CRL of each shard names every certificate that is revoked, and nothing that is not.
fn crls_say_what_rows_say(house: &House, crls: &Crls, rows: &[CertificateRow]) {
    for newest in house.store.crls().unwrap() {
        let published = crls.get(newest.authority_version, newest.shard);
        // A later one was made by others.
        let Some(published) = published.filter(|published| published.number == newest.number) else {
            continue;
        };
        assert_eq!(sha256(&published.der), newest.sha256, "the CRL that the row speaks of");
        let crl = Crl::from_der(&published.der).unwrap();
        let of_shard = |row: &&CertificateRow| {
            (row.authority_version, row.crl_shard) == (newest.authority_version, newest.shard)
        };
        for row in rows.iter().filter(of_shard) {
            let told = crl.find(&row.serial).map(|entry| (entry.at.unix_s(), Some(entry.reason)));
            let expected = row.revoked_at.map(|at| (at.unix_s(), row.revocation_reason));
            // What was burned since is in the next one.
            if row.state != CertificateState::Burned || told.is_some() {
                assert_eq!(told, expected, "CRL: {} of {:?}", row.certificate, row.identity);
            }
        }
        let trust =
            house.hierarchy.all().into_iter().find(|t| t.issuing.version() == newest.authority_version);
        if let Some(trust) = trust {
            crl.verify(trust.issuing.certificate()).unwrap();
        }
    }
}
