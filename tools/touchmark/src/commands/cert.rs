//! `touchmark cert`: one certificate, and one of the four questions about it.

use crate::commands::contain;
use crate::failure::{Exit, Failure, printable};
use crate::home::Home;
use crate::management::{Management, segment};
use crate::output::{Listed, Output};
use crate::span;
use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use touchmark_api::{Certificate, Containment, NO_DATA, OnExpiry, Revoker, Sighting, or_no_data};
use touchmark_identity::RevocationReason;

#[derive(Debug, Subcommand)]
pub(crate) enum Cert {
    /// The certificate itself
    Get {
        /// crt_..., SHA-256 fingerprint or serial number
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Kill this one certificate, whoever holds it: a device's, a gateway's, an operator's
    Revoke {
        /// crt_... or SHA-256 fingerprint
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
        /// unspecified, key-compromise, ca-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn
        #[arg(long, default_value = "unspecified")]
        reason: RevocationReason,
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Where it is used
    Where {
        /// Any identifier
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// Who can revoke it: exactly those whose dry run would succeed
    WhoCanRevoke {
        /// Any identifier
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
    /// What happens when it expires
    OnExpiry {
        /// Any identifier
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        id: String,
    },
}

impl Listed for Sighting {
    const HEADERS: &'static [&'static str] =
        &["gateway", "action", "resource", "first", "last", "allowed", "denied"];
    fn row(&self) -> Vec<String> {
        vec![
            self.gateway.to_string(),
            self.action.to_string(),
            self.place(),
            self.first.to_string(),
            self.last.to_string(),
            self.allowed.to_string(),
            self.denied.to_string(),
        ]
    }
    fn name(&self) -> String {
        format!("{}/{}", self.gateway, self.resource)
    }
}

impl Listed for Revoker {
    const HEADERS: &'static [&'static str] = &["name", "kind", "by rule"];
    fn row(&self) -> Vec<String> {
        vec![self.name.to_string(), self.kind.to_string(), self.rule.clone()]
    }
    fn name(&self) -> String {
        self.name.to_string()
    }
}

pub(crate) async fn run(command: Cert, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let mut management = Management::open(home)?;
    match command {
        Cert::Get { id } => {
            let path = format!("/v1/certificates/{}", segment(&id));
            let one = management.get(&path, &()).await;
            let one: Certificate =
                one.map_err(|failure: Failure| failure.what(format!("certificate {id}")))?;
            output.one(&one, &one.id.to_string(), human)?;
        }
        Cert::Revoke { id, reason, dry_run } => {
            let order = Containment { reason: Some(reason), dry_run, ..Containment::default() };
            let outcome = management.revoke_certificate(&id, &order).await?;
            return contain::told("revoked", &or_no_data(outcome.device.as_ref()), &outcome, output);
        }
        Cert::Where { id } => match management.explain(&id, None).await?.where_used {
            Some(sightings) => output.list(&sightings)?,
            None => unknown(output)?,
        },
        Cert::WhoCanRevoke { id } => match management.explain(&id, None).await?.who_can_revoke {
            Some(revokers) => output.list(&revokers)?,
            None => unknown(output)?,
        },
        Cert::OnExpiry { id } => match management.explain(&id, None).await?.on_expiry {
            Some(expiry) => output.one(&expiry, &expiry.not_after.to_string(), on_expiry)?,
            None => unknown(output)?,
        },
    }
    Ok(Exit::Ok)
}

/// `null`, or `no data`.
fn unknown(output: &Output) -> Result<(), Failure> {
    output.one(&(), NO_DATA, |()| NO_DATA.to_owned())
}

/// Why it was revoked.
pub(crate) fn reason(one: &Certificate) -> String {
    one.revocation_reason.as_ref().map_or_else(|| "unspecified".to_owned(), ToString::to_string)
}

pub(crate) fn human(one: &Certificate) -> String {
    let mut text = format!(
        "certificate  {}\nidentity     {}\nstate        {}\nissuer       {}\nserial       {}\nfingerprint  {}\nkey          {}\nvalid        {} to {}\nprofile      {}, generation {}\n",
        one.id,
        or_no_data(one.identity.as_ref()),
        one.state,
        or_no_data(one.issuer.as_ref()),
        one.serial,
        or_no_data(one.fingerprint.as_ref()),
        or_no_data(one.spki.as_ref()),
        one.not_before,
        one.not_after,
        or_no_data(one.profile.as_ref()),
        one.generation
    );
    if let Some(at) = &one.revoked_at {
        text += &format!("revoked      {at}, {}\n", reason(one));
    }
    if let Some(pem) = &one.pem {
        text += pem;
    }
    text
}

pub(crate) fn on_expiry(expiry: &OnExpiry) -> String {
    let when = match u64::try_from(expiry.in_s) {
        Ok(seconds) => format!("in {}", span::words(seconds)),
        Err(_) => format!("{} ago", span::words(expiry.in_s.unsigned_abs())),
    };
    format!(
        "{} ({when}; the chain ends {})\neffect: {}; lost: {}\nway back: {}",
        expiry.not_after,
        expiry.chain_not_after,
        expiry.effect,
        if expiry.actions_lost.is_empty() {
            "nothing".to_owned()
        } else {
            printable(&expiry.actions_lost.join(", "))
        },
        expiry.way_back
    )
}
