//! The authority refuses the gateway's own certificate: nobody is served by the feed held, until it accepts one again.

use super::{authority, query, taken};
use crate::config::{Ack, GatewayConfig};
use crate::credential::Credential;
use crate::feed::FeedClient;
use crate::feed::file::FeedFile;
use crate::lab::{CAP, Holder, Lab, until};
use crate::mqtt::tests::client::{Client, V5, connect};
use crate::start::start;
use crate::trust::Trust;
use crate::uplink::Uplink;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use touchmark_listen::StopSwitch;
use touchmark_status::{Freshness, StalenessClass};

const JSON: &str = "application/problem+json";

/// What the authority says to polls now: its refusal, or nothing against the gateway.
type Says = watch::Sender<Option<(u16, &'static str, &'static str)>>;

fn not_live() -> Option<(u16, &'static str, &'static str)> {
    Some((403, JSON, r#"{"title":"no","detail":"the certificate is revoked","code":"caller-not-live"}"#))
}

/// An authority without news, whose word can be changed, and the count of its refusals.
fn minded(lab: &Arc<Lab>, trust: &Arc<Trust>) -> (String, StopSwitch, Says, Arc<AtomicUsize>) {
    let (says, hears) = watch::channel(None);
    let refused = Arc::new(AtomicUsize::new(0));
    let (count, lab_there) = (Arc::clone(&refused), Arc::clone(lab));
    let (url, switch) = authority(lab, trust, move |asked| {
        let (mut hears, count, lab) = (hears.clone(), Arc::clone(&count), Arc::clone(&lab_there));
        async move {
            if !asked.starts_with("GET /v1/feed?") {
                return None;
            }
            if query(&asked, "wait_ms").is_some_and(|wait| wait != "0") {
                // Long poll: held as long as there is nothing to say.
                hears.wait_for(Option::is_some).await.ok()?;
            }
            let said: Option<(u16, &str, &str)> = *hears.borrow();
            let Some((status, kind, body)) = said else { return Some(taken(&lab.heartbeat())) };
            count.fetch_add(1, Ordering::SeqCst);
            let octets = body.len();
            let head =
                format!("HTTP/1.1 {status} No\r\ncontent-type: {kind}\r\ncontent-length: {octets}\r\n\r\n");
            Some([head.as_bytes(), body.as_bytes()].concat())
        }
    });
    (url, switch, says, refused)
}

/// Tries until the answer to CONNECT is this one, or one that begins so.
async fn connects_as(lab: &Lab, device: &Holder, address: SocketAddr, wanted: &str) {
    let trying = async {
        loop {
            let mut client = Client::dial(lab, device, address, V5).await;
            let (code, says) = client.connack(&connect(V5, "pump-01/2")).await;
            match wanted {
                "" if code == 0 => return,
                "" => {}
                _ if says.starts_with(wanted) => return,
                _ => {}
            }
            tokio::time::sleep(core::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(CAP, trying).await.unwrap_or_else(|_| panic!("never `{wanted}`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_certificate_is_refused_serves_nobody_until_it_is_accepted_again() {
    for class in [StalenessClass::Standard, StalenessClass::Strict, StalenessClass::LifeSafety] {
        let lab = Arc::new(Lab::new());
        let running = lab.run_with(None, class, Ack::Queued);
        let (url, switch, says, refused) = minded(&lab, &running.trust);
        let mut config = lab.config();
        config.authority_api = url;
        let credential = Credential::read(&config.credential).unwrap();
        let mut file = FeedFile::new(&lab.data());
        file.replace(&lab.snapshot()).unwrap();
        let client = FeedClient {
            trust: Arc::clone(&running.trust),
            file: Arc::new(Mutex::new(file)),
            reviewer: Arc::clone(&running.reviewer),
            uplink: Arc::new(Uplink::new(&config, &credential, &running.trust).unwrap()),
            clock: lab.clock(),
        };
        let (stopping, stop) = StopSwitch::new();
        let following = tokio::spawn(Arc::new(client).follow(false, stop));
        let device = lab.device("pump-01");
        let mut session = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;

        // Everything else that an authority, or what stands before it, may answer leaves the sessions in.
        let others = [
            (403, JSON, r#"{"code":"caller-unknown","detail":"caller-not-live"}"#),
            (403, JSON, r#"{"code":"not-permitted"}"#),
            (403, "text/plain", "caller-not-live"),
            (429, JSON, r#"{"code":"caller-not-live"}"#),
            (500, JSON, r#"{"code":"caller-not-live"}"#),
            (503, JSON, r#"{"code":"busy"}"#),
        ];
        for other in others.into_iter().filter(|_| class == StalenessClass::Standard) {
            says.send_replace(Some(other));
            let before = refused.load(Ordering::SeqCst);
            // The first of them has been read once the third is asked for.
            until(|| (refused.load(Ordering::SeqCst) >= before + 3).then_some(())).await;
            assert_eq!(running.trust.freshness(lab.now()), Some(Freshness::Fresh), "{other:?}");
            assert_eq!(running.sessions.all().len(), 1, "{other:?}");
        }

        says.send_replace(not_live());
        let goodbye = session.next().await.expect("DISCONNECT");
        assert_eq!(goodbye.packet_type(), touchmark_mqtt::PacketType::Disconnect, "{class}");
        running.live(0).await;
        let mut other = Client::dial(&lab, &device, running.address, V5).await;
        let (code, why) = other.connack(&connect(V5, "pump-01/2")).await;
        assert!(code != 0 && why.starts_with("status-stale"), "{class}: {code} {why}");
        // An authority that is away says nothing about the certificate.
        says.send_replace(Some((503, JSON, "{}")));
        let before = refused.load(Ordering::SeqCst);
        until(|| (refused.load(Ordering::SeqCst) >= before + 3).then_some(())).await;
        assert_eq!(running.trust.freshness(lab.now()), Some(Freshness::CutSessions), "{class}");

        says.send_replace(None);
        until(|| (running.trust.freshness(lab.now()) == Some(Freshness::Fresh)).then_some(())).await;
        Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
        stopping.stop();
        tokio::time::timeout(CAP, following).await.unwrap().unwrap();
        switch.stop();
        running.switch.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_serve_from_the_stored_feed_what_the_authority_refuses() {
    let lab = Arc::new(Lab::new());
    lab.store_feed();
    let (url, switch, says, _) = minded(&lab, &lab.trust(StalenessClass::Standard));
    says.send_replace(not_live());
    let mut config = lab.config();
    config.authority_api = url;
    let device = lab.device("pump-01");
    for _ in 0..2 {
        let gateway = start(config.clone(), lab.clock()).await.unwrap();
        connects_as(&lab, &device, gateway.ready().mqtt.parse().unwrap(), "status-stale").await;
        gateway.stop();
        tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
    }
    // Without the authority, too: what it said last counts.
    let alone = GatewayConfig { authority_api: nobody().await, ..config.clone() };
    assert_eq!(std::fs::read(lab.data().join("feed.refused")).unwrap(), MARK);
    let gateway = start(alone.clone(), lab.clock()).await.unwrap();
    for _ in 0..3 {
        let mut client = Client::dial(&lab, &device, gateway.ready().mqtt.parse().unwrap(), V5).await;
        let (code, why) = client.connack(&connect(V5, "pump-01")).await;
        assert!(code != 0 && why.starts_with("status-stale"), "{code} {why}");
    }
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();

    let gateway = start(config, lab.clock()).await.unwrap();
    connects_as(&lab, &device, gateway.ready().mqtt.parse().unwrap(), "status-stale").await;
    says.send_replace(None);
    connects_as(&lab, &device, gateway.ready().mqtt.parse().unwrap(), "").await;
    until(|| (!lab.data().join("feed.refused").exists()).then_some(())).await;
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
    switch.stop();
    let gateway = start(alone, lab.clock()).await.unwrap();
    connects_as(&lab, &device, gateway.ready().mqtt.parse().unwrap(), "").await;
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
}

/// An address where nobody answers.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("https://{}", listener.local_addr().unwrap())
}

const MARK: &[u8] = include_bytes!("../golden/feed.refused");

#[test]
fn the_mark_is_there_from_the_refusal_until_a_feed_is_accepted() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.data()).unwrap();
    let path = lab.data().join("feed.refused");
    let mut file = FeedFile::new(&lab.data());
    assert!(!file.is_refused());
    file.keep_refused(false).unwrap();
    assert!(!path.exists());
    for _ in 0..2 {
        file.keep_refused(true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), MARK);
        assert!(file.is_refused() && FeedFile::new(&lab.data()).is_refused());
    }
    for _ in 0..2 {
        file.keep_refused(false).unwrap();
        assert!(!path.exists() && !file.is_refused());
    }
    // Whatever is there counts, also what nobody here wrote.
    for mark in [&b""[..], b"x", &MARK[..3]] {
        std::fs::write(&path, mark).unwrap();
        let mut file = FeedFile::new(&lab.data());
        assert!(file.is_refused(), "{mark:?}");
        file.keep_refused(false).unwrap();
        assert!(!path.exists(), "{mark:?}");
    }
    std::os::unix::fs::symlink(lab.data().join("gone"), &path).unwrap();
    assert!(FeedFile::new(&lab.data()).is_refused(), "a link that leads nowhere");
    std::fs::remove_file(&path).unwrap();
    // A mark that cannot be written is tried again at the next refusal.
    let mut file = FeedFile::new(&lab.data().join("missing"));
    assert!(file.keep_refused(true).is_err() && !file.is_refused());
    std::fs::create_dir_all(lab.data().join("missing")).unwrap();
    file.keep_refused(true).unwrap();
    assert!(FeedFile::new(&lab.data().join("missing")).is_refused());
}
