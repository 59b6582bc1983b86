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

fn envelope(scope: &Scope, mandate: &Mandate, cause: &str, now: Timestamp) -> Envelope {
    Envelope { scope: scope.clone(), actor: mandate.actor().clone(), cause: cause.into(), at: now }
}

/// Kills every certificate that is not dead yet, denies their keys and voids the device's earlier tokens.
///
/// Intents in flight are killed too: their certificate is then never handed out. `certificates` are all rows
/// of the device; the commit is refused if there are more by then.
///
/// # Errors
/// [`ContainmentFault::NothingLive`] when there is nothing to kill.
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
    let event = revocation(device, certificates, reason).ok_or(ContainmentFault::NothingLive)?;
    let envelope = envelope(&device.scope, &mandate, "api/device/revoke", now);
    let preconditions = vec![all_of_them(device, certificates)];
    Ok(Command { preconditions, entries: vec![Draft { envelope, event, private: None }] })
}

/// A certificate that came between reading and committing would survive: the caller reads again.
fn all_of_them(device: &DeviceRow, certificates: &[CertificateRow]) -> Precondition {
    Precondition::DeviceCertificates { device: device.device, count: certificates.len() as u64 }
}

fn revocation(
    device: &DeviceRow,
    certificates: &[CertificateRow],
    reason: RevocationReason,
) -> Option<Event> {
    let live: Vec<RevokedCertificate> = certificates
        .iter()
        .filter(|row| row.state.is_live() || row.state == CertificateState::Intended)
        .filter_map(|row| row.spki.map(|spki| RevokedCertificate { certificate: row.certificate, spki }))
        .collect();
    if live.is_empty() {
        return None;
    }
    Some(Event::CertificatesRevoked(CertificatesRevoked {
        device: Some(device.device),
        certificates: live,
        reason,
    }))
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
    entries.extend(revocation(device, certificates, reason).map(|event| Draft {
        envelope: envelope(&device.scope, &mandate, "api/device/ban", now),
        event,
        private: None,
    }));
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
