//! The authorities and profiles in force, ready to issue: read from the rows at start and after each change.

use crate::keys::{KeyVault, VaultFault};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use touchmark_ca::{AuthorityFault, IssuingAuthority, Profile};
use touchmark_identity::{AuthorityVersionId, EnvironmentName, Incarnation, Name, ProfileVersionId};
use touchmark_inventory::{AuthorityRow, EnvironmentRow, ProfileRow, Store, StoreFault};
use touchmark_journal::{AuthorityKind, CloneResponse, IdentityKind};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::csr::Form;
use touchmark_x509::{Certificate, Signer, SoftwareKey};

/// Why the hierarchy cannot be read. An operator must act.
#[derive(Debug, thiserror::Error)]
pub enum HierarchyFault {
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A key.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// A stored certificate.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// A template.
    #[error(transparent)]
    Authority(#[from] AuthorityFault),
    /// The key file is not the key of the certificate: a file was swapped, or a backup mixed.
    #[error("the key of authority {0} does not belong to its certificate")]
    KeyMismatch(AuthorityVersionId),
    /// The stored incarnation is not one that serials may start with.
    #[error("the stored incarnation octet {0:#04x} is not valid")]
    Incarnation(u8),
}

/// A profile version with what only its name and the RA need.
#[derive(Clone, Debug)]
pub(crate) struct ActiveProfile {
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
pub(crate) struct Trust {
    /// Its row.
    pub environment: EnvironmentRow,
    /// Its issuing authority.
    pub issuing: IssuingAuthority,
    /// The issuing authority's key.
    pub signer: Arc<dyn Signer>,
    /// The root above it.
    pub root: Certificate,
    /// The root's key of rows.
    pub root_version: AuthorityVersionId,
    /// Newest profile of each kind.
    pub profiles: HashMap<IdentityKind, ActiveProfile>,
}

impl Trust {
    /// What all certificates of a kind have in common.
    pub(crate) fn form(&self, kind: IdentityKind) -> Option<&Form> {
        self.issuing.form(self.profiles.get(&kind)?.profile.version)
    }

    /// Issuing certificate, then root: what a device is given as its anchors.
    pub(crate) fn chain(&self) -> [&Certificate; 2] {
        [self.issuing.certificate(), &self.root]
    }

    /// The same, to be handed out with a certificate.
    pub(crate) fn above(&self) -> [Certificate; 2] {
        self.chain().map(Certificate::clone)
    }
}

/// All environments.
pub(crate) struct Hierarchy {
    by_name: RwLock<HashMap<EnvironmentName, Arc<Trust>>>,
    profile_names: RwLock<HashMap<ProfileVersionId, Name>>,
    incarnation: Incarnation,
    crl_url_base: String,
    /// Held from reading rows to putting them in force: a slow reader must not undo what a quick one read later.
    reloading: Mutex<()>,
}

/// The key of an authority, held against its certificate.
///
/// # Errors
/// [`HierarchyFault`] when the key is missing or not the certificate's: it is never made here.
pub(crate) fn authority_key(row: &AuthorityRow, vault: &KeyVault) -> Result<SoftwareKey, HierarchyFault> {
    let key = vault.open(&row.authority_version.to_string())?;
    if key.public_key().spki_hash() != Certificate::from_der(&row.certificate)?.spki_hash() {
        return Err(HierarchyFault::KeyMismatch(row.authority_version));
    }
    Ok(key)
}

impl Hierarchy {
    /// Reads everything.
    ///
    /// # Errors
    /// [`HierarchyFault`] when a row or key is missing or does not fit.
    pub(crate) fn load(
        store: &dyn Store,
        vault: &KeyVault,
        incarnation: Incarnation,
        crl_url_base: String,
    ) -> Result<Self, HierarchyFault> {
        let hierarchy = Self {
            by_name: RwLock::default(),
            profile_names: RwLock::default(),
            incarnation,
            crl_url_base,
            reloading: Mutex::default(),
        };
        hierarchy.reload(store, vault)?;
        Ok(hierarchy)
    }

    /// Reads everything again, after an environment or profile was added.
    ///
    /// # Errors
    /// As [`Hierarchy::load`]; what was in force stays in force.
    pub(crate) fn reload(&self, store: &dyn Store, vault: &KeyVault) -> Result<(), HierarchyFault> {
        let _one = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let authorities = store.authorities()?;
        let profiles = store.profiles()?;
        let mut fresh = HashMap::new();
        for environment in store.environments()? {
            let of_environment = |row: &&AuthorityRow| {
                row.kind == AuthorityKind::Issuing
                    && row.scope.environment.as_ref() == Some(&environment.name)
            };
            let Some(issuing) = authorities.iter().rfind(of_environment) else { continue };
            let root = issuing
                .parent
                .and_then(|parent| authorities.iter().find(|row| row.authority_version == parent));
            let Some(root) = root else { continue };
            let trust = self.trust(environment.clone(), issuing, root, &profiles, vault)?;
            fresh.insert(environment.name, Arc::new(trust));
        }
        let names = profiles.into_iter().map(|row| (row.profile_version, row.name)).collect();
        *self.profile_names.write().unwrap_or_else(PoisonError::into_inner) = names;
        *self.by_name.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn trust(
        &self,
        environment: EnvironmentRow,
        issuing: &AuthorityRow,
        root: &AuthorityRow,
        profiles: &[ProfileRow],
        vault: &KeyVault,
    ) -> Result<Trust, HierarchyFault> {
        let version = issuing.authority_version;
        let certificate = Certificate::from_der(&issuing.certificate)?;
        let signer: Arc<dyn Signer> = Arc::new(authority_key(issuing, vault)?);
        let mut authority = IssuingAuthority::new(
            version,
            certificate,
            &*signer,
            self.crl_url_base.clone(),
            issuing.crl_shards,
        );
        let mut active = HashMap::new();
        for row in profiles.iter().filter(|row| row.scope.environment.as_ref() == Some(&environment.name)) {
            let profile = Profile {
                version: row.profile_version,
                kind: row.kind,
                lifetime: Duration::from_secs(row.lifetime_s),
            };
            authority.prepare(&profile)?;
            active.insert(
                row.kind,
                ActiveProfile {
                    profile,
                    name: row.name.clone(),
                    overlap: Duration::from_secs(row.overlap_s),
                    grace: Duration::from_secs(row.grace_s),
                    on_clone: row.on_clone,
                    revoke_superseded: row.revoke_superseded,
                },
            );
        }
        Ok(Trust {
            environment,
            issuing: authority,
            signer,
            root: Certificate::from_der(&root.certificate)?,
            root_version: root.authority_version,
            profiles: active,
        })
    }

    /// One environment.
    pub(crate) fn trust_of(&self, environment: &EnvironmentName) -> Option<Arc<Trust>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(environment).cloned()
    }

    /// The one that EST means when no label is given.
    pub(crate) fn default_trust(&self) -> Option<Arc<Trust>> {
        self.all().into_iter().find(|trust| trust.environment.default)
    }

    /// Puts something between each authority and its key.
    #[cfg(test)]
    pub(crate) fn sign_by(&self, mut with: impl FnMut(Arc<dyn Signer>) -> Arc<dyn Signer>) {
        for trust in self.by_name.write().unwrap().values_mut() {
            let trust = Arc::get_mut(trust).unwrap();
            trust.signer = with(Arc::clone(&trust.signer));
        }
    }

    /// All environments, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Trust>> {
        let mut all: Vec<_> =
            self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by(|a, b| a.environment.name.cmp(&b.environment.name));
        all
    }

    /// The name of a profile version, for people.
    pub(crate) fn profile_name(&self, version: ProfileVersionId) -> Option<Name> {
        self.profile_names.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    /// Serial prefix in force.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}
