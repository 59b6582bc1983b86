//! The device agent against the real authority: from a token to renewals that nobody thinks of, and what an
//! application, OpenSSL and an operator see of it.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

// Half of a factory is enough here.
#[allow(dead_code)]
#[path = "initial/factory.rs"]
mod factory;

use factory::{FOR_EVER, Factory};
use std::process::Command;
use std::time::Duration;
use touchmark_api::{Containment, EnvironmentOrder};
use touchmark_dial::Request;
use touchmark_identity::Timestamp;
use touchmark_tests::{Agent, Lab, PATIENCE, device_token, environment_order, program, until};
use touchmark_x509::Certificate;

const SHORT: &str = "short";
/// The shortest life that an environment takes.
const LIFE_S: u64 = 30;

fn anchors(lab: &Lab) -> String {
    std::fs::read_to_string(lab.anchors()).unwrap()
}

/// An environment of short lives; gives its anchors.
fn short(lab: &Lab, grace_s: u64) -> String {
    let order = EnvironmentOrder {
        device_lifetime_s: Some(LIFE_S),
        late_renewal_grace_s: Some(grace_s),
        ..environment_order(SHORT)
    };
    let request = Request::post("/v1/environments", "application/json", serde_json::to_vec(&order).unwrap());
    let answer = lab.operator().send(request.unwrap()).unwrap();
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    let made: touchmark_api::Environment = serde_json::from_slice(&answer.body).unwrap();
    made.anchors_pem
}

/// Enrolled, with a hook that counts.
fn enrolled(lab: &Lab, environment: &str, anchors_pem: &str) -> Agent {
    let mut agent = Agent::new(lab, "device");
    let hook =
        agent.script("hook", &format!("echo \"$TOUCHMARK_EVENT\" >>{}", agent.path("events").display()));
    let on = "on = [\"renewed\", \"refused\", \"expiring\"]";
    let more = format!("[[environment.hook]]\n{on}\ncommand = [\"{hook}\"]");
    agent.keep(lab, environment, "pump-01", anchors_pem, &more);
    agent.bring(environment, &lab.operator().token(&device_token(environment, "pump-01")));
    agent.start();
    agent.until_fresh();
    agent
}

fn events(agent: &Agent) -> Vec<String> {
    let text = std::fs::read_to_string(agent.path("events")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// State of each certificate of the device, by fingerprint.
fn state(lab: &Lab, certificate: &Certificate) -> String {
    let known = lab.operator().explain(&certificate.fingerprint().to_string()).unwrap();
    let fingerprint = Some(certificate.fingerprint());
    known.certificates.into_iter().find(|one| one.fingerprint == fingerprint).unwrap().state.to_string()
}

/// R29: the agent makes its key, enrols by token and confirms; OpenSSL verifies what an application gets from
/// the socket, and what it has signed there.
#[test]
fn an_agent_enrols_by_token_and_openssl_verifies_certificate_and_signature() {
    let Some(openssl) = program("openssl") else { return };
    let lab = Lab::start();
    let agent = enrolled(&lab, "lab", &anchors(&lab));
    let status = agent.good(&["status"]);
    assert!(status.starts_with("pump-01 in lab: certificate good until 2"), "{status}");
    assert!(agent.good(&["why"]).ends_with("Nobody need act.\n"));

    let text = |path: std::path::PathBuf| path.display().to_string();
    let chain = text(lab.write("chain.pem", agent.good(&["certificate", "lab"])));
    let anchors = text(lab.write("anchors.pem", agent.good(&["certificate", "lab", "--anchors"])));
    openssl.good(["verify", "-purpose", "sslclient", "-CAfile", &anchors, "-untrusted", &chain, &chain]);
    let public = text(lab.write("public.pem", openssl.good(["x509", "-in", &chain, "-noout", "-pubkey"])));
    let message = text(lab.write("message", b"a message"));
    let signature = text(lab.write("signature", agent.sign(b"a message")));
    let dgst = ["dgst", "-sha256", "-verify", &public, "-signature", &signature];
    let said = openssl.good_text(dgst.iter().chain(&[message.as_str()]));
    assert_eq!(said.trim(), "Verified OK");
    let other = text(lab.write("other", b"another message"));
    assert!(!openssl.run(dgst.iter().chain(&[other.as_str()])).status.success());

    assert_eq!(state(&lab, &agent.certificate("lab")), "confirmed", "not only issued");
    assert_eq!(events(&agent), ["renewed"]);
    println!("memory: {} KiB at most", agent.memory_peak_kib());
}

/// R7, R44: a new key on request, and in short lives by itself, generation after generation; each is confirmed at the
/// authority before it takes over, and the hooks run each time.
#[test]
fn renewals_happen_on_request_and_by_themselves() {
    let lab = Lab::start();
    let anchors_pem = short(&lab, 10);
    let agent = enrolled(&lab, SHORT, &anchors_pem);
    let first = agent.certificate(SHORT);
    agent.good(&["renew"]);
    let second = successor(&agent, &first);
    assert_ne!(second.spki_hash(), first.spki_hash(), "a key of its own");
    until("the request to be told", || agent.good(&["status"]).contains("on request").then_some(()));

    let third = successor(&agent, &second);
    until("the renewal to be told", || agent.good(&["status"]).contains("by itself").then_some(()));
    assert_eq!(state(&lab, &third), "confirmed");
    let fourth = successor(&agent, &third);
    for certificates in [&second, &third, &fourth].windows(2) {
        let (old, new) = (certificates[0].validity(), certificates[1].validity());
        assert!(new.not_before() < old.not_after(), "in time: {old:?} {new:?}");
    }
    until("the hooks to run", || (events(&agent).len() >= 4).then_some(()));
    assert!(events(&agent).iter().all(|event| event == "renewed"), "{:?}", events(&agent));
    agent.until_fresh();
    println!("memory: {} KiB at most", agent.memory_peak_kib());
}

fn successor(agent: &Agent, of: &Certificate) -> Certificate {
    until("a new certificate", || {
        let now = agent.certificate(SHORT);
        (now.fingerprint() != of.fingerprint()).then_some(now)
    })
}

/// R60: a device that slept past the end of its certificate comes back inside the grace, with nobody near it.
#[test]
fn a_device_that_slept_past_the_end_comes_back_inside_the_grace() {
    let lab = Lab::start();
    let anchors_pem = short(&lab, 3600);
    let mut agent = enrolled(&lab, SHORT, &anchors_pem);
    let first = agent.certificate(SHORT);
    agent.kill();
    let end = first.validity().not_after();
    let now = || Timestamp::from_unix_s(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let cap = end.since(now()) + PATIENCE;
    let begun = std::time::Instant::now();
    while now() <= end {
        assert!(begun.elapsed() < cap, "this machine's clock stands still");
        std::thread::sleep(Duration::from_millis(100));
    }
    agent.start();
    let second = successor(&agent, &first);
    assert!(second.validity().not_before() >= first.validity().not_before());
    agent.until_fresh();
    assert_eq!(state(&lab, &second), "confirmed");
}

/// R44, R60: an authority that is away delays a renewal and loses no device; nobody need act.
#[test]
fn an_authority_that_is_away_when_a_renewal_is_due_loses_no_device() {
    let mut lab = Lab::start();
    let anchors_pem = short(&lab, 3600);
    let agent = enrolled(&lab, SHORT, &anchors_pem);
    let first = agent.certificate(SHORT);
    lab.kill_authority();
    let failure = until("the renewal to fail", || {
        let status = agent.status(SHORT);
        status["failure"]["code"].as_str().map(str::to_owned)
    });
    assert_eq!(failure, "server-unreachable");
    assert_eq!(agent.certificate(SHORT).fingerprint(), first.fingerprint(), "the last working pair stays");
    lab.restart();
    let second = successor(&agent, &first);
    agent.until_fresh();
    assert_eq!(state(&lab, &second), "confirmed");
    let status = agent.status(SHORT);
    assert_eq!(
        (status["failures"].as_u64(), status["renewed_by"].as_str()),
        (Some(0), Some("itself")),
        "{status}"
    );
}

/// R15: a maker's device that is expected enrols on its initial certificate, with nobody near it, and renews on its
/// own from then on.
#[test]
fn a_makers_device_starts_with_its_initial_certificate() {
    let Some(openssl) = program("openssl") else { return };
    let lab = Lab::start();
    let acme = Factory::new(&openssl, &lab, "acme", FOR_EVER);
    let initial = acme.initial("SN-4711");
    let authority = acme.authority().display().to_string();
    touchmark(&lab, &["maker", "register", "acme", "--ca", &authority]);
    let mut agent = Agent::new(&lab, "device");
    let start = format!(
        "initial_chain = \"{}\"\ninitial_key = \"{}\"",
        initial.certificate.display(),
        initial.key.display()
    );
    agent.keep_started(&lab, "lab", "pump-01", &anchors(&lab), &start);
    agent.start();
    agent.until_ends(6);
    until("the refusal to be told", || {
        (agent.status("lab")["failure"]["code"] == "hardware-unknown").then_some(())
    });
    touchmark(
        &lab,
        &["device", "register", "pump-01", "--maker", "acme", "--hardware-id", "SN-4711", "--model", "x200"],
    );
    agent.good(&["renew"]);
    agent.until_fresh();
    let first = agent.certificate("lab");
    assert_eq!(first.uri_sans(), ["spiffe://lab.touchmark.internal/d/pump-01"]);
    agent.good(&["renew"]);
    let second = until("a renewal", || {
        let now = agent.certificate("lab");
        (now.fingerprint() != first.fingerprint()).then_some(now)
    });
    assert_eq!(state(&lab, &second), "confirmed");
}

fn touchmark(lab: &Lab, words: &[&str]) {
    let output = Command::new(Lab::program()).arg("--data").arg(lab.data()).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A banned device is refused for good, says so, and does not knock on; its hook has run.
#[test]
fn a_banned_device_says_so_and_stays_away() {
    let lab = Lab::start();
    let agent = enrolled(&lab, "lab", &anchors(&lab));
    lab.operator().contain("pump-01", "ban", &Containment::default()).unwrap();
    agent.good(&["renew"]);
    agent.until_ends(6);
    until("the ban to be told", || (agent.status("lab")["needs"] == "new-device").then_some(()));
    let status = agent.status("lab");
    assert_eq!(status["standing"], "banned", "{status}");
    let why = agent.good(&["why"]);
    assert!(why.contains("banned"), "{why}");
    let next = Timestamp::parse(status["next_at"].as_str().unwrap()).unwrap();
    let now = Timestamp::parse(status["now"].as_str().unwrap()).unwrap();
    assert!(next.since(now) > Duration::from_secs(3600), "{status}");
    until("the hook to run", || (events(&agent) == ["renewed", "refused"]).then_some(()));
}

/// Quarantine waits for a release, and revocation for a new token; the agent says which, and needs no restart.
#[test]
fn a_released_device_renews_and_a_revoked_one_comes_back_with_a_new_token() {
    let lab = Lab::start();
    let mut operator = lab.operator();
    let agent = enrolled(&lab, "lab", &anchors(&lab));
    let first = agent.certificate("lab");
    let next = |of: &Certificate| {
        until("a new certificate", || {
            let now = agent.certificate("lab");
            (now.fingerprint() != of.fingerprint()).then_some(now)
        })
    };
    let stands = |word: &str| {
        until(&format!("the agent to be {word}"), || (agent.status("lab")["standing"] == word).then_some(()));
    };

    operator.contain("pump-01", "quarantine", &Containment::default()).unwrap();
    agent.good(&["renew"]);
    stands("quarantined");
    assert!(agent.good(&["why"]).contains("touchmark device release pump-01"));
    operator.contain("pump-01", "release", &Containment::default()).unwrap();
    agent.good(&["renew"]);
    let second = next(&first);
    agent.until_fresh();

    operator.revoke("pump-01");
    agent.good(&["renew"]);
    stands("lost");
    assert_eq!(agent.status("lab")["failure"]["code"], "certificate-revoked");
    agent.bring("lab", &operator.token(&device_token("lab", "pump-01")));
    let third = next(&second);
    agent.until_fresh();
    assert_eq!((state(&lab, &second), state(&lab, &third)), ("revoked".into(), "confirmed".into()));
}
