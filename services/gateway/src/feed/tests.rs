//! The feed on disk and from the authority: what is used, what is refused, and what a refusal leaves.

use super::client::take;
use super::file::{FeedFile, StoredFeedFault};
use crate::lab::{CAP, Lab, until};
use crate::start::start;
use std::sync::Mutex;
use tokio::io::AsyncReadExt;
use touchmark_decisions::Verdict;
use touchmark_policy::DenyReason;
use touchmark_status::{
    Change, Effect, FeedFault, FeedSigner, FeedVerifier, FeedWriter, Position, Standing, StatusSet,
    feed_file_entry,
};

fn load(lab: &Lab) -> Result<Option<StatusSet>, StoredFeedFault> {
    load_with(lab, &lab.signer.verifier())
}

fn load_with(lab: &Lab, verifier: &FeedVerifier) -> Result<Option<StatusSet>, StoredFeedFault> {
    FeedFile::new(&lab.data()).load(verifier, &"lab".parse().unwrap(), lab.now())
}

fn standing(lab: &Lab, name: &str) -> Vec<u8> {
    lab.publish(vec![Change::SetStanding { handle: name.parse().unwrap(), standing: Standing::Quarantined }])
}

#[test]
fn what_was_stored_reads_back_at_its_position_and_age() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.data()).unwrap();
    let mut file = FeedFile::new(&lab.data());
    assert!(load(&lab).unwrap().is_none(), "the first start");
    file.replace(&lab.snapshot()).unwrap();
    file.append(&[&standing(&lab, "a"), &standing(&lab, "b")]).unwrap();
    for _ in 0..3 {
        lab.pass(core::time::Duration::from_secs(61));
        file.keep_heartbeat(&lab.heartbeat(), lab.now()).unwrap();
    }
    let length = std::fs::metadata(lab.data().join("feed")).unwrap().len();
    lab.pass(core::time::Duration::from_secs(1));
    file.keep_heartbeat(&lab.heartbeat(), lab.now()).unwrap();
    assert_eq!(std::fs::metadata(lab.data().join("feed")).unwrap().len(), length, "one heartbeat is kept");
    file.append(&[&standing(&lab, "c")]).unwrap();
    file.raise_floor(Position { epoch: 1, seq: 4 }).unwrap();
    let set = load(&lab).unwrap().unwrap();
    assert_eq!(set.position(), Position { epoch: 1, seq: 4 });
    assert_eq!(set.state().standing(&"c".parse().unwrap()), Some(Standing::Quarantined));
    assert!(set.age(lab.now()).as_secs() < 5);
}

#[test]
fn a_file_that_does_not_verify_is_no_feed() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.data()).unwrap();
    let path = lab.data().join("feed");
    let mut file = FeedFile::new(&lab.data());
    file.replace(&lab.snapshot()).unwrap();
    let older = std::fs::read(&path).unwrap();
    file.append(&[&standing(&lab, "a")]).unwrap();
    let good = std::fs::read(&path).unwrap();
    file.raise_floor(Position { epoch: 1, seq: 2 }).unwrap();
    assert!(load(&lab).unwrap().is_some());
    for cut in 0..good.len() {
        std::fs::write(&path, &good[..cut]).unwrap();
        assert!(load(&lab).is_err(), "cut at {cut}");
    }
    for at in (0..good.len()).step_by(7) {
        let mut bent = good.clone();
        bent[at] ^= 0x10;
        std::fs::write(&path, &bent).unwrap();
        assert!(load(&lab).is_err(), "a bit at {at}");
    }
    std::fs::write(&path, &older).unwrap();
    let refused = load(&lab).unwrap_err();
    assert!(matches!(refused, StoredFeedFault::Feed(FeedFault::Older { .. })), "{refused}");
    std::fs::write(&path, &good).unwrap();
    let stranger = FeedSigner::from_seed(&[8; 32]).unwrap();
    assert!(load_with(&lab, &stranger.verifier()).is_err(), "another key");
    let mut foreign = FeedWriter::new("prod".parse().unwrap(), "prod.touchmark.internal".parse().unwrap(), 1);
    let snapshot = foreign.snapshot(lab.now(), &lab.signer).unwrap();
    std::fs::write(&path, feed_file_entry(&snapshot).unwrap()).unwrap();
    assert!(load(&lab).is_err(), "another environment");
    std::fs::remove_file(&path).unwrap();
    assert!(load(&lab).is_err(), "gone, though there was one");
    std::fs::write(&path, &good).unwrap();
    std::fs::write(lab.data().join("feed.floor"), "1").unwrap();
    assert!(load(&lab).is_err(), "a floor that cannot be read");
}

/// What a device meets at a gateway that starts with this stored feed and without its authority.
async fn refused_with(lab: &Lab, octets: &[u8]) {
    std::fs::write(lab.data().join("feed"), octets).unwrap();
    let mut gateway = start(lab.config(), lab.clock()).await.unwrap();
    let device = lab.device("pump-01");
    let tls = lab.client_tls(Some(&device));
    let refused = match tls.connect(&gateway.ready().mqtt, "127.0.0.1", CAP).await {
        Ok(mut stream) => stream.read_to_end(&mut Vec::new()).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_feed_that_verifies_a_gateway_serves_and_refuses_everyone() {
    let lab = Lab::new();
    lab.store_feed();
    let good = std::fs::read(lab.data().join("feed")).unwrap();
    let mut foreign = FeedWriter::new("prod".parse().unwrap(), "prod.touchmark.internal".parse().unwrap(), 1);
    let foreign = feed_file_entry(&foreign.snapshot(lab.now(), &lab.signer).unwrap()).unwrap();
    std::fs::write(lab.data().join("feed.floor"), "1 7\n").unwrap();
    for octets in [&b""[..], &good[..good.len() / 2], &good, &foreign] {
        refused_with(&lab, octets).await;
    }
    let missing =
        lab.decisions().into_iter().filter(|d| d.verdict == Verdict::Deny(DenyReason::StatusMissing));
    assert_eq!(missing.map(|d| d.count).sum::<u32>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_authority_is_taken_as_far_as_it_verifies() {
    let lab = Lab::new();
    let running = lab.run(None);
    let file = Mutex::new(FeedFile::new(&lab.data()));
    let answer = |messages: &[&[u8]]| -> Vec<u8> {
        messages.iter().flat_map(|wire| feed_file_entry(wire).unwrap()).collect()
    };
    let feed = |answer: &[u8]| take(answer, &running.trust, &file, &running.reviewer, lab.now());
    let seq = || running.trust.position().unwrap().seq;

    let news = feed(&answer(&[&lab.snapshot()])).unwrap();
    assert_eq!((news.effects, news.fault, seq()), (vec![Effect::Replaced], None, 1));
    let (two, three, four) = (standing(&lab, "a"), standing(&lab, "b"), standing(&lab, "c"));
    let news = feed(&answer(&[&two, &three])).unwrap();
    assert_eq!((news.effects.len(), news.fault, news.wants_snapshot, seq()), (2, None, false, 3));
    let five = standing(&lab, "d");
    let news = feed(&answer(&[&five])).unwrap();
    assert!(matches!(news.fault, Some(FeedFault::Gap { .. })) && news.wants_snapshot);
    let mut bent = four.clone();
    bent[20] ^= 1;
    let news = feed(&answer(&[&bent])).unwrap();
    assert!(news.fault.is_some() && news.effects.is_empty() && news.ended.is_empty());
    assert!(feed(&answer(&[&four])[..10]).is_err(), "cut off");
    assert_eq!(seq(), 3, "nothing of it is in force");
    let news = feed(&answer(&[&four, &five])).unwrap();
    assert_eq!((news.fault, seq()), (None, 5));
    assert!(matches!(feed(&answer(&[&two])).unwrap().fault, Some(FeedFault::Older { .. })), "a replay");
    let stored = load(&lab).unwrap().unwrap();
    assert_eq!(stored.position().seq, 5, "a restart goes on from here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_is_verified_beside_the_set_in_use() {
    let lab = Lab::new();
    let running = lab.run(None);
    let changes = (0..3_000)
        .map(|n| Change::SetStanding { handle: format!("d{n}").parse().unwrap(), standing: Standing::Banned })
        .collect();
    let delta = lab.publish(changes);
    let effects = running.trust.fold(&delta, None, lab.now()).unwrap();
    assert_eq!(effects.len(), 3_000, "a large delta");
    let large: Vec<Change> = (0..3_000)
        .map(|n| {
            Change::DenyKey(touchmark_identity::SpkiHash(std::array::from_fn(|i| (n >> (8 * (i % 2))) as u8)))
        })
        .collect();
    lab.publish(large);
    let effects = running.trust.fold(&lab.snapshot(), None, lab.now()).unwrap();
    assert_eq!(effects, [Effect::Replaced]);
    assert_eq!(running.trust.position().unwrap().seq, 3);
    until(|| running.trust.policy_version()).await;
}
