//! A report in words for people: one sentence for `status`, several for `why`, each with what to do.

use crate::lifecycle::{Needs, Progress, RenewedBy, Report, Standing};
use core::time::Duration;
use touchmark_identity::{EnvironmentName, Name, Timestamp};

pub(crate) fn progress(progress: Progress) -> &'static str {
    match progress {
        Progress::Idle => "idle",
        Progress::Asking => "asking",
        Progress::Confirming => "confirming",
        Progress::TakingOver => "taking-over",
        Progress::Dropping => "dropping",
    }
}

pub(crate) fn renewed_by(by: RenewedBy) -> &'static str {
    match by {
        RenewedBy::Itself => "itself",
        RenewedBy::Wish => "wish",
    }
}

pub(crate) fn standing(standing: &Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Quarantined => "quarantined",
        Standing::Banned => "banned",
        Standing::Lost { .. } => "lost",
    }
}

pub(crate) fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Nobody => "nobody",
        Needs::NewProof => "new-proof",
        Needs::Release => "release",
        Needs::NewDevice => "new-device",
        Needs::DeviceKeeper => "device-keeper",
        Needs::Authority => "authority",
    }
}

/// `pump-01 in lab: certificate good until ..., renews about ..., last renewal ... by itself`.
pub(crate) fn summary(report: &Report) -> String {
    let mut parts = vec![certificate(report)];
    match report.renews_at {
        _ if report.progress != Progress::Idle && report.failures == 0 => {
            parts.push("a new one is on its way".to_owned())
        }
        Some(moment) if moment > report.now && report.failures == 0 => {
            parts.push(format!("renews about {}", when(moment, report.now)));
        }
        Some(_) | None => parts.push(format!("next attempt {}", when(report.next_at, report.now))),
    }
    if let Some(renewed) = report.renewed {
        let by = match renewed.by {
            RenewedBy::Itself => "by itself",
            RenewedBy::Wish => "on request",
        };
        parts.push(format!("last renewal {} {by}", moment(renewed.at)));
    }
    if let Some(failure) = &report.failure {
        parts.push(format!("{} failed in a row ({})", attempts(report.failures), failure.code));
    }
    format!("{} in {}: {}", report.identity, report.environment, parts.join(", "))
}

/// What makes a new line in the log.
pub(crate) fn news(report: &Report) -> String {
    let failure = report.failure.as_ref().map(|failure| &failure.code);
    let certificate = report.certificate.as_ref().map(|certificate| certificate.fingerprint);
    format!("{certificate:?} {failure:?} {:?} {:?}", report.standing, report.needs)
}

/// Files that cannot be believed.
pub(crate) fn broken(device: &Name, environment: &EnvironmentName, says: &str) -> String {
    format!("{device} in {environment}: not kept, since its files cannot be believed: {says}")
}

/// The server's words, or what is known where it said none.
fn says<'a>(says: &'a str, code: &str) -> &'a str {
    match (says.trim(), code) {
        // EST says it without a body (RFC 7030 §3.2.3 demands the status only).
        ("", "http-401") => {
            "the authority did not take the token; it is wrong, used, expired or taken back, or made for another name \
             or environment"
        }
        ("", _) => "the authority gave no reason",
        (says, _) => says,
    }
}

fn attempts(count: u32) -> String {
    if count == 1 { "1 attempt".to_owned() } else { format!("{count} attempts") }
}

fn certificate(report: &Report) -> String {
    match &report.certificate {
        None => "no certificate yet".to_owned(),
        Some(certificate) => {
            let end = certificate.validity.not_after();
            if report.now > end {
                format!("certificate EXPIRED {}", when(end, report.now))
            } else {
                format!("certificate good until {}", when(end, report.now))
            }
        }
    }
}

/// What is, what comes next, what failed, who must act.
pub(crate) fn why(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{}.", summary(report))];
    lines.extend(doing(report));
    if let Some(window) = report.window {
        lines.push(format!(
            "The authority asks for the renewal between {} and {}.",
            moment(window.start()),
            moment(window.end())
        ));
    }
    if let Some(failure) = &report.failure {
        let code = if failure.code.is_empty() { "no code" } else { &failure.code };
        let says = says(&failure.says, &failure.code);
        lines.push(format!("The last attempt, {}, failed: {says} ({code}).", moment(failure.at)));
    }
    if report.clock.since(report.now).max(report.now.since(report.clock)) > Duration::from_secs(60) {
        lines.push(format!(
            "This machine's clock says {}; the agent reckons with {}.",
            moment(report.clock),
            moment(report.now)
        ));
    }
    lines.push(advice(report.needs, &report.identity, &report.environment));
    lines
}

fn doing(report: &Report) -> Option<String> {
    let text = match report.progress {
        Progress::Idle => return None,
        Progress::Asking if report.certificate.is_none() => "It asks for a first certificate.",
        Progress::Asking => "It asks for a new certificate; the old one stays in force meanwhile.",
        Progress::Confirming => {
            "A new certificate has arrived; the old one stays in force until the authority has seen the new one in use."
        }
        Progress::TakingOver => "A new certificate is confirmed and takes over.",
        Progress::Dropping => "The authority refused the last request; the next one is made with a new key.",
    };
    Some(text.to_owned())
}

/// Who must act, and how.
pub(crate) fn advice(needs: Needs, device: &Name, environment: &EnvironmentName) -> String {
    match needs {
        Needs::Nobody => "Nobody need act.".to_owned(),
        Needs::NewProof => format!(
            "Somebody must act: at the authority, touchmark token create --env {environment} --device {device} \
             --out FILE; then put FILE where this agent's token_file points."
        ),
        Needs::Release => format!(
            "An operator of the authority must act: the device is in quarantine (touchmark device release {device})."
        ),
        Needs::NewDevice => {
            "The device is banned under this name. It can only come back under another one.".to_owned()
        }
        Needs::DeviceKeeper => {
            "Whoever runs this device must act: see what failed, then look at disk space, permissions and \
             configuration (touchmark-agent check-config)."
                .to_owned()
        }
        Needs::Authority => {
            "Whoever runs the authority, or the network to it, must act: see what failed. The agent goes on trying."
                .to_owned()
        }
    }
}

fn when(what: Timestamp, now: Timestamp) -> String {
    if what > now {
        format!("{} (in {})", moment(what), span(what.since(now)))
    } else {
        format!("{} ({} ago)", moment(what), span(now.since(what)))
    }
}

/// RFC 3339 without fractions.
fn moment(what: Timestamp) -> String {
    let text = what.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(whole, _)| format!("{whole}Z"))
}

/// The two largest units.
fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
