//! What is not in force everywhere: one of three gateways stands still while a device is revoked or a policy changes, or
//! is revoked itself.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use touchmark_mqtt::QoS;
use touchmark_tests::{Device, Key, Lab, Mqtt, Service, device_token, until};
use touchmark_x509::Certificate;

/// Publishing through a gateway that is well, while another stands still: milliseconds, with room for a busy machine.
const PUBLISH_P95_MAX: Duration = Duration::from_millis(500);
/// The wait is 5 s; whoever waits for longer waits for something else.
const REVOKE_MAX: Duration = Duration::from_secs(9);
/// With three gateways in a long poll. Waiting for the polls to end takes 6 s and more.
const STOP_MAX: Duration = Duration::from_secs(5);

struct Installation {
    lab: Lab,
    others: Vec<Service>,
}

impl Installation {
    fn start() -> Self {
        let mut lab = Lab::start();
        lab.start_gateway(&[]);
        let others = ["gateway-02", "gateway-03"].map(|name| other(&lab, name));
        Self { lab, others: others.into() }
    }

    fn start_other(&mut self, name: &str) {
        self.others.push(other(&self.lab, name));
    }

    fn cli(&self, words: &[&str]) -> Output {
        Command::new(Lab::program()).args(words).arg("--data").arg(self.lab.data()).output().unwrap()
    }

    fn json(&self, words: &[&str]) -> (Option<i32>, Value) {
        let output = self.cli(&[words, &["-o", "json"]].concat());
        let says = String::from_utf8_lossy(&output.stderr);
        let value = serde_json::from_slice(&output.stdout);
        (output.status.code(), value.unwrap_or_else(|error| panic!("{words:?}: {error}: {says}")))
    }

    /// The standing of each gateway, in the order of their names.
    fn standings(&self) -> Vec<String> {
        let (code, gateways) = self.json(&["gateway", "list"]);
        assert_eq!(code, Some(0));
        let standing = |one: &Value| one["standing"].as_str().unwrap().to_owned();
        gateways.as_array().unwrap().iter().map(standing).collect()
    }

    fn all_online(&self, what: &str) {
        until(what, || (self.standings() == ["online", "online", "online"]).then_some(()));
    }

    fn enrol(&self, name: &str) -> (Key, Vec<Certificate>) {
        let token = self.lab.operator().token(&device_token("lab", name));
        Device::new(&self.lab).enrol(Some("lab"), &token)
    }
}

fn other(lab: &Lab, name: &str) -> Service {
    let mut command = Command::new(Lab::program());
    command.args(["gateway", "up", "--json", "--authority", lab.api(), "--name", name, "--data"]);
    command.arg(lab.data());
    Service::start(command, lab.path(&format!("{name}.stderr"))).0
}

fn states(outcome: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    outcome["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["name"]), text(&one["state"])))
        .collect()
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(name, state)| (name.to_owned(), state.to_owned())).into()
}

/// R45: what is not in force everywhere is said, by name and by exit code, and becomes so without another word.
#[test]
fn a_gateway_that_stands_still_is_named_and_catches_up() {
    let mut plant = Installation::start();
    plant.all_online("three gateways to be online");
    for name in ["pump-01", "pump-02"] {
        plant.enrol(name);
    }
    let (key, chain) = plant.enrol("pump-03");
    let mut session = Mqtt::welcome(&plant.lab, (&key, &chain), "pump-03");

    let (code, outcome) = plant.json(&["device", "revoke", "pump-01"]);
    assert_eq!(code, Some(0), "{outcome}");
    let everywhere = pairs([("gateway-01", "applied"), ("gateway-02", "applied"), ("gateway-03", "applied")]);
    assert_eq!(states(&outcome), everywhere);
    assert!(
        outcome["gateways"].as_array().unwrap().iter().all(|one| one["applied_ms"].is_u64()),
        "{outcome}"
    );

    // Said again, it tells since when; it does not claim to have done it now.
    let (code, again) = plant.json(&["device", "revoke", "pump-01"]);
    assert_eq!((code, &again["already"]), (Some(0), &Value::Bool(true)), "{again}");
    let time = |outcome: &Value| outcome["accepted_at"].as_str().unwrap().to_owned();
    assert!(time(&again) <= time(&outcome), "the time of the first: {again}");
    let told = plant.cli(&["device", "revoke", "pump-01"]);
    assert!(String::from_utf8_lossy(&told.stdout).contains("pump-01 was already revoked"), "{told:?}");

    plant.others[1].freeze();
    let begun = Instant::now();
    let (revoked, mut publishes) = std::thread::scope(|scope| {
        let revoking = scope.spawn(|| (plant.json(&["device", "revoke", "pump-02"]), begun.elapsed()));
        let mut publishes = Vec::new();
        while !revoking.is_finished() {
            let sent = Instant::now();
            assert_eq!(session.publish("plant/pump-03/temp", "21", QoS::AtLeastOnce), Ok(Some(0)));
            publishes.push(sent.elapsed());
        }
        (revoking.join().unwrap(), publishes)
    });
    let ((code, outcome), took) = revoked;
    assert_eq!(code, Some(9), "{outcome}");
    let but_one = pairs([("gateway-01", "applied"), ("gateway-02", "applied"), ("gateway-03", "late")]);
    assert_eq!(states(&outcome), but_one);
    let late = &outcome["gateways"][2];
    assert!(late["applied_at"].is_null() && late["applied_ms"].is_null(), "{late}");
    assert!(late["last_seen"].is_string() && outcome["seq"].is_u64(), "{outcome}");
    assert!((Duration::from_secs(5)..REVOKE_MAX).contains(&took), "{took:?}");
    publishes.sort_unstable();
    let p95 = publishes[publishes.len() * 95 / 100];
    assert!(p95 < PUBLISH_P95_MAX, "{p95:?} over {} publishes", publishes.len());
    assert_eq!(plant.standings(), ["online", "online", "late"]);

    // People read the same, and a wait of their own choice.
    let told = plant.cli(&["device", "quarantine", "pump-02", "--wait", "100ms"]);
    let (says, warns) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert_eq!(told.status.code(), Some(9), "{says}{warns}");
    assert!(says.contains("gateway-01 applied after ") && says.contains("gateway-03 LATE"), "{says}");
    assert!(warns.contains("not in force everywhere: gateway-03"), "{warns}");

    // Declared offline it is not, since it asked a moment ago; at the operator's own word it is, until it asks again.
    let refused = plant.cli(&["gateway", "declare-offline", "gateway-03", "--ttl", "1h"]);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{says}");
    assert!(says.contains("asked for the feed ") && says.contains("--yes"), "{says}");
    assert_eq!(plant.standings(), ["online", "online", "late"]);
    let declared = plant.cli(&["gateway", "declare-offline", "gateway-03", "--ttl", "1h", "--yes"]);
    assert_eq!(declared.status.code(), Some(0), "{}", String::from_utf8_lossy(&declared.stderr));
    let away = pairs([("gateway-01", "applied"), ("gateway-02", "applied"), ("gateway-03", "offline")]);
    let begun = Instant::now();
    let (code, outcome) = plant.json(&["device", "ban", "pump-02"]);
    assert_eq!((code, states(&outcome)), (Some(0), away.clone()));
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for it: {:?}", begun.elapsed());
    for unknown in ["gateway-09", "authority"] {
        assert_eq!(plant.cli(&["gateway", "declare-offline", unknown]).status.code(), Some(3), "{unknown}");
    }
    plant.others[1].thaw();
    plant.all_online("the gateway to catch up, and the declaration to end with it");
    // Gone for good, and declared so: named, and not counted on, also by the next authority.
    plant.others[1].kill();
    plant.lab.stop_authority();
    plant.lab.restart();
    let declared = plant.cli(&["gateway", "declare-offline", "gateway-03", "--ttl", "1h"]);
    assert_eq!(declared.status.code(), Some(0), "{}", String::from_utf8_lossy(&declared.stderr));
    plant.lab.stop_authority();
    plant.lab.restart();
    until("the others to be back", || (plant.standings() == ["online", "online", "offline"]).then_some(()));
    plant.enrol("pump-04");
    let (code, outcome) = plant.json(&["device", "revoke", "pump-04"]);
    assert_eq!((code, states(&outcome)), (Some(0), away));
    assert_eq!(plant.cli(&["gateway", "declare-online", "gateway-03"]).status.code(), Some(0));
    assert_eq!(plant.standings(), ["online", "online", "unknown"]);
    let (code, outcome) = plant.json(&["device", "quarantine", "pump-04", "--wait", "100ms"]);
    let unknown = pairs([("gateway-01", "applied"), ("gateway-02", "applied"), ("gateway-03", "unknown")]);
    assert_eq!((code, states(&outcome)), (Some(9), unknown));
    plant.start_other("gateway-03");
    plant.all_online("the gateway to be back");
    let (code, outcome) = plant.json(&["device", "release", "pump-04"]);
    assert_eq!((code, states(&outcome)), (Some(0), everywhere));

    let begun = Instant::now();
    plant.lab.stop_authority();
    assert!(begun.elapsed() < STOP_MAX, "{:?}", begun.elapsed());
}

/// R45: a policy takes rights as well: where it is not in force is said by name and exit code.
#[test]
fn a_policy_that_is_not_in_force_everywhere_is_loud() {
    let plant = Installation::start();
    plant.all_online("three gateways to be online");
    let dir = plant.lab.path("policy");
    let dir = dir.to_str().unwrap();
    assert_eq!(plant.cli(&["policy", "get", "--dir", dir]).status.code(), Some(0));
    let (code, held) = plant.json(&["policy", "apply", dir]);
    let everywhere = pairs([("gateway-01", "applied"), ("gateway-02", "applied"), ("gateway-03", "applied")]);
    assert_eq!((code, states(&held["enforcement"])), (Some(0), everywhere), "{held}");
    let (code, held) = plant.json(&["policy", "check", dir]);
    assert_eq!((code, held["enforcement"].is_null()), (Some(0), true), "{held}");
    plant.others[0].freeze();
    let told = plant.cli(&["policy", "apply", dir, "--wait", "100ms"]);
    let (says, warns) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert_eq!(told.status.code(), Some(9), "{says}{warns}");
    assert!(
        says.contains("gateway-02 LATE") && warns.contains("not in force everywhere: gateway-02"),
        "{says}{warns}"
    );
    plant.others[0].thaw();
    plant.all_online("the gateway to catch up");
}

/// A revoked gateway is named, by what it says itself, until it has said that it serves nobody or is declared offline.
#[test]
fn a_revoked_gateway_says_that_it_stopped_or_is_named() {
    let mut plant = Installation::start();
    plant.all_online("three gateways to be online");
    plant.enrol("pump-01");
    let (code, outcome) = plant.json(&["gateway", "revoke", "gateway-02"]);
    let stopped = pairs([("gateway-01", "applied"), ("gateway-02", "cut-off"), ("gateway-03", "applied")]);
    assert_eq!((code, states(&outcome)), (Some(0), stopped), "{outcome}");
    assert_eq!(plant.standings(), ["online", "cut-off", "online"]);

    // One that stands still has said nothing: it may serve by what it holds.
    plant.others[1].freeze();
    let told = plant.cli(&["gateway", "revoke", "gateway-03", "--wait", "100ms"]);
    let (says, warns) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert_eq!(told.status.code(), Some(9), "{says}{warns}");
    assert!(says.contains("gateway-03 UNKNOWN: its certificate is refused"), "{says}");
    assert!(warns.contains("stop it on its host") && warns.contains("declare-offline"), "{warns}");
    assert_eq!(plant.standings(), ["online", "cut-off", "refused"]);
    let unknown = pairs([("gateway-01", "applied"), ("gateway-02", "cut-off"), ("gateway-03", "unknown")]);
    let (code, outcome) = plant.json(&["device", "quarantine", "pump-01", "--wait", "1s"]);
    assert_eq!((code, states(&outcome)), (Some(9), unknown.clone()), "{outcome}");
    plant.others[1].thaw();
    until("it to hear that it is refused", || {
        (plant.standings() == ["online", "cut-off", "cut-off"]).then_some(())
    });

    // Gone before it said so again, to an authority that knows nothing of this run.
    plant.others[1].kill();
    plant.lab.stop_authority();
    plant.lab.restart();
    until("the others to be heard", || (plant.standings() == ["online", "cut-off", "refused"]).then_some(()));
    let (code, outcome) = plant.json(&["device", "release", "pump-01", "--wait", "1s"]);
    assert_eq!((code, states(&outcome)), (Some(9), unknown), "{outcome}");
    assert_eq!(plant.cli(&["gateway", "declare-offline", "gateway-03"]).status.code(), Some(0));
    let (code, outcome) = plant.json(&["device", "revoke", "pump-01"]);
    let away = pairs([("gateway-01", "applied"), ("gateway-02", "cut-off"), ("gateway-03", "offline")]);
    assert_eq!((code, states(&outcome)), (Some(0), away), "{outcome}");
}

/// What was decided last comes first, whichever gateway decided; `--limit` keeps the newest of all.
#[test]
fn the_newest_decisions_of_all_gateways_come_first() {
    let plant = Installation::start();
    plant.all_online("three gateways to be online");
    let (key, chain) = plant.enrol("pump-01");
    // Each gateway in turn; the first one last, since its log is read first.
    let file = |name: &str| plant.lab.data().join("gateways").join(name).join("ready.json");
    let address = |name: &str| {
        let ready: Value = serde_json::from_slice(&std::fs::read(file(name)).unwrap()).unwrap();
        ready["mqtt"].as_str().unwrap().to_owned()
    };
    let order = ["gateway-02", "gateway-03", "gateway-01"];
    for name in order {
        let mut session = Mqtt::welcome_at(&plant.lab, &address(name), (&key, &chain), "pump-01");
        let topic = format!("plant/pump-01/{name}");
        assert_eq!(session.publish(&topic, "1", QoS::AtLeastOnce), Ok(Some(0)));
    }
    let publishes = |decisions: &Value| -> Vec<String> {
        let of = |one: &&Value| one["action"] == "publish";
        let gateway = |one: &Value| one["gateway"].as_str().unwrap().to_owned();
        decisions.as_array().unwrap().iter().filter(of).map(gateway).collect()
    };
    until("the decisions of all three, the newest first", || {
        let (_, decisions) = plant.json(&["audit", "decisions", "--device", "pump-01"]);
        (publishes(&decisions) == ["gateway-01", "gateway-03", "gateway-02"]).then_some(())
    });
    let (_, newest) = plant.json(&["audit", "decisions", "--device", "pump-01", "--limit", "1"]);
    assert_eq!(publishes(&newest), ["gateway-01"]);
}
