//! Whose a certificate is, in the words of the rows and of the journal.

use touchmark_identity::{Actor, DeviceId, Name};
use touchmark_inventory::CertificateRow;
use touchmark_journal::IdentityKind;

/// Leaves stay readable for ever, so a device acts in them under its opaque identifier, not its name.
pub(crate) fn device_actor(device: DeviceId, name: &Name) -> Actor {
    Actor::device(device.to_string().parse().unwrap_or_else(|_| name.clone()))
}

/// Who acts when the key of a certificate is proven; `None` once it is erased.
pub fn holder_actor(row: &CertificateRow) -> Option<Actor> {
    match (row.device, &row.identity) {
        (Some(device), _) => device.to_string().parse().ok().map(Actor::device),
        (None, Some(identity)) if row.kind == IdentityKind::Operator => {
            Some(Actor::person(identity.name.clone()))
        }
        (None, Some(identity)) => Some(Actor::automation(identity.name.clone())),
        (None, None) => None,
    }
}
