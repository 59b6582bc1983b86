//! The feed on disk and from the authority: what is used, what is refused, and what a refusal leaves.

mod cut_off;

use super::FeedClient;
use super::client::{ToStore, store, take};
use super::file::{FeedFile, StoredFeedFault};
use crate::credential::Credential;
use crate::lab::{CAP, Lab, Running, until};
use crate::start::start;
use crate::trust::{DevicePaths, Trust};
use crate::uplink::Uplink;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchmark_decisions::Verdict;
use touchmark_listen::{
    Accepted, Limits, PortPolicy, ServerIdentity, ServerTls, Stop, StopSwitch, bind, serve_tls,
};
use touchmark_policy::DenyReason;
use touchmark_status::{
    Change, Effect, FeedFault, FeedSigner, FeedVerifier, FeedWriter, Position, Standing, StatusSet,
    feed_file_entry,
};

fn load(lab: &Lab) -> Result<Option<StatusSet>, StoredFeedFault> {
    load_with(lab, &lab.signer.verifier())
}

fn load_with(lab: &Lab, verifier: &FeedVerifier) -> Result<Option<StatusSet>, StoredFeedFault> {
    FeedFile::new(&lab.data()).load(verifier, &"lab".parse().unwrap())
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
    lab.pass(core::time::Duration::from_secs(30 * 86_400));
    file.replace(&lab.snapshot()).unwrap();
    assert!(load(&lab).unwrap().is_some(), "stored by a clock that was set back a month since");
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

/// A delta that cannot be stored leaves a feed without it, which the floor refuses; without space for the floor, too,
/// there must be no feed.
#[test]
fn a_feed_that_misses_what_is_in_force_is_not_used_after_a_restart() {
    for floor_fails in [false, true] {
        let lab = Lab::new();
        std::fs::create_dir_all(lab.data()).unwrap();
        let (path, aside) = (lab.data().join("feed"), lab.data().join("aside"));
        let floor = lab.data().join("feed.floor");
        let mut file = FeedFile::new(&lab.data());
        let position = |seq| Some(Position { epoch: 1, seq });
        store(&mut file, &[ToStore::Snapshot(lab.snapshot())], position(1), lab.now());
        let held = std::fs::read(&floor).unwrap();
        std::fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        if floor_fails {
            std::fs::remove_file(&floor).unwrap();
            std::fs::create_dir_all(floor.join("x")).unwrap();
        }
        let mut file = FeedFile::new(&lab.data());
        store(&mut file, &[ToStore::Delta(standing(&lab, "a"))], position(2), lab.now());
        if path.symlink_metadata().is_ok() {
            std::fs::rename(&aside, &path).unwrap();
        }
        if floor_fails {
            std::fs::remove_dir_all(&floor).unwrap();
            std::fs::write(&floor, &held).unwrap();
        }
        assert!(load(&lab).is_err(), "the floor fails: {floor_fails}");
        // A snapshot makes it good.
        store(&mut file, &[ToStore::Snapshot(lab.snapshot())], position(2), lab.now());
        assert_eq!(load(&lab).unwrap().unwrap().position(), Position { epoch: 1, seq: 2 });
    }
}

#[test]
fn after_a_message_that_could_not_be_stored_nothing_follows_but_a_snapshot() {
    for fails in ["a delta", "a snapshot", "a heartbeat"] {
        let lab = Lab::new();
        std::fs::create_dir_all(lab.data()).unwrap();
        let (path, aside) = (lab.data().join("feed"), lab.data().join("aside"));
        let mut file = FeedFile::new(&lab.data());
        file.replace(&lab.snapshot()).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert!(!file.wants_snapshot(Instant::now()), "{fails}");
        // A disk without space, for a moment.
        let full = |file: &mut FeedFile, then: &dyn Fn(&mut FeedFile) -> bool| {
            std::fs::rename(&path, &aside).unwrap();
            match fails {
                // No file can be put in the place of a folder.
                "a snapshot" => std::fs::create_dir_all(path.join("x")).unwrap(),
                _ => std::os::unix::fs::symlink("/dev/full", &path).unwrap(),
            }
            let failed = then(file);
            match fails {
                "a snapshot" => std::fs::remove_dir_all(&path).unwrap(),
                _ => std::fs::remove_file(&path).unwrap(),
            }
            std::fs::rename(&aside, &path).unwrap();
            failed
        };
        lab.pass(core::time::Duration::from_secs(61));
        let (two, beat) = (standing(&lab, "a"), lab.heartbeat());
        let failed = match fails {
            "a delta" => full(&mut file, &|file| file.append(&[&two]).is_err()),
            "a snapshot" => full(&mut file, &|file| file.replace(&lab.snapshot()).is_err()),
            _ => full(&mut file, &|file| file.keep_heartbeat(&beat, lab.now()).is_err()),
        };
        assert!(failed, "{fails}");
        let three = standing(&lab, "b");
        assert!(file.append(&[&three]).is_err(), "{fails}: not behind a hole");
        lab.pass(core::time::Duration::from_secs(61));
        file.keep_heartbeat(&lab.heartbeat(), lab.now()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "{fails}: nothing was added");
        let now = Instant::now();
        assert!(
            file.wants_snapshot(now) && !file.wants_snapshot(now),
            "{fails}: asked for, not all the time"
        );
        assert!(file.wants_snapshot(now + core::time::Duration::from_secs(31)), "{fails}: and again");
        assert!(load(&lab).unwrap().is_some(), "{fails}: what is there is a feed still");
        file.replace(&lab.snapshot()).unwrap();
        assert!(!file.wants_snapshot(now), "{fails}");
        file.append(&[&standing(&lab, "c")]).unwrap();
        assert_eq!(load(&lab).unwrap().unwrap().position().seq, 4, "{fails}");
    }
}

#[test]
fn a_torn_tail_is_left_out_and_what_follows_stands_in_its_place() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.data()).unwrap();
    let path = lab.data().join("feed");
    let mut file = FeedFile::new(&lab.data());
    file.replace(&lab.snapshot()).unwrap();
    file.append(&[&standing(&lab, "a")]).unwrap();
    file.raise_floor(Position { epoch: 1, seq: 2 }).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let torn = feed_file_entry(&standing(&lab, "b")).unwrap();
    let next = standing(&lab, "c");
    for length in [1, 3, 4, 5, torn.len() / 2, torn.len() - 1] {
        std::fs::write(&path, [&whole[..], &torn[..length]].concat()).unwrap();
        let mut file = FeedFile::new(&lab.data());
        let set = file.load(&lab.signer.verifier(), &"lab".parse().unwrap()).unwrap().unwrap();
        assert_eq!(set.position().seq, 2, "{length}");
        file.append(&[&torn[4..], &next]).unwrap();
        assert_eq!(load(&lab).unwrap().unwrap().position().seq, 4, "{length}");
    }
}

/// What a device meets at a gateway that starts with this stored feed and without its authority.
async fn refused_with(lab: &Lab, octets: &[u8]) {
    std::fs::write(lab.data().join("feed"), octets).unwrap();
    let gateway = start(lab.config(), lab.clock()).await.unwrap();
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
    let feed = |answer: &[u8]| -> Result<_, FeedFault> {
        let news = take(answer, &running.trust, None, &running.reviewer, lab.now())?;
        store(&mut file.lock().unwrap(), &news.to_store, running.trust.position(), lab.now());
        Ok(news)
    };
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
    lab.pass(core::time::Duration::from_secs(61));
    let beat = lab.heartbeat();
    let news = feed(&answer(&[&four, &five, &beat])).unwrap();
    assert_eq!((news.fault, seq()), (None, 5));
    assert!(matches!(feed(&answer(&[&two])).unwrap().fault, Some(FeedFault::Older { .. })), "a replay");
    let stored = load(&lab).unwrap().unwrap();
    assert_eq!(stored.position().seq, 5, "a restart goes on from here");
}

/// What the authority published while its clock was ahead gets past with a snapshot, and no revocation is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_from_the_future_is_passed_by_a_snapshot() {
    let lab = Lab::new();
    let running = lab.run(None);
    let machine = lab.now();
    let jump = core::time::Duration::from_secs(40 * 86_400);
    let revoked = lab.device("pump-01");
    lab.pass(jump);
    let delta = lab.publish(vec![lab.revoke(&revoked)]);
    let target = lab.snapshot();
    lab.go_back(jump);
    let entry = |wire: &[u8]| feed_file_entry(wire).unwrap();
    for wire in [&delta, &target] {
        let news = take(&entry(wire), &running.trust, None, &running.reviewer, machine).unwrap();
        assert!(matches!(news.fault, Some(FeedFault::FromTheFuture { .. })) && news.wants_snapshot);
    }
    let news = take(&entry(&lab.snapshot()), &running.trust, None, &running.reviewer, machine).unwrap();
    assert!(news.fault.is_none() && running.trust.position().unwrap().seq == 2);
    let found = running.trust.identity_of(revoked.certificate.der(), machine).unwrap();
    assert_eq!(running.trust.admit(&found, machine).err(), Some(DenyReason::Revoked));
}

/// A disk that hangs keeps no right alive: a policy reaches those who are in beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_reaches_live_sessions_while_the_disk_hangs() {
    use crate::mqtt::tests::client::{Client, V5, connect};
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let mut session = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
    let mut config = lab.config();
    let credential = Credential::read(&config.credential).unwrap();
    let mut file = FeedFile::new(&lab.data());
    file.replace(&lab.snapshot()).unwrap();
    let mut bundle = touchmark_policy_cedar::PolicyBundle::starter();
    bundle.files[0].1 += "\n@id(\"shut\") forbid (principal, action == Action::\"connect\", resource);";
    let deltas = vec![lab.publish(vec![crate::lab::policy(&bundle)])];
    let (url, authority) = silent_authority(&lab, &running, deltas);
    config.authority_api = url;
    let file = Arc::new(Mutex::new(file));
    let client = FeedClient {
        trust: Arc::clone(&running.trust),
        file: Arc::clone(&file),
        reviewer: Arc::clone(&running.reviewer),
        uplink: Arc::new(Uplink::new(&config, &credential, &running.trust).unwrap()),
        clock: lab.clock(),
    };
    let (hang, hanging) = std::sync::mpsc::channel::<()>();
    let (held, holding) = std::sync::mpsc::channel();
    let disk = std::thread::spawn(move || {
        let _disk = file.lock().unwrap();
        held.send(()).unwrap();
        let _ = hanging.recv();
    });
    holding.recv().unwrap();
    let (switch, stop) = StopSwitch::new();
    let following = tokio::spawn(Arc::new(client).follow(false, stop));
    let goodbye = session.next().await.expect("DISCONNECT");
    assert_eq!(goodbye.packet_type(), touchmark_mqtt::PacketType::Disconnect);
    running.live(0).await;
    let floor = lab.data().join("feed.floor");
    assert!(!floor.exists(), "the disk still hangs");
    drop(hang);
    disk.join().unwrap();
    until(|| std::fs::read_to_string(&floor).ok().filter(|floor| floor == "1 2\n")).await;
    switch.stop();
    tokio::time::timeout(CAP, following).await.unwrap().unwrap();
    authority.stop();
    running.switch.stop();
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

/// An authority that gives out these deltas after position 1, one for each poll, and answers nothing else.
fn silent_authority(lab: &Lab, running: &Running, deltas: Vec<Vec<u8>>) -> (String, StopSwitch) {
    let deltas = Arc::new(deltas);
    authority(lab, &running.trust, move |asked| {
        let deltas = Arc::clone(&deltas);
        async move {
            let after: Option<usize> = query(&asked, "after").and_then(|after| after.parse().ok());
            after.and_then(|after| deltas.get(after - 1)).map(|wire| taken(wire))
        }
    })
}

/// One value of a request's query.
fn query<'a>(asked: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = asked.split_once(&format!("&{name}="))?;
    rest.split(['&', ' ']).next()
}

/// The answer to a poll that brings one message.
fn taken(wire: &[u8]) -> Vec<u8> {
    let entry = feed_file_entry(wire).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", entry.len());
    [head.as_bytes(), &entry].concat()
}

/// An authority that answers each request by its head; once there is no answer, the connection stays silent.
fn authority<F, A>(lab: &Lab, trust: &Arc<Trust>, answer: F) -> (String, StopSwitch)
where
    F: Fn(String) -> A + Send + Sync + 'static,
    A: Future<Output = Option<Vec<u8>>> + Send + 'static,
{
    let paths = Arc::new(DevicePaths(Arc::clone(trust)));
    let holder = lab.holder("spiffe://lab.touchmark.internal/s/authority", &[], 86_400);
    let chain = vec![holder.certificate.der().to_vec(), lab.issuing.certificate.der().to_vec()];
    let server = ServerIdentity::new(chain, holder.key.to_pkcs8()).unwrap();
    let tls = ServerTls::new(PortPolicy::Device, &server, paths, lab.clock()).unwrap();
    let bound = bind(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap();
    let url = format!("https://{}", bound.address());
    let (switch, stop) = StopSwitch::new();
    let answer = Arc::new(answer);
    let serve = move |mut accepted: Accepted, mut stop: Stop| {
        let answer = Arc::clone(&answer);
        Box::pin(async move {
            let mut asked = Vec::new();
            while let Ok(octet) = accepted.stream.read_u8().await {
                asked.push(octet);
                if !asked.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let text = String::from_utf8(std::mem::take(&mut asked)).unwrap();
                let Some(octets) = answer(text).await else {
                    return stop.stopped().await;
                };
                // The gateway may have gone meanwhile.
                let _ = accepted.stream.write_all(&octets).await;
                let _ = accepted.stream.flush().await;
            }
        })
    };
    tokio::spawn(serve_tls(bound, tls, Limits::default(), stop, serve, |_, _| {}));
    (url, switch)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_takes_no_reports_still_cuts_sessions() {
    let lab = Lab::new();
    let running = lab.run(None);
    let mut config = lab.config();
    let credential = Credential::read(&config.credential).unwrap();
    let mut file = FeedFile::new(&lab.data());
    file.replace(&lab.snapshot()).unwrap();
    let deltas = vec![standing(&lab, "a"), standing(&lab, "b"), standing(&lab, "c")];
    let (url, authority) = silent_authority(&lab, &running, deltas);
    config.authority_api = url;
    let client = FeedClient {
        trust: Arc::clone(&running.trust),
        file: Arc::new(Mutex::new(file)),
        reviewer: Arc::clone(&running.reviewer),
        uplink: Arc::new(Uplink::new(&config, &credential, &running.trust).unwrap()),
        clock: lab.clock(),
    };
    let (switch, stop) = StopSwitch::new();
    let since = std::time::Instant::now();
    let following = tokio::spawn(Arc::new(client).follow(false, stop));
    until(|| running.trust.position().filter(|position| position.seq == 4)).await;
    assert!(since.elapsed().as_secs() < 4, "no report was waited for: {:?}", since.elapsed());
    let floor = lab.data().join("feed.floor");
    until(|| std::fs::read_to_string(&floor).ok().filter(|floor| floor == "1 4\n")).await;
    switch.stop();
    tokio::time::timeout(CAP, following).await.unwrap().unwrap();
    authority.stop();
    running.switch.stop();
}

/// What is acknowledged has happened: it is on disk, and whoever had to leave has left.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_acknowledged_once_it_is_stored_and_its_sessions_have_left() {
    use crate::session::{Judge, Session};
    use core::time::Duration;
    /// Far more than an acknowledgement takes, and less than a session that does not leave is waited for.
    const HELD: Duration = Duration::from_millis(500);
    const LEAVING_MAX: Duration = Duration::from_secs(2);
    for disk_hangs in [true, false] {
        let lab = Lab::new();
        let running = lab.run(None);
        let holder = lab.device("pump-01");
        let identity = running.trust.identity_of(holder.certificate.der(), lab.now()).unwrap();
        let entered =
            running.sessions.enter(Arc::new(Session::new(touchmark_decisions::SessionId(1000), identity)));
        entered.session().judge(&running.trust, Judge::Admit, lab.now()).unwrap();
        let mut config = lab.config();
        let credential = Credential::read(&config.credential).unwrap();
        let mut file = FeedFile::new(&lab.data());
        file.replace(&lab.snapshot()).unwrap();
        let file = Arc::new(Mutex::new(file));
        let delta = lab.publish(vec![lab.revoke(&holder)]);
        let floor = lab.data().join("feed.floor");
        let (sessions, stored) = (Arc::clone(&running.sessions), floor.clone());
        // At each acknowledgement: is it on disk, and has the session left?
        let told = Arc::new(Mutex::new(Vec::new()));
        let telling = Arc::clone(&told);
        let (url, authority) = authority(&lab, &running.trust, move |asked| {
            let answer = if asked.contains("POST /v1/feed/acknowledgement") {
                let stored = std::fs::read_to_string(&stored).is_ok_and(|floor| floor == "1 2\n");
                telling.lock().unwrap().push((stored, sessions.all().is_empty(), Instant::now()));
                Some(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())
            } else {
                query(&asked, "after").filter(|after| *after == "1").map(|_| taken(&delta))
            };
            core::future::ready(answer)
        });
        config.authority_api = url;
        let client = FeedClient {
            trust: Arc::clone(&running.trust),
            file: Arc::clone(&file),
            reviewer: Arc::clone(&running.reviewer),
            uplink: Arc::new(Uplink::new(&config, &credential, &running.trust).unwrap()),
            clock: lab.clock(),
        };
        let (hang, hanging) = std::sync::mpsc::channel::<()>();
        let (held, holding) = std::sync::mpsc::channel();
        let disk = std::thread::spawn(move || {
            let _disk = disk_hangs.then(|| file.lock().unwrap());
            held.send(()).unwrap();
            let _ = hanging.recv();
        });
        holding.recv().unwrap();
        let (switch, stop) = StopSwitch::new();
        let following = tokio::spawn(Arc::new(client).follow(false, stop));
        let begun = Instant::now();
        assert_eq!(entered.session().ended().await, DenyReason::Revoked);
        let ordered = Instant::now();
        if disk_hangs {
            drop(entered);
            tokio::time::sleep(HELD).await;
        } else {
            until(|| std::fs::read_to_string(&floor).ok().filter(|floor| floor == "1 2\n")).await;
            tokio::time::sleep(HELD).await;
            drop(entered);
        }
        drop(hang);
        disk.join().unwrap();
        // The first one is of what was in force at the start.
        let (stored, left, at) = until(|| told.lock().unwrap().get(1).copied()).await;
        assert!(stored, "disk hangs {disk_hangs}: not on disk");
        let waited = at.saturating_duration_since(ordered) >= LEAVING_MAX;
        assert!(left || waited, "disk hangs {disk_hangs}: the session was there after {:?}", at - begun);
        switch.stop();
        tokio::time::timeout(CAP, following).await.unwrap().unwrap();
        authority.stop();
        running.switch.stop();
    }
}
