//! The authorities and profiles in force, ready to issue: read from the rows at start and after each change.

use crate::keys::{KeyVault, VaultFault};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use touchmark_ca::{AuthorityFault, IssuingAuthority, Profile};
use touchmark_identity::{AuthorityVersionId, EnvironmentName, Incarnation, Name, ProfileVersionId};
use touchmark_inventory::{AuthorityRow, EnvironmentRow, ProfileRow, Store, StoreFault};
use touchmark_journal::AuthorityKind;
pub(crate) use touchmark_ra::Trust;
use touchmark_ra::{ActiveProfile, Trusts};
use touchmark_x509::certificate::BadCertificate;
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

/// All environments.
pub(crate) struct Hierarchy {
    trusts: RwLock<Arc<Trusts>>,
    /// Of each issuing authority.
    signers: RwLock<HashMap<AuthorityVersionId, Arc<dyn Signer>>>,
    profile_names: RwLock<HashMap<ProfileVersionId, Name>>,
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
            trusts: RwLock::new(Arc::new(Trusts { by_name: BTreeMap::new(), incarnation })),
            signers: RwLock::default(),
            profile_names: RwLock::default(),
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
        let (mut by_name, mut signers) = (BTreeMap::new(), HashMap::new());
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
            let signer: Arc<dyn Signer> = Arc::new(authority_key(issuing, vault)?);
            let trust = self.trust(environment.clone(), issuing, root, &profiles, &*signer)?;
            signers.insert(issuing.authority_version, signer);
            by_name.insert(environment.name, Arc::new(trust));
        }
        let names = profiles.into_iter().map(|row| (row.profile_version, row.name)).collect();
        *self.profile_names.write().unwrap_or_else(PoisonError::into_inner) = names;
        let fresh = Trusts { by_name, incarnation: self.now().incarnation };
        *self.signers.write().unwrap_or_else(PoisonError::into_inner) = signers;
        *self.trusts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    fn trust(
        &self,
        environment: EnvironmentRow,
        issuing: &AuthorityRow,
        root: &AuthorityRow,
        profiles: &[ProfileRow],
        signer: &dyn Signer,
    ) -> Result<Trust, HierarchyFault> {
        let version = issuing.authority_version;
        let certificate = Certificate::from_der(&issuing.certificate)?;
        let mut authority = IssuingAuthority::new(
            version,
            certificate,
            signer,
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
            root: Certificate::from_der(&root.certificate)?,
            root_version: root.authority_version,
            profiles: active,
        })
    }

    /// All environments as they are now.
    pub(crate) fn now(&self) -> Arc<Trusts> {
        Arc::clone(&self.trusts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One environment.
    pub(crate) fn trust_of(&self, environment: &EnvironmentName) -> Option<Arc<Trust>> {
        self.now().of(environment).cloned()
    }

    /// The one that EST means when no label is given.
    pub(crate) fn default_trust(&self) -> Option<Arc<Trust>> {
        self.now().default_one().cloned()
    }

    /// The key of an issuing authority.
    pub(crate) fn signer(&self, version: AuthorityVersionId) -> Option<Arc<dyn Signer>> {
        self.signers.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }

    /// Puts something between each authority and its key.
    #[cfg(test)]
    pub(crate) fn sign_by(&self, mut with: impl FnMut(Arc<dyn Signer>) -> Arc<dyn Signer>) {
        for signer in self.signers.write().unwrap().values_mut() {
            *signer = with(Arc::clone(signer));
        }
    }

    /// All environments, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Trust>> {
        self.now().by_name.values().cloned().collect()
    }

    /// The name of a profile version, for people.
    pub(crate) fn profile_name(&self, version: ProfileVersionId) -> Option<Name> {
        self.profile_names.read().unwrap_or_else(PoisonError::into_inner).get(&version).cloned()
    }
}
