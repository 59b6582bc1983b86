//! The demonstration holds, and each of its steps can fail: run as people run it, read as programs read it.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::process::Command;
use std::sync::Mutex;

/// Runs at a time: each is a dozen processes, most of them waiting.
const SIDE_BY_SIDE: usize = 3;

fn demo(arguments: &[&str]) -> (i32, Value) {
    let ran = Command::new(env!("CARGO_BIN_EXE_touchmark-demo"))
        .args(["demo", "--json", "--devices", "6"])
        .args(arguments)
        .env_remove("TOUCHMARK_DATA")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    let value = serde_json::from_str(&told)
        .unwrap_or_else(|_| panic!("no JSON: {told} {}", String::from_utf8_lossy(&ran.stderr)));
    (ran.status.code().unwrap(), value)
}

fn outcome<'a>(told: &'a Value, step: &str) -> (&'a str, &'a str) {
    let row = told["steps"].as_array().unwrap().iter().find(|row| row["step"] == step).unwrap();
    (row["outcome"].as_str().unwrap(), row["says"].as_str().unwrap())
}

#[test]
fn every_claim_of_the_demonstration_holds() {
    // Hard times are for `demo --assert` on a quiet machine.
    let (code, told) = demo(&[]);
    for row in told["steps"].as_array().unwrap() {
        assert_eq!(row["outcome"], "passed", "{row}");
    }
    assert_eq!((code, told["steps"].as_array().unwrap().len()), (0, 15));
}

#[test]
fn every_step_fails_when_it_is_sabotaged() {
    let listed = Command::new(env!("CARGO_BIN_EXE_touchmark-demo"))
        .args(["demo", "--sabotage", "list"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let steps: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(steps.len(), 15);
    let waiting = Mutex::new(steps);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let Some(step) = waiting.lock().unwrap().pop() else { break };
                    let (code, told) = demo(&["--sabotage", step]);
                    let (outcome, says) = outcome(&told, step);
                    if (code, outcome) != (6, "failed") {
                        wrong.lock().unwrap().push(format!("{step}: exit {code}, {outcome}: {says}"));
                    }
                }
            });
        }
    });
    assert!(wrong.lock().unwrap().is_empty(), "{:#?}", wrong.lock().unwrap());
}
