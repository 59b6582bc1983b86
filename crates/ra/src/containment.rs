//! Three verbs of containment: quarantine (reversible), revoke (replace it), ban (never returns). Revoking is for
//! operators and services, too.
//!
//! What dies is named by whose it is, never by a list that was read before: see `inventory::Dying`. No holder can make
//! such a command fail by getting more certificates meanwhile.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{DeviceId, EnvironmentName, Permission, RevocationReason, Timestamp};
use touchmark_inventory::{Command, DeviceRow, PartyRow, Precondition};
use touchmark_journal::{
    Draft, Event, HolderRevoked, IdentityKind, PartyName, Reach, Standing, StandingChanged,
};

/// Why a containment cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainmentFault {
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

/// What to do to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Kill every certificate and every intent, deny their keys, and void earlier tokens and what is expected to become
    /// it: a ban aside, a later token lets it come back.
    Revoke(RevocationReason),
    /// Hold it off until it is released, or until this moment. One that is held off already gets the new end.
    Quarantine(Option<Timestamp>),
    /// End a quarantine.
    Release,
    /// End a quarantine whose time is over, unless another end was set for it meanwhile.
    EndQuarantine,
    /// End it for ever: certificates dead, no token lets it back in.
    Ban(RevocationReason),
}

/// Contain a device, or end that.
#[derive(Clone, Debug)]
pub struct Contain {
    pub device: DeviceRow,
    pub verb: Verb,
}

impl Verb {
    /// The permission that it takes.
    pub fn permission(self) -> Permission {
        match self {
            Self::Revoke(_) => Permission::DeviceRevoke,
            Self::Quarantine(_) => Permission::DeviceQuarantine,
            Self::Release | Self::EndQuarantine => Permission::DeviceRelease,
            Self::Ban(_) => Permission::DeviceBan,
        }
    }

    /// The cause in the journal.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Revoke(_) => "api/device/revoke",
            Self::Quarantine(_) => "api/device/quarantine",
            Self::Release | Self::EndQuarantine => "api/device/release",
            Self::Ban(_) => "api/device/ban",
        }
    }
}

impl Act for Contain {
    fn permission(&self) -> Permission {
        self.verb.permission()
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.device.scope.environment.as_ref()
    }

    fn cause(&self) -> &'static str {
        self.verb.cause()
    }

    fn device(&self) -> Option<DeviceId> {
        Some(self.device.device)
    }
}

/// Kill all that an operator or service has: certificates, successors, keys, tokens; of an operator, the tokens that it
/// made are void, too.
#[derive(Clone, Debug)]
pub struct RevokeParty {
    pub party: PartyRow,
    pub reason: RevocationReason,
}

/// The permission that revoking a credential of this kind takes.
pub fn revocation_of(kind: IdentityKind) -> Permission {
    match kind {
        IdentityKind::Operational => Permission::DeviceRevoke,
        IdentityKind::Service => Permission::ServiceRevoke,
        IdentityKind::Operator => Permission::OperatorRevoke,
    }
}

/// What an operator must reach to act on this one: an operator of the organisation is the organisation's.
pub fn reach_of(party: &PartyRow) -> Reach {
    match party.kind {
        IdentityKind::Operator => party.reach,
        IdentityKind::Service | IdentityKind::Operational => Reach::Environment,
    }
}

impl Act for RevokeParty {
    fn permission(&self) -> Permission {
        revocation_of(self.party.kind)
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.party.scope.environment.as_ref()
    }

    fn reach(&self) -> Reach {
        reach_of(&self.party)
    }

    fn cause(&self) -> &'static str {
        match self.party.kind {
            IdentityKind::Operator => "api/operator/revoke",
            IdentityKind::Service | IdentityKind::Operational => "api/service/revoke",
        }
    }
}

/// The command that kills all that an operator or service has.
pub fn revoke_party(mandate: Mandate<RevokeParty>, now: Timestamp) -> Command {
    let RevokeParty { party, reason } = mandate.act();
    let event = Event::HolderRevoked(HolderRevoked {
        device: None,
        party: Some(PartyName { kind: party.kind, name: party.name.clone() }),
        certificates: Vec::new(),
        reason: *reason,
    });
    Command { preconditions: Vec::new(), entries: vec![mandate.draft(&party.scope, now, event, None)] }
}

/// The command that contains a device, or ends that.
///
/// # Errors
/// [`ContainmentFault`] when the device is banned, or when it is so already.
pub fn contain(mandate: Mandate<Contain>, now: Timestamp) -> Result<Command, ContainmentFault> {
    let Contain { device, verb } = mandate.act();
    let draft = |event| mandate.draft(&device.scope, now, event, None);
    let standing = |standing, until| {
        draft(Event::StandingChanged(StandingChanged { device: device.device, standing, until }))
    };
    let dead = |reason| {
        draft(Event::HolderRevoked(HolderRevoked {
            device: Some(device.device),
            party: None,
            certificates: Vec::new(),
            reason,
        }))
    };
    let not_banned = Precondition::DeviceNotBanned(device.device);
    let (still, entries): (_, Vec<Draft>) = match *verb {
        Verb::Revoke(reason) => (None, vec![dead(reason)]),
        Verb::Quarantine(until) => match device.standing {
            Standing::Banned => return Err(ContainmentFault::Banned),
            Standing::Quarantined if device.standing_until == until => return Err(already(device)),
            Standing::Quarantined | Standing::Active => {
                (Some(not_banned), vec![standing(Standing::Quarantined, until)])
            }
        },
        Verb::Release | Verb::EndQuarantine if device.standing != Standing::Quarantined => {
            return Err(already(device));
        }
        Verb::Release => {
            let held =
                Precondition::DeviceStanding { device: device.device, standing: Standing::Quarantined };
            (Some(held), vec![standing(Standing::Active, None)])
        }
        Verb::EndQuarantine => {
            let due = Precondition::QuarantinedUntil { device: device.device, until: device.standing_until };
            (Some(due), vec![standing(Standing::Active, None)])
        }
        Verb::Ban(_) if device.standing == Standing::Banned => return Err(already(device)),
        // The standing comes first: what is issued or confirmed from then on fails by it.
        Verb::Ban(reason) => (Some(not_banned), vec![standing(Standing::Banned, None), dead(reason)]),
    };
    Ok(Command { preconditions: still.into_iter().collect(), entries })
}

fn already(device: &DeviceRow) -> ContainmentFault {
    match device.standing {
        Standing::Banned => ContainmentFault::Banned,
        standing @ (Standing::Active | Standing::Quarantined) => ContainmentFault::Already(standing),
    }
}
