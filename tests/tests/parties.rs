//! Operators, gateways and services: what revoking one leaves behind, who is the last, who is a gateway, and which
//! roles there are.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use touchmark_api::{
    Certificate, CertificateName, ContainmentOutcome, Page, Problem, Reach, Token, TokenOrder,
};
use touchmark_dial::{Request, Response};
use touchmark_tests::{Device, Enrolment, Holder, Key, Lab, Operator, device_token, operator_token, tls};

fn service_token(name: &str, kind: &str) -> TokenOrder {
    TokenOrder {
        kind: Some(kind.parse().unwrap()),
        hosts: vec!["gateway.example.org".into()],
        ..device_token("lab", name)
    }
}

fn post(operator: &mut Operator, path: &str, body: &str) -> Response {
    operator.send(Request::post(path, "application/json", body.to_owned()).unwrap()).unwrap()
}

fn code(answer: &Response) -> String {
    serde_json::from_slice::<Problem>(&answer.body).map(|problem| problem.code).unwrap_or_default()
}

fn revoke(operator: &mut Operator, path: &str) -> ContainmentOutcome {
    let answer = post(operator, path, r#"{"reason":"key-compromise"}"#);
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

fn api(lab: &Lab, holder: &Holder) -> Operator {
    Operator::with_key(lab, &holder.key, &holder.chain)
}

fn enrols(lab: &Lab, token: &Token) -> u16 {
    let request = Enrolment::new(None, &Key::new().request(token.username.as_str()), token);
    Device::new(lab).send(&request).unwrap().status.as_u16()
}

/// The head of a request was accepted, its body is on the way, and then its operator is revoked: nothing is done.
#[test]
fn an_operator_that_is_revoked_in_the_middle_of_its_body_does_nothing_more() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    Device::new(&lab).enrol(None, &admin.token(&device_token("lab", "pump-01")));
    let thief = Holder::enrolled(&lab, &admin.token(&operator_token("thief", &["admin"])));
    assert_eq!(api(&lab, &thief).get("/v1/status").unwrap().status, 200);
    let address = lab.api().rsplit('/').next().unwrap().to_owned();
    let token = serde_json::to_string(&operator_token("eve", &["admin"])).unwrap();
    let rows = [
        ("/v1/tokens", token.as_str()),
        ("/v1/environments", r#"{"name":"other"}"#),
        ("/v1/devices/pump-01/quarantine", "{}"),
    ];
    let mut streams: Vec<_> = rows
        .iter()
        .map(|(path, body)| {
            let mut stream = tls(&lab, &address, &thief.chain, &thief.key);
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            // The server says so when it begins to read the body: whoever asks is known by then.
            let mut heard = [0; 256];
            let length = stream.read(&mut heard).unwrap();
            assert!(heard[..length].starts_with(b"HTTP/1.1 100"), "{path}");
            stream
        })
        .collect();
    revoke(&mut admin, "/v1/operators/thief/revoke");
    for (stream, (path, body)) in streams.iter_mut().zip(rows) {
        stream.write_all(body.as_bytes()).unwrap();
        let mut heard = [0; 1024];
        let length = stream.read(&mut heard).unwrap();
        let says = String::from_utf8_lossy(&heard[..length]).into_owned();
        assert!(says.starts_with("HTTP/1.1 403"), "{path}: {says}");
    }
    assert_eq!(admin.get("/v1/environments/other").unwrap().status, 404);
}

/// A thief of an operator's or gateway's key renews once, keeps the successor for later, and makes itself tokens. After
/// the party was revoked none of that opens anything.
#[test]
fn a_revoked_party_leaves_no_successor_no_token_and_no_key() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let rows = [
        ("operators", "ada", operator_token("ada", &["admin"]), "/v1/status"),
        ("services", "gateway-07", service_token("gateway-07", "gateway"), "/v1/feed"),
        ("services", "collector", service_token("collector", "service"), "/v1/log"),
    ];
    for (parties, name, order, reads) in rows {
        let mut first = Holder::enrolled(&lab, &admin.token(&order));
        assert_eq!(api(&lab, &first).get(reads).unwrap().status, 200, "{name}");
        let unproven = first.renewed(&lab);
        let own = admin.token(&order);
        let made = (parties == "operators").then(|| {
            let mut thief = api(&lab, &first);
            (thief.token(&device_token("lab", "pump-01")), thief.token(&operator_token("eve", &["admin"])))
        });
        let outcome = revoke(&mut admin, &format!("/v1/{parties}/{name}/revoke"));
        assert_eq!(outcome.certificates.len(), 2, "{name}: {outcome:?}");
        for (what, holder) in [("the first", &first), ("the successor", &unproven)] {
            let answer = api(&lab, holder).get(reads).unwrap();
            assert_eq!(
                (answer.status.as_u16(), code(&answer).as_str()),
                (403, "caller-not-live"),
                "{name}: {what}"
            );
        }
        assert_eq!(first.ask(None, &Key::new().request("")).unwrap().status, 403, "{name}");
        let mut unproven = unproven;
        assert_eq!(unproven.ask(None, &Key::new().request("")).unwrap().status, 403, "{name}");
        assert_eq!(unproven.confirm("").unwrap().status, 403, "{name}");
        assert_eq!(enrols(&lab, &own), 401, "{name}: a token made earlier");
        if let Some((device, operator)) = made {
            assert_eq!((enrols(&lab, &device), enrols(&lab, &operator)), (401, 401), "tokens that it made");
        }
        let back = Holder::enrolled(&lab, &admin.token(&order));
        assert_eq!(api(&lab, &back).get(reads).unwrap().status, 200, "{name}: let in anew");
    }
    let unknown = post(&mut admin, "/v1/operators/nobody/revoke", "{}");
    assert_eq!((unknown.status.as_u16(), code(&unknown).as_str()), (404, "party-unknown"));
    let own = post(&mut admin, "/v1/services/authority/revoke", "{}");
    assert_eq!((own.status.as_u16(), code(&own).as_str()), (409, "name-reserved"));
}

/// One certificate is revoked: its unproven successor dies with it, what was proven since is named.
#[test]
fn a_revoked_certificate_takes_its_unproven_successors_along_and_names_what_lives_on() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let mut first = Holder::enrolled(&lab, &admin.token(&operator_token("ada", &["fleet"])));
    let unproven = first.renewed(&lab);
    let outcome = revoke(&mut admin, &format!("/v1/certificates/{}/revoke", first.fingerprint()));
    assert_eq!((outcome.certificates.len(), outcome.lives_on.len()), (2, 0), "{outcome:?}");
    assert_eq!(api(&lab, &unproven).get("/v1/devices").unwrap().status, 403);

    let mut first = Holder::enrolled(&lab, &admin.token(&device_token("lab", "pump-01")));
    let mut proven = first.renewed(&lab);
    assert_eq!(proven.confirm("").unwrap().status, 204);
    let unproven = proven.renewed(&lab);
    let outcome = revoke(&mut admin, &format!("/v1/certificates/{}/revoke", first.fingerprint()));
    assert_eq!(outcome.certificates, [CertificateName::Fingerprint(first.fingerprint())]);
    let mut lives = [proven.fingerprint(), unproven.fingerprint()].map(CertificateName::Fingerprint);
    lives.sort();
    let mut named = outcome.lives_on.clone();
    named.sort();
    assert_eq!(named, lives, "proven since, and its own successor");
    let certificates: Page<Certificate> =
        serde_json::from_slice(&admin.get("/v1/devices/pump-01/certificates").unwrap().body).unwrap();
    let dead: Vec<_> = certificates.items.iter().filter(|one| one.state == "revoked").collect();
    assert_eq!(dead.len(), 1, "{certificates:?}");
}

/// Whom a revoked operator let in is said, also before anything is done: a thief may be among them.
#[test]
fn whom_the_tokens_of_a_revoked_operator_let_in_is_said() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let ada = Holder::enrolled(&lab, &admin.token(&operator_token("ada", &["admin"])));
    let mut ada = api(&lab, &ada);
    let eve = Holder::enrolled(&lab, &ada.token(&operator_token("eve", &["admin"])));
    Holder::enrolled(&lab, &ada.token(&service_token("gateway-07", "gateway")));
    // Renewed, it stands on a token no more; what counts is how it came in.
    let mut mallory = Holder::enrolled(&lab, &ada.token(&operator_token("mallory", &["fleet"])));
    let mut renewed = mallory.renewed(&lab);
    assert_eq!(renewed.confirm("").unwrap().status, 204);
    for name in ["pump-01", "pump-02"] {
        Device::new(&lab).enrol(None, &ada.token(&device_token("lab", name)));
    }
    Device::new(&lab).enrol(None, &admin.token(&device_token("lab", "pump-03")));
    Holder::enrolled(&lab, &admin.token(&operator_token("frank", &["fleet"])));
    // Let in, and dead since.
    Holder::enrolled(&lab, &ada.token(&operator_token("gone", &["fleet"])));
    revoke(&mut admin, "/v1/operators/gone/revoke");
    let dry = post(&mut admin, "/v1/operators/ada/revoke", r#"{"dry_run":true}"#);
    let dry: ContainmentOutcome = serde_json::from_slice(&dry.body).unwrap();
    let done = revoke(&mut admin, "/v1/operators/ada/revoke");
    for (what, outcome) in [("dry", dry), ("done", done)] {
        let let_in = outcome.let_in.unwrap();
        let named: Vec<_> = let_in.parties.iter().map(|one| format!("{} {}", one.kind, one.name)).collect();
        assert_eq!(named, ["operator eve", "operator mallory", "service gateway-07"], "{what}");
        assert_eq!((let_in.parties_total, let_in.device_enrolments), (3, 2), "{what}");
    }
    // They live on, as was said.
    assert_eq!(api(&lab, &eve).get("/v1/status").unwrap().status, 200);
    let device = revoke(&mut admin, "/v1/devices/pump-01/revoke");
    assert_eq!(device.let_in, None, "only operators make tokens");
    let none = revoke(&mut admin, "/v1/operators/frank/revoke").let_in.unwrap();
    assert_eq!((none.parties, none.parties_total, none.device_enrolments), (Vec::new(), 0, 0));
}

/// Whoever revokes the last one that can let others in would lock everybody out, itself too.
#[test]
fn the_last_operator_who_can_let_others_in_stays() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let certificates = |admin: &mut Operator, name: &str| -> Vec<String> {
        let explained = admin.explain(name).unwrap();
        explained.certificates.into_iter().map(|one| one.fingerprint.unwrap().to_string()).collect()
    };
    let own = certificates(&mut admin, "operator").remove(0);
    Holder::enrolled(&lab, &admin.token(&operator_token("frank", &["fleet"])));
    for (what, path) in [
        ("all of it", "/v1/operators/operator/revoke".to_owned()),
        ("its only certificate", format!("/v1/certificates/{own}/revoke")),
    ] {
        for dry in ["true", "false"] {
            let refused = post(&mut admin, &path, &format!(r#"{{"dry_run":{dry}}}"#));
            assert_eq!(
                (refused.status.as_u16(), code(&refused).as_str()),
                (409, "last-administrator"),
                "{what}, dry {dry}"
            );
        }
    }
    // An administrator of one environment lets nobody in again everywhere.
    Holder::enrolled(&lab, &admin.token(&operator_token("yuri", &["admin"])));
    let refused = post(&mut admin, "/v1/operators/operator/revoke", "{}");
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "last-administrator"));
    let order = TokenOrder { organisation: true, ..operator_token("anna", &["admin"]) };
    let anna = Holder::enrolled(&lab, &admin.token(&order));
    let mut anna = api(&lab, &anna);
    assert_eq!(anna.get("/v1/status").unwrap().status, 200);
    revoke(&mut anna, "/v1/operators/yuri/revoke");
    revoke(&mut admin, "/v1/operators/operator/revoke");
    assert_eq!(admin.get("/v1/status").unwrap().status, 403);
    let refused = post(&mut anna, "/v1/operators/anna/revoke", "{}");
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "last-administrator"));
    revoke(&mut anna, "/v1/operators/frank/revoke");
}

/// Nor does it lose what it is by a token with other roles: neither by one that is made now, nor by one from a time when
/// there was another.
#[test]
fn the_last_operator_who_can_let_others_in_keeps_its_roles() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let everywhere =
        |name: &str, roles: &[&str]| TokenOrder { organisation: true, ..operator_token(name, roles) };
    let make = |admin: &mut Operator, order: &TokenOrder| {
        post(admin, "/v1/tokens", &serde_json::to_string(order).unwrap())
    };
    let lesser = [
        ("another role", everywhere("operator", &["fleet"])),
        ("one environment", operator_token("operator", &["admin"])),
    ];
    for (what, order) in &lesser {
        let refused = make(&mut admin, order);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "last-administrator"), "{what}");
    }
    for order in [operator_token("operator", &[]), everywhere("operator", &["admin", "fleet"])] {
        assert_eq!(make(&mut admin, &order).status, 201, "nothing is lost");
    }
    let order = everywhere("anna", &["admin"]);
    Holder::enrolled(&lab, &admin.token(&order));
    let earlier = lesser.map(|(what, order)| (what, admin.token(&order)));
    revoke(&mut admin, "/v1/operators/anna/revoke");
    for (what, token) in &earlier {
        assert!(Device::new(&lab).try_enrol(token).is_none(), "{what}, once anna is gone");
    }
    let explained = admin.explain("operator").unwrap().party.unwrap();
    assert_eq!(
        (explained.roles, explained.reach),
        (vec!["admin".to_owned()], Some(Reach::Organisation.into()))
    );
    Holder::enrolled(&lab, &admin.token(&order));
    assert!(Device::new(&lab).try_enrol(&earlier[0].1).is_some(), "anna is back");
    assert_eq!(admin.explain("operator").unwrap().party.unwrap().roles, ["fleet"]);
}

/// A service that is no gateway pulls no feed and is believed nothing; a role that no rule names is refused.
#[test]
fn only_a_gateway_is_a_gateway_and_only_known_roles_are_given() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let service = Holder::enrolled(&lab, &admin.token(&service_token("collector", "service")));
    let mut service = api(&lab, &service);
    let acknowledgement = r#"{"epoch":1,"seq":1,"applied_at":"2026-01-01T00:00:00Z","sessions_closed":0}"#;
    let answers = [
        service.get("/v1/feed").unwrap(),
        post(&mut service, "/v1/feed/acknowledgement", acknowledgement),
        post(&mut service, "/v1/decisions", r#"{"first_leaf":0,"frames":[]}"#),
        post(&mut service, "/v1/gateways/self", r#"{"decision_log_vkey":"x"}"#),
    ];
    for answer in answers {
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (403, "gateway-only"));
    }
    let gateway = Holder::enrolled(&lab, &admin.token(&service_token("gateway-07", "gateway")));
    assert_eq!(api(&lab, &gateway).get("/v1/feed").unwrap().status, 200);

    let rows = [
        ("an unknown role", operator_token("olga", &["wizard"]), Some("admin, auditor, fleet")),
        (
            "one that is known, one that is not",
            operator_token("olga", &["admin", "root"]),
            Some("admin, auditor, fleet"),
        ),
        ("none, for somebody new", operator_token("olga", &[]), Some("admin, auditor, fleet")),
        ("a gateway's, for an operator", operator_token("olga", &["gateway"]), Some("admin, auditor, fleet")),
        (
            "an operator's, for a service",
            TokenOrder { roles: vec!["admin".into()], ..service_token("probe", "service") },
            Some("service"),
        ),
        (
            "a device's",
            TokenOrder { roles: vec!["admin".into()], ..device_token("lab", "pump-02") },
            Some("none"),
        ),
        ("a known one", operator_token("olga", &["auditor"]), None),
        ("none, for somebody known", operator_token("olga", &[]), None),
    ];
    for (what, order, list) in rows {
        let answer = post(&mut admin, "/v1/tokens", &serde_json::to_string(&order).unwrap());
        let says = String::from_utf8_lossy(&answer.body).into_owned();
        match list {
            Some(list) => {
                assert_eq!(answer.status, 400, "{what}: {says}");
                assert!(says.contains(list), "{what}: {says}");
            }
            None => assert_eq!(answer.status, 201, "{what}: {says}"),
        }
    }
}

/// A token changes nobody's rights before it is used.
#[test]
fn roles_come_with_the_enrolment_and_not_with_the_token() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    let first = Holder::enrolled(&lab, &admin.token(&operator_token("olga", &["fleet"])));
    let mut olga = api(&lab, &first);
    let may_ban = |olga: &mut Operator| post(olga, "/v1/devices/pump-01/ban", r#"{"dry_run":true}"#).status;
    Holder::enrolled(&lab, &admin.token(&device_token("lab", "pump-01")));
    assert_eq!(may_ban(&mut olga), 403);
    let token = admin.token(&operator_token("olga", &["admin"]));
    assert_eq!(may_ban(&mut olga), 403, "a token was made");
    Holder::enrolled(&lab, &token);
    assert_eq!(may_ban(&mut olga), 200, "it was used");
}

/// Whoever may not read devices does not learn which there are.
#[test]
fn what_is_forbidden_is_refused_before_anything_is_looked_up() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    Holder::enrolled(&lab, &admin.token(&device_token("lab", "pump-01")));
    let service = Holder::enrolled(&lab, &admin.token(&service_token("collector", "service")));
    let mut service = api(&lab, &service);
    for name in ["pump-01", "pump-99", "not%20a%20name"] {
        for path in [format!("/v1/devices/{name}"), format!("/v1/devices/{name}/certificates")] {
            assert_eq!(service.get(&path).unwrap().status, 403, "{path}");
        }
        for verb in ["revoke", "quarantine", "release", "ban"] {
            let path = format!("/v1/devices/{name}/{verb}");
            assert_eq!(post(&mut service, &path, "{}").status, 403, "{path}");
        }
        for parties in ["operators", "services"] {
            assert_eq!(post(&mut service, &format!("/v1/{parties}/{name}/revoke"), "{}").status, 403);
        }
    }
    assert_eq!(service.get("/v1/certificates/nothing").unwrap().status, 403);
    assert_eq!(admin.get("/v1/devices/pump-99").unwrap().status, 404);
}

/// Who may not is told the right that the act takes, and a role that has it.
#[test]
fn a_refusal_names_the_right_that_is_missing_and_who_has_it() {
    let lab = Lab::start();
    let mut admin = lab.operator();
    Device::new(&lab).enrol(None, &admin.token(&device_token("lab", "pump-01")));
    Holder::enrolled(&lab, &admin.token(&service_token("gateway-01", "gateway")));
    let frank = Holder::enrolled(&lab, &admin.token(&operator_token("frank", &["fleet"])));
    let ada = Holder::enrolled(&lab, &admin.token(&operator_token("ada", &["auditor"])));
    let [mut frank, mut ada] = [&frank, &ada].map(|holder| api(&lab, holder));
    for (who, operator, path, right, roles) in [
        ("fleet", 0, "/v1/operators/ada/revoke", "operator-revoke", "admin"),
        ("fleet", 0, "/v1/services/gateway-01/revoke", "service-revoke", "admin"),
        ("fleet", 0, "/v1/gateways/gateway-01/offline", "gateway-declare", "admin"),
        ("fleet", 0, "/v1/devices/pump-01/ban", "device-ban", "admin"),
        ("auditor", 1, "/v1/devices/pump-01/revoke", "device-revoke", "admin or fleet"),
        ("auditor", 1, "/v1/operators/frank/revoke", "operator-revoke", "admin"),
    ] {
        let operator = if operator == 0 { &mut frank } else { &mut ada };
        let answer = post(operator, path, "{}");
        let problem: Problem = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status.as_u16(), problem.code.as_str()), (403, "not-permitted"), "{who} {path}");
        assert!(problem.title.contains(&format!("does not permit {right} to")), "{path}: {}", problem.title);
        assert_eq!(problem.fix, Some(format!("ask an operator with the role {roles}")), "{who} {path}");
    }
}
