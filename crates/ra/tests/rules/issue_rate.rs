//! How often an identity is given a certificate on its own word.

use crate::rows::*;
use std::time::Duration;
use touchmark_identity::Timestamp;
use touchmark_inventory::IssueRow;
use touchmark_ra::{ISSUES_AT_ONCE, ISSUES_PART, may_issue};

const LIFE: Duration = Duration::from_secs(6_400);
const PAUSE: Duration = Duration::from_secs(100);

fn at(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

/// Issues at these seconds; the last one is the newest.
fn given(seconds: &[u64]) -> Vec<IssueRow> {
    let issue =
        |(generation, second): (u64, &u64)| IssueRow { generation, intended_at: at(*second), token: None };
    let mut issues: Vec<IssueRow> = (1..).zip(seconds).map(issue).collect();
    issues.reverse();
    issues
}

#[test]
fn eight_at_once_and_then_one_per_sixty_fourth_of_a_life() {
    let eight = [0, 0, 0, 0, 0, 0, 0, 0];
    let spread = [0, 100, 200, 300, 400, 500, 600, 700];
    let late = [0, 1, 2, 3, 4, 5, 6, 790];
    let rows: &[(&str, &[u64], u64, Option<u64>)] = &[
        ("the first", &[], 0, None),
        ("the eighth", &eight[1..], 0, None),
        ("the ninth", &eight, 0, Some(101)),
        ("the ninth, half a pause later", &eight, 50, Some(51)),
        ("the ninth, a pause later", &eight, 100, None),
        ("one per pause, too soon", &spread, 750, Some(51)),
        ("one per pause", &spread, 800, None),
        ("the first of eight is long ago", &late, 800, None),
        ("it is not quite long ago", &late, 799, Some(2)),
    ];
    for (what, seconds, asked, wait) in rows {
        let outcome = may_issue(&given(seconds), None, LIFE, at(*asked));
        assert_eq!(outcome.err(), wait.map(Duration::from_secs), "{what}");
    }
}

/// Whoever spends the rate is not the one whom an operator lets in.
#[test]
fn what_came_before_an_operators_act_does_not_count() {
    let mut issues = given(&[0; 12]);
    assert!(may_issue(&issues, None, LIFE, at(0)).is_err());
    assert!(may_issue(&issues, Some(at(1)), LIFE, at(0)).is_ok(), "registered afterwards");
    assert!(may_issue(&issues, Some(at(0)), LIFE, at(0)).is_err(), "registered before");
    issues[3].token = Some(token_id(1));
    assert!(may_issue(&issues, None, LIFE, at(0)).is_ok(), "three since the token");
    issues[3].token = None;
    issues[ISSUES_AT_ONCE].token = Some(token_id(1));
    assert!(may_issue(&issues, None, LIFE, at(0)).is_err(), "eight since the token");
}

/// A holder that asks all the time, and one that asks in bursts: neither gets more than the rate says.
#[test]
fn a_life_of_asking_gives_less_than_a_hundred() {
    for step in [1, 7, 99, 100, 101, 799, 801] {
        let (mut all, mut second) = (Vec::new(), 0);
        while second < LIFE.as_secs() {
            // As often as it likes in this second.
            for _ in 0..20 {
                if may_issue(&given(&all), None, LIFE, at(second)).is_ok() {
                    all.push(second);
                }
            }
            second += step;
        }
        let most = ISSUES_PART as usize + 2 * ISSUES_AT_ONCE;
        assert!(all.len() <= most, "asked each {step} s: {}", all.len());
        assert!(step > 100 || all.len() >= ISSUES_PART as usize, "asked each {step} s: {}", all.len());
    }
}

/// A clock that went back gives nothing away and takes no longer than a pause from there.
#[test]
fn a_clock_that_went_back_asks_for_one_pause() {
    let issues = given(&[5_000; 8]);
    assert_eq!(may_issue(&issues, None, LIFE, at(0)), Err(PAUSE + Duration::from_secs(1)));
}
