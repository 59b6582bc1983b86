//! Many enrolments at once, over few connections that are kept.

use crate::device::{Enrolment, est_client};
use crate::holder::Holder;
use crate::lab::Lab;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use touchmark_dial::{DialFault, HttpClient};
use touchmark_enrol::est::parse_certs_response;
use touchmark_identity::Fingerprint;

/// One enrolment that is to be sent.
pub type Shot = Enrolment;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A certificate.
    Issued {
        fingerprint: Fingerprint,
        /// Its serial number.
        serial: String,
    },
    /// A refusal.
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        says: String,
    },
    /// No answer: the server went away.
    Silence,
}

impl Outcome {
    /// The certificate, if there is one.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Issued { fingerprint, .. } => Some(*fingerprint),
            Self::Refused { .. } | Self::Silence => None,
        }
    }

    /// The status; 0 for silence.
    pub fn status(&self) -> u16 {
        match self {
            Self::Issued { .. } => 200,
            Self::Refused { status, .. } => *status,
            Self::Silence => 0,
        }
    }
}

/// Sends every enrolment once, `at_once` of them at a time. Outcomes are in the order of the shots.
pub fn storm(lab: &Lab, shots: Vec<Shot>, at_once: usize) -> Vec<Outcome> {
    storm_of(|| est_client(lab), shots, at_once)
}

/// The same, with a certificate.
pub fn storm_as(lab: &Lab, holder: &Holder, shots: Vec<Shot>, at_once: usize) -> Vec<Outcome> {
    storm_of(|| holder.client(lab), shots, at_once)
}

fn storm_of(client: impl Fn() -> HttpClient, shots: Vec<Shot>, at_once: usize) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let shots = Arc::new(shots);
    let next = Arc::new(AtomicUsize::new(0));
    let mut outcomes = vec![Outcome::Silence; shots.len()];
    let mut gunners = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (shots, next, mut client) = (Arc::clone(&shots), Arc::clone(&next), client());
        gunners.spawn_on(
            async move {
                let mut heard = Vec::new();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(shot) = shots.get(place) else { return heard };
                    heard.push((place, outcome(client.send(shot.to_request()).await)));
                }
            },
            runtime.handle(),
        );
    }
    runtime.block_on(async {
        while let Some(heard) = gunners.join_next().await {
            for (place, outcome) in heard.unwrap() {
                outcomes[place] = outcome;
            }
        }
    });
    outcomes
}

fn outcome(answer: Result<touchmark_dial::Response, DialFault>) -> Outcome {
    let Ok(answer) = answer else { return Outcome::Silence };
    let status = answer.status.as_u16();
    if status != 200 {
        return Outcome::Refused { status, says: String::from_utf8_lossy(&answer.body).into_owned() };
    }
    let certificates = parse_certs_response(&answer.body).unwrap();
    let leaf = certificates.iter().find(|certificate| !certificate.is_ca()).unwrap();
    Outcome::Issued { fingerprint: leaf.fingerprint(), serial: leaf.serial().to_string() }
}
