//! Reading as an act: rows are given for a mandate with their environment inside, and for nothing else.

use std::marker::PhantomData;
use touchmark_identity::{DeviceId, EnvironmentName, Permission};
use touchmark_inventory::{CertificateRow, DeviceRow};
use touchmark_journal::Reach;
use touchmark_ra::Act;

/// Rows that one permission opens.
pub(crate) trait Kind {
    const PERMISSION: Permission;
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $permission:ident,)*) => {$(
        $(#[doc = $doc])+
        pub(crate) enum $kind {}

        impl Kind for $kind {
            const PERMISSION: Permission = Permission::$permission;
        }
    )*};
}

kinds! {
    /// Devices, what happens to them, and the tokens that let them in.
    Devices DeviceRead,
    /// Certificates.
    Certificates CertificateRead,
    /// Journal and decision logs.
    Audit AuditRead,
    /// Policies.
    Policies PolicyRead,
    /// Environments, their gateways and makers.
    Environments EnvironmentRead,
}

/// To read rows of a kind: all of an environment, or what belongs to the one row `of`.
pub(crate) struct Read<K, T = ()> {
    environment: Option<EnvironmentName>,
    device: Option<DeviceId>,
    pub of: T,
    kind: PhantomData<K>,
}

/// The cause of refusals to read.
pub(crate) const CAUSE: &str = "api";

impl<K> Read<K> {
    /// All of an environment.
    pub(crate) fn all_of(environment: EnvironmentName) -> Self {
        Self::what_is(Some(environment), None)
    }

    /// Something of an environment, or of none; of a device, if it is one's.
    pub(crate) fn what_is(environment: Option<EnvironmentName>, device: Option<DeviceId>) -> Self {
        Self { environment, device, of: (), kind: PhantomData }
    }
}

impl<K> Read<K, DeviceRow> {
    /// Of one device.
    pub(crate) fn device(row: DeviceRow) -> Self {
        let environment = row.scope.environment.clone();
        Self { environment, device: Some(row.device), of: row, kind: PhantomData }
    }
}

impl<K> Read<K, CertificateRow> {
    /// One certificate.
    pub(crate) fn certificate(row: CertificateRow) -> Self {
        let environment = row.scope.environment.clone();
        Self { environment, device: row.device, of: row, kind: PhantomData }
    }
}

impl<K: Kind, T> Act for Read<K, T> {
    fn permission(&self) -> Permission {
        K::PERMISSION
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.environment.as_ref()
    }

    fn cause(&self) -> &'static str {
        CAUSE
    }

    fn device(&self) -> Option<DeviceId> {
        self.device
    }
}

/// What somebody may see of everything.
pub(crate) struct Sight {
    /// All of it, also what no environment is known of.
    pub whole: bool,
    /// What is in these.
    pub environments: Vec<EnvironmentName>,
}

impl Sight {
    /// Whether what is in this environment is seen.
    pub(crate) fn covers(&self, environment: Option<&EnvironmentName>) -> bool {
        self.whole || environment.is_some_and(|name| self.environments.contains(name))
    }
}

/// To be told that something is not there: whoever might have done to it what was asked.
pub(crate) struct Lookup {
    /// What that takes.
    pub permission: Permission,
    /// Where it was looked for; `None` is everywhere.
    pub environment: Option<EnvironmentName>,
    /// What the operator must reach.
    pub reach: Reach,
    /// The cause of a refusal.
    pub cause: &'static str,
}

impl Act for Lookup {
    fn permission(&self) -> Permission {
        self.permission
    }

    fn environment(&self) -> Option<&EnvironmentName> {
        self.environment.as_ref()
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    fn cause(&self) -> &'static str {
        self.cause
    }
}
