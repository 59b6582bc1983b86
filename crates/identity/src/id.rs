//! Prefixed identifiers: a kind one can read (`dev_`, `crt_`) and a UUIDv7 inside (RFC 9562 §5.7).

use crate::Timestamp;
use core::fmt;
use core::str::FromStr;
use uuid::Uuid;

/// Text that is not an identifier of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of the form `{prefix}` followed by 32 hexadecimal digits")]
pub struct BadId {
    /// The prefix that was expected, with its underscore.
    pub prefix: &'static str,
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The readable kind, with its underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Draws an identifier that sorts by `now`.
            pub fn draw(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(now.unix_ms(), &random).into_uuid())
            }

            /// The sixteen octets that are stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = BadId;
            fn try_from(bytes: &[u8]) -> Result<Self, BadId> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| BadId { prefix: $prefix })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { prefix: $prefix };
                let digits = text.strip_prefix($prefix).filter(|rest| rest.len() == 32).ok_or(bad.clone())?;
                Uuid::try_parse(digits).map(Self).map_err(|_| bad)
            }
        }
    };
}

prefixed_id!(
    /// One device, for life, across its names and certificates.
    DeviceId, "dev_"
);
prefixed_id!(
    /// One certificate's row: drawn with its intent, before the fingerprint can exist.
    CertificateId, "crt_"
);
prefixed_id!(
    /// One key and certificate of an authority. Serial numbers are unique inside it, never alone.
    AuthorityVersionId, "cav_"
);
prefixed_id!(
    /// One immutable version of a profile.
    ProfileVersionId, "prf_"
);
prefixed_id!(
    /// One enrolment token.
    TokenId, "tok_"
);
prefixed_id!(
    /// One maker of devices, as one environment trusts it.
    MakerId, "mkr_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_reads_back_and_refuses_another_kind() {
        let id = DeviceId::draw(Timestamp::from_unix_ms(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().replace("dev_", "crt_").parse::<DeviceId>().is_err());
        assert!("dev_".parse::<DeviceId>().is_err());
        let later = DeviceId::draw(Timestamp::from_unix_ms(1_700_000_000_001), [0; 10]);
        assert!(id.to_string() < later.to_string(), "sorts by time");
    }
}
