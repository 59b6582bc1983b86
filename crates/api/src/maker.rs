//! Makers of devices, and the hardware that is expected from them.

use serde::{Deserialize, Serialize};

/// `POST /v1/makers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerOrder {
    /// Where its initial certificates are to open enrolment.
    pub environment: String,
    /// For people.
    pub name: String,
    /// The one authority's certificate that ends their paths, PEM.
    pub certificate: String,
}

/// `GET /v1/makers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerQuery {
    pub environment: String,
}

/// `POST /v1/makers/{name}/withdraw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakerWithdrawal {
    pub environment: String,
}

/// A maker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// `mkr_...`.
    pub id: String,
    pub name: String,
    pub environment: String,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// Last moment of its certificate.
    pub not_after: String,
    pub registered_at: String,
    /// Until when, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
}

/// `POST /v1/devices`: a piece of hardware is expected, and which device it is to become. Answered with the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareOrder {
    pub environment: String,
    /// The device, made if there is none of that name.
    pub device: String,
    /// Who made the hardware.
    pub maker: String,
    /// Its identifier, as the maker's certificate states it.
    pub hardware_id: String,
    /// The model of a new device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}
