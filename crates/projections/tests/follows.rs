//! Each kind of entry: what it changes of the feed and of CRLs; and that the changes, folded in order and begun again
//! anywhere, are the whole state as the rows say it.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, HashSet};
use touchmark_identity::{AuthorityVersionId, Fingerprint, RevocationReason, Timestamp};
use touchmark_inventory::{Holder, MemoryStore, Store};
use touchmark_journal::{Draft, Event, IdentityKind, Standing, TokenSubject};
use touchmark_projections::{anchor, concerns_crls, concerns_feed, crl_changes, feed_changes, feed_state};
use touchmark_status::{Anchor, AnchorRole, Change, State};
use touchmark_testkit::{Intent, JournalBuilder, NOT_AFTER_S, command, name};

/// Kinds of events that there are.
const KINDS: usize = 28;

struct Follow {
    rows: MemoryStore,
    own: [Anchor; 2],
    issuing: AuthorityVersionId,
    folded: State,
    superseded: Vec<Change>,
    /// What was folded before each entry.
    before: Vec<State>,
    kinds: HashSet<std::mem::Discriminant<Event>>,
}

impl Follow {
    fn new(issuing: AuthorityVersionId, root: AuthorityVersionId) -> Self {
        let own = [anchor(root, AnchorRole::Root, b"root"), anchor(issuing, AnchorRole::Issuing, b"issuing")];
        let mut folded = State::default();
        folded.fold(Change::Anchors(own.to_vec()));
        let (rows, before, kinds) = (MemoryStore::new(), Vec::new(), HashSet::new());
        Self { rows, own, issuing, folded, superseded: Vec::new(), before, kinds }
    }

    fn changes(&self, event: &Event) -> Vec<Change> {
        feed_changes(event, &name("lab"), &self.own, &self.rows).unwrap()
    }

    /// The whole state as the rows say it, of what has not ended at `kept_from`.
    fn anew_from(&self, kept_from: Timestamp) -> State {
        let changes = feed_state(&name("lab"), self.issuing, &self.own, &self.rows, kept_from).unwrap();
        folded(State::default(), changes)
    }

    fn anew(&self) -> State {
        self.anew_from(Timestamp::from_unix_ms(0))
    }

    /// Records one entry and follows it: what it changed of the feed, and the shards of the CRLs.
    fn records(&mut self, draft: Draft) -> (Vec<Change>, Vec<u32>) {
        let (feed, crls) = (concerns_feed(&draft.event), concerns_crls(&draft.event));
        self.kinds.insert(std::mem::discriminant(&draft.event));
        let seq = self.rows.journal_len().unwrap();
        self.rows.submit(command([], [draft]), Box::new(|done| assert!(done.is_ok())));
        let stored = self.rows.journal_from(seq, 1).unwrap().remove(0);
        let changes = self.changes(&stored.entry.event);
        let lists = crl_changes(&stored.entry.event, &self.rows).unwrap();
        assert!(feed || changes.is_empty(), "{:?} is passed by the feed", stored.entry.event);
        assert!(crls || lists.is_empty(), "{:?} is passed by the CRLs", stored.entry.event);
        assert_eq!(feed, concerns_feed(&stored.entry.event));
        assert_eq!(crls, concerns_crls(&stored.entry.event));
        assert!(lists.iter().all(|(version, _)| *version == self.issuing));
        self.before.push(self.folded.clone());
        self.folded = folded(self.folded.clone(), changes.clone());
        let superseded = |change: &&Change| matches!(change, Change::Supersede { .. });
        self.superseded.extend(changes.iter().filter(superseded).cloned());
        // What was revoked since stays superseded in what is folded: it is refused either way.
        let mut anew = self.anew();
        for change in &self.superseded {
            let Change::Supersede { serial, .. } = change else { continue };
            let dead = anew.revocation(&self.issuing, serial).is_some();
            assert!(dead || anew.supersession(&self.issuing, serial).is_some());
            anew.fold(change.clone());
        }
        assert_eq!(self.folded, anew, "after {:?}", stored.entry.event);
        (changes, lists.into_iter().map(|(_, shard)| shard).collect())
    }
}

fn folded(mut state: State, changes: impl IntoIterator<Item = Change>) -> State {
    changes.into_iter().for_each(|change| state.fold(change));
    state
}

fn words(changes: &[Change]) -> Vec<String> {
    let word = |change: &Change| match change {
        Change::Anchors(anchors) => format!("anchors {}", anchors.len()),
        Change::Revoke { .. } => "revoke".into(),
        Change::Supersede { .. } => "supersede".into(),
        Change::DenyKey(_) => "deny".into(),
        Change::AllowKey(_) => "allow".into(),
        Change::SetStanding { handle, standing } => format!("{handle} {standing:?}"),
        Change::ClearStanding(handle) => format!("{handle} clear"),
        Change::SetScope { .. } | Change::ClearScope(_) => "scope".into(),
        Change::Policies(_) => "policy".into(),
    };
    changes.iter().map(word).collect()
}

/// Every kind of entry, with what it changes.
#[test]
fn every_entry_changes_what_it_says_and_reading_on_from_anywhere_gives_the_same() {
    let mut b = JournalBuilder::new();
    let issuing = b.authority_version();
    let mut follow = Follow::new(issuing, b.authority_version());
    let [pump, other] = [b.device_id(), b.device_id()];
    let (token, maker) = (b.token_id(), b.maker_id());
    let mut cert = |shard: u32, device| Intent { crl_shard: shard, ..b.intent(device, issuing) };
    let [old, new, burnt, third, fourth] = [0, 1, 2, 3, 2].map(|shard| cert(shard, Some(pump)));
    let succ = Intent { replaces: Some(fourth.certificate), crl_shard: 1, ..cert(1, Some(pump)) };
    let whole = Intent { handle: name("pump-02"), ..cert(3, Some(other)) };
    let service = Intent { handle: name("gateway-01"), ..cert(0, None) };
    let print = |n: u8| Fingerprint([n; 32]);
    let rows: Vec<(Draft, &[&str], &[u32])> = vec![
        (b.root_created(), &[], &[]),
        (b.started(1, 1), &[], &[]),
        (b.authority_created(issuing), &[], &[]),
        (b.environment_created(), &[], &[]),
        (b.profile_activated(), &[], &[]),
        (b.party_registered(IdentityKind::Service, "gateway-01", &["gateway"]), &[], &[]),
        (b.token_created(token, TokenSubject::Named(name("pump-01")), 1), &[], &[]),
        (b.token_voided(token), &[], &[]),
        (b.device_registered(pump, "pump-01"), &[], &[]),
        (b.device_registered(other, "pump-02"), &[], &[]),
        (b.intended(&old), &[], &[]),
        (b.issued(old.certificate, print(1)), &[], &[]),
        (b.confirmed(old.certificate), &[], &[]),
        (b.intended(&new), &[], &[]),
        (b.issued(new.certificate, print(2)), &[], &[]),
        (b.confirmed(new.certificate), &[], &[]),
        (b.superseded(old.certificate, new.certificate), &["supersede"], &[]),
        (b.intended(&burnt), &[], &[]),
        (b.burned(burnt.certificate, None), &["revoke"], &[2]),
        (b.standing_changed(pump, Standing::Quarantined), &["pump-01 Quarantined"], &[]),
        (b.standing_changed(pump, Standing::Active), &["pump-01 clear"], &[]),
        (b.standing_changed(other, Standing::Quarantined), &["pump-02 Quarantined"], &[]),
        (b.intended(&third), &[], &[]),
        (b.issued(third.certificate, print(3)), &[], &[]),
        (b.revoked(Some(pump), &[&old, &third]), &["revoke", "deny", "revoke", "deny"], &[0, 3]),
        (b.intended(&fourth), &[], &[]),
        (b.issued(fourth.certificate, print(4)), &[], &[]),
        (b.intended(&succ), &[], &[]),
        (b.issued(succ.certificate, print(5)), &[], &[]),
        (b.certificate_revoked(fourth.certificate), &["revoke", "deny", "revoke", "deny"], &[1, 2]),
        (b.intended(&whole), &[], &[]),
        (b.issued(whole.certificate, print(6)), &[], &[]),
        (b.holder_revoked(Holder::Device(other)), &["revoke", "deny"], &[3]),
        (b.intended(&service), &[], &[]),
        (b.issued(service.certificate, print(7)), &[], &[]),
        (b.holder_revoked(service.holder()), &["revoke", "deny"], &[0]),
        (b.standing_changed(pump, Standing::Banned), &["pump-01 Banned"], &[]),
        (b.policy_activated(), &["policy"], &[]),
        (b.policy_activated(), &["policy"], &[]),
        (b.maker_registered(maker, "acme"), &["anchors 3"], &[]),
        (b.hardware_registered(other, maker, "0042"), &[], &[]),
        (b.maker_withdrawn(maker), &["anchors 2"], &[]),
        (b.crl_published(issuing, 0, 1), &[], &[]),
        (b.enforcement_reported("gateway-01", 1, 1), &[], &[]),
        (b.gateway_declared("gateway-01", true, None), &[], &[]),
        (b.refused("not-permitted", 3, None), &[], &[]),
        (b.renewal_refused(pump, "certificate-expired", 1), &[], &[]),
        (b.clone_suspected(pump, old.certificate, new.certificate), &[], &[]),
        (b.party_clone_suspected(IdentityKind::Service, "gateway-01"), &[], &[]),
    ];
    let mut all = Vec::new();
    for (draft, feed, crls) in rows {
        let event = format!("{:?}", draft.event);
        let (changes, lists) = follow.records(draft);
        assert_eq!(words(&changes), feed, "{event}");
        assert_eq!(lists, crls, "{event}");
        all.extend(changes);
    }
    assert_eq!(follow.kinds.len(), KINDS, "an event has no row here");

    // Whoever stopped anywhere, and whoever reads all once more, comes to the same: rows say what holds now.
    let entries = follow.rows.journal_from(0, usize::MAX).unwrap();
    for (from, before) in follow.before.iter().enumerate() {
        let rest = entries.iter().skip(from).flat_map(|stored| follow.changes(&stored.entry.event));
        assert_eq!(folded(before.clone(), rest), follow.folded, "from {from}");
    }
    let again = entries.iter().flat_map(|stored| follow.changes(&stored.entry.event));
    assert_eq!(folded(follow.folded.clone(), again), follow.folded, "twice");

    // What is said of one certificate is its row.
    let row = |intent: &Intent| follow.rows.certificate(intent.certificate).unwrap().unwrap();
    let revoked = follow.folded.revocation(&issuing, &third.serial).unwrap();
    assert_eq!(revoked.reason, RevocationReason::KeyCompromise);
    assert_eq!(Some(revoked.at), row(&third).revoked_at);
    assert_eq!(revoked.not_after, Timestamp::from_unix_s(NOT_AFTER_S));
    let superseded = all.iter().find_map(|change| match change {
        Change::Supersede { serial, supersession, .. } if *serial == old.serial => Some(*supersession),
        _ => None,
    });
    assert_eq!(Some(superseded.unwrap().effective_at), row(&old).refused_from);
    assert_eq!(superseded.unwrap().not_after, Timestamp::from_unix_s(NOT_AFTER_S));
    assert!(follow.folded.key_is_denied(&third.spki) && !follow.folded.key_is_denied(&burnt.spki));
    let policy = follow.rows.policy(&name("lab")).unwrap().unwrap();
    let said = follow.folded.policies().unwrap();
    assert_eq!((said.version, &said.files, &said.topics), (policy.version, &policy.files, &policy.topics));

    // Of what has ended nothing is said, but for keys and devices.
    let later = follow.anew_from(Timestamp::from_unix_s(NOT_AFTER_S + 1));
    assert_eq!(later.revoked_len(), 0);
    assert!(later.key_is_denied(&third.spki) && later.standing(&name("pump-01")).is_some());
}

/// Another environment's makers, standings, keys and policy are in no feed of this one.
#[test]
fn a_feed_says_nothing_of_another_environment() {
    let mut b = JournalBuilder::new();
    let issuing = b.authority_version();
    let mut follow = Follow::new(issuing, b.authority_version());
    follow.records(b.environment_created());
    let empty = follow.anew();
    b.move_to("plant");
    let (device, elsewhere, maker) = (b.device_id(), b.authority_version(), b.maker_id());
    let intent = b.intent(Some(device), elsewhere);
    let drafts = [
        b.environment_created(),
        b.device_registered(device, "pump-01"),
        b.intended(&intent),
        b.issued(intent.certificate, Fingerprint([1; 32])),
        b.revoked(Some(device), &[&intent]),
        b.standing_changed(device, Standing::Banned),
        b.policy_activated(),
        b.maker_registered(maker, "acme"),
    ];
    for draft in drafts {
        follow.rows.submit(command([], [draft]), Box::new(|done| assert!(done.is_ok())));
    }
    assert_eq!(follow.anew(), empty);
    let lists: BTreeSet<_> = follow
        .rows
        .journal_from(0, usize::MAX)
        .unwrap()
        .iter()
        .flat_map(|stored| crl_changes(&stored.entry.event, &follow.rows).unwrap())
        .collect();
    assert_eq!(lists, BTreeSet::from([(elsewhere, 0)]), "its own CRL");
}
