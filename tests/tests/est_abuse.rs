//! EST under abuse: each row of docs/abuse.md, what it is answered, what it costs, and that it leaves nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant, SystemTime};
use touchmark_api::Token;
use touchmark_dial::{Method, Request};
use touchmark_enrol::est::parse_certs_response;
use touchmark_tests::{
    Device, Enrolment, Key, Lab, Meter, Operator, Outcome, device_token, environment_order, forged_requests,
    prefix_token, refusal_is_recorded, same_as_promised, storm, until,
};

/// Each row is repeated so often: the kernel counts processor time in steps of 10 ms.
const REPEATS: u32 = 20;
/// One request over a connection that is open, of a build without optimisation.
const PROCESSOR_MAX: Duration = Duration::from_millis(5);
const MEMORY_MAX_KIB: u64 = 10 * 1024;
/// A good enrolment right after: two commits and two signatures. Other tests run beside it, so that a single one
/// may have to wait for the disk.
const GOOD_AFTER_MAX: Duration = Duration::from_secs(1);
const GOOD_AFTER_MEDIAN_MAX: Duration = Duration::from_millis(100);

fn is_unknown(operator: &mut Operator, device: &str) -> bool {
    operator.get(&format!("/v1/explain/{device}")).unwrap().status == 404
}

/// R29, R56, R108: a forged request gets its reason code, spends no token, makes no device, costs little,
/// and the next good request is served at once.
#[test]
fn forged_requests_get_a_reason_and_leave_nothing() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let mut device = Device::new(&lab);
    // Warm: first use of a page, of a statement, of a connection.
    for n in 0..5 {
        device.enrol(None, &operator.token(&device_token("lab", &format!("warm-{n}"))));
    }
    let mut tested = Vec::new();
    let mut good_after = Vec::new();
    for (n, row) in forged_requests("victim").into_iter().enumerate() {
        let token = operator.token(&device_token("lab", "victim"));
        let good = Enrolment::new(None, &Key::new().request("victim"), &token);
        let bad = good.clone().body(row.body);
        let meter = Meter::begin(lab.authority());
        for _ in 0..REPEATS {
            let answer = device.send(&bad).unwrap_or_else(|fault| panic!("{}: {fault}", row.name));
            let says = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status.as_u16(), row.status, "{}: {says}", row.name);
            assert!(says.contains(&format!("({})", row.code)), "{}: {says}", row.name);
        }
        let cost = meter.end(REPEATS);
        assert!(cost.processor <= PROCESSOR_MAX, "{}: {cost:?}", row.name);
        assert!(cost.memory_kib <= MEMORY_MAX_KIB, "{}: {cost:?}", row.name);
        assert!(n > 0 || is_unknown(&mut operator, "victim"), "{}", row.name);
        let begun = Instant::now();
        assert_eq!(device.send(&good).unwrap().status, 200, "{}: the token is not spent", row.name);
        let after = begun.elapsed();
        assert!(after <= GOOD_AFTER_MAX, "{}: {after:?}", row.name);
        println!("{:<40} {cost:?}, then a good one in {after:?}", row.name);
        good_after.push(after);
        tested.push((row.name, row.status.to_string(), row.code));
    }
    for (_, _, code) in &tested {
        refusal_is_recorded(&lab, "est/simpleenroll", code);
    }
    good_after.sort_unstable();
    assert!(good_after[good_after.len() / 2] <= GOOD_AFTER_MEDIAN_MAX, "{good_after:?}");
    same_as_promised("Requests to EST", tested);
    let certificates = operator.explain("victim").unwrap().certificates;
    assert_eq!(certificates.len(), forged_requests("victim").len(), "one for each good request");
}

/// R29: whichever octet of a request is changed, and however, nothing is issued for it.
#[test]
fn no_octet_of_a_request_can_be_changed() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let token = operator.token(&device_token("lab", "victim"));
    let request = Key::new().request("victim");
    let flipped = (0..request.len()).flat_map(|place| {
        [0x01, 0x80, 0xff].map(|mask| {
            let mut request = request.clone();
            request[place] ^= mask;
            Enrolment::new(None, &request, &token)
        })
    });
    let outcomes = storm(&lab, flipped.collect(), 8);
    assert_eq!(outcomes.len(), request.len() * 3);
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.status(), 400, "octet {}: {outcome:?}", n / 3);
    }
    assert!(is_unknown(&mut operator, "victim"));
    let outcome = storm(&lab, vec![Enrolment::new(None, &request, &token)], 1);
    assert_eq!(outcome[0].status(), 200, "the request itself is good");
}

/// R38, R108: what opens nothing, opens nothing, and strangers are not told why.
#[test]
fn a_token_that_is_not_good_opens_nothing() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let mut device = Device::new(&lab);
    operator.environment("plant", None);
    let mut tested = Vec::new();
    let mut refused = |name: &'static str,
                       token: &Token,
                       label: Option<&str>,
                       status: u16,
                       code: &'static str| {
        let enrolment = Enrolment::new(label, &Key::new().request(token.username.as_str()), token);
        let answer = device.send(&enrolment).unwrap();
        let says = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), status, "{name}: {says}");
        assert!(status == 401 && says.is_empty() || says.contains(&format!("({code})")), "{name}: {says}");
        tested.push((name, status.to_string(), code));
    };
    let good = operator.token(&device_token("lab", "pump-01"));
    let wrong = Token { password: "f".repeat(32), ..good.clone() };
    refused("wrong token", &wrong, None, 401, "token-invalid");
    let other = Token { username: "pump-02".parse().unwrap(), ..good.clone() };
    refused("token of another device", &other, None, 401, "token-invalid");
    Device::new(&lab).enrol(None, &good);
    refused("used token", &good, None, 401, "token-used");

    let mut order = device_token("lab", "pump-03");
    order.ttl_s = 1;
    let short = operator.token(&order);
    let expires = short.expires.unix_ms();
    until("the token to expire", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        (now > u128::from(expires)).then_some(())
    });
    refused("expired token", &short, None, 401, "token-expired");

    let foreign = operator.token(&device_token("plant", "pump-04"));
    refused("token of another environment", &foreign, None, 403, "token-environment");
    refused("unknown environment", &good, Some("nowhere"), 404, "est-unknown-path");

    let early = operator.token(&device_token("lab", "pump-01"));
    operator.revoke("pump-01");
    refused("token made before a revocation", &early, None, 401, "token-void");
    let late = operator.token(&device_token("lab", "pump-01"));
    Device::new(&lab).enrol(None, &late);

    let prefix = operator.token(&prefix_token("lab", "pump", 5));
    let existing = Token { username: "pump-01".parse().unwrap(), ..prefix.clone() };
    refused("prefix token for a known device", &existing, None, 403, "device-exists");
    let outside = Token { username: "valve-01".parse().unwrap(), ..prefix };
    refused("prefix token for another prefix", &outside, None, 401, "token-invalid");

    let token = operator.token(&device_token("lab", "pump-01"));
    operator.contain("pump-01", "quarantine", &Default::default()).unwrap();
    refused("token of a quarantined device", &token, None, 403, "device-quarantined");
    operator.contain("pump-01", "ban", &Default::default()).unwrap();
    let token = operator.token(&device_token("lab", "pump-01"));
    refused("token of a banned device", &token, None, 403, "device-banned");
    for (_, _, code) in &tested {
        refusal_is_recorded(&lab, "est/simpleenroll", code);
    }
    same_as_promised("Tokens", tested);
    for name in ["pump-02", "pump-03", "pump-04", "valve-01"] {
        assert!(is_unknown(&mut operator, name), "{name}");
    }
}

/// R29: a thousand devices with one token for one device: one gets a certificate.
#[test]
fn a_thousand_uses_of_one_token_make_one_certificate() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let token = operator.token(&device_token("lab", "pump-01"));
    let shots = (0..1000).map(|_| Enrolment::new(None, &Key::new().request("pump-01"), &token)).collect();
    let outcomes = storm(&lab, shots, 50);
    let issued: Vec<_> = outcomes.iter().filter_map(Outcome::fingerprint).collect();
    assert_eq!(issued.len(), 1, "{:?}", outcomes.iter().map(Outcome::status).collect::<Vec<_>>());
    let refused = outcomes.iter().filter(|outcome| outcome.status() == 401).count();
    assert_eq!(refused, 999, "every other one is told no, and none is left without an answer");
    let known = operator.explain("pump-01").unwrap();
    let fingerprints: Vec<_> =
        known.certificates.iter().map(|c| c.fingerprint.unwrap().to_string()).collect();
    assert_eq!(fingerprints, [issued[0].to_string()]);
}

/// R29: a thousand repetitions of one request: one certificate, a thousand times.
#[test]
fn a_thousand_repetitions_of_one_request_get_one_certificate() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let token = operator.token(&device_token("lab", "pump-01"));
    let shot = Enrolment::new(None, &Key::new().request("pump-01"), &token);
    let outcomes = storm(&lab, vec![shot; 1000], 50);
    let first = outcomes[0].fingerprint().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.fingerprint() == Some(first)));
    assert_eq!(operator.explain("pump-01").unwrap().certificates.len(), 1);
}

/// A counted token is good for its count, however many come at once, and for each device once.
#[test]
fn a_token_for_ten_devices_makes_ten_certificates() {
    let lab = Lab::start();
    let token = lab.operator().token(&prefix_token("lab", "pump", 10));
    let shots = (0..100).map(|n| {
        let name = format!("pump-{n}");
        Enrolment::named(None, &Key::new().request(&name), &name, &token)
    });
    let outcomes = storm(&lab, shots.collect(), 50);
    let issued = outcomes.iter().filter(|outcome| outcome.status() == 200).count();
    let refused = outcomes.iter().filter(|outcome| outcome.status() == 401).count();
    assert_eq!((issued, refused), (10, 90));
}

/// RFC 7030 §4.2.3: an answer carries the one certificate. A device must not take its anchor from what it is to judge
/// by it; the issuing certificate comes with `cacerts`.
#[test]
fn an_answer_holds_the_one_certificate_and_nothing_else() {
    let lab = Lab::start();
    let token = lab.operator().token(&device_token("lab", "pump-01"));
    let mut device = Device::new(&lab);
    let answer = device.send(&Enrolment::new(None, &Key::new().request("pump-01"), &token)).unwrap();
    let certificates = parse_certs_response(&answer.body).unwrap();
    assert_eq!(certificates.len(), 1);
    assert!(!certificates[0].is_ca());
}

/// An environment that EST could not address, or whose authority's name does not fit, is refused with the reason before
/// a key is made for it; the longest that fits works.
#[test]
fn an_environment_that_cannot_bear_its_name_leaves_nothing_behind() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let files = |lab: &Lab| std::fs::read_dir(lab.data().join("keys")).unwrap().count();
    let before = files(&lab);
    let long: Vec<String> = (57..=64).map(|length| "e".repeat(length)).collect();
    let mut rows: Vec<(&str, &str, &str)> =
        ["cacerts", "simpleenroll", "simplereenroll", "fullcmc", "serverkeygen", "csrattrs"]
            .map(|name| (name, "environment-name", "operation of EST"))
            .to_vec();
    rows.extend(long.iter().map(|name| (name.as_str(), "environment-name", "at most 56 characters")));
    rows.push(("a_b", "value-invalid", "a_b.touchmark.internal"));
    rows.push(("a.-b", "trust-domain", "a.-b.touchmark.internal"));
    for (name, code, says) in rows {
        let order = environment_order(name);
        let request = Request::new(Method::POST, "/v1/environments").json(&order).unwrap();
        let answer = operator.send(request).unwrap();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 400, "{name}: {text}");
        assert!(text.contains(code) && text.contains(says), "{name}: {text}");
    }
    assert_eq!(files(&lab), before, "no key was made");
    let longest = "e".repeat(56);
    operator.environment(&longest, None);
    let token = operator.token(&device_token(&longest, "pump-01"));
    let (_, chain) = Device::new(&lab).enrol(Some(&longest), &token);
    assert_eq!(chain[0].uri_sans(), [format!("spiffe://{longest}.touchmark.internal/d/pump-01")]);
}
