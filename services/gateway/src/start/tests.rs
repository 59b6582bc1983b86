//! A whole gateway, met by programs that others wrote, with its authority gone.

use super::*;
use crate::lab::{Broker, CAP, Holder, Lab};
use std::process::{Command, Output, Stdio};
use touchmark_decisions::{CloseCause, Record, Verdict};
use touchmark_policy::{Action, DenyReason};

/// Arguments of mosquitto's programs towards the gateway.
fn arguments(lab: &Lab, name: &str, holder: &Holder, gateway: &Gateway) -> Vec<String> {
    let certificate = lab.file(&format!("{name}.pem"), &holder.certificate.to_pem());
    let key = lab.file(&format!("{name}.key"), holder.key.to_pkcs8_pem().expose());
    let port = gateway.ready().mqtt.rsplit(':').next().unwrap().to_owned();
    let anchors = lab.home.path().join("anchors.pem").display().to_string();
    [
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "--cafile",
        &anchors,
        "--cert",
        &certificate.display().to_string(),
        "--key",
        &key.display().to_string(),
        "-i",
        name,
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn mosquitto(program: &'static str, arguments: Vec<String>) -> Output {
    tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("these tests need mosquitto-clients")
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquittos_programs_are_served_from_the_stored_feed() {
    let lab = Lab::new();
    lab.store_feed();
    let broker = Broker::start(&lab).await;
    let mut config = lab.config();
    config.upstream_mqtt = Some(broker.address());
    let gateway = start(config.clone(), lab.clock()).await.unwrap();
    let mut behind = crate::mqtt::tests::client::Client::behind(&broker, "service").await;
    behind.subscribe(&["#"]).await;
    let holder = lab.device("pump-01");
    for version in ["5", "311"] {
        for (topic, payload, qos) in [
            ("plant/pump-02/t", "no", "1"),
            ("plant/pump-01/t", "yes", "1"),
            ("plant/pump-01/t", "surely", "2"),
        ] {
            let mut given = arguments(&lab, "pump-01", &holder, &gateway);
            given.extend(["-V", version, "-q", qos, "-t", topic, "-m", payload].map(str::to_owned));
            let output = mosquitto("mosquitto_pub", given).await;
            println!("{version} {topic}: {:?}", output.status);
            if payload != "no" {
                assert_eq!(
                    behind.message().await,
                    (topic.to_owned(), payload.to_owned()),
                    "mosquitto_pub -V {version}"
                );
            }
        }
    }
    let mut given = arguments(&lab, "pump-01", &holder, &gateway);
    given.extend(["-V", "5", "-t", "cmd/pump-01/#", "-C", "1", "-W", "20"].map(str::to_owned));
    let listening = tokio::spawn(mosquitto("mosquitto_sub", given));
    lab.logged(|d| d.action == Action::Subscribe && d.verdict == Verdict::Allow).await;
    // Subscribed is what the broker says; the log says it a moment before.
    let command = async {
        loop {
            let message = crate::mqtt::tests::client::message(
                "cmd/pump-01/go",
                touchmark_mqtt::QoS::AtMostOnce,
                0,
                "start",
            );
            behind.send(message.into()).await;
            tokio::time::sleep(core::time::Duration::from_millis(50)).await;
        }
    };
    let output = tokio::select! {
        output = listening => output.unwrap(),
        () = command => unreachable!("it sends for ever"),
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "start\n");

    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
    let denied = lab.decisions().into_iter().filter(|d| d.verdict == Verdict::Deny(DenyReason::NoRule));
    assert_eq!(denied.count(), 2, "one for each version");
    let ports = (gateway.ready().mqtt.clone(), gateway.ready().http.clone());
    let again = until_started(config, &lab).await;
    assert_eq!((again.ready().mqtt.clone(), again.ready().http.clone()), ports, "ports are kept");
    again.stop();
    again.stopped().await;
    let clean: Vec<bool> = lab
        .records()
        .iter()
        .filter_map(|record| match record {
            Record::EpochOpened(opened) => Some(opened.previous_epoch_clean),
            _ => None,
        })
        .collect();
    assert_eq!(clean, [true, true]);
}

async fn until_started(config: GatewayConfig, lab: &Lab) -> Gateway {
    start(config, lab.clock()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_clock_was_set_back_judges_by_the_time_of_its_feed() {
    let lab = Lab::new();
    lab.store_feed();
    let behind = || Clock::system().now().unix_ms() - 40 * 86_400_000;
    let clock = Clock::new(move || touchmark_identity::Timestamp::from_unix_ms(behind()));
    let gateway = start(lab.config(), clock).await.unwrap();
    // Not valid yet by the machine's clock.
    let mut given = arguments(&lab, "pump-01", &lab.device("pump-01"), &gateway);
    given.extend(["-V", "5", "-q", "1", "-t", "plant/pump-01/t", "-m", "on"].map(str::to_owned));
    let output = mosquitto("mosquitto_pub", given).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_sessions_and_records_their_ends() {
    let lab = Lab::new();
    lab.store_feed();
    let gateway = start(lab.config(), lab.clock()).await.unwrap();
    let holder = lab.device("pump-01");
    let mut given = arguments(&lab, "pump-01", &holder, &gateway);
    given.extend(["-V", "5", "-t", "cmd/pump-01/#", "-W", "20"].map(str::to_owned));
    let listening = tokio::spawn(mosquitto("mosquitto_sub", given));
    lab.logged(|d| d.action == Action::Subscribe).await;
    gateway.stop();
    tokio::time::timeout(CAP, gateway.stopped()).await.unwrap();
    let ends = lab.records().into_iter().filter(
        |record| matches!(record, Record::SessionClosed(closed) if closed.why == CloseCause::Shutdown),
    );
    assert_eq!(ends.count(), 1);
    listening.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let lab = Lab::new();
    lab.store_feed();
    let config = lab.config();
    let gateway = start(config.clone(), lab.clock()).await.unwrap();
    let address = gateway.ready().mqtt.clone();
    let shown = || {
        let (tls, address) = (lab.client_tls(Some(&lab.device("pump-01"))), address.clone());
        async move {
            let stream = tls.connect(&address, "127.0.0.1", CAP).await.unwrap();
            stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
        }
    };
    let before = shown().await;
    let renewed = lab.holder("spiffe://lab.touchmark.internal/s/gateway-1", &[], 3600);
    let chain = [renewed.certificate.to_pem(), lab.issuing.certificate.to_pem()].concat();
    std::fs::write(&config.credential.chain, chain).unwrap();
    // Half a renewal: the old pair stays in use.
    tokio::time::sleep(core::time::Duration::from_secs(3)).await;
    assert_eq!(shown().await, before);
    std::fs::write(&config.credential.key, renewed.key.to_pkcs8_pem().expose()).unwrap();
    let waiting = async {
        while shown().await != renewed.certificate.der() {
            tokio::time::sleep(core::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(CAP, waiting).await.unwrap();
    gateway.stop();
    gateway.stopped().await;
}

#[tokio::test]
async fn what_an_operator_got_wrong_is_said() {
    let lab = Lab::new();
    type Spoil = fn(&mut GatewayConfig);
    let rows: &[(&str, Spoil, &str)] = &[
        ("no https", |c| c.authority_api = "http://127.0.0.1:1".into(), "authority_api"),
        ("no port", |c| c.upstream_mqtt = Some("broker".into()), "upstream_mqtt"),
        ("plain text to elsewhere", |c| c.upstream_http = Some("http://10.0.0.1".into()), "upstream_http"),
        ("no feed key", |c| c.feed_key = c.anchors.clone(), "feed_key"),
        ("no certificate", |c| c.credential.chain = c.feed_key.clone(), "certificate"),
        ("no key", |c| c.credential.key = c.anchors.clone(), "private key"),
        ("missing", |c| c.credential.key = "/nowhere".into(), "/nowhere"),
    ];
    for (name, spoil, says) in rows {
        let mut config = lab.config();
        spoil(&mut config);
        let fault = start(config, lab.clock()).await.expect_err(name).to_string();
        assert!(fault.contains(says), "{name}: {fault}");
    }
}

#[test]
fn the_witness_keeps_the_largest_head_and_no_other_history() {
    use crate::witness::{WitnessFault, keep};
    use touchmark_api::LogHead;
    use touchmark_tilelog::{NoteSigner, TileLog};
    let home = tempfile::tempdir().unwrap();
    let log = |name: &str, seed: u8, leaves: &[&str]| {
        let signer = NoteSigner::from_seed("touchmark.internal/journal", &[seed; 32]).unwrap();
        let mut log = TileLog::open(&home.path().join(name), signer, Mode::Private0600, None).unwrap();
        log.append(leaves).unwrap();
        log.publish().unwrap();
        let (vkey, checkpoint) = (log.verifier_key().to_string(), log.checkpoint_note().to_owned());
        LogHead { origin: "touchmark.internal/journal".into(), vkey, size: log.size(), checkpoint }
    };
    let data = home.path();
    let (one, two) = (log("one", 1, &["a"]), log("two", 1, &["a", "b"]));
    keep(data, &one).unwrap();
    keep(data, &two).unwrap();
    assert_eq!(std::fs::read_to_string(data.join("authority-head")).unwrap(), two.checkpoint);
    assert!(matches!(keep(data, &one), Err(WitnessFault::Smaller { have: 2, got: 1 })));
    assert!(matches!(keep(data, &log("fork", 1, &["a", "x"])), Err(WitnessFault::Forked { size: 2 })));
    assert!(matches!(keep(data, &log("key", 2, &["a", "b", "c"])), Err(WitnessFault::OtherKey { .. })));
    let bent = LogHead { checkpoint: two.checkpoint.replace("\n2\n", "\n3\n"), ..two.clone() };
    assert!(matches!(keep(data, &bent), Err(WitnessFault::Note(_))));
    assert_eq!(std::fs::read_to_string(data.join("authority-head")).unwrap(), two.checkpoint);

    let all = std::fs::read_to_string(data.join("authority-heads")).unwrap();
    let all: Vec<String> = all.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(all, [one.checkpoint.clone(), two.checkpoint.clone()], "every head that was taken over");

    let three = log("three", 1, &["a", "b", "c"]);
    let (head, key) = (data.join("authority-head"), data.join("authority-log.vkey"));
    let good = (std::fs::read(&head).unwrap(), std::fs::read(&key).unwrap());
    let refused = || {
        let fault = keep(data, &three).unwrap_err();
        assert!(keep(data, &three).is_err(), "also the second time");
        fault
    };
    std::fs::write(&head, "damaged").unwrap();
    assert!(matches!(refused(), WitnessFault::Damaged { .. }));
    std::fs::write(&head, [0xff]).unwrap();
    assert!(matches!(refused(), WitnessFault::Read { .. }));
    std::fs::write(&head, &good.0).unwrap();
    std::fs::write(&key, [0xff]).unwrap();
    assert!(matches!(refused(), WitnessFault::Read { .. }), "no trust on first use again");
    std::fs::write(&key, "").unwrap();
    assert!(matches!(refused(), WitnessFault::Damaged { .. }));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(refused(), WitnessFault::KeyMissing { .. }));
    std::fs::write(&key, &good.1).unwrap();
    keep(data, &three).unwrap();
}
