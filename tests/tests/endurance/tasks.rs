//! Every task that the supervisors start panics once, in a real process: it is started again, or the process ends with its code.

use crate::installation::everything_works;
use std::path::PathBuf;
use std::process::Command;
use touchmark_dial::Request;
use touchmark_tests::faults::{self, Fault};
use touchmark_tests::{Agent, Broker, Lab, Service, device_token, until};

/// See `touchmark help-exit-codes`.
const LOST: i32 = 11;

/// A task as its supervisor told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    name: String,
    /// `restarted`, `vital` or `thread`.
    kind: String,
}

/// What was told in a log, from an octet on.
fn tasks_in(log: &PathBuf) -> Vec<Task> {
    let text = std::fs::read_to_string(log).unwrap();
    let told = text.lines().filter_map(|line| line.strip_prefix("task ")?.split_once(' '));
    let tasks: Vec<_> =
        told.map(|(name, kind)| Task { name: name.to_owned(), kind: kind.to_owned() }).collect();
    assert!(!tasks.is_empty(), "the supervisor told of no task");
    tasks
}

#[test]
fn each_task_of_the_authority_that_panics_is_started_again_or_ends_it() {
    let mut lab = Lab::start_with(faults::program(), &Fault::chosen("list").before());
    lab.run_gateway_by(&Fault::none().before());
    lab.start_gateway(&[]);
    let tasks = tasks_in(&lab.path("authority.stderr"));
    for (number, task) in tasks.iter().enumerate() {
        println!("{task:?}");
        let fault = Fault::panic(&task.name, lab.path("strike"));
        lab.stop_authority();
        lab.run_authority_by(&fault.before());
        lab.restart();
        struck(&task.name, &fault, || commit(&lab));
        if task.kind == "restarted" {
            struck(&task.name, &fault, || ());
            everything_works(&lab, &format!("pump-{number}"));
        } else {
            assert_eq!(lab.authority_ends().code(), Some(LOST), "{task:?}");
            // Started again, it is whole: what ended it left nothing half done.
            lab.run_authority_by(&Fault::none().before());
            lab.restart();
            everything_works(&lab, &format!("pump-{number}"));
        }
    }
}

#[test]
fn each_task_of_the_gateway_that_panics_is_started_again_or_ends_it() {
    let mut lab = Lab::start_with(faults::program(), &Fault::none().before());
    let broker = Broker::start(&lab);
    let upstream = broker.as_ref().map(Broker::address);
    let with_broker = upstream.as_deref().map(|address| vec!["--upstream-mqtt", address]);
    let (mut tried, mut number) = (Vec::new(), 0);
    for words in [Some(Vec::new()), with_broker].into_iter().flatten() {
        let log = lab.path("gateway.stderr");
        let _ = std::fs::remove_file(&log);
        lab.run_gateway_by(&Fault::chosen("list").before());
        lab.start_gateway(&words);
        for task in tasks_in(&log) {
            if tried.contains(&task) {
                continue;
            }
            println!("{task:?}");
            number += 1;
            let name = format!("pump-{number}");
            let fault = Fault::panic(&task.name, lab.path("strike"));
            lab.stop_gateway();
            lab.run_gateway_by(&fault.before());
            lab.restart_gateway();
            struck(&task.name, &fault, || ());
            if task.kind == "restarted" {
                struck(&task.name, &fault, || ());
            } else {
                assert_eq!(lab.gateway_ends().code(), Some(LOST), "{task:?}");
                lab.run_gateway_by(&Fault::none().before());
                lab.restart_gateway();
            }
            everything_works(&lab, &name);
            tried.push(task);
        }
        lab.stop_gateway();
    }
    assert!(tried.len() >= 10, "{tried:?}");
}

/// Authority and gateway in one process: the loss of a part of either ends both.
#[test]
fn one_process_with_both_ends_with_the_code_of_a_lost_part() {
    for task in ["est-port", "mqtt-port", "store-writer", "decision-log"] {
        let directory = tempfile::tempdir().unwrap();
        let fault = Fault::panic(task, directory.path().join("strike"));
        let mut command = Command::new("env");
        command.args(fault.variables()).arg(faults::program());
        command.args(["server", "up", "--dev", "--json", "--data"]).arg(directory.path().join("data"));
        let (mut service, _) = Service::start(command, directory.path().join("stderr"));
        struck(task, &fault, || {
            let mut poke = Command::new("env");
            poke.args(fault.variables()).arg(faults::program());
            poke.args(["device", "enroll", "pump-01", "--data"]).arg(directory.path().join("data"));
            drop(poke.output());
        });
        assert_eq!(service.ends().code(), Some(LOST), "{task}: {}", service.last_words());
        assert!(service.last_words().contains(&format!("task {task}")), "{}", service.last_words());
    }
}

#[test]
fn each_thread_of_the_agent_that_panics_ends_it() {
    let lab = Lab::start();
    let mut agent = Agent::new(&lab, "device");
    agent.keep(&lab, "lab", "pump-01", &std::fs::read_to_string(lab.anchors()).unwrap(), "");
    agent.bring("lab", &lab.operator().token(&device_token("lab", "pump-01")));
    agent.run_as(faults::agent(), Fault::chosen("list").variables());
    agent.start();
    agent.until_fresh();
    let tasks = tasks_in(&agent.path("log"));
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    for task in tasks {
        agent.kill();
        let fault = Fault::panic(&task.name, lab.path("strike"));
        agent.run_as(faults::agent(), fault.variables());
        agent.start();
        // A keeper looks at its fault when it is woken, the socket when somebody comes.
        struck(&task.name, &fault, || drop(agent.run(&["renew"])));
        assert_eq!(agent.ends().code(), Some(LOST), "{task:?}");
        assert!(agent.log().contains(&format!("the task {} was asked to panic", task.name)));
        agent.run_as(faults::agent(), Fault::none().variables());
        agent.start();
        agent.until_fresh();
    }
}

/// Something for the store to write; a service that is about to end may not answer.
fn commit(lab: &Lab) {
    let order = serde_json::to_vec(&device_token("lab", "nobody")).unwrap();
    let _ = lab.operator().send(Request::post("/v1/tokens", "application/json", order).unwrap());
}

/// Lets a task panic, and waits until it has; `poke` wakes what waits for work.
fn struck(task: &str, fault: &Fault, poke: impl Fn()) {
    fault.strike();
    until(&format!("{task} to panic"), || {
        poke();
        fault.has_struck().then_some(())
    });
}
