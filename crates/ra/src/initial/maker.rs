//! Makers and the hardware that is expected from them, as an operator registers them.
//!
//! In: a [`Mandate`] and rows. Out: commands for the store. A command without entries says that it is so already.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{DeviceId, EnvironmentName, MakerId, Name, Permission, Timestamp};
use touchmark_inventory::{Command, DeviceRow, HardwareRow, MakerRow, Precondition};
use touchmark_journal::{
    DevicePrivate, DeviceRegistered, Event, HardwarePrivate, HardwareRegistered, MakerRegistered,
    MakerWithdrawn, Private, Salt, Scope, Standing,
};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::{PathFault, Purpose, may_anchor};
use touchmark_x509::{Certificate, PublicKey};

/// Makers in force in one environment: each is an anchor in every gateway's feed, which holds 64 with our own.
pub const MAKERS_IN_FORCE_MAX: usize = 32;

/// Why a maker, or a piece of hardware, is not registered as asked: the operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakerFault {
    /// No path could end at it.
    #[error("the certificate cannot be a maker's anchor: {0}")]
    Anchor(#[from] PathFault),
    /// It is one of ours: our own devices would pass as hardware of a maker.
    #[error("the certificate holds a key of this authority")]
    OwnAuthority,
    /// The name is another maker's.
    #[error("a maker in force has the name `{0}` and another certificate")]
    Exists(Name),
    /// The key is another maker's.
    #[error("the maker `{0}` in force has the same key")]
    Known(Name),
    /// As many as there may be.
    #[error("an environment has at most {MAKERS_IN_FORCE_MAX} makers in force")]
    TooMany,
    /// No maker in force has this name.
    #[error("no maker in force has the name `{0}`")]
    Unknown(Name),
    /// A ban is final.
    #[error("the device is banned, which is final")]
    Banned,
    /// A device keeps what it was registered with.
    #[error("the device is registered with another model")]
    Model,
    /// The hardware is to become another device.
    #[error("this hardware is registered for another device")]
    HardwareTaken,
    /// The device is expected from another piece of hardware.
    #[error("the device is registered with other hardware")]
    DeviceTaken,
}

impl MakerFault {
    /// The stable code in answers and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Anchor(_) => "maker-certificate",
            Self::OwnAuthority => "maker-own-authority",
            Self::Exists(_) => "maker-exists",
            Self::Known(_) => "maker-known",
            Self::TooMany => "maker-too-many",
            Self::Unknown(_) => "maker-unknown",
            Self::Banned => "device-banned",
            Self::Model => "device-model",
            Self::HardwareTaken => "hardware-taken",
            Self::DeviceTaken => "device-has-hardware",
        }
    }

    /// What the operator does next.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Anchor(_) => {
                "give the certificate of the authority that issues the maker's device certificates"
            }
            Self::OwnAuthority => "give the maker's certificate, not one of this authority",
            Self::Exists(_) => {
                "choose another name, or withdraw that maker first: touchmark maker withdraw NAME"
            }
            Self::Known(_) => "use that maker, or withdraw it first: touchmark maker withdraw NAME",
            Self::TooMany => "withdraw one that is not needed any more: touchmark maker withdraw NAME",
            Self::Unknown(_) => "touchmark maker list",
            Self::Banned => "register the hardware under a new name, if it may come back at all",
            Self::Model => "leave --model out, or register the hardware under another name",
            Self::HardwareTaken => "register it for that device, or check the identifier",
            Self::DeviceTaken => "revoke the device first: then it can come back on other hardware",
        }
    }
}

/// Let a maker's initial certificates open enrolment.
#[derive(Clone, Debug)]
pub struct RegisterMaker {
    pub environment: EnvironmentName,
    /// For people.
    pub name: Name,
}

/// End a maker. Devices that enrolled keep their identity; what is registered stays, and opens nothing.
#[derive(Clone, Debug)]
pub struct WithdrawMaker(pub RegisterMaker);

/// Expect a piece of hardware.
#[derive(Clone, Debug)]
pub struct RegisterHardware {
    pub environment: EnvironmentName,
    /// Who made it.
    pub maker: Name,
    /// Its identifier.
    pub hardware_id: HardwareId,
    /// The device that it is to become.
    pub name: Name,
    /// The model of that device.
    pub model: Option<Name>,
}

impl Act for RegisterMaker {
    fn permission(&self) -> Permission {
        Permission::MakerRegister
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        Some(&self.environment)
    }

    fn cause(&self) -> &'static str {
        "api/makers"
    }
}

impl Act for WithdrawMaker {
    fn permission(&self) -> Permission {
        self.0.permission()
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.0.environment()
    }

    fn cause(&self) -> &'static str {
        self.0.cause()
    }
}

impl Act for RegisterHardware {
    fn permission(&self) -> Permission {
        Permission::DeviceEnrol
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        Some(&self.environment)
    }

    fn cause(&self) -> &'static str {
        "api/devices/register"
    }
}

/// What is known beside a maker that is to be registered.
#[derive(Debug)]
pub struct MakerFacts<'a> {
    pub scope: &'a Scope,
    /// All makers of the environment.
    pub makers: &'a [MakerRow],
    /// The keys of all our authorities.
    pub own_keys: &'a [PublicKey],
}

fn in_force(makers: &[MakerRow]) -> impl Iterator<Item = &MakerRow> {
    makers.iter().filter(|row| row.withdrawn_at.is_none())
}

fn key_of(row: &MakerRow) -> Option<PublicKey> {
    Certificate::from_der(&row.certificate).ok().map(|certificate| certificate.public_key().clone())
}

/// The command that puts a maker in force; without entries when this very one is in force already.
///
/// # Errors
/// [`MakerFault`].
pub fn register_maker(
    mandate: Mandate<RegisterMaker>,
    certificate: &Certificate,
    facts: &MakerFacts<'_>,
    now: Timestamp,
    random: [u8; 10],
) -> Result<(MakerId, Command), MakerFault> {
    let RegisterMaker { environment, name } = mandate.act();
    may_anchor(certificate, now, Purpose::Initial)?;
    if facts.own_keys.contains(certificate.public_key()) {
        return Err(MakerFault::OwnAuthority);
    }
    if let Some(same) = in_force(facts.makers).find(|row| row.name == *name) {
        return if same.certificate == certificate.der() {
            Ok((same.maker, Command { preconditions: Vec::new(), entries: Vec::new() }))
        } else {
            Err(MakerFault::Exists(name.clone()))
        };
    }
    // Of two makers with one key nobody could say whose hardware it is.
    let twin = in_force(facts.makers).find(|row| key_of(row).as_ref() == Some(certificate.public_key()));
    if let Some(twin) = twin {
        return Err(MakerFault::Known(twin.name.clone()));
    }
    if in_force(facts.makers).count() >= MAKERS_IN_FORCE_MAX {
        return Err(MakerFault::TooMany);
    }
    let maker = MakerId::draw(now, random);
    let event = Event::MakerRegistered(MakerRegistered {
        maker,
        name: name.clone(),
        certificate: certificate.der().to_vec(),
    });
    let free = Precondition::MakerFree { environment: environment.clone(), name: name.clone() };
    let entries = vec![mandate.draft(facts.scope, now, event, None)];
    Ok((maker, Command { preconditions: vec![free], entries }))
}

/// The command that ends a maker.
///
/// # Errors
/// [`MakerFault`].
pub fn withdraw_maker(
    mandate: Mandate<WithdrawMaker>,
    scope: &Scope,
    makers: &[MakerRow],
    now: Timestamp,
) -> Result<(MakerId, Command), MakerFault> {
    let name = &mandate.act().0.name;
    let row =
        in_force(makers).find(|row| row.name == *name).ok_or_else(|| MakerFault::Unknown(name.clone()))?;
    let event = Event::MakerWithdrawn(MakerWithdrawn { maker: row.maker });
    let entries = vec![mandate.draft(scope, now, event, None)];
    Ok((row.maker, Command { preconditions: Vec::new(), entries }))
}

/// What is known beside a piece of hardware that is to be expected.
#[derive(Debug)]
pub struct HardwareFacts<'a> {
    pub scope: &'a Scope,
    /// Who made it: in force.
    pub maker: &'a MakerRow,
    /// The device, if there is one already.
    pub device: Option<&'a DeviceRow>,
    /// What that device is expected from.
    pub of_device: &'a [HardwareRow],
    /// What is registered for this hardware.
    pub registered: Option<&'a HardwareRow>,
}

/// The command that registers a piece of hardware, and the device if it is new; without entries when it is so already.
///
/// # Errors
/// [`MakerFault`].
pub fn register_hardware(
    mandate: Mandate<RegisterHardware>,
    facts: &HardwareFacts<'_>,
    now: Timestamp,
    random: [u8; 42],
) -> Result<(DeviceId, Command), MakerFault> {
    let RegisterHardware { environment, hardware_id, name, model, .. } = mandate.act();
    if facts.maker.withdrawn_at.is_some() {
        return Err(MakerFault::Unknown(facts.maker.name.clone()));
    }
    let (mut id, mut device_salt, mut hardware_salt) = ([0; 10], [0; 16], [0; 16]);
    id.copy_from_slice(&random[..10]);
    device_salt.copy_from_slice(&random[10..26]);
    hardware_salt.copy_from_slice(&random[26..]);
    let device = facts.device.map_or_else(|| DeviceId::draw(now, id), |row| row.device);
    if facts.registered.is_some_and(|row| row.device != device) {
        return Err(MakerFault::HardwareTaken);
    }
    let this = |row: &HardwareRow| row.maker == facts.maker.maker && row.hardware_id == hardware_id.as_str();
    if facts.of_device.iter().any(|row| !row.void && !this(row)) {
        return Err(MakerFault::DeviceTaken);
    }
    let mut command = Command { preconditions: Vec::new(), entries: Vec::new() };
    match facts.device {
        Some(row) => {
            if row.standing == Standing::Banned {
                return Err(MakerFault::Banned);
            }
            if model.is_some() && *model != row.model {
                return Err(MakerFault::Model);
            }
            if facts.registered.is_some_and(|row| !row.void) {
                return Ok((device, command));
            }
            command.preconditions.push(Precondition::DeviceStanding { device, standing: row.standing });
        }
        None => {
            command
                .preconditions
                .push(Precondition::DeviceNameFree { environment: environment.clone(), name: name.clone() });
            let private = Private::Device(DevicePrivate {
                name: name.clone(),
                model: model.clone(),
                owner: mandate.actor().name.clone(),
            });
            let event = Event::DeviceRegistered(DeviceRegistered { device });
            let private = Some((Salt(device_salt), private));
            command.entries.push(mandate.draft(facts.scope, now, event, private));
        }
    }
    command.preconditions.push(Precondition::HardwareFree {
        environment: environment.clone(),
        maker: facts.maker.maker,
        hardware_id: hardware_id.as_str().to_owned(),
        device,
    });
    let private = Private::Hardware(HardwarePrivate {
        maker: facts.maker.maker,
        hardware_id: hardware_id.as_str().to_owned(),
    });
    let event = Event::HardwareRegistered(HardwareRegistered { device });
    command.entries.push(mandate.draft(facts.scope, now, event, Some((Salt(hardware_salt), private))));
    Ok((device, command))
}
