//! The management API: who gets in, what each role may do, and that the answer to "who can revoke" is exact.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use touchmark_api::{Containment, EnvironmentOrder, TokenKind};
use touchmark_dial::{DialFault, Method, Request};
use touchmark_tests::{
    Device, Lab, Operator, device_token, environment_order, operator_token, refusal_is_recorded,
};

/// A token for an operator, enrolled like anybody else.
fn enrol_operator(lab: &Lab, admin: &mut Operator, name: &str, roles: &[&str]) -> Operator {
    let token = admin.token(&operator_token(name, roles));
    let (key, chain) = Device::new(lab).enrol(None, &token);
    Operator::with_key(lab, &key, &chain)
}

/// A service: it calls this interface, and no role of the operator policy is its.
fn enrol_service(lab: &Lab, admin: &mut Operator, name: &str) -> Operator {
    let order = touchmark_api::TokenOrder { kind: Some(TokenKind::Service), ..device_token("lab", name) };
    let (key, chain) = Device::new(lab).enrol(None, &admin.token(&order));
    Operator::with_key(lab, &key, &chain)
}

/// One request for every route.
fn every_route() -> Vec<Request> {
    let json = |method, path: &str, body: &str| {
        Request::new(method, path).body(body.to_owned()).header("content-type", "application/json").unwrap()
    };
    let mut requests: Vec<Request> = [
        "/v1/status",
        "/v1/log",
        "/v1/decisions",
        "/v1/explain/pump-01",
        "/v1/environments",
        "/v1/environments/lab",
        "/v1/environments/lab/policy",
        "/v1/devices",
        "/v1/devices/pump-01",
        "/v1/devices/pump-01/certificates",
        "/v1/feed",
    ]
    .map(Request::get)
    .into();
    for verb in ["revoke", "quarantine", "release", "ban"] {
        requests.push(json(Method::POST, &format!("/v1/devices/pump-01/{verb}"), "{}"));
    }
    for party in ["operators", "services"] {
        requests.push(json(Method::POST, &format!("/v1/{party}/anna/revoke"), "{}"));
    }
    requests.push(json(Method::POST, "/v1/tokens", r#"{"environment":"lab","device":"pump-09","ttl_s":60}"#));
    requests.push(json(Method::POST, "/v1/environments", r#"{"name":"mine"}"#));
    requests.push(json(Method::PUT, "/v1/environments/lab/policy", r#"{"files":[],"topics":""}"#));
    let acknowledgement = r#"{"epoch":1,"seq":1,"applied_at":"2026-01-01T00:00:00Z","sessions_closed":0}"#;
    requests.push(json(Method::POST, "/v1/feed/acknowledgement", acknowledgement));
    requests.push(json(Method::POST, "/v1/decisions", r#"{"first_leaf":0,"frames":[]}"#));
    requests.push(json(Method::POST, "/v1/gateways/self", r#"{"decision_log_vkey":"x"}"#));
    requests
}

/// R30, R47, R108: without an operator's certificate of this authority, no route gives anything.
#[test]
fn only_operators_and_services_of_this_authority_get_in() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let (key, chain) = Device::new(&lab).enrol(None, &admin.token(&device_token("lab", "pump-01")));
    let mut device = Operator::with_key(&lab, &key, &chain);
    for request in every_route() {
        let answer = device.send(request.clone()).unwrap();
        let says = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 403, "{request:?}: {says}");
        assert!(says.contains("caller-unknown"), "{request:?}: {says}");
    }
    refusal_is_recorded(&lab, "api", "caller-refused");

    let elsewhere = Lab::start();
    let files = elsewhere.data().join("operator");
    let mut foreign = Operator::with_files(&lab, &files.join("operator.pem"), &files.join("operator.key"));
    let mut nobody = Operator::nobody(&lab);
    for request in every_route() {
        let refused = foreign.send(request.clone());
        assert!(matches!(refused, Err(DialFault::Tls { .. })), "foreign: {refused:?}");
        let refused = nobody.send(request);
        assert!(matches!(refused, Err(DialFault::Tls { .. })), "without certificate: {refused:?}");
    }
    refusal_is_recorded(&lab, "api/handshake", "no-certificate");
    refusal_is_recorded(&lab, "api/handshake", "path-unknown-issuer");

    let known = admin.explain("pump-01").unwrap();
    assert_eq!(known.device.unwrap().standing, "active", "nothing happened to it");
}

/// What an environment cannot be is said, and nothing comes into being.
#[test]
fn an_environment_out_of_bounds_is_refused_with_its_reason() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let long = 826 * 86_400;
    let rows: [(&str, EnvironmentOrder, u16, &str); 6] = [
        ("a taken name", environment_order("lab"), 409, "environment-exists"),
        (
            "a taken trust domain",
            EnvironmentOrder {
                trust_domain: Some("lab.touchmark.internal".parse().unwrap()),
                ..environment_order("other")
            },
            409,
            "trust-domain-exists",
        ),
        (
            "a life too short",
            EnvironmentOrder { device_lifetime_s: Some(29), ..environment_order("other") },
            400,
            "lifetime",
        ),
        (
            "a life too long",
            EnvironmentOrder { device_lifetime_s: Some(long), ..environment_order("other") },
            400,
            "lifetime",
        ),
        (
            "a grace of years",
            EnvironmentOrder { late_renewal_grace_s: Some(long), ..environment_order("other") },
            400,
            "grace",
        ),
        (
            "an overlap longer than the life",
            EnvironmentOrder {
                device_lifetime_s: Some(60),
                overlap_s: Some(61),
                ..environment_order("other")
            },
            400,
            "overlap",
        ),
    ];
    for (what, order, status, code) in rows {
        let body = serde_json::to_string(&order).unwrap();
        let answer =
            admin.send(Request::post("/v1/environments", "application/json", body).unwrap()).unwrap();
        let says = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{what}: {says}");
        assert!(says.contains(&format!("\"code\":\"{code}\"")), "{what}: {says}");
    }
    let fits =
        EnvironmentOrder { device_lifetime_s: Some(60), overlap_s: Some(60), ..environment_order("other") };
    let made = admin.environment_like(&fits);
    let device = made.profiles.iter().find(|profile| profile.kind == "operational").unwrap();
    assert_eq!((device.lifetime_s, device.overlap_s), (60, 60));
}

/// R50: who is listed as able to revoke is exactly who succeeds in a dry run, whatever changes.
#[test]
fn those_who_can_revoke_are_exactly_those_whose_dry_run_succeeds() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let mut device = Device::new(&lab);
    device.enrol(None, &admin.token(&device_token("lab", "pump-01")));
    let mut callers = vec![("operator".to_owned(), lab.operator())];
    let roles: [(&str, &[&str]); 4] =
        [("anna", &["admin"]), ("frank", &["fleet"]), ("fred", &["auditor", "fleet"]), ("ada", &["auditor"])];
    for (name, roles) in roles {
        callers.push((name.to_owned(), enrol_operator(&lab, &mut admin, name, roles)));
    }
    callers.push(("collector".to_owned(), enrol_service(&lab, &mut admin, "collector")));
    let dry = Containment { dry_run: true, ..Containment::default() };
    let mut compare = |after: &str| {
        let succeed: BTreeSet<String> = callers
            .iter_mut()
            .filter_map(|(name, caller)| {
                caller.contain("pump-01", "revoke", &dry).is_ok().then(|| name.clone())
            })
            .collect();
        let explained = admin.explain("pump-01").unwrap();
        let Some(listed) = explained.who_can_revoke else { panic!("{after}: no answer") };
        let listed: BTreeSet<String> = listed.into_iter().map(|revoker| revoker.name.to_string()).collect();
        assert_eq!(listed, succeed, "{after}");
        // With nothing left alive a revocation still voids tokens, so the same people can.
        assert_eq!(listed, ["anna", "frank", "fred", "operator"].map(str::to_owned).into(), "{after}");
    };
    compare("enrolled");
    lab.operator().revoke("pump-01");
    compare("revoked");
    let token = lab.operator().token(&device_token("lab", "pump-01"));
    device.enrol(None, &token);
    compare("enrolled again");
    lab.operator().contain("pump-01", "ban", &Containment::default()).unwrap();
    compare("banned");
}
