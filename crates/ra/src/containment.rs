//! Three verbs of containment: quarantine (reversible), revoke (replace it), ban (never returns). Revoking is for
//! operators and services, too.
//!
//! What dies is named by whose it is, never by a list that was read before: see `inventory::Dying`. No holder can make
//! such a command fail by getting more certificates meanwhile.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{RevocationReason, Timestamp};
use touchmark_inventory::{Command, DeviceRow, PartyRow, Precondition};
use touchmark_journal::{Draft, Envelope, Event, HolderRevoked, PartyName, Scope, Standing, StandingChanged};

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

fn draft(mandate: &Mandate, scope: &Scope, cause: &str, now: Timestamp, event: Event) -> Draft {
    let envelope =
        Envelope { scope: scope.clone(), actor: mandate.actor().clone(), cause: cause.into(), at: now };
    Draft { envelope, event, private: None }
}

fn all_of_device(device: &DeviceRow, reason: RevocationReason) -> Event {
    Event::HolderRevoked(HolderRevoked {
        device: Some(device.device),
        party: None,
        certificates: Vec::new(),
        reason,
    })
}

/// Kills every certificate and every intent of a device, denies their keys, and voids its earlier tokens and what is
/// expected to become it: a ban aside, a later token lets it come back.
///
/// # Errors
/// [`ContainmentFault::Mandate`].
pub fn revoke(
    mandate: Mandate,
    device: &DeviceRow,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceRevoke {
        return Err(ContainmentFault::Mandate);
    }
    let revoked = draft(&mandate, &device.scope, "api/device/revoke", now, all_of_device(device, reason));
    Ok(Command { preconditions: Vec::new(), entries: vec![revoked] })
}

/// The same for an operator or service; of an operator, the tokens that it made are void, too.
///
/// # Errors
/// [`ContainmentFault::Mandate`].
pub fn revoke_party(
    mandate: Mandate,
    party: &PartyRow,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::PartyRevoke {
        return Err(ContainmentFault::Mandate);
    }
    let event = Event::HolderRevoked(HolderRevoked {
        device: None,
        party: Some(PartyName { kind: party.kind, name: party.name.clone() }),
        certificates: Vec::new(),
        reason,
    });
    let cause = format!("api/{}/revoke", party.kind.as_str());
    Ok(Command {
        preconditions: Vec::new(),
        entries: vec![draft(&mandate, &party.scope, &cause, now, event)],
    })
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
    draft(mandate, &device.scope, cause, now, event)
}

/// Holds a device off until it is released, or until `until`. One that is held off already gets the new end.
///
/// # Errors
/// [`ContainmentFault`] when the device is banned, or in quarantine with the same end.
pub fn quarantine(
    mandate: Mandate,
    device: &DeviceRow,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceQuarantine {
        return Err(ContainmentFault::Mandate);
    }
    match device.standing {
        Standing::Banned => return Err(ContainmentFault::Banned),
        Standing::Quarantined if device.standing_until == until => return Err(already(device)),
        Standing::Quarantined | Standing::Active => {}
    }
    let held = set_standing(&mandate, device, Standing::Quarantined, until, "api/device/quarantine", now);
    Ok(Command { preconditions: vec![Precondition::DeviceNotBanned(device.device)], entries: vec![held] })
}

/// Ends a quarantine.
///
/// # Errors
/// [`ContainmentFault`] when the device is not quarantined.
pub fn release(mandate: Mandate, device: &DeviceRow, now: Timestamp) -> Result<Command, ContainmentFault> {
    let held = Precondition::DeviceStanding { device: device.device, standing: Standing::Quarantined };
    end_quarantine(mandate, device, held, now)
}

/// Ends a quarantine whose time is over, unless another end was set for it meanwhile.
///
/// # Errors
/// [`ContainmentFault`] when the device is not quarantined.
pub fn release_due(
    mandate: Mandate,
    device: &DeviceRow,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    let due = Precondition::QuarantinedUntil { device: device.device, until: device.standing_until };
    end_quarantine(mandate, device, due, now)
}

fn end_quarantine(
    mandate: Mandate,
    device: &DeviceRow,
    still: Precondition,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    if mandate.act() != Act::DeviceQuarantine {
        return Err(ContainmentFault::Mandate);
    }
    if device.standing != Standing::Quarantined {
        return Err(already(device));
    }
    let released = set_standing(&mandate, device, Standing::Active, None, "api/device/release", now);
    Ok(Command { preconditions: vec![still], entries: vec![released] })
}

/// Ends a device for ever: certificates dead, no token lets it back in. The standing comes first: what is issued or
/// confirmed from then on fails by it.
///
/// # Errors
/// [`ContainmentFault`] when it is banned already.
pub fn ban(
    mandate: Mandate,
    device: &DeviceRow,
    reason: RevocationReason,
    now: Timestamp,
) -> Result<Command, ContainmentFault> {
    const CAUSE: &str = "api/device/ban";
    if mandate.act() != Act::DeviceBan {
        return Err(ContainmentFault::Mandate);
    }
    if device.standing == Standing::Banned {
        return Err(already(device));
    }
    let banned = set_standing(&mandate, device, Standing::Banned, None, CAUSE, now);
    let revoked = draft(&mandate, &device.scope, CAUSE, now, all_of_device(device, reason));
    Ok(Command {
        preconditions: vec![Precondition::DeviceNotBanned(device.device)],
        entries: vec![banned, revoked],
    })
}

fn already(device: &DeviceRow) -> ContainmentFault {
    match device.standing {
        Standing::Banned => ContainmentFault::Banned,
        standing @ (Standing::Active | Standing::Quarantined) => ContainmentFault::Already(standing),
    }
}
