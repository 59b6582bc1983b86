//! Makers of devices, whose initial certificates (IDevID, IEEE 802.1AR) open enrolment, and the devices that
//! are expected from them. What identifies a piece of hardware is private.

use crate::cbor::{octets, text};
use minicbor::{Decode, Encode};
use touchmark_identity::{DeviceId, MakerId, Name};

/// See [`crate::Event::MakerRegistered`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MakerRegistered {
    /// This maker.
    #[cbor(n(0), with = "octets")]
    pub maker: MakerId,
    /// For people; unique in the environment among makers in force.
    #[cbor(n(1), with = "text")]
    pub name: Name,
    /// The trust anchor of its initial certificates, DER.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
}

/// See [`crate::Event::MakerWithdrawn`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MakerWithdrawn {
    /// Whose initial certificates open nothing any more.
    #[cbor(n(0), with = "octets")]
    pub maker: MakerId,
}

/// See [`crate::Event::HardwareRegistered`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HardwareRegistered {
    /// The device that this hardware is to become.
    #[cbor(n(0), with = "octets")]
    pub device: DeviceId,
}

/// See [`crate::Private::Hardware`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HardwarePrivate {
    /// Who made it.
    #[cbor(n(0), with = "octets")]
    pub maker: MakerId,
    /// Its identifier, as the maker's certificate states it.
    #[n(1)]
    pub hardware_id: String,
}
