//! The four questions, by every name that a device, certificate or key has.
#![allow(clippy::unwrap_used)]

use touchmark_api::Answer;
use touchmark_tests::{Device, Lab, device_token};

/// R48: whatever names a device, its certificate or its key finds both, in both directions and with history;
/// what is not known is said to be unknown.
#[test]
fn every_name_of_a_certificate_leads_to_its_device() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let mut device = Device::new(&lab);
    let mut enrol = || {
        let token = lab.operator().token(&device_token("lab", "pump-01"));
        device.enrol(None, &token).1.remove(0)
    };
    let first = enrol();
    operator.revoke("pump-01");
    let second = enrol();
    let known = operator.explain("pump-01").unwrap();
    let fingerprint = second.fingerprint().to_string();
    let with_colons: Vec<&str> = (0..32).map(|n| &fingerprint[2 * n..2 * n + 2]).collect();
    let names = [
        known.device.as_ref().unwrap().id.clone(),
        known.certificates[0].id.clone(),
        "spiffe://lab.touchmark.internal/d/pump-01".to_owned(),
        fingerprint.clone(),
        with_colons.join(":"),
        with_colons.join(":").to_uppercase(),
        first.fingerprint().to_string(),
        second.serial().to_string(),
        second.spki_hash().to_string(),
    ];
    for name in names {
        let path = name.replace("://", "%3A%2F%2F").replace('/', "%2F");
        let found = operator.explain(&path).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(found.device.unwrap().name, "pump-01", "{name}");
        let held: Vec<_> =
            found.certificates.iter().map(|c| (c.fingerprint.clone(), c.state.as_str())).collect();
        let first = first.fingerprint().to_string();
        assert_eq!(held, [(fingerprint.clone(), "issued"), (first, "revoked")], "{name}: newest first");
        assert_eq!(found.where_used, Answer::no_data(), "{name}: no gateway saw it");
        let Answer::Known(expiry) = found.on_expiry else { panic!("{name}: no answer") };
        assert!(expiry.in_s > 0 && expiry.effect.starts_with("refused"), "{name}: {expiry:?}");
        let Answer::Known(revokers) = found.who_can_revoke else { panic!("{name}: no answer") };
        assert_eq!(revokers.len(), 1, "{name}");
        let events: Vec<&str> = found.history.iter().map(|entry| entry.event.as_str()).collect();
        assert!(
            events.contains(&"device-registered") && events.contains(&"certificates-revoked"),
            "{events:?}"
        );
    }
    operator.revoke("pump-01");
    let dead = operator.explain("pump-01").unwrap();
    assert_eq!(dead.on_expiry, Answer::no_data(), "nothing is left to expire");
    for unknown in ["pump-99", &"0".repeat(64), "dec_gateway-01.1.1", "crt_01a204735f3a798e9098c35956ee9066"]
    {
        assert_eq!(operator.get(&format!("/v1/explain/{unknown}")).unwrap().status, 404, "{unknown}");
    }
}
