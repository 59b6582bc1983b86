//! `touchmark device revoke|quarantine|release|ban`: what it takes to shut a device out, and the proof that it is.
//!
//! It is durable when the authority answers. A gateway that has not said by then that it is in force there is named, and
//! the exit code is 9.
//!
//! With `--reconnect` the device's own credential, if it lies here, is in a session while it is revoked: the
//! time from the call to the end of that session is measured, and a new connection is tried.

use crate::commands::device_connect::{self, Act};
use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::Management;
use crate::mqtt_session::{Session, Target};
use crate::output::{Output, Tone};
use crate::span;
use clap::Args;
use core::num::NonZeroU64;
use core::time::Duration;
use serde::Serialize;
use std::time::Instant;
use touchmark_api::{
    Containment, ContainmentOutcome, EnforcementState, GatewayEnforcement, LetIn, LetInParty, or_no_data,
};
use touchmark_identity::{EnvironmentName, Name, RevocationReason};
use touchmark_listen::Clock;
use touchmark_mqtt::ProtocolVersion;

/// Longest that a session of a revoked device is watched for its end.
const END_AWAITED: Duration = Duration::from_secs(10);

/// What all four verbs know.
#[derive(Debug, Args)]
pub(crate) struct Whom {
    name: Name,
    /// Environment, if the name exists in several
    #[arg(long)]
    env: Option<EnvironmentName>,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for gateways to report
    #[arg(long, value_parser = span::parse, value_name = "SPAN", default_value = "5s")]
    wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    whom: Whom,
    /// unspecified, key-compromise, ca-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn
    #[arg(long, default_value = "unspecified")]
    reason: RevocationReason,
    /// Hold a session meanwhile, measure when it ends, then try to come back
    #[arg(long, conflicts_with = "dry_run")]
    reconnect: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Quarantine {
    #[command(flatten)]
    whom: Whom,
    /// Ends by itself after this time
    #[arg(long, value_parser = span::some, value_name = "SPAN")]
    ttl: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    whom: Whom,
}

#[derive(Debug, Args)]
pub(crate) struct Ban {
    #[command(flatten)]
    whom: Whom,
}

/// What revoking an operator or a gateway takes.
#[derive(Debug, Args)]
pub(crate) struct RevokeParty {
    name: Name,
    /// unspecified, key-compromise, ca-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn
    #[arg(long, default_value = "unspecified")]
    reason: RevocationReason,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for gateways to report
    #[arg(long, value_parser = span::parse, value_name = "SPAN", default_value = "5s")]
    wait: Duration,
}

/// `parties` is `operators` or `services`.
pub(crate) async fn revoke_party(
    parties: &str,
    order: RevokeParty,
    home: &Home,
    output: &Output,
) -> Result<Exit, Failure> {
    let containment = Containment {
        reason: Some(order.reason),
        dry_run: order.dry_run,
        wait_ms: Some(u64::try_from(order.wait.as_millis()).unwrap_or(u64::MAX)),
        ..Containment::default()
    };
    let name = order.name.as_str();
    let outcome = Management::open(home)?.revoke_party(parties, name, &containment).await?;
    told("revoked", name, &outcome, output)
}

/// The authority's answer, and what the device saw.
#[derive(Debug, Serialize)]
struct Revoked {
    #[serde(flatten)]
    outcome: ContainmentOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_closed_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect: Option<Act>,
}

pub(crate) async fn revoke(order: Revoke, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let mut containment = Containment { reason: Some(order.reason), ..of(&order.whom) };
    let mut management = Management::open(home)?;
    let name = order.whom.name.as_str();
    if !order.reconnect {
        let outcome = management.contain(name, "revoke", &containment).await?;
        return told("revoked", name, &outcome, output);
    }
    // The watched session and the revocation must mean the same device.
    let lab = || "lab".parse().map_err(|_| Failure::internal("`lab` is no name"));
    let environment = order.whom.env.clone().map_or_else(lab, Ok)?;
    containment.environment = Some(environment.clone());
    let target = Target::of(home, &environment, &order.whom.name).await?;
    let before = Session::open(&target, &format!("{name}/watch"), ProtocolVersion::V5).await?.ok();
    let called = Instant::now();
    let Some(mut session) = before else {
        return Err(Failure::new(
            Exit::CheckFailed,
            "nothing-to-measure",
            "the device could not open a session, so nothing was revoked",
        )
        .what(name)
        .fix(format!(
            "touchmark device connect {name} says why; revoke without --reconnect needs no session"
        )));
    };
    let watch = async {
        let end = async { while session.message().await.is_ok() {} };
        tokio::time::timeout(END_AWAITED, end).await.ok().map(|()| called.elapsed())
    };
    let (outcome, ended) = tokio::join!(management.contain(name, "revoke", &containment), watch);
    let outcome = outcome?;
    let since = Clock::system().now();
    let again = Session::open(&target, name, ProtocolVersion::V5).await?;
    let mut act = [Act::new("connect", name, again.as_ref().err())];
    if let Ok(session) = again {
        session.disconnect().await;
    }
    device_connect::find_decisions(home, name, since, &mut act).await;
    let [act] = act;
    let came_back = !act.is_denied();
    // Any other refusal (a timeout, a TLS alert) shows nothing about the revocation.
    let for_it = act.reason.starts_with("revoked") || act.reason.starts_with("key-denied");
    let session_closed_ms = ended.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let revoked = Revoked { outcome, session_closed_ms, reconnect: Some(act) };
    output.one(&revoked, name, |revoked| {
        let mut text = human("revoked", &revoked.outcome);
        if let Some(ms) = revoked.session_closed_ms {
            let mark = output.paint(Tone::Good, "✓");
            text += &format!("{mark} its session ended {ms} ms after the call\n");
        }
        if revoked.session_closed_ms.is_none() {
            let mark = output.paint(Tone::Bad, "✗");
            text +=
                &format!("{mark} its session was still open {} s after the call\n", END_AWAITED.as_secs());
        }
        text + &revoked.reconnect.as_ref().map(|act| act.line(output)).unwrap_or_default()
    })?;
    if came_back {
        return Err(Failure::new(
            Exit::CheckFailed,
            "came-back",
            "the device could connect after its revocation",
        )
        .what(name)
        .fix("touchmark audit verify, then look whether the gateway reaches the authority"));
    }
    if ended.is_none() || !for_it {
        return Err(Failure::new(
            Exit::CheckFailed,
            "not-shown",
            "the revocation is recorded, but its effect was not seen at the gateway",
        )
        .what(name)
        .fix("look whether the gateway reaches the authority: touchmark audit decisions --device NAME"));
    }
    Ok(exit(&revoked.outcome.gateways, output))
}

pub(crate) async fn quarantine(order: Quarantine, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let containment =
        Containment { ttl_s: order.ttl.and_then(|ttl| NonZeroU64::new(ttl.as_secs())), ..of(&order.whom) };
    plain("quarantine", "in quarantine", &order.whom, containment, home, output).await
}

pub(crate) async fn release(order: Release, home: &Home, output: &Output) -> Result<Exit, Failure> {
    plain("release", "released", &order.whom, of(&order.whom), home, output).await
}

pub(crate) async fn ban(order: Ban, home: &Home, output: &Output) -> Result<Exit, Failure> {
    plain("ban", "banned", &order.whom, of(&order.whom), home, output).await
}

async fn plain(
    verb: &str,
    done: &str,
    whom: &Whom,
    containment: Containment,
    home: &Home,
    output: &Output,
) -> Result<Exit, Failure> {
    let name = whom.name.as_str();
    let outcome = Management::open(home)?.contain(name, verb, &containment).await?;
    told(done, name, &outcome, output)
}

fn of(whom: &Whom) -> Containment {
    Containment {
        environment: whom.env.clone(),
        dry_run: whom.dry_run,
        wait_ms: Some(u64::try_from(whom.wait.as_millis()).unwrap_or(u64::MAX)),
        ..Containment::default()
    }
}

/// Prints what became of it, and says whether it is in force everywhere.
pub(crate) fn told(
    done: &str,
    name: &str,
    outcome: &ContainmentOutcome,
    output: &Output,
) -> Result<Exit, Failure> {
    output.one(outcome, name, |outcome| human(done, outcome))?;
    Ok(exit(&outcome.gateways, output))
}

/// [`Exit::Partial`], and why, unless every gateway has it in force, serves nobody, or was declared offline.
pub(crate) fn exit(gateways: &[GatewayEnforcement], output: &Output) -> Exit {
    let is_missing = |one: &&GatewayEnforcement| {
        use EnforcementState::{Applied, CutOff, Offline};
        // A state that only a newer authority knows is none that is in force.
        !matches!(one.state.known(), Some(Applied | Offline | CutOff))
    };
    let (refused, missing): (Vec<_>, Vec<_>) =
        gateways.iter().filter(is_missing).partition(|gateway| gateway.refused);
    let names = |gateways: &[&GatewayEnforcement]| {
        gateways.iter().map(|gateway| gateway.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if !missing.is_empty() {
        output.note(&format!(
            "warning: not in force everywhere: {} may still go by what was in force before; see: touchmark gateway list",
            names(&missing)
        ));
    }
    if !refused.is_empty() {
        output.note(&format!(
            "warning: the certificate of {} is refused, and it has not said that it stopped: it may still serve devices \
             by what it knew; stop it on its host, then: touchmark gateway declare-offline NAME",
            names(&refused)
        ));
    }
    if missing.is_empty() && refused.is_empty() { Exit::Ok } else { Exit::Partial }
}

pub(crate) fn human(done: &str, outcome: &ContainmentOutcome) -> String {
    let how = match (outcome.dry_run, outcome.already) {
        (true, _) => "would be ",
        (false, true) => "was already ",
        (false, false) => "",
    };
    let mut text =
        format!("{} {how}{done} (permitted by rule {})\n", or_no_data(outcome.device.as_ref()), outcome.rule);
    match (outcome.seq, &outcome.accepted_at) {
        (_, Some(at)) if outcome.already => text += &format!("  since        {at}\n"),
        (Some(seq), Some(at)) => text += &format!("  journal      entry {seq}, durable {at}\n"),
        (None, _) | (_, None) => {}
    }
    for fingerprint in &outcome.certificates {
        text += &format!("  certificate  {fingerprint}\n");
    }
    for alive in &outcome.lives_on {
        text += &format!("  lives on     {alive}, of the same identity\n");
    }
    if let Some(let_in) = &outcome.let_in {
        text += &lives_on(let_in);
    }
    if !outcome.dry_run {
        text += &format!("  sessions     {} closed\n", outcome.sessions_closed);
    }
    text + &enforcement(&outcome.gateways, "  ")
}

/// Whom a token of the operator let in.
fn lives_on(let_in: &LetIn) -> String {
    let mut text = String::new();
    for LetInParty { kind, name, environment } in &let_in.parties {
        text += &format!(
            "  lives on     {kind} {name} in {}, let in by a token that it made\n",
            or_no_data(environment.as_ref())
        );
    }
    match let_in.parties_total.saturating_sub(let_in.parties.len() as u64) {
        0 => {}
        more => text += &format!("  lives on     {more} operators and services more, let in by its tokens\n"),
    }
    match let_in.device_enrolments {
        0 => {}
        devices => {
            text += &format!("  live on      devices of {devices} enrolments on tokens that it made\n")
        }
    }
    text
}

/// A line for each gateway.
pub(crate) fn enforcement(gateways: &[GatewayEnforcement], indent: &str) -> String {
    let line = |one: &GatewayEnforcement| format!("{indent}gateway      {} {}\n", one.name, in_force(one));
    gateways.iter().map(line).collect()
}

fn in_force(gateway: &GatewayEnforcement) -> String {
    let seen = || match &gateway.last_seen {
        Some(at) => format!("last seen {at}"),
        None => "not seen since the authority started".to_owned(),
    };
    match gateway.state.known() {
        None => format!("{} ({})", gateway.state, seen()),
        Some(EnforcementState::Applied) => match (&gateway.applied_at, gateway.applied_ms) {
            (Some(at), Some(ms)) => format!("applied after {ms} ms, {at}"),
            _ => "applied".to_owned(),
        },
        Some(EnforcementState::Late) => format!("LATE: online, and has not acknowledged it ({})", seen()),
        Some(EnforcementState::Unknown) if gateway.refused => {
            format!("UNKNOWN: its certificate is refused, and it has not said that it stopped ({})", seen())
        }
        Some(EnforcementState::CutOff) => {
            format!("cut off: its certificate is refused, and it serves nobody ({})", seen())
        }
        Some(EnforcementState::Unknown) => format!("UNKNOWN: not heard of ({})", seen()),
        Some(EnforcementState::Offline) => {
            format!("declared offline: it learns of it when it is back ({})", seen())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;
    use touchmark_api::Word;
    use touchmark_identity::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn outcome(states: &[EnforcementState]) -> ContainmentOutcome {
        let gateway = |(number, state): (usize, &EnforcementState)| {
            let applied = *state == EnforcementState::Applied;
            GatewayEnforcement {
                name: format!("gateway-0{number}").parse().unwrap(),
                state: Word::Known(*state),
                refused: *state == EnforcementState::CutOff,
                applied_at: applied.then(|| at("2026-11-30T12:00:00.000Z")),
                applied_ms: applied.then_some(4),
                last_seen: (*state == EnforcementState::Late).then(|| at("2026-11-30T11:59:58.000Z")),
            }
        };
        ContainmentOutcome {
            device: "pump-01".parse().ok(),
            seq: Some(7),
            accepted_at: Some(at("2026-11-30T12:00:00.000Z")),
            dry_run: false,
            certificates: Vec::new(),
            lives_on: Vec::new(),
            let_in: None,
            sessions_closed: 1,
            gateways: states.iter().enumerate().map(gateway).collect(),
            already: false,
            rule: "admin-all".into(),
        }
    }

    #[test]
    fn only_what_is_in_force_everywhere_or_declared_away_ends_with_0() {
        use EnforcementState::*;
        let output = Output::new(Format::Json, true, true);
        let rows: [(&[EnforcementState], Exit); 8] = [
            (&[], Exit::Ok),
            (&[Applied, Applied], Exit::Ok),
            (&[Applied, Offline], Exit::Ok),
            (&[Applied, CutOff], Exit::Ok),
            (&[Applied, Late], Exit::Partial),
            (&[Unknown], Exit::Partial),
            (&[Offline, Unknown, Applied], Exit::Partial),
            (&[Late, Late], Exit::Partial),
        ];
        for (states, expected) in rows {
            assert_eq!(exit(&outcome(states).gateways, &output), expected, "{states:?}");
        }
    }

    #[test]
    fn each_gateway_is_named_with_what_is_known() {
        use EnforcementState::*;
        let text = human("revoked", &outcome(&[Applied, Late, Unknown, Offline, CutOff]));
        for expected in [
            "gateway-00 applied after 4 ms, 2026-11-30T12:00:00.000Z",
            "gateway-01 LATE: online, and has not acknowledged it (last seen 2026-11-30T11:59:58.000Z)",
            "gateway-02 UNKNOWN: not heard of (not seen since the authority started)",
            "gateway-03 declared offline",
            "gateway-04 cut off: its certificate is refused, and it serves nobody",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
