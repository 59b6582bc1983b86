//! What happens between a certificate and its successor: the rules of a profile, the facts of a renewal, and
//! what went wrong. See [`crate::Event`] for what may be public.

use crate::cbor::{octets, text};
use crate::event::word_enum;
use crate::revocation::PartyName;
use minicbor::{Decode, Encode};
use touchmark_identity::{CertificateId, DeviceId, Name};

word_enum!(
    /// What follows when a certificate is used whose successor was confirmed and whose overlap is over.
    CloneResponse {
        /// People are told.
        Alarm = 0 "alarm",
        /// People are told, and the device is quarantined.
        Quarantine = 1 "quarantine",
    }
);

word_enum!(
    /// Who set a renewal going, as the requester says.
    RenewalManner {
        /// A program, by itself.
        Automatic = 0 "automatic",
        /// A person.
        Manual = 1 "manual",
        /// The requester did not say.
        Unknown = 2 "unknown",
    }
);

/// The part of a profile that is about successors. Absent in a profile of the first days: then the grace is a
/// third of the lifetime, a suspected clone is an alarm, and what is superseded is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewalRules {
    /// Seconds past not-after during which a device may still renew.
    #[n(0)]
    pub grace_s: u64,
    /// What a suspected clone leads to.
    #[n(1)]
    pub on_clone: CloneResponse,
    /// Whether a superseded certificate is revoked once its overlap is over.
    #[n(2)]
    pub revoke_superseded: bool,
}

/// Beside the intent of a certificate that replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewalFacts {
    /// Seconds of life that the old certificate had left; negative past its end.
    #[n(0)]
    pub lead_s: i64,
    /// Who set it going.
    #[n(1)]
    pub manner: RenewalManner,
}

/// See [`crate::Event::RenewalRefused`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewalRefused {
    /// Whose key was proven.
    #[cbor(n(0), with = "octets")]
    pub device: DeviceId,
    /// Stable reason code.
    #[n(1)]
    pub code: String,
    /// How many in the same second.
    #[n(2)]
    pub count: u64,
}

/// See [`crate::Event::CloneSuspected`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloneSuspected {
    /// Which device's identity seems to be in two places.
    #[cbor(n(0), with = "octets")]
    pub device: DeviceId,
    /// The certificate of an older generation, which was used.
    #[cbor(n(1), with = "octets")]
    pub older: CertificateId,
    /// The confirmed one that had taken its place.
    #[cbor(n(2), with = "octets")]
    pub newer: CertificateId,
    /// Who saw it: a gateway's name, or `est`.
    #[cbor(n(3), with = "text")]
    pub seen_by: Name,
}

/// See [`crate::Event::PartyCloneSuspected`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartyCloneSuspected {
    /// Which operator's or service's identity seems to be in two places.
    #[n(0)]
    pub party: PartyName,
    /// The certificate of an older generation, which was used.
    #[cbor(n(1), with = "octets")]
    pub older: CertificateId,
    /// The confirmed one that had taken its place.
    #[cbor(n(2), with = "octets")]
    pub newer: CertificateId,
    /// Who saw it: `api` or `est`.
    #[cbor(n(3), with = "text")]
    pub seen_by: Name,
}
