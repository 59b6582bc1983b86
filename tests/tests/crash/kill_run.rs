//! Rounds of: enrolments in flight, kill, restart, look at everything.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};
use touchmark_tests::{Dice, Enrolment, Key, Lab, Operator, Outcome, device_token, prefix_token, storm};

/// Enrolments under way at each moment.
const IN_FLIGHT: usize = 16;
/// Enrolments of one round: enough that the kill always leaves some unanswered.
const PER_ROUND: usize = 64;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) answered: usize,
    pub(crate) unanswered: usize,
    pub(crate) faults: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered before a kill, {} not, {} faults",
            self.answered,
            self.unanswered,
            self.faults.len()
        )
    }
}

/// How the devices of a round get in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tokens {
    /// One for each, by name.
    Named,
    /// One for all, with exactly as many uses: a use that a crash leaves spent would show.
    Counted,
}

/// Kills `lab`'s authority so many times.
pub(crate) fn run(mut lab: Lab, tokens: Tokens, rounds: usize) -> Report {
    let mut report = Report::default();
    let mut serials = BTreeSet::new();
    let mut dice = Dice::new();
    let begun = Instant::now();
    storm(&lab, enrolments(&mut lab.operator(), tokens, "calm"), IN_FLIGHT);
    let mut whole = begun.elapsed();
    for round in 0..rounds {
        let prefix = format!("r{round}x");
        let shots = enrolments(&mut lab.operator(), tokens, &prefix);
        let moment = whole.mul_f64(dice.part());
        let before = storm_and_kill(&mut lab, shots.clone(), moment);
        lab.restart();
        let mut operator = lab.operator();
        for outcome in &before {
            match outcome {
                Outcome::Issued { fingerprint, serial } => {
                    report.answered += 1;
                    if !serials.insert(serial.clone()) {
                        report.faults.push(format!("round {round}: serial {serial} twice"));
                    }
                    if let Err(what) = is_explained(&mut operator, &fingerprint.to_string()) {
                        report.faults.push(format!("round {round}: answered, then lost: {what}"));
                    }
                }
                Outcome::Silence => report.unanswered += 1,
                Outcome::Refused { status, says } => {
                    report.faults.push(format!("round {round}: {status} {says}"));
                }
            }
        }
        let begun = Instant::now();
        let again = storm(&lab, shots, IN_FLIGHT);
        whole = begun.elapsed();
        for (n, (before, again)) in before.iter().zip(&again).enumerate() {
            match (before.fingerprint(), again) {
                (Some(first), Outcome::Issued { fingerprint, .. }) if first == *fingerprint => {}
                (None, Outcome::Issued { serial, .. }) => {
                    if !serials.insert(serial.clone()) {
                        report.faults.push(format!("round {round}: serial {serial} twice"));
                    }
                }
                (_, other) => {
                    report.faults.push(format!("round {round}: {prefix}{n} asked again: {other:?}"))
                }
            }
        }
        if let Err(fault) = touchmark_authority::audit::verify(&lab.data(), None) {
            report.faults.push(format!("round {round}: audit: {fault}"));
        }
    }
    report
}

fn enrolments(operator: &mut Operator, tokens: Tokens, prefix: &str) -> Vec<Enrolment> {
    let counted = match tokens {
        Tokens::Named => None,
        Tokens::Counted => Some(operator.token(&prefix_token("lab", prefix, PER_ROUND as u32))),
    };
    let enrolment = |n| {
        let name = format!("{prefix}{n}");
        let token = counted.clone().unwrap_or_else(|| operator.token(&device_token("lab", &name)));
        Enrolment::named(None, &Key::new().request(&name), &name, &token)
    };
    (0..PER_ROUND).map(enrolment).collect()
}

fn storm_and_kill(lab: &mut Lab, shots: Vec<Enrolment>, after: Duration) -> Vec<Outcome> {
    let killer = lab.authority().killer();
    let outcomes = std::thread::scope(|scope| {
        // The sleep waits for nothing: it is the random moment.
        scope.spawn(|| {
            std::thread::sleep(after);
            killer.kill();
        });
        storm(lab, shots, IN_FLIGHT)
    });
    lab.kill_authority();
    outcomes
}

fn is_explained(operator: &mut Operator, fingerprint: &str) -> Result<(), String> {
    let explained = operator.explain(fingerprint).map_err(|fault| format!("{fingerprint}: {fault}"))?;
    let found =
        explained.certificates.iter().find(|certificate| certificate.fingerprint == fingerprint.parse().ok());
    match found {
        Some(certificate) if certificate.state == "issued" => Ok(()),
        Some(certificate) => Err(format!("{fingerprint} is {}", certificate.state)),
        None => Err(format!("{fingerprint} is not among the device's certificates")),
    }
}
