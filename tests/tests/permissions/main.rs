//! Who may do what, as one table: every route of the management API, for every kind of caller, in two environments, with
//! certificates in every state. The routes are the router's own, and each cell is an answer over HTTP.
//!
//! The table is `table.txt`; `TOUCHMARK_BLESS=1` writes it anew, to be read before it is committed.
#![allow(clippy::unwrap_used)]

mod callers;
mod policy;
mod reach;
mod requests;

use callers::{Caller, enrol_all, enrol_ended};
use requests::{Requests, Row};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use touchmark_tests::{Lab, program, refusal_is_recorded};

/// After the overlap of a superseded operator certificate, and after the end of any.
const OVERLAP_OVER: &str = "+4d";
const LIFE_OVER: &str = "+40d";

const NOT_PERMITTED: &str = "403 not-permitted";

/// Who was given an answer.
type Answers = BTreeMap<String, Vec<String>>;

fn ask(lab: &Lab, requests: &mut Requests, rows: &[Row], callers: &mut [Caller], table: &mut [Answers]) {
    for (row, answers) in rows.iter().zip(table) {
        for caller in &mut *callers {
            let (answer, says) = caller.ask(lab, &requests.one(row));
            // The policy is for people: a service is refused for the permission alone.
            if answer == NOT_PERMITTED && caller.name.starts_with("service@") {
                let takes = row.takes().map(|permission| format!("does not permit {permission} to"));
                assert!(takes.is_some_and(|takes| says.contains(&takes)), "{row}: {says}");
            }
            answers.entry(answer).or_default().push(caller.name.clone());
        }
    }
}

/// R104, R108: each answer to each caller, exactly.
#[test]
fn every_route_answers_every_caller_as_the_table_says() {
    if program("curl").is_none() || program("faketime").is_none() {
        return;
    }
    let mut lab = Lab::start();
    let mut callers = enrol_all(&lab);
    let [revoked, superseded, expired] = enrol_ended(&lab);
    let mut requests = Requests::prepare(&lab);
    let routes = touchmark_authority::api_routes();
    let rows: Vec<Row> = routes.iter().flat_map(|route| Requests::rows(&route.method, route.path)).collect();
    let mut table = vec![Answers::new(); rows.len()];
    callers.push(revoked);
    ask(&lab, &mut requests, &rows, &mut callers, &mut table);
    for cause in
        ["api", "api/device/revoke", "api/tokens", "api/tokens/void", "api/makers", "api/environments"]
    {
        refusal_is_recorded(&lab, cause, "not-permitted");
    }
    refusal_is_recorded(&lab, "api", "caller-refused");
    // No more of theirs is made: the clock of the authority is not that of the callers from here on.
    requests.freeze();
    for (caller, ahead) in [(superseded, OVERLAP_OVER), (expired, LIFE_OVER)] {
        lab.stop_authority();
        lab.run_authority_ahead_by(ahead);
        lab.restart();
        ask(&lab, &mut requests, &rows, &mut [caller], &mut table);
    }

    for (row, answers) in rows.iter().zip(&table) {
        for (answer, who) in answers.iter().filter(|(answer, _)| !answer.starts_with("403")) {
            let foreign = who.iter().find(|who| row.is_foreign_to(who));
            assert_eq!(foreign, None, "{row}: {answer}");
        }
    }

    for (row, answers) in rows.iter().zip(&table) {
        let route = routes.iter().find(|route| row.is_of(&route.method, route.path)).unwrap();
        for code in answers.keys().filter_map(|answer| answer.split_once(' ')?.1.split(' ').next()) {
            assert!(code == "connection" || route.refuses(code), "{row}: {code} is not declared");
        }
    }

    let mut found = String::new();
    for (row, answers) in rows.iter().zip(table) {
        writeln!(found, "{row}").unwrap();
        for (answer, who) in answers {
            writeln!(found, "    {answer:<26}  {}", who.join(" ")).unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/permissions/table.txt");
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    let differs = |(found, expected): &(&str, &str)| found != expected;
    let first = found.lines().zip(expected.lines()).find(differs);
    let lines = (found.lines().count(), expected.lines().count());
    assert!(found == expected, "{lines:?} lines; the first that differs (found, expected): {first:#?}");
}
