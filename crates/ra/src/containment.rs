//! Three verbs of containment: quarantine (reversible), revoke (replace it), ban (never returns).

use crate::mandate::{Act, Mandate};
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, Command, DeviceRow, Precondition};
use touchmark_journal::{
    CertificatesRevoked, Draft, Envelope, Event, RevokedCertificate, Scope, Standing, StandingChanged,
};

/// Why a containment cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainmentFault {
    /// The mandate is for something else.
    #[error("the operator was permitted another act")]
    Mandate,
    /// A ban is final.
    #[error("the device is banned, which is final")]
    Banned,
    /// It is so already.
    #[error("nothing to do: the device is {} already", .0.as_str())]
    Already(Standing),
    /// Every certificate is dead already.
    #[error("nothing to revoke: no certificate of it is live")]
    NothingLive,
}

/// Certificates in one event: 52 octets each, in a leaf of 65,535 at most.
const REVOKED_IN_ONE_EVENT: usize = 1_000;

fn envelope(scope: &Scope, mandate: &Mandate, cause: &str, now: Timestamp) -> Envelope {
    Envelope { scope: scope.clone(), actor: mandate.actor().clone(), cause: cause.into(), at: now }
}

/// Kills every certificate that is neither dead nor expired, denies their keys and voids the device's earlier
/// tokens, which is all that is left to do when no certificate of it is live.
///
/// Intents in flight are killed too: their certificate is then never handed out. `certificates` are all rows
/// of the device; the commit is refused if there are more by then.
///
/// # Errors
/// [`ContainmentFault::Mandate`].
pub fn revoke(
    mandate: Mandate,
    device: &DeviceRow,
    certificates: &[CertificateRow],
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceRevoke {
        return Err(ContainmentFault::Mandate);
    }
    let envelope = envelope(&device.scope, &mandate, "api/device/revoke", now);
    let entries = revocation(&envelope, device, certificates, reason);
    Ok(Command { preconditions: vec![all_of_them(device, certificates)], entries })
}

/// A certificate that came between reading and committing would survive: the caller reads again.
fn all_of_them(device: &DeviceRow, certificates: &[CertificateRow]) -> Precondition {
    Precondition::DeviceCertificates { device: device.device, count: certificates.len() as u64 }
}

/// As many events as the leaf's limit demands; one that names no certificate still voids the tokens.
fn revocation(
    envelope: &Envelope,
    device: &DeviceRow,
    certificates: &[CertificateRow],
    reason: RevocationReason,
) -> Vec<Draft> {
    use CertificateState::{Burned, Confirmed, Intended, Issued, Revoked, Superseded};
    let now = envelope.at;
    let opens_something = |row: &&CertificateRow| match row.state {
        // Past its end, too: within the grace it would renew itself back to life.
        Intended | Issued | Confirmed => true,
        // The whole of the last second counts, as in `Validity::contains`.
        Superseded => now.unix_s() <= row.validity.not_after().unix_s(),
        Revoked | Burned => false,
    };
    let live: Vec<RevokedCertificate> = certificates
        .iter()
        .filter(opens_something)
        .filter_map(|row| row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki }))
        .collect();
    let draft = |certificates: &[RevokedCertificate]| Draft {
        envelope: envelope.clone(),
        event: Event::CertificatesRevoked(CertificatesRevoked {
            device: Some(device.device),
            certificates: certificates.to_vec(),
            reason,
        }),
        private: None,
    };
    if live.is_empty() {
        return vec![draft(&[])];
    }
    live.chunks(REVOKED_IN_ONE_EVENT).map(draft).collect()
}

fn set_standing(
    mandate: &Mandate,
    device: &DeviceRow,
    standing: Standing,
    until: Option<Timestamp>,
    cause: &str,
    now: Timestamp,
) -> Draft {
    let event = Event::StandingChanged(StandingChanged { device: device.device, standing, until });
    Draft { envelope: envelope(&device.scope, mandate, cause, now), event, private: None }
}

/// Holds a device off until it is released, or until `until`.
///
/// # Errors
/// [`ContainmentFault`] when the device is banned or quarantined already.
pub fn quarantine(
    mandate: Mandate,
    device: &DeviceRow,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceQuarantine {
        return Err(ContainmentFault::Mandate);
    }
    if device.standing != Standing::Active {
        return Err(already(device));
    }
    let draft = set_standing(&mandate, device, Standing::Quarantined, until, "api/device/quarantine", now);
    Ok(Command { preconditions: vec![unchanged(device)], entries: vec![draft] })
}

/// Ends a quarantine.
///
/// # Errors
/// [`ContainmentFault`] when the device is not quarantined.
pub fn release(mandate: Mandate, device: &DeviceRow, now: Timestamp) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceQuarantine {
        return Err(ContainmentFault::Mandate);
    }
    if device.standing != Standing::Quarantined {
        return Err(already(device));
    }
    let draft = set_standing(&mandate, device, Standing::Active, None, "api/device/release", now);
    Ok(Command { preconditions: vec![unchanged(device)], entries: vec![draft] })
}

/// Ends a device for ever: certificates dead, no token lets it back in.
///
/// # Errors
/// [`ContainmentFault`] when it is banned already.
pub fn ban(
    mandate: Mandate,
    device: &DeviceRow,
    certificates: &[CertificateRow],
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceBan {
        return Err(ContainmentFault::Mandate);
    }
    if device.standing == Standing::Banned {
        return Err(already(device));
    }
    let mut entries = vec![set_standing(&mandate, device, Standing::Banned, None, "api/device/ban", now)];
    let envelope = envelope(&device.scope, &mandate, "api/device/ban", now);
    entries.extend(revocation(&envelope, device, certificates, reason));
    Ok(Command { preconditions: vec![unchanged(device), all_of_them(device, certificates)], entries })
}

fn unchanged(device: &DeviceRow) -> Precondition {
    Precondition::DeviceStanding { device: device.device, standing: device.standing }
}

fn already(device: &DeviceRow) -> ContainmentFault {
    match device.standing {
        Standing::Banned => ContainmentFault::Banned,
        standing @ (Standing::Active | Standing::Quarantined) => ContainmentFault::Already(standing),
    }
}
