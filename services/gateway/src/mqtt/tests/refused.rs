//! Who does not get in, and how it is told and recorded.

use super::client::{Client, V5, V311, connect};
use crate::arrivals::Standing;
use crate::lab::{CAP, Holder, Lab, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use touchmark_decisions::Verdict;
use touchmark_mqtt::Text;
use touchmark_policy::DenyReason;
use touchmark_x509::certificate::ExtendedKeyUsage;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_path_ends_in_an_alert_and_one_counter() {
    let lab = Lab::new();
    let running = lab.run(None);
    let stranger = Lab::new();
    let client_auth = [ExtendedKeyUsage::ClientAuth];
    let server_auth = [ExtendedKeyUsage::ServerAuth];
    let rows: Vec<(&str, Option<Holder>, DenyReason)> = vec![
        ("no certificate", None, DenyReason::NoCertificate),
        ("another root", Some(stranger.device("pump-01")), DenyReason::UnknownIssuer),
        (
            "another environment under the same authority",
            Some(lab.holder("spiffe://prod.touchmark.internal/d/pump-01", &[], 3600)),
            DenyReason::WrongEnvironment,
        ),
        (
            "a server's certificate",
            Some(lab.leaf(
                "spiffe://lab.touchmark.internal/d/pump-01",
                &[],
                3600,
                &server_auth,
                &lab.issuing,
            )),
            DenyReason::BadPath,
        ),
        (
            "issued by the root itself",
            Some(lab.leaf("spiffe://lab.touchmark.internal/d/pump-01", &[], 3600, &client_auth, &lab.root)),
            DenyReason::UnknownIssuer,
        ),
    ];
    for (name, holder, reason) in rows {
        let tls = lab.client_tls(holder.as_ref());
        let address = running.address.to_string();
        let mut octets = Vec::new();
        // In TLS 1.3 the refusal comes with the first read.
        let refused = match tls.connect(&address, "127.0.0.1", CAP).await {
            Ok(mut stream) => stream.read_to_end(&mut octets).await.is_err(),
            Err(_) => true,
        };
        assert!(refused && octets.is_empty(), "{name}: refused in the handshake");
        let counted = lab.logged(|d| d.resource.is_none() && d.verdict == Verdict::Deny(reason)).await;
        assert_eq!(counted.device(), None, "{name}: nobody was proven");
    }
    assert!(running.sessions.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_closed_and_counted() {
    let lab = Lab::new();
    let running = lab.run(None);
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.unwrap();
    let mut octets = Vec::new();
    let _ = tokio::time::timeout(CAP, stream.read_to_end(&mut octets)).await.unwrap();
    assert!(octets.is_empty(), "no answer in plain text: {octets:?}");
    lab.logged(|d| d.verdict == Verdict::Deny(DenyReason::Plaintext)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_path_that_may_not_is_told_why_and_recorded_by_name() {
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let service = lab.holder("spiffe://lab.touchmark.internal/s/backend", &[], 3600);
    let operator = lab.holder("spiffe://lab.touchmark.internal/o/admin", &[], 3600);
    let unreadable = lab.holder("spiffe://lab.touchmark.internal/d/odd", &["model:#"], 3600);
    let rows: &[(&str, &Holder, &str, DenyReason)] = &[
        ("a service", &service, "backend", DenyReason::NotADevice),
        ("an operator", &operator, "admin", DenyReason::NotADevice),
        ("another device's client id", &device, "pump-02", DenyReason::ClientIdMismatch),
        ("a wildcard in the client id", &device, "pump-01/#", DenyReason::ClientIdMismatch),
        ("a scope that cannot be read", &unreadable, "odd", DenyReason::BadPath),
    ];
    for (name, holder, client_id, reason) in rows {
        for (version, expected) in [(V5, 0x87), (V311, 0x05)] {
            let mut client = Client::dial(&lab, holder, running.address, version).await;
            let mut hello = connect(version, client_id);
            hello.user_name = Some(Text::new("admin").unwrap());
            let (code, says) = client.connack(&hello).await;
            assert_eq!(code, expected, "{name} {version}");
            assert!(version == V311 || says.starts_with(reason.code()), "{name}: {says}");
            assert!(client.next().await.is_none(), "{name}: closed");
        }
        let fingerprint = holder.certificate.fingerprint();
        lab.logged(|d| {
            d.certificate() == Some(fingerprint)
                && d.verdict == Verdict::Deny(*reason)
                && d.resource.as_ref().is_some_and(|resource| resource.as_str() == *client_id)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_makers_device_is_told_that_it_must_enrol() {
    let lab = Lab::new();
    let maker = Lab::maker("maker", None);
    lab.publish(vec![lab.anchors(Some(&maker))]);
    let running = lab.run(None);
    let device = lab.initial("pump-01", &maker);
    for (version, expected) in [(V5, 0x87), (V311, 0x05)] {
        let mut client = Client::dial(&lab, &device, running.address, version).await;
        let (code, says) = client.connack(&connect(version, "pump-01")).await;
        assert_eq!(code, expected, "{version}");
        assert!(version == V311 || says.starts_with("initial-identity"), "{says}");
        assert!(client.next().await.is_none(), "closed");
    }
    let fingerprint = device.certificate.fingerprint();
    let told = lab.logged(|d| d.certificate() == Some(fingerprint)).await;
    assert_eq!(told.verdict, Verdict::Deny(DenyReason::InitialIdentity));
    assert!(
        told.device().is_some_and(|name| name.as_str().starts_with("initial-")),
        "under no device's name"
    );
    assert!(running.sessions.all().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_is_none_is_recorded_by_name() {
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let rows: &[(&str, &[u8], DenyReason, &[u8])] = &[
        (
            "MQTT 3.1",
            b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00",
            DenyReason::ProtocolUnsupported,
            b"\x20\x02\x00\x01",
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", DenyReason::MalformedPacket, b""),
        ("a ping first", b"\xc0\x00", DenyReason::MalformedPacket, b"\x20\x02\x00\x05"),
        ("larger than a CONNECT may be", b"\x10\x80\x80\x02", DenyReason::PacketTooLarge, b""),
    ];
    for (name, octets, reason, answer) in rows {
        let tls = lab.client_tls(Some(&device));
        let mut stream = tls.connect(&running.address.to_string(), "127.0.0.1", CAP).await.unwrap();
        stream.write_all(octets).await.unwrap();
        let mut got = Vec::new();
        tokio::time::timeout(CAP, stream.read_to_end(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, *answer, "{name}");
        lab.logged(|d| {
            d.device().is_some_and(|n| n.as_str() == "pump-01") && d.verdict == Verdict::Deny(*reason)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_cannot_fill_the_gateway() {
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let mut held = Vec::new();
    for n in 0..32 {
        let client_id = format!("pump-01/{n}");
        held.push(Client::welcome(&lab, &device, &running, &connect(V5, &client_id)).await);
    }
    let mut client = Client::dial(&lab, &device, running.address, V5).await;
    let (code, says) = client.connack(&connect(V5, "pump-01/more")).await;
    assert_eq!((code, says.starts_with("too-many-sessions")), (0x97, true), "{says}");
    held.pop();
    until(|| (running.sessions.all().len() == 31).then_some(())).await;
    Client::welcome(&lab, &device, &running, &connect(V5, "pump-01/more")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_no_reason_to_hang() {
    let lab = Lab::new();
    let broker = crate::lab::Broker::start(&lab).await;
    let running = lab.run(Some(&broker));
    drop(broker);
    let mut client = Client::dial(&lab, &lab.device("pump-01"), running.address, V5).await;
    let (code, _) = client.connack(&connect(V5, "pump-01")).await;
    assert_eq!(code, 0x88);
    assert!(client.next().await.is_none());
    running.live(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_beyond_the_allowance_end_the_session_and_fill_no_disk() {
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let long = format!("x/{}", "y".repeat(900));
    let mut client = Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
    let mut answered = 0;
    let goodbye = loop {
        let message = super::client::message(&long, touchmark_mqtt::QoS::AtLeastOnce, 1, "");
        let frame = client.ask(message.into()).await.unwrap();
        match frame.packet_type() {
            touchmark_mqtt::PacketType::Puback => answered += 1,
            _ => break frame,
        }
        assert!(answered < 5_000, "it never ends");
    };
    assert_eq!((goodbye.packet_type(), goodbye.body()[0]), (touchmark_mqtt::PacketType::Disconnect, 0x97));
    assert!(answered >= 50, "{answered}");
    assert!(client.next().await.is_none());
    running.live(0).await;
    running.log.close().await;
    let denied: Vec<_> =
        lab.decisions().into_iter().filter(|d| d.verdict == Verdict::Deny(DenyReason::NoRule)).collect();
    assert_eq!(denied.len(), answered + 1);
    assert!(denied.iter().all(|d| d.resource.as_ref().unwrap().as_str().len() <= 128));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_refused_all_the_time_is_counted_in_place_of_recorded() {
    let lab = Lab::new();
    let running = lab.run(None);
    let device = lab.device("pump-01");
    let identity = running.trust.identity_of(device.certificate.der(), lab.now()).unwrap();
    let place = running.admission.arrivals.wait(&identity, Standing::Good, lab.now()).unwrap();
    for _ in 0..60 {
        place.account().may_be_told(lab.now());
    }
    drop(place);
    let mut client = Client::dial(&lab, &device, running.address, V5).await;
    assert!(client.next().await.is_none(), "closed without a word");
    lab.pass(core::time::Duration::from_secs(2));
    Client::welcome(&lab, &device, &running, &connect(V5, "pump-01")).await;
}
