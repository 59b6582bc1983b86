//! `touchmark device rotate`: a new key and certificate for a device that goes on working meanwhile.
//!
//! The device's own certificate is all that is needed. Where an operator's lies here too, it is told until when
//! the old certificate still serves, and `--revoke-old` ends that at once.

use crate::client::{Client, Rotated};
use crate::commands::contain;
use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, no_credential};
use crate::output::{Output, Tone};
use crate::span;
use clap::Args;
use core::time::Duration;
use serde::Serialize;
use std::path::PathBuf;
use touchmark_api::{Containment, ContainmentOutcome, IdentityKind, or_no_data};
use touchmark_identity::{EnvironmentName, Name, RevocationReason, Timestamp};
use touchmark_listen::Clock;
use touchmark_x509::Certificate;

/// A device that runs beside this command looks for new files ten times a second, and must not lose its old session
/// before it has its new one.
const HANDED_OVER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// Revoke the old certificate afterwards (reason superseded) instead of letting it serve until its overlap ends
    #[arg(long)]
    revoke_old: bool,
}

/// One of the two certificates.
#[derive(Debug, Serialize)]
struct Side {
    fingerprint: String,
    serial: String,
    not_before: String,
    not_after: String,
}

#[derive(Debug, Serialize)]
struct Told {
    device: String,
    environment: String,
    identity: Option<String>,
    old: Side,
    new: Side,
    /// RFC 3339, `revoked`, or `null` where no operator can be asked.
    old_serves_until: Option<String>,
    /// Whether this run went on with an attempt that was cut off.
    resumed: bool,
    /// When the authority wants to see the device next.
    renewal_window: Option<String>,
    key: PathBuf,
    chain: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<ContainmentOutcome>,
}

pub(crate) async fn run(order: Rotate, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let directory = CredentialDir::new(home.device(&order.env, &order.name));
    if !directory.is_there(&order.name)? {
        return Err(no_credential(home, &order.env, &order.name).await);
    }
    let client = Client {
        est: home::address(home.ready()?.est, "EST server")?,
        environment: order.env.clone(),
        name: order.name.clone(),
    };
    // Before anything happens: with an order that cannot be carried out, nothing is.
    let operator = if order.revoke_old { Some(Management::open(home)?) } else { Management::open(home).ok() };
    let notes = *output;
    let tell = move |text: String| notes.note(&format!("{} {text}", notes.paint(Tone::Dim, "·")));
    let rotated = client.renew(&directory, tell).await?;
    let (until, revoked) = afterwards(&order, operator, &rotated).await?;
    let told = told(&order, &directory, &rotated, until, revoked);
    output.one(&told, order.name.as_str(), |told| human(told, output))?;
    Ok(told.revoked.as_ref().map_or(Exit::Ok, |outcome| contain::exit(&outcome.gateways, output)))
}

/// Until when the old certificate serves, and its revocation if that was wanted.
async fn afterwards(
    order: &Rotate,
    operator: Option<Management>,
    rotated: &Rotated,
) -> Result<(Option<String>, Option<ContainmentOutcome>), Failure> {
    let Some(mut operator) = operator else { return Ok((None, None)) };
    if order.revoke_old {
        tokio::time::sleep(HANDED_OVER).await;
        let old = rotated.old.fingerprint().to_string();
        let containment =
            Containment { reason: Some(RevocationReason::Superseded), ..Containment::default() };
        let outcome = operator.revoke_certificate(&old, &containment).await.map_err(|failure| {
            failure
                .fix(format!("the rotation itself is done; touchmark cert revoke {old} --reason superseded"))
        })?;
        return Ok((Some("revoked".to_owned()), Some(outcome)));
    }
    // Its own fault is no fault of the device's: the answer then is `no data`.
    let overlap = operator.environment(&order.env).await.ok().and_then(|environment| {
        let profile =
            environment.profiles.into_iter().find(|profile| profile.kind == IdentityKind::Operational)?;
        Some(Duration::from_secs(profile.overlap_s))
    });
    let ends = rotated.old.validity().not_after();
    let until = overlap.map(|overlap| Clock::system().now().plus(overlap).min(ends));
    Ok((until.map(|until| until.to_string()), None))
}

fn side(certificate: &Certificate) -> Side {
    let validity = certificate.validity();
    Side {
        fingerprint: certificate.fingerprint().to_string(),
        serial: certificate.serial().to_string(),
        not_before: validity.not_before().to_string(),
        not_after: validity.not_after().to_string(),
    }
}

fn told(
    order: &Rotate,
    directory: &CredentialDir,
    rotated: &Rotated,
    old_serves_until: Option<String>,
    revoked: Option<ContainmentOutcome>,
) -> Told {
    Told {
        device: order.name.to_string(),
        environment: order.env.to_string(),
        identity: rotated.new.spiffe_id().ok().map(|id| id.to_string()),
        old: side(&rotated.old),
        new: side(&rotated.new),
        old_serves_until,
        resumed: rotated.resumed,
        renewal_window: rotated.window.map(|window| window.to_string()),
        key: directory.key(),
        chain: directory.chain(),
        revoked,
    }
}

fn human(told: &Told, output: &Output) -> String {
    let lasts = |side: &Side| {
        let second = |text: &str| Timestamp::parse(text).map_or(0, Timestamp::unix_s);
        span::words(second(&side.not_after).saturating_sub(second(&side.not_before)))
    };
    let old = match told.old_serves_until.as_deref() {
        Some("revoked") => "revoked, on the next CRL".to_owned(),
        None => "serves until its overlap ends (no operator here who could say when)".to_owned(),
        Some(until) if until == told.old.not_after => {
            format!("serves until its end, {until}: that comes before its overlap is over")
        }
        Some(until) => format!("serves until {until}, then it is refused as superseded"),
    };
    let mut text = format!(
        "{} {} has a new key and certificate in {}.\n  old          {}\n               {old}\n  new          {}\n  valid        until {} ({})\n  next         {}\n  key          {} (made here, 0600)\n",
        output.paint(Tone::Good, "✓"),
        told.device,
        told.environment,
        told.old.fingerprint,
        told.new.fingerprint,
        told.new.not_after,
        lasts(&told.new),
        or_no_data(told.renewal_window.as_ref()),
        told.key.display(),
    );
    if let Some(outcome) = &told.revoked {
        text += &contain::human("revoked", outcome);
    }
    text
}
