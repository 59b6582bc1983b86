//! What a decision needs of an environment beside rows: its issuing authority and the profiles in force.

use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use touchmark_ca::{IssuingAuthority, Profile};
use touchmark_identity::{AuthorityVersionId, EnvironmentName, Incarnation, Name};
use touchmark_inventory::EnvironmentRow;
use touchmark_journal::{CloneResponse, IdentityKind};
use touchmark_x509::Certificate;
use touchmark_x509::csr::Form;

/// A profile version with what only its name and the RA need.
#[derive(Clone, Debug)]
pub struct ActiveProfile {
    /// For the CA.
    pub profile: Profile,
    /// For people.
    pub name: Name,
    /// How long a superseded certificate still serves.
    pub overlap: Duration,
    /// How long past its end a certificate may still be renewed.
    pub grace: Duration,
    /// What a suspected clone leads to.
    pub on_clone: CloneResponse,
    /// Whether what is superseded is revoked once its overlap is over.
    pub revoke_superseded: bool,
}

/// One environment, ready to issue.
#[derive(Debug)]
pub struct Trust {
    pub environment: EnvironmentRow,
    pub issuing: IssuingAuthority,
    /// The root above it.
    pub root: Certificate,
    /// The root's key of rows.
    pub root_version: AuthorityVersionId,
    /// Newest profile of each kind.
    pub profiles: HashMap<IdentityKind, ActiveProfile>,
}

impl Trust {
    /// What all certificates of a kind have in common.
    pub fn form(&self, kind: IdentityKind) -> Option<&Form> {
        self.issuing.form(self.profiles.get(&kind)?.profile.version)
    }

    /// Issuing certificate, then root: what a device is given as its anchors.
    pub fn chain(&self) -> [&Certificate; 2] {
        [self.issuing.certificate(), &self.root]
    }

    /// The same, to be handed out with a certificate.
    pub fn above(&self) -> [Certificate; 2] {
        self.chain().map(Certificate::clone)
    }
}

/// All environments as they are at one time, and the serial prefix in force.
#[derive(Clone, Debug)]
pub struct Trusts {
    pub by_name: BTreeMap<EnvironmentName, Arc<Trust>>,
    pub incarnation: Incarnation,
}

impl Trusts {
    pub fn of(&self, environment: &EnvironmentName) -> Option<&Arc<Trust>> {
        self.by_name.get(environment)
    }

    /// The one that is meant when none is named.
    pub fn default_one(&self) -> Option<&Arc<Trust>> {
        self.by_name.values().find(|trust| trust.environment.default)
    }
}
