//! An operator of one environment, about what is another's: in lists, behind cursors, by names and identifiers, and in
//! what it gives away.

use crate::requests::ENVIRONMENTS;
use std::time::Duration;
use touchmark_api::{Page, Problem, TokenOrder};
use touchmark_dial::{Method, Request};
use touchmark_identity::DeviceId;
use touchmark_journal::{Entry, Event};
use touchmark_tests::{
    Curl, Device, Lab, Operator, device_token, leaves, operator_token, program, refusal_is_recorded, within,
};
use touchmark_x509::Certificate;

/// Equal refusals are recorded in steps that grow to a minute.
const RECORDED_WITHIN: Duration = Duration::from_secs(150);

fn ask(caller: &mut Operator, method: Method, path: &str, body: &str) -> (u16, String) {
    let mut request = Request::new(method, path);
    if !body.is_empty() {
        request = request.body(body.to_owned()).header("content-type", "application/json").unwrap();
    }
    let answer = caller.send(request).unwrap();
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

fn code((status, body): &(u16, String)) -> String {
    let problem = serde_json::from_str::<Problem>(body).map(|problem| problem.code).unwrap_or_default();
    format!("{status} {problem}").trim_end().to_owned()
}

/// An operator of `yard`, which comes second: the default environment is not its own.
fn admitted(lab: &Lab, order: &TokenOrder) -> Operator {
    let token = lab.operator().token(order);
    let (key, chain) = Device::new(lab).enrol(Some(order.environment.as_str()), &token);
    Operator::with_key(lab, &key, &chain)
}

fn of_yard(name: &str, roles: &[&str]) -> TokenOrder {
    TokenOrder { environment: "yard".parse().unwrap(), ..operator_token(name, roles) }
}

fn two_environments(lab: &Lab) -> Vec<(touchmark_tests::Key, Vec<Certificate>)> {
    lab.operator().environment(ENVIRONMENTS[1], None);
    let enrol = |environment: &str, name: &str| {
        Device::new(lab).enrol(Some(environment), &lab.operator().token(&device_token(environment, name)))
    };
    ["twin", "pump-lab"].map(|name| enrol("lab", name)).into_iter().chain([enrol("yard", "twin")]).collect()
}

/// R104: what is another environment's is in no list, on no later page, and in no answer.
#[test]
fn an_operator_of_one_environment_sees_nothing_of_another() {
    let Some(curl) = program("curl") else { return };
    let mut lab = Lab::start();
    lab.start_gateway(&[]);
    let devices = two_environments(&lab);
    let (key, chain) = &devices[0];
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    let pem = lab.write("twin.pem", pem).display().to_string();
    let key = lab.write("twin.p8", key.pkcs8().expose()).display().to_string();
    let answer = Curl::new(&curl, &lab)
        .with(&["--insecure", "--cert", &pem, "--key", &key, "--key-type", "DER", "--data-raw", "1"])
        .send(&format!("{}/publish/plant/twin/t", lab.http()));
    assert!(answer.status < 300, "{answer:?}");
    let mut everywhere =
        admitted(&lab, &TokenOrder { organisation: true, ..operator_token("olga", &["auditor"]) });
    everywhere.decided("twin", "publish", "plant/twin/t", "allow");
    let decision = everywhere.decisions("twin").remove(0).id.to_string();
    let mut yuri = admitted(&lab, &of_yard("yuri", &["admin"]));

    let lists = [
        ("/v1/devices", "twin", "pump-lab"),
        ("/v1/devices?limit=1", "twin", "pump-lab"),
        ("/v1/environments", "yard", "lab"),
        ("/v1/gateways", "", "lab"),
        ("/v1/status", "yard", "\"lab\""),
        ("/v1/decisions", "", "twin"),
        ("/v1/tokens?environment=yard", "yuri", "pump-lab"),
        ("/v1/explain/twin", "yard", "lab.touchmark"),
        ("/v1/devices/twin", "yard", "\"lab\""),
    ];
    for (path, own, foreign) in lists {
        let (status, body) = ask(&mut yuri, Method::GET, path, "");
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(own) && !body.contains(foreign), "{path}: {body}");
    }
    let whole = |caller: &mut Operator, path: &str| ask(caller, Method::GET, path, "").1;
    for (path, _, foreign) in &lists[..6] {
        let path = path.replace("limit=1", "limit=2");
        assert!(whole(&mut everywhere, &path).contains(foreign), "{path}: there is something to hide");
    }
    let of_lab = chain[0].fingerprint().to_string();
    let uri = "spiffe:%2F%2Flab.touchmark.internal%2Fd%2Ftwin";
    for id in ["pump-lab", "nobody-knows-it", &of_lab, &decision, uri, "operator"] {
        let answer = ask(&mut yuri, Method::GET, &format!("/v1/explain/{id}"), "");
        assert_eq!(code(&answer), "403 not-permitted", "explain {id}: {}", answer.1);
    }
    // The refusal stands in the history of what was asked for, where that lives, and not of who asked.
    let device: touchmark_api::Device =
        serde_json::from_str(&whole(&mut everywhere, "/v1/devices/pump-lab")).unwrap();
    within(RECORDED_WITHIN, "the refusal to explain a device of another environment", || {
        let leaves = leaves(&lab.data().join("log"));
        let mut entries = (0..).zip(&leaves).map(|(seq, leaf)| Entry::read(seq, leaf, None).unwrap());
        let recorded = entries.any(|entry| {
            let here = entry.envelope.scope.environment.as_ref().is_some_and(|name| name.as_str() == "lab");
            let of = |of: Option<DeviceId>| of.is_some_and(|of| of.to_string() == device.id.to_string());
            here && matches!(&entry.event, Event::Refused(refused) if of(refused.device))
        });
        recorded.then_some(())
    });
    // What is another's and what is nowhere get one answer.
    let [foreign, none] = ["pump-lab", "nobody-knows-it"]
        .map(|name| ask(&mut yuri, Method::GET, &format!("/v1/devices/{name}"), ""));
    assert_eq!(foreign, none);
    assert_eq!(code(&none), "403 not-permitted");
    refusal_is_recorded(&lab, "api", "not-permitted");
}

/// R104: a cursor is good for the caller, the list and the filter that it was given for, unchanged, and for nothing else.
#[test]
fn a_cursor_opens_no_other_list_and_nothing_to_anybody_else() {
    let lab = Lab::start();
    two_environments(&lab);
    let mut olga = lab.operator();
    let mut yuri = admitted(&lab, &of_yard("yuri", &["admin"]));
    let page = |caller: &mut Operator, path: &str| -> Page<serde_json::Value> {
        let (status, body) = ask(caller, Method::GET, path, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    };
    let lists =
        ["/v1/devices", "/v1/tokens", "/v1/environments", "/v1/devices/twin/certificates?environment=yard"];
    for list in lists {
        let more = |of: &str| format!("{list}{}{of}", if list.contains('?') { '&' } else { '?' });
        let all = page(&mut olga, list).items;
        let (mut one_by_one, mut path) = (Vec::new(), more("limit=1"));
        while one_by_one.len() <= all.len() {
            let Page { items, next } = page(&mut olga, &path);
            one_by_one.extend(items);
            let Some(next) = next else { break };
            path = more(&format!("limit=1&cursor={next}"));
        }
        assert_eq!(one_by_one, all, "{list}");
    }
    let cursor = page(&mut olga, "/v1/devices?limit=1").next.unwrap().to_string();
    let of_tokens = page(&mut olga, "/v1/tokens?limit=1").next.unwrap().to_string();
    let edited = format!("{}{}", if cursor.starts_with('A') { 'B' } else { 'A' }, &cursor[1..]);
    for (what, is_yuri, cursor) in [
        ("another caller's", true, cursor.as_str()),
        ("edited", false, &edited),
        ("of another list", false, &of_tokens),
        ("a name", false, "pump-lab"),
        ("nothing", false, ""),
    ] {
        let caller = if is_yuri { &mut yuri } else { &mut olga };
        let answer = ask(caller, Method::GET, &format!("/v1/devices?cursor={cursor}"), "");
        assert_eq!(code(&answer), "400 cursor-invalid", "{what}: {}", answer.1);
    }
    let filtered = format!("/v1/devices?environment=lab&cursor={cursor}");
    assert_eq!(code(&ask(&mut olga, Method::GET, &filtered, "")), "400 cursor-invalid", "another filter");
}

/// What a request may not hold is named, and so is what it may.
#[test]
fn an_unknown_word_or_field_is_refused_by_its_name() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let token = |more: &str| format!(r#"{{"environment":"lab","device":"pump-01","ttl_s":60{more}}}"#);
    let rows = [
        (
            Method::GET,
            "/v1/devices?standing=retired",
            String::new(),
            "standing",
            "active, quarantined, banned",
        ),
        (Method::GET, "/v1/devices?after=a", String::new(), "after", "standing"),
        (Method::GET, "/v1/devices?limit=many", String::new(), "limit", "invalid digit"),
        (Method::GET, "/v1/devices?environment=Lab", String::new(), "environment", "a-z"),
        (Method::GET, "/v1/decisions?since=yesterday", String::new(), "since", "RFC 3339"),
        (
            Method::POST,
            "/v1/tokens",
            token(r#","kind":"robot""#),
            "kind",
            "device, service, gateway, operator",
        ),
        (Method::POST, "/v1/tokens", token(r#","colour":"red""#), "colour", "organisation"),
        (Method::POST, "/v1/tokens", token(r#","model":"X 200""#), "model", "a-z"),
        (Method::POST, "/v1/tokens", token(r#","kind":"operator","roles":["king"]"#), "roles", "auditor"),
        (
            Method::POST,
            "/v1/devices/pump-01/revoke",
            r#"{"reason":"bored"}"#.into(),
            "reason",
            "key-compromise",
        ),
    ];
    for (method, path, body, field, taken) in rows {
        let (status, answer) = ask(&mut operator, method, path, &body);
        let problem: Problem = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, problem.field.as_deref()), (400, Some(field)), "{path} {body}: {answer}");
        assert!(problem.detail.unwrap().contains(taken), "{path} {body}: {answer}");
    }
}

/// R104: nobody gives away more than they have, and what is the organisation's is out of reach.
#[test]
fn an_operator_of_one_environment_gives_and_takes_nothing_beyond_it() {
    let lab = Lab::start();
    two_environments(&lab);
    let mut olga = admitted(&lab, &TokenOrder { organisation: true, ..of_yard("olga", &["admin"]) });
    let mut yuri = admitted(&lab, &of_yard("yuri", &["admin"]));
    let of_olga = ask(&mut olga, Method::GET, "/v1/explain/olga", "").1;
    let of_olga: touchmark_api::Explanation = serde_json::from_str(&of_olga).unwrap();
    let path = format!("/v1/certificates/{}/revoke", of_olga.certificates[0].id);
    let spare = TokenOrder { organisation: true, ..of_yard("olga", &["admin"]) };
    let spare = format!("/v1/tokens/{}/void", lab.operator().token(&spare).token);
    let order = |order: TokenOrder| serde_json::to_string(&order).unwrap();
    let lab_operator = operator_token("lara", &["auditor"]);
    lab.operator().token(&lab_operator);
    let rows = [
        ("an auditor of its own", "/v1/tokens", order(of_yard("new", &["auditor"])), "201"),
        (
            "an auditor elsewhere",
            "/v1/tokens",
            order(operator_token("new-2", &["auditor"])),
            "403 not-permitted",
        ),
        (
            "the organisation",
            "/v1/tokens",
            order(TokenOrder { organisation: true, ..of_yard("new-3", &["auditor"]) }),
            "403 not-permitted",
        ),
        ("to become olga", "/v1/tokens", order(of_yard("olga", &[])), "403 not-permitted"),
        ("other roles for olga", "/v1/tokens", order(of_yard("olga", &["auditor"])), "403 not-permitted"),
        ("a name of the lab", "/v1/tokens", order(of_yard("lara", &["auditor"])), "403 not-permitted"),
        ("a device elsewhere", "/v1/tokens", order(device_token("lab", "new-4")), "403 not-permitted"),
        ("olga", "/v1/operators/olga/revoke", "{}".into(), "403 not-permitted"),
        ("olga's certificate", &path, "{}".into(), "403 not-permitted"),
        ("olga's token", &spare, String::new(), "403 not-permitted"),
        ("an environment", "/v1/environments", r#"{"name":"mine"}"#.into(), "403 not-permitted"),
        (
            "an environment nobody has",
            "/v1/makers/acme/withdraw",
            r#"{"environment":"none"}"#.into(),
            "403 not-permitted",
        ),
    ];
    for (what, path, body, expected) in rows {
        let answer = ask(&mut yuri, Method::POST, path, &body);
        assert_eq!(code(&answer), expected, "{what}: {}", answer.1);
    }
    // Who can revoke: the same question.
    for (name, expected) in [("olga", vec!["olga", "operator"]), ("yuri", vec!["olga", "operator", "yuri"])] {
        let of = ask(&mut olga, Method::GET, &format!("/v1/explain/{name}"), "").1;
        let of: touchmark_api::Explanation = serde_json::from_str(&of).unwrap();
        let mut able: Vec<String> =
            of.who_can_revoke.unwrap().into_iter().map(|one| one.name.to_string()).collect();
        able.sort();
        assert_eq!(able, expected, "{name}");
        let reach = if name == "olga" { "organisation" } else { "environment" };
        assert_eq!(of.party.unwrap().reach.unwrap(), reach, "{name}");
    }
    let tokens = ask(&mut olga, Method::GET, "/v1/tokens?environment=yard", "").1;
    assert!(tokens.contains(r#""reach":"organisation""#) && tokens.contains(r#""reach":"environment""#));
    refusal_is_recorded(&lab, "api/tokens", "not-permitted");
}
