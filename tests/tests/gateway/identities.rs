//! Who is let in: the holder of a live device certificate of this environment, under its own name, and nobody else.

use crate::installation::{Installation, enrol, served};
use std::time::SystemTime;
use touchmark_api::{Decision, Proof};
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{
    Device, Key, Lab, Mqtt, Operator, operator_token, plain, refusal_is_recorded, thief, twin, until,
};
use touchmark_x509::Certificate;

/// How a connection ended without a CONNACK.
fn alert(lab: &Lab, identity: Option<(&Key, &[Certificate])>) -> String {
    match Mqtt::dial(lab, identity, ProtocolVersion::V5) {
        Ok(mut device) => device.hello("pump-01").expect_err("no CONNACK").to_lowercase(),
        Err(fault) => fault.to_string().to_lowercase(),
    }
}

/// Waits for a counter of strangers: nobody was proven, so there is no device.
fn counted(lab: &Lab, reason: &str) -> Decision {
    let mut operator = lab.operator();
    until(&format!("`{reason}` among the decisions"), || {
        operator.all_decisions("?verdict=deny").into_iter().find(|decision| decision.reason == reason)
    })
}

/// R3, R30, R38, R47, R108: without a live certificate of this environment there is no MQTT at all, and the
/// reason is counted.
#[test]
fn strangers_get_an_alert_and_are_counted() {
    let Some(installation) = Installation::start() else { return };
    let lab = &installation.lab;
    let mut operator = lab.operator();
    operator.environment("plant", None);
    let elsewhere = enrol(lab, "plant", "pump-01");
    let other = Lab::start();
    let foreign = enrol(&other, "lab", "pump-01");
    let (key, chain) = Device::new(lab).enrol(None, &operator.token(&operator_token("olga", &["auditor"])));

    let nobody = alert(lab, None);
    assert!(nobody.contains("certificate"), "{nobody}");
    for (name, stranger) in [("another authority", foreign), ("another environment", elsewhere)] {
        let says = alert(lab, Some(stranger.identity()));
        assert!(says.contains("certificate") || says.contains("unknown"), "{name}: {says}");
    }
    // Known here, but no device: it is told.
    let mut session = Mqtt::dial(lab, Some((&key, &chain)), ProtocolVersion::V5).unwrap();
    let greeted = session.hello("olga").unwrap();
    assert_eq!(greeted.code, 0x87, "{greeted:?}");
    assert!(greeted.says.starts_with("not-a-device"), "{greeted:?}");
    let heard =
        plain(&format!("mqtt://{}", lab.mqtt()), b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07pump-01");
    assert!(heard.closed && heard.octets.is_empty(), "plain TCP: {heard:?}");

    for reason in ["no-certificate", "unknown-issuer", "plaintext"] {
        let decision = counted(lab, reason);
        assert_eq!(
            (decision.device.as_ref(), decision.proof.as_ref()),
            (None, Some(&Proof::None.into())),
            "{decision:?}"
        );
    }
    assert!(operator.decisions("pump-01").is_empty(), "nothing is blamed on a device that was not there");
    assert!(installation.broker.seen_until_now().is_empty());
}

/// The other form of an ECDSA signature makes a second certificate of the first, under another fingerprint: with the true
/// key it opens no port, and the first one serves on.
#[test]
fn the_other_form_of_a_certificate_opens_nothing() {
    let Some(installation) = Installation::start() else { return };
    // One that begins with its issuer, in the first second of all, counts as older than the rule.
    let issuing = std::fs::read_to_string(installation.lab.issuing()).unwrap();
    let issuing = Certificate::from_pem_many(&issuing).unwrap()[0].validity().not_before();
    let device = until("a certificate that begins after its issuer", || {
        let device = installation.enrol("pump-01");
        (device.chain[0].validity().not_before() > issuing).then_some(device)
    });
    let other = [twin(&device.chain[0])];
    assert_ne!(other[0].fingerprint(), device.chain[0].fingerprint());
    assert_eq!(other[0].tbs_der(), device.chain[0].tbs_der());
    let says = alert(&installation.lab, Some((&device.key, &other)));
    assert!(says.contains("alert") || says.contains("tls"), "MQTT: {says}");
    counted(&installation.lab, "bad-path");
    Operator::with_key(&installation.lab, &device.key, &other).get("/v1/status").expect_err("no API");
    refusal_is_recorded(&installation.lab, "api/handshake", "path-signature-form");
    let mut renewal = touchmark_tests::Holder::new(&installation.lab, device.key, other.to_vec());
    renewal.ask(None, &Key::new().request("")).expect_err("no EST");
    refusal_is_recorded(&installation.lab, "est/handshake", "path-signature-form");
    assert!(installation.lab.operator().decisions("pump-01").is_empty(), "nothing was done in its name");
}

/// What an earlier version signed came in either form. Whatever began before this version's first start serves on at both
/// services; what begins after it does not.
#[test]
fn what_an_earlier_version_signed_serves_on_after_the_upgrade() {
    let Some(mut installation) = Installation::start() else { return };
    let old = installation.enrol("pump-01");
    let old_form = [twin(&old.chain[0])];
    installation.lab.stop_gateway();
    installation.lab.stop_authority();
    // As if this were the first start of a version that has the rule.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let since = now.as_secs() + 1;
    let data = installation.lab.data();
    for folder in [data.clone(), data.join("gateways/gateway-01/state")] {
        let file = folder.join("low-s-since");
        assert!(file.exists(), "{}", file.display());
        std::fs::write(file, format!("{since}\n")).unwrap();
    }
    installation.lab.restart();
    installation.lab.restart_gateway();
    served(&installation.lab, "lab");

    let mut session = Mqtt::welcome(&installation.lab, (&old.key, &old_form), "pump-01");
    session.publish("plant/pump-01/x", "old form", QoS::AtLeastOnce).unwrap();
    installation.broker.sees("plant/pump-01/x", "old form");
    let mut holder = touchmark_tests::Holder::new(&installation.lab, old.key, old_form.to_vec());
    let answer = holder.ask(None, &Key::new().request("")).unwrap();
    assert_ne!(answer.status, 200, "the handshake is good, and the authority never issued these octets");

    // One that was signed before that second, or that begins with its issuer, counts as older.
    until("a certificate that was signed after the first start to be refused in the other form", || {
        let new = installation.enrol("pump-02");
        let begun =
            Mqtt::dial(&installation.lab, Some((&new.key, &[twin(&new.chain[0])])), ProtocolVersion::V5)
                .map_err(|fault| fault.to_string())
                .and_then(|mut device| device.hello("pump-02"));
        begun.is_err().then_some(())
    });
}

/// R2, R29: a certificate without its key opens no port, and the attempt is counted.
#[test]
fn a_stolen_certificate_opens_nothing() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let operator = std::fs::read_to_string(installation.lab.data().join("operator/operator.pem")).unwrap();
    let operator = Certificate::from_pem_many(&operator).unwrap();
    let port = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    let get = b"GET /v1/status HTTP/1.1\r\nHost: lab\r\n\r\n".as_slice();
    let connect = b"\x10\x14\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x07pump-01".as_slice();
    let rows = [
        ("MQTT", installation.lab.mqtt().to_owned(), &device.chain, connect),
        ("HTTP", port(installation.lab.http()), &device.chain, get),
        ("management API", port(installation.lab.api()), &operator, get),
        ("EST", port(installation.lab.est()), &operator, get),
    ];
    for (name, address, stolen, octets) in rows {
        for _ in 0..10 {
            let heard = thief(&installation.lab, &address, stolen, octets);
            assert!(heard.as_ref().is_err_and(|how| how.contains("alert")), "{name}: {heard:?}");
        }
    }
    counted(&installation.lab, "bad-possession");
    refusal_is_recorded(&installation.lab, "api/handshake", "bad-possession");
    refusal_is_recorded(&installation.lab, "est/handshake", "bad-possession");
    assert!(installation.lab.operator().decisions("pump-01").is_empty(), "nothing is blamed on the device");
}

/// R35: a client id is the device's own name or a part of it.
#[test]
fn a_device_connects_under_its_own_name_only() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let mut operator = installation.lab.operator();
    let refused =
        ["pump-02", "pump-011", "pump-01/", "pump-01/a/b", "pump-01/#", "pump-01/+", "#", "+", "../pump-02"];
    for client_id in refused {
        for (version, code) in [(ProtocolVersion::V5, 0x87), (ProtocolVersion::V311, 0x05)] {
            let mut session = Mqtt::dial(&installation.lab, Some(device.identity()), version).unwrap();
            let greeted = session.hello(client_id).unwrap();
            assert_eq!(greeted.code, code, "{client_id}: {greeted:?}");
            if version == ProtocolVersion::V5 {
                assert!(greeted.says.starts_with("client-id-mismatch"), "{client_id}: {greeted:?}");
            }
        }
        let denied = operator.decided("pump-01", "connect", client_id, "deny");
        assert_eq!(denied.reason, "client-id-mismatch");
    }
    for (client_id, assigned) in [("pump-01", ""), ("pump-01/part", ""), ("", "pump-01")] {
        let mut session =
            Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V5).unwrap();
        let greeted = session.hello(client_id).unwrap();
        assert_eq!((greeted.code, greeted.assigned.as_str()), (0, assigned), "{client_id}");
        assert_eq!(session.publish("plant/pump-01/x", client_id, QoS::AtLeastOnce), Ok(Some(0)));
        installation.broker.sees("plant/pump-01/x", client_id);
    }
}

/// R30, R51: a certificate that is past its time is refused by the handshake, and the session that it opened is cut,
/// at the moment that was foretold. The environment's certificates live for the shortest time there is.
#[test]
fn an_expired_certificate_is_refused_and_its_session_cut() {
    let mut lab = Lab::start();
    lab.operator().environment("brief", Some(30));
    lab.start_gateway(&["--env", "brief", "--name", "gateway-brief"]);
    served(&lab, "brief");
    let device = enrol(&lab, "brief", "pump-01");
    let mut session = Mqtt::welcome(&lab, device.identity(), "pump-01");
    assert_eq!(session.publish("plant/pump-01/x", "1", QoS::AtLeastOnce), Ok(Some(0)));
    let Some(foretold) = lab.operator().explain("pump-01").unwrap().on_expiry else { panic!("no answer") };
    assert_eq!(foretold.not_after, device.chain[0].validity().not_after());
    assert!(foretold.effect.starts_with("refused") && foretold.effect.contains("live sessions are cut"));
    let (_, last) = session.end();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let late = now.checked_sub(device.chain[0].validity().not_after().unix_s());
    assert!(late.is_some_and(|seconds| seconds <= 5), "cut at its time: {late:?}");
    assert_eq!(last.unwrap().body()[0], 0x98, "DISCONNECT, administrative action");
    let not_after = device.chain[0].validity().not_after().unix_s();
    until("the certificate to expire", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (now > not_after).then_some(())
    });
    let says = alert(&lab, Some(device.identity()));
    assert!(says.contains("certificate"), "{says}");
    counted(&lab, "expired");
}
