//! What an operator may be permitted to do, as a closed set; the words are those of the operator policy.

use core::fmt;
use core::str::FromStr;

/// A word that is no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown permission")]
pub struct UnknownPermission;

macro_rules! permissions {
    ($($variant:ident $word:literal $doc:literal,)*) => {
        /// An act of an operator on the authority, as the operator policy permits it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Permission {
            $(#[doc = $doc] $variant,)*
        }

        impl Permission {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in policies (`Action::"device-revoke"`), in logs and on the command line.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

permissions! {
    DeviceRead "device-read" "See devices, where they are used, and what happens to them.",
    CertificateRead "certificate-read" "See certificates.",
    AuditRead "audit-read" "Read journal, decision log and their proofs.",
    PolicyRead "policy-read" "Read policies and try requests against them.",
    EnvironmentRead "environment-read" "See environments, authorities and gateways.",
    DeviceEnrol "device-enrol" "Make a token with which a device enrols.",
    DeviceRevoke "device-revoke" "Revoke a device's credentials.",
    DeviceQuarantine "device-quarantine" "Quarantine a device.",
    DeviceRelease "device-release" "Lift a quarantine.",
    DeviceBan "device-ban" "Ban a device for good.",
    ServiceEnrol "service-enrol" "Give a gateway or a service its credentials.",
    ServiceRevoke "service-revoke" "Revoke the credentials of a gateway or a service.",
    GatewayDeclare "gateway-declare" "Say that a gateway is switched off, or runs again.",
    OperatorEnrol "operator-enrol" "Give an operator credentials and roles.",
    OperatorRevoke "operator-revoke" "Revoke the credentials of an operator.",
    PolicyActivate "policy-activate" "Put a policy version into force.",
    EnvironmentCreate "environment-create" "Make an environment with its issuing authority.",
    MakerRegister "maker-register" "Let the initial certificates of a maker open enrolment, or end that.",
}

impl FromStr for Permission {
    type Err = UnknownPermission;
    fn from_str(word: &str) -> Result<Self, UnknownPermission> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == word).ok_or(UnknownPermission)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
