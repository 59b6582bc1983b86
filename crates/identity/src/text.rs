//! In serde each value is its text: written as it is shown, read by its grammar. For the management API (feature `serde`).

use crate::{
    CertificateId, DeviceId, EnvironmentName, Fingerprint, MakerId, Name, NamePrefix, ProfileVersionId,
    RevocationReason, SerialNumber, SpiffeId, SpkiHash, Timestamp, TokenId, TrustDomain,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! in_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

in_text! {
    Name NamePrefix EnvironmentName TrustDomain DeviceId CertificateId ProfileVersionId TokenId MakerId Fingerprint
    SpkiHash SerialNumber SpiffeId Timestamp RevocationReason
}
