//! The four questions, by every name that a device, certificate or key has.
#![allow(clippy::unwrap_used)]

use touchmark_dial::Request;
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
        known.device.as_ref().unwrap().id.to_string(),
        known.certificates[0].id.to_string(),
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
        assert_eq!(found.device.unwrap().name.unwrap().as_str(), "pump-01", "{name}");
        let held: Vec<_> = found
            .certificates
            .iter()
            .map(|c| (c.fingerprint.unwrap().to_string(), c.state.to_string()))
            .collect();
        let first = first.fingerprint().to_string();
        assert_eq!(
            held,
            [(fingerprint.clone(), "issued".to_owned()), (first, "revoked".to_owned())],
            "{name}: newest first"
        );
        assert_eq!(found.where_used, None, "{name}: no gateway saw it");
        let revoked = &found.certificates[1];
        assert_eq!(revoked.revocation_reason.clone().unwrap(), "key-compromise", "{name}");
        assert_eq!(revoked.revoked_by.clone().unwrap(), "person:operator", "{name}");
        let Some(expiry) = found.on_expiry else { panic!("{name}: no answer") };
        assert!(expiry.in_s > 0 && expiry.effect.starts_with("refused"), "{name}: {expiry:?}");
        let Some(revokers) = found.who_can_revoke else { panic!("{name}: no answer") };
        assert_eq!(revokers.len(), 1, "{name}");
        let events: Vec<&str> = found.history.iter().map(|entry| entry.event.as_str()).collect();
        assert!(events.contains(&"device-registered") && events.contains(&"holder-revoked"), "{events:?}");
    }
    operator.revoke("pump-01");
    let dead = operator.explain("pump-01").unwrap();
    assert_eq!(dead.on_expiry, None, "nothing is left to expire");
    for unknown in ["pump-99", &"0".repeat(64), "dec_gateway-01.1.1", "crt_01a204735f3a798e9098c35956ee9066"]
    {
        assert_eq!(operator.get(&format!("/v1/explain/{unknown}")).unwrap().status, 404, "{unknown}");
    }
}

/// A service and an operator are explained as what they are, and one name in two environments is not guessed at.
#[test]
fn services_operators_and_namesakes_are_told_apart() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    operator.environment("plant", None);
    for environment in ["lab", "plant"] {
        let token = operator.token(&device_token(environment, "pump-01"));
        Device::new(&lab).enrol(Some(environment), &token);
    }
    let rows = [
        ("authority", "service", "renewed by the authority itself", "a start of the authority"),
        ("operator", "operator", "every call to the API", "--kind operator"),
    ];
    for (name, kind, effect, way_back) in rows {
        let found = operator.explain(name).unwrap();
        let party = found.party.unwrap();
        assert_eq!((party.kind.to_string().as_str(), party.name.as_str()), (kind, name));
        let expiry = found.on_expiry.unwrap();
        assert!(expiry.effect.contains(effect) && expiry.way_back.contains(way_back), "{name}: {expiry:?}");
        assert!(!expiry.actions_lost.is_empty(), "{name}: its end costs something");
    }
    let both = operator.get("/v1/explain/pump-01").unwrap();
    assert_eq!(both.status, 409);
    let problem: touchmark_api::Problem = serde_json::from_slice(&both.body).unwrap();
    let names: Vec<&str> = problem.candidates.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["pump-01 in lab", "pump-01 in plant"]);
    for list in ["devices", "gateways", "tokens", "makers"] {
        let unknown = operator.get(&format!("/v1/{list}?environment=nowhere")).unwrap();
        assert_eq!(unknown.status, 404, "{list}: {}", String::from_utf8_lossy(&unknown.body));
    }
    let ended = r#"{"ttl_s":0,"environment":"lab"}"#;
    let quarantine = Request::post("/v1/devices/pump-01/quarantine", "application/json", ended).unwrap();
    let refused = operator.send(quarantine).unwrap();
    let problem: touchmark_api::Problem = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status.as_u16(), problem.field.as_deref()), (400, Some("ttl_s")), "{problem}");
    let found = operator.explain("pump-01?environment=plant").unwrap();
    assert_eq!(found.device.unwrap().environment.unwrap().as_str(), "plant");
    for unknown in ["pump-01?environment=nowhere", "authority?environment=plant"] {
        assert_eq!(operator.get(&format!("/v1/explain/{unknown}")).unwrap().status, 404, "{unknown}");
    }
}
