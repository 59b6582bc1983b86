//! `touchmark demo`: a small installation of real processes, and every promise measured on it.
//!
//! Each step has a claim, and a sabotage under which the claim must fail: a demonstration that cannot fail
//! shows nothing. Exit 6 when a claim did not hold.

mod arrivals;
mod containment;
mod device_process;
mod installation;
mod ledger;
mod outages;
mod policy;
mod proofs;
mod questions;
mod rotation;
mod step;
mod thief;
mod trespass;

use clap::Args;
use core::time::Duration;
use installation::Installation;
use ledger::{Ledger, Proof};
use std::time::Instant;
use step::{Sabotage, Step};
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::output::Output;
use touchmark_touchmark::services::process::Signals;

/// The revoked, the quarantined, the good and the trespasser; more show that others are not disturbed.
const DEVICES_MIN: u16 = 5;
/// Longer than any step waits by itself.
const STEP_MAX: Duration = Duration::from_secs(45);
/// A demonstration that people sit through. Not asserted of a build without optimisation.
const TOTAL_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Hold hard times too (2 s for a revocation, 60 s for everything)
    #[arg(long)]
    assert: bool,
    /// Make one step fail for a real reason (`list` shows how); implies --assert
    #[arg(long, value_name = "STEP", value_parser = step::sabotage)]
    sabotage: Option<Sabotage>,
    /// Keep the installation's folder
    #[arg(long)]
    keep: bool,
    /// Number of devices
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(i64::from(DEVICES_MIN)..=500))]
    devices: u16,
}

pub(crate) async fn run(order: Demo, output: &Output) -> Result<Exit, Failure> {
    let sabotaged = match order.sabotage {
        Some(Sabotage::List) => {
            for step in Step::ALL {
                output.line(&format!("{:<14} {}", step.name(), step.sabotage()));
            }
            return Ok(Exit::Ok);
        }
        Some(Sabotage::Of(step)) => Some(step),
        None => None,
    };
    let strict = order.assert || sabotaged.is_some();
    let names: Vec<String> = (1..=order.devices).map(|number| format!("pump-{number:02}")).collect();
    let mut installation = Installation::new(order.keep)?;
    let mut ledger = Ledger::new(output);
    let started = Instant::now();
    tell_beginning(&installation, sabotaged, &names, output);
    let mut signals = Signals::new()?;
    let interrupted = tokio::select! {
        () = all(&mut installation, &mut ledger, &names, strict, sabotaged) => false,
        () = signals.asked() => true,
    };
    let folder = installation.folder().display().to_string();
    installation.close().await;
    if interrupted {
        return Err(Failure::internal("interrupted").why("somebody asked it to end"));
    }
    let took = started.elapsed();
    let passed = ledger.all_passed();
    ledger.close(took, order.keep.then_some(folder.as_str()))?;
    if order.keep {
        output.note(&format!("kept: {folder}   (touchmark --data {folder}/data audit verify)"));
    }
    if strict && passed && took > TOTAL_MAX && !cfg!(debug_assertions) {
        output.note(&format!(
            "but it took {:.1} s, longer than {} s",
            took.as_secs_f64(),
            TOTAL_MAX.as_secs()
        ));
        return Ok(Exit::CheckFailed);
    }
    Ok(if passed { Exit::Ok } else { Exit::CheckFailed })
}

fn tell_beginning(installation: &Installation, sabotaged: Option<Step>, names: &[String], output: &Output) {
    if output.is_machine() {
        return;
    }
    output.note(&format!(
        "an installation of {} devices in {}",
        names.len(),
        installation.folder().display()
    ));
    if let Some(step) = sabotaged {
        output.note(&format!("sabotaged: {}: {}", step.name(), step.sabotage()));
    }
}

async fn all(
    installation: &mut Installation,
    ledger: &mut Ledger<'_>,
    names: &[String],
    strict: bool,
    sabotaged: Option<Step>,
) {
    let mut dead = false;
    for step in Step::ALL {
        if dead {
            ledger.not_run(step);
            continue;
        }
        ledger.begin(step);
        let work = one(installation, step, names, strict, sabotaged == Some(step));
        let outcome = match tokio::time::timeout(STEP_MAX, work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(arrivals::failed(&format!("it did not end within {} s", STEP_MAX.as_secs()))),
        };
        match outcome {
            Ok(Some(proof)) => ledger.passed(step, proof),
            Ok(None) => ledger.skipped(step, "OpenSSL is not installed here"),
            Err(failure) => {
                ledger.failed(step, &failure);
                // Without an installation or its devices nothing that follows means anything.
                dead = matches!(step, Step::Start | Step::Enrol);
            }
        }
        if step == Step::Enrol && sabotaged == Some(Step::Offline) {
            // A fault here shows as the failure of that step.
            let _ = outages::keep_snapshot(installation);
        }
    }
}

async fn one(
    installation: &mut Installation,
    step: Step,
    names: &[String],
    strict: bool,
    sabotaged: bool,
) -> Result<Option<Proof>, Failure> {
    let proof = match step {
        Step::Start => arrivals::start(installation, sabotaged).await,
        Step::Enrol => arrivals::enrol(installation, names, sabotaged).await,
        Step::Publish => arrivals::publish(installation, names, sabotaged).await,
        Step::Rotate => rotation::rotate(installation, strict, sabotaged).await,
        Step::Stranger => trespass::stranger(installation, sabotaged).await,
        Step::Thief => trespass::steal(installation, sabotaged).await,
        Step::ForeignTopic => trespass::foreign_topic(installation, sabotaged).await,
        Step::Questions => questions::ask(installation, sabotaged).await,
        Step::Revoke => containment::revoke(installation, strict, sabotaged).await,
        Step::Reconnect => containment::reconnect(installation, sabotaged).await,
        Step::Quarantine => containment::quarantine(installation, sabotaged).await,
        Step::Offline => outages::offline(installation, sabotaged).await,
        Step::Kill => outages::kill(installation, sabotaged).await,
        Step::Audit => proofs::audit(installation, sabotaged).await,
        Step::Openssl => return proofs::openssl(installation, sabotaged).await,
    };
    proof.map(Some)
}
