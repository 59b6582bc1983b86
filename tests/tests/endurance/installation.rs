//! A device of the lab, and whether everything works that matters: enrol, connect, publish, tell, revoke.

use touchmark_mqtt::{ProtocolVersion, QoS};
use touchmark_tests::{Device, Key, Lab, Mqtt, device_token, until};
use touchmark_x509::Certificate;

/// A device that was enrolled.
pub(crate) struct Enrolled {
    name: String,
    key: Key,
    chain: Vec<Certificate>,
}

impl Enrolled {
    pub(crate) fn new(lab: &Lab, name: &str) -> Self {
        let token = lab.operator().token(&device_token("lab", name));
        let (key, chain) = Device::new(lab).enrol(Some("lab"), &token);
        Self { name: name.to_owned(), key, chain }
    }

    /// What CONNECT is answered with; `None` when there is no answer.
    pub(crate) fn knocks(&self, lab: &Lab) -> Option<u8> {
        let identity = Some((&self.key, self.chain.as_slice()));
        Some(Mqtt::dial(lab, identity, ProtocolVersion::V5).ok()?.hello(&self.name).ok()?.code)
    }

    /// Waits until it is let in, then publishes.
    pub(crate) fn publishes(&self, lab: &Lab) {
        until("the gateway to let a device in", || (self.knocks(lab) == Some(0)).then_some(()));
        let mut session = Mqtt::welcome(lab, (&self.key, &self.chain), &self.name);
        let topic = format!("plant/{}/x", self.name);
        assert_eq!(session.publish(&topic, "1", QoS::AtLeastOnce), Ok(Some(0)));
    }

    /// Revokes it, and waits until the gateway refuses it.
    pub(crate) fn is_revoked(&self, lab: &Lab) {
        lab.operator().revoke(&self.name);
        until("the gateway to refuse a revoked device", || (self.knocks(lab) == Some(0x87)).then_some(()));
    }
}

/// A new device gets in and publishes, the authority hears of it, and a revocation ends it.
pub(crate) fn everything_works(lab: &Lab, name: &str) {
    let device = Enrolled::new(lab, name);
    device.publishes(lab);
    lab.operator().decided(name, "publish", &format!("plant/{name}/x"), "allow");
    device.is_revoked(lab);
}
