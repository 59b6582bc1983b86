//! Makers and the hardware that is expected from them, as an operator registers them.
//!
//! In: a [`Mandate`] and rows. Out: commands for the store. A command without entries says that it is so already.

use crate::mandate::{Act, Mandate};
use touchmark_identity::{DeviceId, MakerId, Name, Timestamp};
use touchmark_inventory::{Command, DeviceRow, EnvironmentRow, HardwareRow, MakerRow, Precondition};
use touchmark_journal::{
    DevicePrivate, DeviceRegistered, Draft, Envelope, Event, HardwarePrivate, HardwareRegistered,
    MakerRegistered, MakerWithdrawn, Private, Salt, Scope, Standing,
};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::{PathFault, Purpose, may_anchor};
use touchmark_x509::{Certificate, PublicKey};

/// Makers in force in one environment: each is an anchor in every gateway's feed, which holds 64 with our own.
pub const MAKERS_IN_FORCE_MAX: usize = 32;

const CAUSE_MAKER: &str = "api/makers";
const CAUSE_DEVICE: &str = "api/devices/register";

/// Why a maker, or a piece of hardware, is not registered as asked: the operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakerFault {
    /// The mandate is for something else.
    #[error("the operator was permitted another act")]
    Mandate,
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
            Self::Mandate => "not-permitted",
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
            Self::Mandate => "ask an operator with a role that permits it",
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

/// A maker that is to be trusted in one environment, and what is known beside it.
#[derive(Debug)]
pub struct MakerOrder<'a> {
    /// Where.
    pub environment: &'a EnvironmentRow,
    /// For people.
    pub name: &'a Name,
    /// The anchor of its initial certificates.
    pub certificate: &'a Certificate,
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

fn draft(
    mandate: &Mandate,
    scope: &Scope,
    cause: &str,
    now: Timestamp,
    event: Event,
    private: Option<(Salt, Private)>,
) -> Draft {
    let envelope =
        Envelope { scope: scope.clone(), actor: mandate.actor().clone(), cause: cause.into(), at: now };
    Draft { envelope, event, private }
}

/// The command that puts a maker in force; without entries when this very one is in force already.
///
/// # Errors
/// [`MakerFault`].
pub fn register_maker(
    mandate: Mandate,
    order: &MakerOrder<'_>,
    now: Timestamp,
    random: [u8; 10],
) -> Result<(MakerId, Command), MakerFault> {
    if mandate.act() != Act::MakerRegister {
        return Err(MakerFault::Mandate);
    }
    may_anchor(order.certificate, now, Purpose::Initial)?;
    if order.own_keys.contains(order.certificate.public_key()) {
        return Err(MakerFault::OwnAuthority);
    }
    if let Some(same) = in_force(order.makers).find(|row| row.name == *order.name) {
        return if same.certificate == order.certificate.der() {
            Ok((same.maker, Command { preconditions: Vec::new(), entries: Vec::new() }))
        } else {
            Err(MakerFault::Exists(order.name.clone()))
        };
    }
    // Of two makers with one key nobody could say whose hardware it is.
    let twin =
        in_force(order.makers).find(|row| key_of(row).as_ref() == Some(order.certificate.public_key()));
    if let Some(twin) = twin {
        return Err(MakerFault::Known(twin.name.clone()));
    }
    if in_force(order.makers).count() >= MAKERS_IN_FORCE_MAX {
        return Err(MakerFault::TooMany);
    }
    let maker = MakerId::draw(now, random);
    let event = Event::MakerRegistered(MakerRegistered {
        maker,
        name: order.name.clone(),
        certificate: order.certificate.der().to_vec(),
    });
    let free =
        Precondition::MakerFree { environment: order.environment.name.clone(), name: order.name.clone() };
    let entries = vec![draft(&mandate, &order.environment.scope, CAUSE_MAKER, now, event, None)];
    Ok((maker, Command { preconditions: vec![free], entries }))
}

/// The command that ends a maker. Devices that enrolled keep their identity; what is registered stays, and opens
/// nothing.
///
/// # Errors
/// [`MakerFault`].
pub fn withdraw_maker(
    mandate: Mandate,
    environment: &EnvironmentRow,
    name: &Name,
    makers: &[MakerRow],
    now: Timestamp,
) -> Result<(MakerId, Command), MakerFault> {
    if mandate.act() != Act::MakerRegister {
        return Err(MakerFault::Mandate);
    }
    let row =
        in_force(makers).find(|row| row.name == *name).ok_or_else(|| MakerFault::Unknown(name.clone()))?;
    let event = Event::MakerWithdrawn(MakerWithdrawn { maker: row.maker });
    let entries = vec![draft(&mandate, &environment.scope, CAUSE_MAKER, now, event, None)];
    Ok((row.maker, Command { preconditions: Vec::new(), entries }))
}

/// A piece of hardware that is expected, and what is known beside it.
#[derive(Debug)]
pub struct HardwareOrder<'a> {
    /// Where.
    pub environment: &'a EnvironmentRow,
    /// Who made it: in force.
    pub maker: &'a MakerRow,
    /// Its identifier.
    pub hardware_id: &'a HardwareId,
    /// The device that it is to become.
    pub name: &'a Name,
    /// The model of that device.
    pub model: Option<&'a Name>,
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
    mandate: Mandate,
    order: &HardwareOrder<'_>,
    now: Timestamp,
    random: [u8; 42],
) -> Result<(DeviceId, Command), MakerFault> {
    if mandate.act() != Act::DeviceEnrol {
        return Err(MakerFault::Mandate);
    }
    if order.maker.withdrawn_at.is_some() {
        return Err(MakerFault::Unknown(order.maker.name.clone()));
    }
    let (mut id, mut device_salt, mut hardware_salt) = ([0; 10], [0; 16], [0; 16]);
    id.copy_from_slice(&random[..10]);
    device_salt.copy_from_slice(&random[10..26]);
    hardware_salt.copy_from_slice(&random[26..]);
    let device = order.device.map_or_else(|| DeviceId::draw(now, id), |row| row.device);
    if order.registered.is_some_and(|row| row.device != device) {
        return Err(MakerFault::HardwareTaken);
    }
    let this =
        |row: &HardwareRow| row.maker == order.maker.maker && row.hardware_id == order.hardware_id.as_str();
    if order.of_device.iter().any(|row| !row.void && !this(row)) {
        return Err(MakerFault::DeviceTaken);
    }
    let (environment, scope) = (&order.environment.name, &order.environment.scope);
    let mut command = Command { preconditions: Vec::new(), entries: Vec::new() };
    match order.device {
        Some(row) => {
            if row.standing == Standing::Banned {
                return Err(MakerFault::Banned);
            }
            if order.model.is_some() && order.model != row.model.as_ref() {
                return Err(MakerFault::Model);
            }
            if order.registered.is_some_and(|row| !row.void) {
                return Ok((device, command));
            }
            command.preconditions.push(Precondition::DeviceStanding { device, standing: row.standing });
        }
        None => {
            command.preconditions.push(Precondition::DeviceNameFree {
                environment: environment.clone(),
                name: order.name.clone(),
            });
            let private = Private::Device(DevicePrivate {
                name: order.name.clone(),
                model: order.model.cloned(),
                owner: mandate.actor().name.clone(),
            });
            let event = Event::DeviceRegistered(DeviceRegistered { device });
            let private = Some((Salt(device_salt), private));
            command.entries.push(draft(&mandate, scope, CAUSE_DEVICE, now, event, private));
        }
    }
    command.preconditions.push(Precondition::HardwareFree {
        environment: environment.clone(),
        maker: order.maker.maker,
        hardware_id: order.hardware_id.as_str().to_owned(),
        device,
    });
    let private = Private::Hardware(HardwarePrivate {
        maker: order.maker.maker,
        hardware_id: order.hardware_id.as_str().to_owned(),
    });
    let event = Event::HardwareRegistered(HardwareRegistered { device });
    command.entries.push(draft(
        &mandate,
        scope,
        CAUSE_DEVICE,
        now,
        event,
        Some((Salt(hardware_salt), private)),
    ));
    Ok((device, command))
}
