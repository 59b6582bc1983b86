//! Renewal under abuse: each row of docs/abuse.md, and that nobody gets a successor but the holder of the newest
//! certificate, once.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;
use touchmark_api::{CloneResponse, EnvironmentOrder};
use touchmark_dial::{Request, Response};
use touchmark_identity::Timestamp;
use touchmark_tests::{
    Device, Holder, Key, Lab, Operator, Outcome, device_token, environment_order, refusal_is_recorded,
    renewal, renewal_refusal_is_recorded, same_as_promised, storm_as, until,
};

fn enrolled(lab: &Lab, environment: &str, name: &str) -> Holder {
    Holder::enrolled(lab, &lab.operator().token(&device_token(environment, name)))
}

fn certificates(operator: &mut Operator, device: &str) -> Vec<String> {
    operator.explain(device).unwrap().certificates.into_iter().map(|row| row.state.to_string()).collect()
}

fn says(answer: &Response) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn has_ended(moment: Timestamp) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs() > moment.unix_s()
}

/// What was tested: the name of the abuse, its answer and its code.
#[derive(Default)]
struct Tested(Vec<(&'static str, String, &'static str)>);

impl Tested {
    /// Holds an answer against what it should be. A 401 says nothing to the stranger.
    fn refused(&mut self, name: &'static str, answer: &Response, status: u16, code: &'static str) {
        assert_eq!(answer.status.as_u16(), status, "{name}: {}", says(answer));
        let told = says(answer).contains(&format!("({code})"));
        assert!(told || (status == 401 && answer.body.is_empty()), "{name}: {}", says(answer));
        self.0.push((name, status.to_string(), code));
    }
}

/// R29, R38, R40, R56, R86: whoever is not the holder of the newest live certificate of an identity in good standing, and in
/// time, gets no successor; the device's history counts what was refused.
#[test]
fn nobody_renews_but_the_holder_of_the_newest_certificate() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    operator.environment("plant", None);
    let mut tested = Tested::default();
    let csr = |name: &str| Key::new().request(name);

    let mut nobody = Device::new(&lab);
    let answer = nobody.send(&renewal(None, &csr("pump-01"))).unwrap();
    tested.refused("renewal without a certificate", &answer, 403, "certificate-missing");
    let token = operator.token(&device_token("lab", "pump-01"));
    let (name, value) = nobody_with_token(&token);
    let answer = nobody.request(renewal(None, &csr("pump-01")).to_request().header(name, &value).unwrap());
    tested.refused("renewal with a token", &answer.unwrap(), 403, "certificate-missing");

    let mut pump = Holder::enrolled(&lab, &token);
    let mut other = enrolled(&lab, "lab", "pump-02");
    let answer = other.ask(None, &csr("pump-01")).unwrap();
    tested.refused("renewal with another device's certificate", &answer, 400, "csr-name");
    let captured = csr("");
    let answer = pump.ask(None, &captured).unwrap();
    assert_eq!(answer.status, 200, "{}", says(&answer));
    let answer = other.ask(None, &captured).unwrap();
    tested.refused("captured renewal, sent by another device", &answer, 403, "key-not-usable");
    let answer = nobody.send(&renewal(None, &captured)).unwrap();
    tested.refused("captured renewal, sent by nobody", &answer, 403, "certificate-missing");
    let answer = pump.ask(None, &csr("pump-02")).unwrap();
    tested.refused("renewal for another name", &answer, 400, "csr-name");

    let mut sibling = enrolled(&lab, "plant", "pump-01");
    let answer = sibling.ask(Some("lab"), &csr("pump-01")).unwrap();
    tested.refused(
        "renewal with a sibling environment's certificate",
        &answer,
        403,
        "certificate-environment",
    );
    let answer = pump.ask(Some("plant"), &csr("pump-01")).unwrap();
    tested.refused("renewal into a sibling environment", &answer, 403, "certificate-environment");

    let same = pump.key.request("pump-01");
    let answer = pump.ask(None, &same).unwrap();
    tested.refused("renewal with the same key", &answer, 403, "renewal-same-key");

    let mut replaced = pump.renewed(&lab);
    let mut newest = pump.renewed(&lab);
    let answer = replaced.ask(None, &csr("")).unwrap();
    tested.refused(
        "renewal with a certificate that was replaced unproven",
        &answer,
        403,
        "certificate-superseded",
    );
    assert_eq!(newest.confirm("").unwrap().status, 204);
    let answer = pump.ask(None, &csr("")).unwrap();
    tested.refused("renewal with a superseded certificate", &answer, 403, "certificate-superseded");
    let answer = pump.confirm("").unwrap();
    tested.refused("confirmation of a superseded certificate", &answer, 403, "certificate-superseded");
    let answer = other.confirm(&newest.fingerprint().to_string()).unwrap();
    tested.refused("confirmation of another identity's certificate", &answer, 403, "confirm-other");
    let answer = other.confirm("not a hash").unwrap();
    tested.refused("confirmation of nonsense", &answer, 403, "confirm-body");
    let request = Request::new(touchmark_dial::Method::POST, "/.well-known/touchmark/confirm");
    let answer = nobody.request(request).unwrap();
    tested.refused("confirmation without a certificate", &answer, 403, "certificate-missing");

    operator.contain("pump-02", "quarantine", &Default::default()).unwrap();
    let answer = other.ask(None, &csr("")).unwrap();
    tested.refused("renewal of a quarantined device", &answer, 403, "device-quarantined");
    operator.contain("pump-02", "ban", &Default::default()).unwrap();
    let answer = other.ask(None, &csr("")).unwrap();
    tested.refused("renewal of a banned device", &answer, 403, "device-banned");

    let mut revoked = enrolled(&lab, "lab", "pump-03");
    operator.revoke("pump-03");
    let answer = revoked.ask(None, &csr("")).unwrap();
    tested.refused("renewal with a revoked certificate", &answer, 403, "certificate-revoked");
    let answer = revoked.confirm("").unwrap();
    tested.refused("confirmation of a revoked certificate", &answer, 403, "certificate-revoked");

    let order = EnvironmentOrder {
        device_lifetime_s: Some(30),
        late_renewal_grace_s: Some(0),
        ..environment_order("short")
    };
    operator.environment_like(&order);
    let mut late = enrolled(&lab, "short", "pump-04");
    let end = late.chain[0].validity().not_after();
    until("a certificate to end", || has_ended(end).then_some(()));
    let answer = late.ask(None, &csr("")).unwrap();
    tested.refused("renewal past the grace", &answer, 403, "renewal-late");
    let answer = late.confirm("").unwrap();
    tested.refused("confirmation of an expired certificate", &answer, 403, "certificate-expired");

    for (name, _, code) in &tested.0 {
        match name.starts_with("confirmation") {
            true => refusal_is_recorded(&lab, "confirm", code),
            false if *code == "certificate-missing" => refusal_is_recorded(&lab, "est/simplereenroll", code),
            false => renewal_refusal_is_recorded(&lab, code),
        }
    }
    same_as_promised("Renewals", tested.0);
    assert_eq!(
        certificates(&mut operator, "spiffe%3A%2F%2Flab.touchmark.internal%2Fd%2Fpump-01"),
        ["confirmed", "superseded", "superseded", "superseded"],
        "the newest, the replaced one, the captured one, the first"
    );
    assert_eq!(certificates(&mut operator, "pump-02").len(), 1);
    assert_eq!(certificates(&mut operator, "pump-03"), ["revoked"]);
    assert_eq!(certificates(&mut operator, "pump-04").len(), 1);
}

/// The value of an Authorization header, as a device with a token would send it.
fn nobody_with_token(token: &touchmark_api::Token) -> (&'static str, String) {
    use base64::Engine as _;
    let user = format!("{}:{}", token.username, token.password);
    ("Authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user)))
}

/// R29, R44: a thousand renewals of one device at once: a few get a successor, everybody else is told when to come, one
/// successor waits for its proof, and the certificate in use stays.
#[test]
fn a_thousand_renewals_of_one_device_leave_one_successor() {
    let lab = Lab::start();
    let pump = enrolled(&lab, "lab", "pump-01");
    let shots = (0..1000).map(|_| renewal(None, &Key::new().request(""))).collect();
    let outcomes = storm_as(&lab, &pump, shots, 50);
    let answered = outcomes.iter().filter(|outcome| outcome.fingerprint().is_some()).count();
    let told = outcomes.iter().filter(|outcome| outcome.status() == 429).count();
    let statuses = || outcomes.iter().map(Outcome::status).collect::<Vec<_>>();
    assert_eq!((answered, told), (8, 992), "{:?}", statuses());
    let held = lab.operator().explain("pump-01").unwrap().certificates;
    let in_state = |state: &str| held.iter().filter(|row| row.state == state).count();
    assert_eq!((in_state("issued"), in_state("confirmed"), in_state("superseded")), (1, 1, 7));
    let confirmed = held.iter().find(|row| row.state == "confirmed").unwrap();
    assert_eq!(confirmed.fingerprint, Some(pump.fingerprint()));
}

/// R29: a thousand repetitions of one renewal: one successor, a thousand times.
#[test]
fn a_thousand_repetitions_of_one_renewal_get_one_successor() {
    let lab = Lab::start();
    let pump = enrolled(&lab, "lab", "pump-01");
    let shot = renewal(None, &Key::new().request("pump-01"));
    let outcomes = storm_as(&lab, &pump, vec![shot; 1000], 50);
    let first = outcomes[0].fingerprint().unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.fingerprint() == Some(first)));
    assert_eq!(lab.operator().explain("pump-01").unwrap().certificates.len(), 2);
}

/// R22: two agents with one key: whichever renews second with what the other one replaced raises an alarm, and a
/// profile that says so holds the device off.
#[test]
fn a_copied_key_that_renews_on_its_own_is_noticed() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    for (environment, on_clone, standing) in
        [("lab", None, "active"), ("strict", Some(CloneResponse::Quarantine), "quarantined")]
    {
        if let Some(on_clone) = on_clone {
            let order = EnvironmentOrder { on_clone: Some(on_clone), ..environment_order(environment) };
            operator.environment_like(&order);
        }
        let device = format!("pump-{environment}");
        let mut robbed = enrolled(&lab, environment, &device);
        let mut thief = robbed.renewed(&lab);
        assert_eq!(thief.confirm("").unwrap().status, 204);
        for _ in 0..3 {
            let answer = robbed.ask(None, &Key::new().request("")).unwrap();
            assert_eq!(answer.status, 403, "{}", says(&answer));
        }
        let known = operator.explain(&device).unwrap();
        let Some(renewals) = known.renewals else { panic!("no data") };
        assert_eq!((renewals.renewals, renewals.clone_alarms), (1, 1), "one alarm an hour");
        assert_eq!(known.device.unwrap().standing, standing, "{environment}");
        let events: Vec<&str> = known.history.iter().map(|entry| entry.event.as_str()).collect();
        assert!(events.contains(&"clone-suspected"), "{events:?}");
        let answer = thief.ask(None, &Key::new().request("")).unwrap();
        let expected = if standing == "active" { 200 } else { 403 };
        assert_eq!(answer.status, expected, "{environment}: {}", says(&answer));
        renewal_refusal_is_recorded(&lab, "certificate-superseded");
    }
}

/// R22: a copy that is used after the overlap is noticed whatever it asks for, and where what is superseded is revoked, too.
#[test]
fn a_copy_that_only_asks_is_noticed_after_the_overlap() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    for revoked in [false, true] {
        let environment = if revoked { "listed" } else { "plain" };
        let order = EnvironmentOrder {
            overlap_s: Some(0),
            revoke_superseded: revoked,
            ..environment_order(environment)
        };
        let profile = operator
            .environment_like(&order)
            .profiles
            .into_iter()
            .find(|p| p.name.as_str() == "device")
            .unwrap();
        assert_eq!((profile.overlap_s, profile.revoke_superseded), (0, revoked));
        let device = format!("pump-{environment}");
        let mut robbed = enrolled(&lab, environment, &device);
        let mut thief = robbed.renewed(&lab);
        assert_eq!(thief.confirm("").unwrap().status, 204);
        let ended = if revoked { "revoked" } else { "superseded" };
        until("the overlap to end", || {
            (certificates(&mut lab.operator(), &device) == ["confirmed", ended]).then_some(())
        });
        let answer = robbed.hint().unwrap();
        assert_eq!(answer.status, 403, "{}", says(&answer));
        assert!(says(&answer).contains(&format!("(certificate-{ended})")), "{}", says(&answer));
        let Some(renewals) = operator.explain(&device).unwrap().renewals else { panic!("no data") };
        assert_eq!(renewals.clone_alarms, 1, "{environment}");
    }
}
