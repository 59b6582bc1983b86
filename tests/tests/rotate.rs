//! Rotation of a key under live traffic, and what becomes of the old one: as people run it, with mosquitto at the far
//! end and OpenSSL reading the lists.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use touchmark_api::Containment;
use touchmark_dial::Request;
use touchmark_tests::{Broker, Curl, Lab, program, until};
use touchmark_x509::Certificate;

const ENVIRONMENT: &str = "short";
const DEVICE: &str = "pump-01";
const TOPIC: &str = "plant/pump-01/count";
/// A gap is what people notice; this bound holds on the slowest machine that runs the tests.
const GAP_MAX_MS: u64 = 5_000;

/// How long device certificates live, and how long the device publishes.
fn measure() -> (u64, Duration) {
    match std::env::var_os("TOUCHMARK_LONG_TESTS") {
        Some(_) => (120, Duration::from_secs(600)),
        None => (30, Duration::from_secs(70)),
    }
}

/// An authority, a gateway for an environment of its own, a broker behind it.
struct Installation {
    lab: Lab,
    broker: Broker,
}

impl Installation {
    /// `None` where the broker's programs are missing.
    fn start(mut order: Value) -> Option<Self> {
        let mut lab = Lab::start();
        let broker = Broker::start(&lab)?;
        order["name"] = ENVIRONMENT.into();
        let made = Request::post("/v1/environments", "application/json", order.to_string()).unwrap();
        let made = lab.operator().send(made).unwrap();
        assert!(made.status.is_success(), "{}", String::from_utf8_lossy(&made.body));
        lab.start_gateway(&["--env", ENVIRONMENT, "--upstream-mqtt", &broker.address()]);
        let plant = Self { lab, broker };
        plant.must("device enroll probe");
        // A gateway that has just started refuses everyone until it has its first feed.
        until("the gateway to serve", || (plant.touchmark("device connect probe").0 == 0).then_some(()));
        plant.must(&format!("device enroll {DEVICE}"));
        Some(plant)
    }

    fn command(&self, data: &Path, line: &str) -> Command {
        let publishes = line.starts_with("publish ");
        let mut command = Command::new(if publishes { Lab::demo() } else { Lab::program() });
        command.arg("--data").arg(data).args(line.split(' '));
        if publishes || line.starts_with("device ") {
            command.args(["--env", ENVIRONMENT]);
        }
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// Exit code, stdout, stderr.
    fn touchmark_on(&self, data: &Path, line: &str) -> (i32, String, String) {
        let ran = self.command(data, line).output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (ran.status.code().unwrap_or(-1), text(&ran.stdout), text(&ran.stderr))
    }

    fn touchmark(&self, line: &str) -> (i32, String, String) {
        self.touchmark_on(&self.lab.data(), line)
    }

    fn must(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.touchmark(line);
        assert_eq!(code, 0, "{line}: {stdout}{stderr}");
        stdout
    }

    fn rotate(&self, more: &str) -> Value {
        serde_json::from_str(&self.must(&format!("device rotate {DEVICE} --json{more}"))).unwrap()
    }

    /// State of each certificate, by fingerprint.
    fn states(&self) -> BTreeMap<String, String> {
        let held: Value = serde_json::from_str(&self.must(&format!("device certs {DEVICE} --json"))).unwrap();
        let word = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        held.as_array().unwrap().iter().map(|one| (word(one, "fingerprint"), word(one, "state"))).collect()
    }

    fn folder(&self) -> PathBuf {
        self.lab.data().join("devices").join(ENVIRONMENT).join(DEVICE)
    }

    fn in_force(&self) -> Certificate {
        let pem = std::fs::read_to_string(self.folder().join("chain.pem")).unwrap();
        Certificate::from_pem_many(&pem).unwrap().remove(0)
    }

    /// Whether OpenSSL finds each certificate revoked, by the list that it names itself.
    fn revoked(&self, certificates: &[&Certificate]) -> Option<Vec<bool>> {
        let (curl, openssl) = (program("curl")?, program("openssl")?);
        let answer = Curl::new(&curl, &self.lab).send(&certificates[0].crl_urls()[0]);
        let der = self.lab.write("short.der", &answer.body).display().to_string();
        let list = self.lab.path("short.crl").display().to_string();
        openssl.good(["crl", "-inform", "DER", "-in", &der, "-out", &list]);
        let anchors = self.folder().join("anchors.pem").display().to_string();
        let is_revoked = |certificate: &&Certificate| {
            let leaf = self.lab.write("leaf.pem", certificate.to_pem()).display().to_string();
            let output = openssl.run(["verify", "-crl_check", "-CAfile", &anchors, "-CRLfile", &list, &leaf]);
            let says = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success() || says.contains("certificate revoked"), "{says}");
            !output.status.success()
        };
        Some(certificates.iter().map(is_revoked).collect())
    }
}

/// A device as a process that publishes numbers, 100 a second with QoS 1.
struct Running {
    child: Option<Child>,
    notes: PathBuf,
}

impl Running {
    fn start(plant: &Installation, how_long: Duration, more: &str) -> Self {
        let line = format!(
            "publish {DEVICE} --publish {TOPIC}={{n}} --every 10ms --for {}s --json{more}",
            how_long.as_secs()
        );
        let notes = plant.lab.path("device.notes");
        let stderr = std::fs::File::create(&notes).unwrap();
        let child = plant.command(&plant.lab.data(), &line).stdout(Stdio::piped()).stderr(stderr).spawn();
        Self { child: Some(child.unwrap()), notes }
    }

    /// Its report, once it has ended well.
    fn report(mut self) -> Value {
        let ran = self.child.take().unwrap().wait_with_output().unwrap();
        let notes = std::fs::read_to_string(&self.notes).unwrap();
        let stdout = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{}: {stdout}{notes}", ran.status);
        eprint!("{notes}");
        serde_json::from_str(&stdout).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How often each number arrived at the far end.
fn arrived(plant: &Installation) -> BTreeMap<u64, u64> {
    let mut numbers = BTreeMap::new();
    for (topic, payload) in plant.broker.seen_until_now() {
        if topic == TOPIC {
            *numbers.entry(payload.parse().unwrap()).or_default() += 1;
        }
    }
    numbers
}

/// R7, R44, R71: a device publishes 100 numbers a second while its key and certificate change again and again, by itself
/// and by hand: every number arrives at the broker behind, and a number twice only where QoS 1 allows it.
#[test]
fn a_device_that_publishes_through_its_renewals_loses_nothing() {
    let (life_s, how_long) = measure();
    let Some(plant) = Installation::start(json!({ "device_lifetime_s": life_s })) else { return };
    let begun = Instant::now();
    let running = Running::start(&plant, how_long, " --renew auto");
    let by_hand = [("", 800), ("", 2_000), (" --revoke-old", 3_500)];
    let mut replaced = Vec::new();
    for (more, number) in by_hand {
        until(&format!("number {number} at the far end"), || {
            plant.broker.has_seen(TOPIC, &number.to_string()).then_some(())
        });
        let before = plant.in_force();
        let told = plant.rotate(more);
        assert_eq!(told["old"]["fingerprint"], before.fingerprint().to_string());
        assert_eq!(told["new"]["fingerprint"], plant.in_force().fingerprint().to_string());
        assert_ne!(before.spki_hash(), plant.in_force().spki_hash(), "the key is another one, too");
        if !more.is_empty() {
            assert_eq!(told["old_serves_until"], "revoked");
            let both = [&before, &plant.in_force()];
            assert!(plant.revoked(&both).is_none_or(|revoked| revoked == [true, false]), "{told}");
        }
        replaced.push(before);
    }
    let report = running.report();
    assert!(begun.elapsed() >= how_long);
    let count = |name: &str| report[name].as_u64().unwrap();
    let sent = count("sent");
    println!(
        "{sent} numbers over {} sessions and {} renewals of its own: longest gap {} ms, {} repeated",
        count("sessions"),
        count("renewals"),
        count("longest_gap_ms"),
        count("repeated"),
    );
    assert!(sent >= how_long.as_secs() * 90, "{report}");
    assert_eq!((count("acknowledged"), count("denied"), count("unacknowledged")), (sent, 0, 0), "{report}");
    let renewals_min = how_long.as_secs() / life_s;
    assert!(count("renewals") >= renewals_min, "{report}");
    assert_eq!(count("renewals_failed"), 0, "{report}");
    assert!(count("sessions") >= renewals_min + by_hand.len() as u64, "{report}");
    assert!(count("longest_gap_ms") <= GAP_MAX_MS, "{report}");

    let arrived = arrived(&plant);
    let missing: Vec<u64> = (1..=sent).filter(|number| !arrived.contains_key(number)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    assert_eq!(arrived.len() as u64, sent, "nothing else arrived");
    let twice = arrived.values().sum::<u64>() - sent;
    assert!(twice <= count("repeated"), "{twice} more than were sent");

    let states = plant.states();
    assert_eq!(states[&plant.in_force().fingerprint().to_string()], "confirmed");
    // Meanwhile they may have ended by themselves, which is said first.
    let expected = [["superseded", "expired"], ["superseded", "expired"], ["revoked", "expired"]];
    for (certificate, expected) in replaced.iter().zip(expected) {
        let state = states[&certificate.fingerprint().to_string()].as_str();
        assert!(expected.contains(&state), "{state}, expected {expected:?}");
    }
    let explained = plant.lab.operator().explain(DEVICE).unwrap();
    let Some(renewals) = explained.renewals else { panic!("{explained:?}") };
    assert_eq!(renewals.renewals, count("renewals") + by_hand.len() as u64);
    assert_eq!((renewals.refused, renewals.clone_alarms), (0, 0), "{renewals:?}");
}

/// R44: a device that slept past the end of its certificate comes back by itself, inside the profile's grace.
#[test]
fn a_device_that_slept_past_its_end_comes_back_and_publishes() {
    let order = json!({ "device_lifetime_s": 30, "late_renewal_grace_s": 600 });
    let Some(plant) = Installation::start(order) else { return };
    let ends = plant.in_force().validity().not_after();
    until("the certificate to end", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        (now.as_secs() > ends.unix_s()).then_some(())
    });
    let (code, stdout, _) = plant.touchmark(&format!("device connect {DEVICE} --publish {TOPIC}=0"));
    assert_eq!(code, 4, "an ended certificate opens no session: {stdout}");
    let report = Running::start(&plant, Duration::from_secs(4), " --renew auto").report();
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("renewals"), count("acknowledged")), (1, count("sent")), "{report}");
    plant.broker.sees(TOPIC, &count("sent").to_string());
    let Some(renewals) = plant.lab.operator().explain(DEVICE).unwrap().renewals else { panic!() };
    assert!(
        renewals.last_lead_s.unwrap() < 0 && renewals.last_manner.as_ref().unwrap() == &"automatic",
        "{renewals:?}"
    );
}

/// A gateway that is killed under traffic costs time and repetitions, and no message.
#[test]
fn what_a_dead_gateway_did_not_acknowledge_is_sent_again() {
    let Some(mut plant) = Installation::start(json!({})) else { return };
    let running = Running::start(&plant, Duration::from_secs(8), "");
    for number in [100, 400] {
        until(&format!("number {number} at the far end"), || {
            plant.broker.has_seen(TOPIC, &number.to_string()).then_some(())
        });
        plant.lab.kill_gateway();
        plant.lab.restart_gateway();
    }
    let report = running.report();
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("acknowledged"), count("unacknowledged")), (count("sent"), 0), "{report}");
    assert!(count("sessions") >= 3, "{report}");
    let arrived = arrived(&plant);
    assert!(arrived.keys().copied().eq(1..=count("sent")), "something was lost: {report}");
    assert!(arrived.values().sum::<u64>() <= count("sent") + count("repeated"), "{report}");
    println!(
        "{} messages, {} sent again, longest gap {} ms",
        count("sent"),
        count("repeated"),
        count("longest_gap_ms")
    );
}

/// When a rotation is killed.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After a part of the time that a whole one takes, in sixteenths.
    At(u32),
    /// As soon as this file is there.
    Seen(&'static str),
}

/// R44: killed at any moment, a rotation leaves a pair that works, and the next run ends it. Whatever was cut off, the
/// authority never holds a successor that nobody will use.
#[test]
fn a_rotation_that_is_killed_goes_on_where_it_was() {
    // A device that rotates so often waits for a 64th of a life each time.
    let Some(plant) = Installation::start(json!({ "device_lifetime_s": 128 })) else { return };
    let whole = Instant::now();
    plant.rotate("");
    let whole = whole.elapsed();
    let files = ["key.pem.new", "request.der.new", "chain.pem.new"];
    let cuts = (0..16).step_by(2).map(Cut::At).chain(files.into_iter().map(Cut::Seen));
    let mut resumed = Vec::new();
    for cut in cuts {
        let begun = Instant::now();
        let mut child = plant.command(&plant.lab.data(), &format!("device rotate {DEVICE}"));
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // It may be faster than we look: then it has ended.
        while child.try_wait().unwrap().is_none() {
            let now = match cut {
                Cut::At(part) => begun.elapsed() >= whole * part / 16,
                Cut::Seen(file) => plant.folder().join(file).exists(),
            };
            if now {
                child.kill().unwrap();
            }
        }
        plant.must(&format!("device connect {DEVICE} --publish {TOPIC}=0"));
        let told = plant.rotate("");
        if told["resumed"] == true {
            resumed.push(cut);
        }
        ended_well(&plant, &told, &format!("{cut:?}"));
    }
    println!("a rotation takes {whole:?}; went on with what a killed one had begun: {resumed:?}");

    // The authority falls silent while the request is on its way: again, where it was faster.
    let kept = plant.folder().join("request.der.new");
    let (mut child, request) = loop {
        let mut child = plant.command(&plant.lab.data(), &format!("device rotate {DEVICE}")).spawn().unwrap();
        while !kept.exists() && child.try_wait().unwrap().is_none() {}
        plant.lab.authority().freeze();
        if let Ok(request) = std::fs::read(&kept)
            && !plant.folder().join("chain.pem.new").exists()
        {
            break (child, request);
        }
        plant.lab.authority().thaw();
        assert!(child.wait().unwrap().success());
    };
    let (busy, _, stderr) = plant.touchmark(&format!("device connect {DEVICE} --publish {TOPIC}=0"));
    assert_eq!(busy, 0, "the device works while its renewal waits: {stderr}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), request);
    plant.lab.authority().thaw();
    let told = plant.rotate("");
    assert_eq!(told["resumed"], true, "{told}");
    ended_well(&plant, &told, "silence");
}

/// What a killed rotation left is of a key that dies with the device: the replacement makes its own, in the same run.
#[test]
fn a_device_is_replaced_whatever_an_attempt_from_before_left() {
    let Some(plant) = Installation::start(json!({})) else { return };
    let mut operator = plant.lab.operator();
    let contain = Containment { environment: Some(ENVIRONMENT.parse().unwrap()), ..Containment::default() };
    for file in ["request.der.new", "chain.pem.new"] {
        let left = plant.folder().join(file);
        // It may be faster than we look: then again.
        while !left.exists() {
            let mut child = plant.command(&plant.lab.data(), &format!("device rotate {DEVICE}"));
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while !left.exists() && child.try_wait().unwrap().is_none() {}
            let _ = child.kill();
            child.wait().unwrap();
        }
        operator.contain(DEVICE, "revoke", &contain).unwrap();
        let told: Value =
            serde_json::from_str(&plant.must(&format!("device replace {DEVICE} --json"))).unwrap();
        assert_eq!(told["fingerprint"], plant.in_force().fingerprint().to_string(), "{file}");
        assert!(!left.exists(), "{file}");
        plant.must(&format!("device connect {DEVICE} --publish {TOPIC}=0"));
        plant.rotate("");
    }
}

/// The new certificate is in force, nothing waits anywhere, nothing is left over.
fn ended_well(plant: &Installation, told: &Value, what: &str) {
    let states = plant.states();
    assert_eq!(states[told["new"]["fingerprint"].as_str().unwrap()], "confirmed", "{what}");
    assert!(states.values().all(|state| state != "issued"), "{what}: {states:?}");
    let mut names: Vec<_> =
        std::fs::read_dir(plant.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["anchors.pem", "chain.pem", "key.pem", "state.json"], "{what}");
}

/// Each refusal has its code, its exit code, and leaves the device with what it had.
#[test]
fn a_refused_rotation_says_why_and_takes_nothing_away() {
    let Some(plant) = Installation::start(json!({})) else { return };
    let mut operator = plant.lab.operator();
    let contain = Containment { environment: Some(ENVIRONMENT.parse().unwrap()), ..Containment::default() };
    let refused = |code: &str, exit: i32| {
        let before = plant.in_force().fingerprint();
        let (ended, _, stderr) = plant.touchmark(&format!("device rotate {DEVICE}"));
        assert_eq!(ended, exit, "{code}: {stderr}");
        assert!(stderr.contains(&format!("error[{code}]")), "{code}: {stderr}");
        assert!(stderr.contains("  fix:  "), "{stderr}");
        assert_eq!(plant.in_force().fingerprint(), before, "{code}");
    };
    operator.contain(DEVICE, "quarantine", &contain).unwrap();
    refused("device-quarantined", 4);
    operator.contain(DEVICE, "release", &contain).unwrap();
    assert_eq!(plant.rotate("")["resumed"], true, "with the key of the refused attempt");
    let (ended, _, stderr) = plant.touchmark("device rotate nobody");
    assert_eq!((ended, stderr.contains("error[no-credential]")), (3, true), "{stderr}");
    operator.contain(DEVICE, "revoke", &contain).unwrap();
    refused("certificate-revoked", 4);
    plant.must(&format!("device replace {DEVICE}"));
    plant.rotate("");
    operator.contain(DEVICE, "ban", &contain).unwrap();
    let (ended, _, stderr) = plant.touchmark(&format!("device rotate {DEVICE}"));
    assert_eq!(ended, 4, "{stderr}");
    assert!(stderr.contains("device-banned") || stderr.contains("certificate-revoked"), "{stderr}");
}

/// R22: somebody holds a copy of a key and certificate that were replaced: once the overlap is over the gateway refuses
/// it with its reason, that use raises an alarm, and the authority renews nothing on it.
#[test]
fn a_copy_of_a_replaced_credential_is_refused_and_told_of() {
    let order = json!({ "device_lifetime_s": 3_000, "overlap_s": 2 });
    let (Some(plant), Some(publisher)) = (Installation::start(order), program("mosquitto_pub")) else {
        return;
    };
    let copy = plant.lab.copy_data("copied");
    plant.rotate("");
    let alarms = || match plant.lab.operator().explain(DEVICE).unwrap().renewals {
        Some(renewals) => renewals.clone_alarms,
        None => 0,
    };
    assert_eq!(alarms(), 0);
    let stolen = copy.join("devices").join(ENVIRONMENT).join(DEVICE);
    let file = |name: &str| stolen.join(name).display().to_string();
    let (host, port) = plant.lab.mqtt().rsplit_once(':').unwrap();
    let forge = || {
        let files =
            ["--cafile", &file("anchors.pem"), "--cert", &file("chain.pem"), "--key", &file("key.pem")];
        let what = ["-h", host, "-p", port, "-i", DEVICE, "-V", "5", "-q", "1", "-t", TOPIC, "-m", "forged"];
        let output = publisher.run(files.iter().chain(&what));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).to_lowercase()
    };
    until("the copy to be refused", || forge().contains("not authori").then_some(()));
    let denied = plant.lab.operator().decided(DEVICE, "connect", DEVICE, "deny");
    assert_eq!(denied.reason, "superseded");
    until("the alarm", || (alarms() == 1).then_some(()));
    let explained = plant.must(&format!("explain {DEVICE}"));
    assert!(explained.contains("! suspected clone: 1 times"), "{explained}");

    let (ended, _, stderr) = plant.touchmark_on(&copy, &format!("device rotate {DEVICE}"));
    assert_eq!(ended, 4, "{stderr}");
    assert!(stderr.contains("error[certificate-superseded]"), "{stderr}");
    plant.must(&format!("device connect {DEVICE} --publish {TOPIC}=1"));
    plant.broker.sees(TOPIC, "1");
    assert_eq!(alarms(), 1, "the same certificate rings once an hour");
}
