//! Connect, publish, subscribe: each is decided by itself, is seen or not seen at the far end, and is recorded.

use crate::installation::{Installation, run};
use touchmark_api::Proof;
use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{Mqtt, program, until};

/// R4, R32, R35, R36, R46: mosquitto's clients in both versions: what is allowed arrives, what is denied does not,
/// and each decision stands in the log with its rule or reason.
#[test]
fn mosquitto_clients_do_what_they_may_and_nothing_else() {
    let (Some(installation), Some(publisher)) = (Installation::start(), program("mosquitto_pub")) else {
        return;
    };
    let mut operator = installation.lab.operator();
    for (name, version) in [("pump-v5", "5"), ("pump-v311", "311")] {
        let device = installation.enrol(name);
        let words = installation.as_mosquitto(&device, version);
        let own = format!("plant/{name}/temp");
        let foreign = "plant/pump-99/temp";
        let (exit, says) = run(&publisher, &words, &["-q", "1", "-t", &own, "-m", "21"]);
        assert_eq!(exit, Some(0), "{says}");
        installation.broker.sees(&own, "21");
        // Its exit code says nothing about a denial: the far end and the log do.
        run(&publisher, &words, &["-q", "1", "-t", foreign, "-m", "forged"]);
        let connected = operator.decided(name, "connect", name, "allow");
        assert_eq!(
            (connected.rule.as_deref(), connected.proof.as_ref()),
            (Some("connect"), Some(&Proof::Mtls.into()))
        );
        assert!(connected.tls.as_ref().unwrap().contains("1.3"), "{connected:?}");
        let published = operator.decided(name, "publish", &own, "allow");
        assert_eq!(published.rule.as_deref(), Some("publish-own"));
        assert_eq!(published.certificate, Some(device.chain[0].fingerprint()));
        let denied = operator.decided(name, "publish", foreign, "deny");
        assert_eq!(denied.reason, "no-rule");
        let explained = operator.explain(&denied.id.to_string()).unwrap();
        assert_eq!(explained.device.unwrap().name.unwrap().as_str(), name);
        let certificate =
            explained.certificates.iter().find(|c| c.fingerprint == denied.certificate).unwrap();
        assert!(certificate.issuer.is_some());
        let decision = explained.decision.unwrap();
        assert_eq!(decision, denied);
        assert_eq!((decision.gateway.as_str(), decision.policy.as_ref().unwrap().len()), ("gateway-01", 64));
        assert!(decision.at.to_string().ends_with('Z'), "{decision:?}");
        assert!(!installation.broker.seen_until_now().iter().any(|(topic, _)| topic == foreign));
    }
}

/// R36: a denied message is answered where the protocol has an answer, and ends the session where it has none.
#[test]
fn a_denied_publish_is_told_or_ends_the_session() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let mut v5 = Mqtt::welcome(&installation.lab, device.identity(), "pump-01/a");
    assert_eq!(v5.publish("plant/pump-02/x", "forged", QoS::AtLeastOnce), Ok(Some(0x87)));
    assert_eq!(v5.publish("plant/pump-01/x", "true", QoS::AtLeastOnce), Ok(Some(0x00)));
    assert!(v5.publish("$SYS/x", "forged", QoS::AtLeastOnce).is_ok_and(|code| code == Some(0x87)));
    assert_eq!(v5.publish("plant/pump-02/x", "forged", QoS::AtMostOnce), Ok(None));
    let (_, last) = v5.end();
    assert_eq!(last.unwrap().body()[0], 0x87, "DISCONNECT, not authorised");

    let mut v311 = Mqtt::dial(&installation.lab, Some(device.identity()), ProtocolVersion::V311).unwrap();
    assert_eq!(v311.hello("pump-01/b").unwrap().code, 0);
    assert_eq!(v311.publish("plant/pump-01/y", "true", QoS::AtLeastOnce).unwrap(), Some(0));
    assert!(
        v311.publish("plant/pump-02/y", "forged", QoS::AtLeastOnce).is_err(),
        "3.1.1 has no answer for it"
    );
    installation.broker.sees("plant/pump-01/x", "true");
    installation.broker.sees("plant/pump-01/y", "true");
    let seen = installation.broker.seen_until_now();
    assert!(seen.iter().all(|(_, payload)| payload != "forged"), "{seen:?}");
}

/// A subscription is granted only inside what the device may hear; a message on another's topic never
/// reaches it.
#[test]
fn a_subscription_covers_no_more_than_its_own() {
    let (Some(installation), Some(subscriber)) = (Installation::start(), program("mosquitto_sub")) else {
        return;
    };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    let rows = [
        ("cmd/pump-01/#", 0x01),
        ("cmd/pump-01/+", 0x01),
        ("#", 0x87),
        ("+/+/#", 0x87),
        ("cmd/#", 0x87),
        ("cmd/+/set", 0x87),
        ("cmd/pump-02/#", 0x87),
        ("plant/#", 0x87),
        ("$SYS/#", 0x87),
        ("$share/all/cmd/#", 0x87),
    ];
    for (filter, code) in rows {
        assert_eq!(session.subscribe(&[filter]), Ok(vec![code]), "{filter}");
        operator.decided("pump-01", "subscribe", filter, if code < 0x80 { "allow" } else { "deny" });
    }
    // One packet, several filters: each for itself.
    assert_eq!(session.subscribe(&["cmd/pump-02/#", "cmd/pump-01/x"]), Ok(vec![0x87, 0x01]));
    installation.broker.publish("cmd/pump-02/set", "for another");
    installation.broker.publish("cmd/pump-01/set", "for me");
    let frame = session.packet().unwrap().unwrap();
    let text = String::from_utf8_lossy(frame.body()).into_owned();
    assert!(text.contains("cmd/pump-01/set") && text.ends_with("for me"), "{text}");

    // mosquitto_sub with a wildcard: told no, in both versions.
    for version in ["5", "311"] {
        let name = format!("sub-{version}");
        let device = installation.enrol(&name);
        let words = installation.as_mosquitto(&device, version);
        let (_, says) = run(&subscriber, &words, &["-t", "#", "-C", "1", "-W", "5"]);
        assert!(
            says.to_lowercase().contains("denied") || says.contains("Not authorized"),
            "{version}: {says}"
        );
        let denied = operator.decided(&name, "subscribe", "#", "deny");
        assert_eq!(denied.reason, "no-rule");
    }
}

/// R49: where a certificate is used is known from what gateways saw, and so is nothing where nobody saw it.
#[test]
fn where_a_certificate_is_used_is_answered_from_decisions() {
    let Some(installation) = Installation::start() else { return };
    let mut operator = installation.lab.operator();
    let device = installation.enrol("pump-01");
    installation.enrol("pump-02");
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    session.publish("plant/pump-01/temp", "21", QoS::AtLeastOnce).unwrap();
    let used = until("the sighting", || {
        let explained = operator.explain("pump-01").unwrap();
        let used = explained.where_used?;
        used.into_iter().find(|sighting| sighting.action == "publish")
    });
    assert_eq!((used.gateway.as_str(), used.denied), ("gateway-01", 0));
    assert_eq!(used.certificate, device.chain[0].fingerprint());
    let unused = operator.explain("pump-02").unwrap();
    assert_eq!(unused.where_used, None);
}
