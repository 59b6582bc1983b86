//! Entries about makers, and about hardware that is expected from them.

use super::{JournalBuilder, name};
use touchmark_identity::{DeviceId, MakerId};
use touchmark_journal::{
    Draft, Event, HardwarePrivate, HardwareRegistered, MakerRegistered, MakerWithdrawn, Private,
};

impl JournalBuilder {
    /// An identifier of a maker.
    pub fn maker_id(&mut self) -> MakerId {
        MakerId::draw(self.now(), self.octets())
    }

    /// A maker comes into force.
    pub fn maker_registered(&mut self, maker: MakerId, called: &str) -> Draft {
        let event = MakerRegistered { maker, name: name(called), certificate: self.hash().to_vec() };
        self.draft(Event::MakerRegistered(event), None)
    }

    /// A maker is withdrawn.
    pub fn maker_withdrawn(&mut self, maker: MakerId) -> Draft {
        self.draft(Event::MakerWithdrawn(MakerWithdrawn { maker }), None)
    }

    /// A piece of hardware is expected to become a device.
    pub fn hardware_registered(&mut self, device: DeviceId, maker: MakerId, hardware_id: &str) -> Draft {
        let private = HardwarePrivate { maker, hardware_id: hardware_id.to_owned() };
        self.draft(Event::HardwareRegistered(HardwareRegistered { device }), Some(Private::Hardware(private)))
    }
}
