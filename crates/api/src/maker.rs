//! Makers of devices, and the hardware that is expected from them.

use serde::{Deserialize, Serialize};
use touchmark_identity::{EnvironmentName, Fingerprint, MakerId, Name, Timestamp};

/// `POST /v1/makers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerOrder {
    /// Where its initial certificates are to open enrolment.
    pub environment: EnvironmentName,
    /// For people.
    pub name: Name,
    /// The one authority's certificate that ends their paths, PEM.
    pub certificate: String,
}

/// `POST /v1/makers/{name}/withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerWithdrawal {
    pub environment: EnvironmentName,
}

/// A maker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// `mkr_...`.
    pub id: MakerId,
    pub name: Name,
    pub environment: EnvironmentName,
    /// SHA-256 of its certificate.
    pub fingerprint: Fingerprint,
    /// Last moment of its certificate.
    pub not_after: Timestamp,
    pub registered_at: Timestamp,
    /// Until when, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

/// `POST /v1/devices`: a piece of hardware is expected, and which device it is to become. Answered with the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareOrder {
    pub environment: EnvironmentName,
    /// The device, made if there is none of that name.
    pub device: Name,
    /// Who made the hardware.
    pub maker: Name,
    /// Its identifier, as the maker's certificate states it.
    pub hardware_id: String,
    /// The model of a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
}
