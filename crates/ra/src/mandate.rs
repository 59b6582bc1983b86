//! A mandate: the proof that the operator policy let this actor do this act.

use touchmark_identity::Actor;

/// What an operator may be allowed to do; the words are those of the operator policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Make a token, or register hardware, and so let a device, service or operator in.
    DeviceEnrol,
    /// Kill a device's certificates.
    DeviceRevoke,
    /// Kill one certificate, whoever holds it.
    CertificateRevoke,
    /// Kill all that an operator or service has.
    PartyRevoke,
    /// Quarantine a device, or release it.
    DeviceQuarantine,
    /// Ban a device for ever.
    DeviceBan,
    /// Put a device policy in force.
    PolicyActivate,
    /// Create an environment.
    EnvironmentCreate,
    /// Say that a gateway runs, or does not.
    GatewayDeclare,
    /// Let a maker's initial certificates open enrolment, or end that.
    MakerRegister,
}

/// Made from one permitted decision, spent on one command.
#[derive(Debug)]
pub struct Mandate {
    actor: Actor,
    act: Act,
}

impl Mandate {
    /// Declares that the operator policy permitted `act` to `actor`. Called only with that permit at hand.
    pub fn assert_permitted(actor: Actor, act: Act) -> Self {
        Self { actor, act }
    }

    /// Who.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What.
    pub fn act(&self) -> Act {
        self.act
    }
}
