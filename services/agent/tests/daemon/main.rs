//! The agent as a process, against a small authority in this one: first certificate, renewals, hooks, socket, and
//! what a restart, a second agent, a silent server and a server that means harm change of that.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod authority;
#[path = "../malicious_server/pki.rs"]
mod pki;
mod process;
#[path = "../malicious_server/server.rs"]
mod server;

use authority::{Est, as_authority, good};
use core::time::Duration;
use pki::{Leaf, Pki};
use process::{Agent, until};
use server::Server;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use touchmark_agent::config::Config;
use touchmark_agent::daemon::EnvironmentTask;
use touchmark_agent::lifecycle::Wish;
use touchmark_agent::socket::{Post, Published, Users};
use touchmark_x509::key::SignatureAlgorithm;
use touchmark_x509::{Certificate, Signer as _};

const ENROL: &str = "POST /.well-known/est/lab/simpleenroll";
const RENEW: &str = "POST /.well-known/est/lab/simplereenroll";
const CONFIRM: &str = "POST /.well-known/touchmark/confirm";

fn only(asked: &[String], what: &[&str]) -> Vec<String> {
    asked.iter().filter(|line| what.contains(&line.as_str())).cloned().collect()
}

/// R29, R44: from a token to a renewed certificate, with hooks run and applications served.
#[test]
fn an_agent_enrols_renews_and_serves_applications() {
    let est = Est::start(Leaf::device("pump-01"));
    let mut agent = Agent::new();
    let seen = agent.path("seen");
    let script = agent.script("hook", &format!("echo \"$TOUCHMARK_EVENT\" >>{}\n", seen.display()));
    agent.environment(
        "lab",
        &est,
        &format!("[[environment.hook]]\non = [\"renewed\"]\ncommand = [\"{script}\"]\n"),
    );
    agent.start();
    agent.until_fresh();

    let first = agent.certificate("lab");
    assert_eq!(
        agent.status()["environments"][0]["certificate"]["uri"],
        "spiffe://lab.touchmark.internal/d/pump-01"
    );
    assert_eq!(std::fs::read_to_string(agent.state("lab/chain.pem")).unwrap(), agent.good(&["certificate"]));
    assert_eq!(agent.good(&["certificate", "--anchors"]), est.anchors_pem());
    for (file, mode) in [("lab/key.pem", 0o600), ("lab/chain.pem", 0o644), ("lab", 0o700), ("", 0o700)] {
        let bits = agent.state(file).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(bits, mode, "{file}: {bits:o}");
    }
    let summary = agent.good(&["status"]);
    assert!(summary.starts_with("pump-01 in lab: certificate good until 20"), "{summary}");
    let why = agent.good(&["why"]);
    assert!(why.ends_with("Nobody need act.\n"), "{why}");

    let signature = agent.sign(&[], b"a message").unwrap();
    let key = first.public_key();
    key.verify(SignatureAlgorithm::EcdsaSha256, b"a message", &signature).unwrap();
    assert!(key.verify(SignatureAlgorithm::EcdsaSha256, b"another", &signature).is_err());

    agent.good(&["renew", "lab"]);
    let second = until("a second certificate", || {
        let now = agent.certificate("lab");
        (now.fingerprint() != first.fingerprint()).then_some(now)
    });
    assert_ne!(second.spki_hash(), first.spki_hash(), "every certificate has a key of its own");
    assert_eq!(only(&est.asked(), &[ENROL, RENEW, CONFIRM]), [ENROL, CONFIRM, RENEW, CONFIRM]);
    assert_eq!(est.confirmed(), [first.der(), second.der()], "each proven with itself before it took over");
    until("the hook to run twice", || {
        (std::fs::read_to_string(&seen).unwrap_or_default() == "renewed\nrenewed\n").then_some(())
    });
    agent.until_fresh();
    let renewed = agent.good(&["status"]);
    assert!(renewed.contains("on request"), "{renewed}");
    assert!(!agent.state("lab/key.pem.new").exists() && !agent.state("lab/chain.pem.new").exists());
}

/// R7: short lives renew by themselves, generation after generation, and the log says so.
#[test]
fn short_lives_renew_by_themselves() {
    let est = Est::start(Leaf { validity_s: (-1, 9), ..Leaf::device("pump-01") });
    let mut agent = Agent::new();
    agent.environment("lab", &est, "");
    agent.start();
    until("the fourth generation", || (est.confirmed().len() >= 4).then_some(()));
    let asked = only(&est.asked(), &[ENROL, RENEW]);
    assert_eq!(
        asked[..4],
        [ENROL, RENEW, RENEW, RENEW],
        "one token, and then each on the word of the one before"
    );
    until("the renewals to be told", || agent.log().contains("by itself").then_some(()));
    agent.until_fresh();
}

#[test]
fn a_killed_agent_goes_on_where_it_was_and_a_second_one_keeps_away() {
    let est = Est::start(Leaf::device("pump-01"));
    let mut agent = Agent::new();
    agent.environment("lab", &est, "");
    agent.start();
    agent.until_fresh();
    let first = agent.certificate("lab");

    let second = agent.run(&["run", "--config", agent.config_file().to_str().unwrap()]);
    let says = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{says}");
    assert!(says.starts_with("error[already-runs]"), "{says}");

    agent.kill();
    let nobody = agent.run(&["status", "--socket", agent.socket().to_str().unwrap()]);
    assert_eq!(nobody.status.code(), Some(8), "a dead agent's socket answers nobody");
    for (words, exit, code) in [
        (&["status", "--json"][..], 8, "agent-unreachable"),
        (&["status", "--json", "--config", "/nowhere/agent.toml"], 3, "config"),
    ] {
        let told = agent.run(words);
        let problem: serde_json::Value = serde_json::from_slice(&told.stderr).unwrap();
        assert_eq!((told.status.code(), problem["exit"].as_i64()), (Some(exit), Some(i64::from(exit))));
        assert_eq!(problem["code"], code, "programs read errors too: {problem}");
    }
    agent.start();
    agent.until_fresh();
    assert_eq!(agent.certificate("lab").fingerprint(), first.fingerprint());
    assert_eq!(only(&est.asked(), &[ENROL, RENEW]), [ENROL], "nothing was asked for twice");
}

/// One environment's trouble is not another's.
#[test]
fn a_silent_server_and_broken_files_delay_no_other_environment() {
    let est = Est::start(Leaf::device("pump-01"));
    let silent = Server::raw(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut agent = Agent::new();
    agent.environment_at("silent", &silent.address(), &est.anchors_pem(), "");
    agent.environment("lab", &est, "");
    agent.environment("broken", &est, "");
    std::fs::create_dir_all(agent.state("broken")).unwrap();
    std::fs::write(agent.state("broken/key.pem"), "for all to see").unwrap();
    std::fs::set_permissions(agent.state("broken/key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    agent.start();
    let of = |name: &str| {
        let all = agent.status()["environments"].as_array().unwrap().clone();
        all.into_iter().find(|environment| environment["environment"] == name).unwrap()
    };
    until("lab to be fresh", || of("lab")["fresh"].as_bool().unwrap().then_some(()));
    assert_eq!(of("silent")["fresh"], false);
    let broken = of("broken");
    assert_eq!(broken["needs"], "device-keeper");
    assert!(broken["summary"].as_str().unwrap().contains("others may have read the key"), "{broken}");
    assert_eq!(agent.run(&["status"]).status.code(), Some(6), "not all are fresh");
    assert_eq!(agent.run(&["certificate"]).status.code(), Some(2), "which one?");
    assert_eq!(agent.run(&["certificate", "silent"]).status.code(), Some(3), "there is none yet");
    assert_eq!(agent.run(&["why", "../lab"]).status.code(), Some(3));

    std::fs::remove_file(agent.state("broken/key.pem")).unwrap();
    agent.good(&["renew", "broken"]);
    until("the mended one to be fresh", || of("broken")["fresh"].as_bool().unwrap().then_some(()));
}

#[test]
fn a_token_that_comes_later_is_taken_without_a_restart() {
    let est = Est::start(Leaf::device("pump-01"));
    let mut agent = Agent::new();
    agent.environment("lab", &est, "");
    let token = agent.path("token");
    std::fs::remove_file(&token).unwrap();
    agent.start();
    until("the missing token to be told", || {
        let status = agent.status();
        (status["environments"][0]["failure"]["code"] == "local-no-proof").then_some(())
    });
    let why = agent.good(&["why"]);
    assert!(why.contains("touchmark token create --env lab --device pump-01"), "{why}");
    agent.write_token("pump-01\nsecret\n");
    agent.until_fresh();
    assert!(!agent.log().contains("secret"), "{}", agent.log());
}

/// Everything in an environment's folder but what the agent remembers and what it is about to ask with.
fn credential(state: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let names = ["key.pem", "chain.pem", "anchors.pem", "chain.pem.new"];
    let read = |name: &str| std::fs::read(state.join(name)).ok().map(|bytes| (name.to_owned(), bytes));
    names.into_iter().filter_map(read).collect()
}

/// R43: each answer is refused by name, and nothing of the pair in force, or of the trust, is touched.
#[test]
fn no_answer_of_a_malicious_authority_reaches_the_key_store() {
    type Issue = fn(&Pki, &touchmark_x509::PublicKey) -> Vec<Certificate>;
    let rows: &[(&str, Issue, &str)] = &[
        (
            "for another key",
            |pki, _| good(pki, pki::key().public_key(), &Leaf::device("pump-01")),
            "answer-other-key",
        ),
        ("for another name", |pki, key| good(pki, key, &Leaf::device("pump-02")), "answer-other-identity"),
        (
            "for another kind",
            |pki, key| good(pki, key, &Leaf { path: "s/pump-01".into(), ..Leaf::device("pump-01") }),
            "answer-other-identity",
        ),
        ("an authority's", as_authority, "answer-other-key"),
        (
            "long past",
            |pki, key| {
                let validity_s = (-20 * 86_400, -19 * 86_400);
                good(pki, key, &Leaf { validity_s, ..Leaf::device("pump-01") })
            },
            "answer-past",
        ),
        ("of strangers", |_, key| good(&Pki::new(), key, &Leaf::device("pump-01")), "path-unknown-issuer"),
        (
            "for servers",
            |pki, key| {
                let usage = touchmark_x509::certificate::ExtendedKeyUsage::ServerAuth;
                good(pki, key, &Leaf { usage, ..Leaf::device("pump-01") })
            },
            "path-not-authorised",
        ),
        ("nothing but authorities", |pki, _| vec![pki.root.certificate.clone()], "answer-other-key"),
    ];
    for (name, issue, code) in rows {
        let est = Est::start(Leaf::device("pump-01"));
        let mut agent = Agent::new();
        agent.environment("lab", &est, "");
        agent.write_config();
        let config = Config::read(&agent.config_file()).unwrap().environments.pop().unwrap();
        let (wishes, _wished) = sync_channel(1);
        let post = Post {
            environment: config.name.clone(),
            identity: config.identity.clone(),
            users: Users::default(),
            signs: Vec::new(),
            wishes,
            published: Mutex::new(Published::default()),
        };
        let state = agent.state("");
        let mut environment_task =
            EnvironmentTask::open(Arc::new(config), &state, [7; 16], Duration::from_secs(30)).unwrap();
        while environment_task.turn(&post).is_none() {}
        let before = credential(&state.join("lab"));
        assert_eq!(before.len(), 3, "{name}: enrolled");

        est.issue_with(*issue);
        environment_task.wish(Wish::RenewNow);
        while environment_task.turn(&post).is_none() {}
        let report = environment_task.report();
        let failure = report.failure.unwrap_or_else(|| panic!("{name}: nothing failed"));
        assert_eq!(failure.code, *code, "{name}: {}", failure.says);
        assert_eq!(credential(&state.join("lab")), before, "{name}");
        assert_eq!(est.confirmed().len(), 1, "{name}: only the first was ever used");

        est.issue_with(|pki, key| good(pki, key, &Leaf::device("pump-01")));
        assert!(
            environment_task.report().next_at > environment_task.report().now,
            "{name}: it does not hammer"
        );
    }
}

/// A full disk holds the log, too, where no journal takes it.
#[test]
fn a_log_that_takes_nothing_stops_no_identity_and_no_core_file_would_hold_a_key() {
    let est = Est::start(Leaf::device("pump-01"));
    let mut agent = Agent::new();
    agent.environment("lab", &est, "");
    agent.start_with_log(Path::new("/dev/full"));
    agent.until_fresh();
    let limits = agent.proc("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
