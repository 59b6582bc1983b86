//! Environments: how the root, a trust domain with its issuing authority, its profiles and its first policy
//! come into being. Every step is recorded in one command, so a crash leaves all of it or nothing.

use crate::entropy::random;
use crate::feed::{Feeds, PublishFault};
use crate::issuance::hierarchy::{Hierarchy, HierarchyFault, Trust, authority_key};
use crate::keys::{KeyVault, VaultFault};
use crate::store::commit::Commits;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use touchmark_ca::{AuthorityFault, create_issuing, create_root};
use touchmark_durable::{Mode, WriteFault, create_dir_durable, write_changed};
use touchmark_identity::{
    Actor, AuthorityVersionId, EnvironmentName, Incarnation, OrganisationName, Timestamp,
};
use touchmark_inventory::{AuthorityRow, Command, StoreFault};
use touchmark_journal::{AuthorityCreated, AuthorityKind, Draft, Envelope, Event, PolicyActivated, Scope};
use touchmark_listen::Clock;
use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle, PolicyFaults};
use touchmark_ra::{EnvironmentPlan, EnvironmentRefusal, Mandate, check_environment, found_environment};
use touchmark_x509::Certificate;
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::{KeyAlgorithm, Signer};

/// Why no environment came into being.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentFault {
    #[error(transparent)]
    Refused(#[from] EnvironmentRefusal),
    /// There is no root yet.
    #[error("the organisation has no root authority")]
    NoRoot,
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// A key.
    #[error(transparent)]
    Vault(#[from] VaultFault),
    /// A certificate of an authority.
    #[error(transparent)]
    Authority(#[from] AuthorityFault),
    /// A stored certificate.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// What was created cannot be read back.
    #[error(transparent)]
    Hierarchy(#[from] HierarchyFault),
    /// The policy does not compile.
    #[error(transparent)]
    Policy(#[from] PolicyFaults),
    /// The feed.
    #[error(transparent)]
    Publish(#[from] PublishFault),
}

pub(crate) struct Environments {
    /// Rows.
    commits: Commits,
    /// Keys.
    vault: Arc<KeyVault>,
    /// Where CRLs are published.
    crl_url_base: String,
    /// Who is accountable.
    organisation: OrganisationName,
    /// Serial prefix.
    incarnation: Incarnation,
    clock: Clock,
    /// Where each environment's trust anchors are written for people.
    anchors: PathBuf,
    /// One creation at a time: what was free when the key was made is still free at the commit.
    creating: tokio::sync::Mutex<()>,
}

impl Environments {
    #[cfg(test)]
    pub(crate) fn vault(&self) -> &KeyVault {
        &self.vault
    }

    pub(crate) fn new(
        commits: Commits,
        vault: Arc<KeyVault>,
        crl_url_base: String,
        organisation: OrganisationName,
        incarnation: Incarnation,
        clock: Clock,
        anchors: PathBuf,
    ) -> Self {
        Self {
            commits,
            vault,
            crl_url_base,
            organisation,
            incarnation,
            clock,
            anchors,
            creating: tokio::sync::Mutex::default(),
        }
    }

    /// The root, made if there is none.
    ///
    /// # Errors
    /// [`EnvironmentFault`].
    pub(crate) async fn ensure_root(&self) -> Result<(AuthorityRow, Arc<dyn Signer>), EnvironmentFault> {
        if let Some(row) = self.root()? {
            let signer = authority_key(&row, &self.vault)?;
            return Ok((row, Arc::new(signer)));
        }
        let now = self.clock.now();
        let version = AuthorityVersionId::draw(now, random());
        let signer = self.vault.create(&version.to_string(), KeyAlgorithm::P256)?;
        let name = format!("{} root", self.organisation);
        let certificate = create_root(&name, &signer, self.incarnation, now, random())?;
        let event = Event::AuthorityCreated(AuthorityCreated {
            authority_version: version,
            kind: AuthorityKind::Root,
            name: "root".parse().expect("the word is a name"),
            certificate: certificate.der().to_vec(),
            parent: None,
            crl_shards: 1,
        });
        let scope = Scope { organisation: self.organisation.clone(), environment: None };
        let envelope = Envelope { scope, actor: bootstrap_actor(), cause: "bootstrap".into(), at: now };
        let entries = vec![Draft { envelope, event, private: None }];
        self.commits.commit(Command { preconditions: Vec::new(), entries }).await?;
        let row = self.root()?.ok_or(EnvironmentFault::NoRoot)?;
        Ok((row, Arc::new(signer)))
    }

    fn root(&self) -> Result<Option<AuthorityRow>, StoreFault> {
        let rows = self.commits.store().authorities()?;
        Ok(rows.into_iter().find(|row| row.kind == AuthorityKind::Root))
    }

    /// Creates an environment with its issuing authority, profiles and the starter policy.
    ///
    /// # Errors
    /// [`EnvironmentFault`]; nothing is recorded.
    pub(crate) async fn create(&self, mandate: Mandate<EnvironmentPlan>) -> Result<(), EnvironmentFault> {
        let _one = self.creating.lock().await;
        let name = mandate.act().name.clone();
        let plan = check_environment(mandate, &self.commits.store().environments()?)?;
        let (root, root_signer) = self.ensure_root().await?;
        let now = self.clock.now();
        let version = AuthorityVersionId::draw(now, random());
        let signer = self.vault.create(&version.to_string(), KeyAlgorithm::P256)?;
        let issuing = create_issuing(
            &plan.issuing_name(),
            &signer,
            &Certificate::from_der(&root.certificate)?,
            &*root_signer,
            &format!("{}/{}/0.crl", self.crl_url_base, root.authority_version),
            self.incarnation,
            now,
            random(),
        )?;
        let issuing = AuthorityCreated {
            authority_version: version,
            kind: AuthorityKind::Issuing,
            name: "issuing".parse().expect("the word is a name"),
            certificate: issuing.der().to_vec(),
            parent: Some(root.authority_version),
            crl_shards: 1,
        };
        let profiles = [random(), random(), random()];
        let organisation = self.organisation.clone();
        let command = found_environment(plan, organisation, issuing, starter_policy()?, now, profiles);
        match self.commits.commit(command).await {
            Err(StoreFault::Conflict(_)) => Err(EnvironmentRefusal::Exists(name).into()),
            outcome => Ok(outcome.map(drop)?),
        }
    }

    /// Makes a created environment issue and feed.
    ///
    /// # Errors
    /// [`EnvironmentFault`]; the next start does it.
    pub(crate) fn open(
        &self,
        name: &EnvironmentName,
        hierarchy: &Hierarchy,
        feeds: &Feeds,
    ) -> Result<(), EnvironmentFault> {
        let store = self.commits.store();
        hierarchy.reload(&**store, &self.vault)?;
        let trust = hierarchy.trust_of(name).ok_or(EnvironmentFault::NoRoot)?;
        self.commits.while_feeds_stand(|| {
            feeds.open(&trust, &**store, self.clock.now(), Timestamp::from_unix_ms(0))
        })?;
        if let Err(fault) = write_anchors(&self.anchors, &trust) {
            tracing::error!(%fault, "the environment's anchors are not in a file yet; the next start writes them");
        }
        Ok(())
    }
}

/// The file with an environment's trust anchors.
pub(crate) fn anchors_file(directory: &Path, environment: &EnvironmentName) -> PathBuf {
    directory.join(format!("{environment}.pem"))
}

/// Writes what people give to devices and tools: issuing certificate and root.
///
/// # Errors
/// [`WriteFault`].
pub(crate) fn write_anchors(directory: &Path, trust: &Trust) -> Result<(), WriteFault> {
    create_dir_durable(directory, Mode::Public0644)?;
    let pem: String = trust.chain().iter().map(|certificate| certificate.to_pem()).collect();
    write_changed(&anchors_file(directory, &trust.environment.name), pem.as_bytes(), Mode::Public0644)
}

/// The product itself, before there is an operator.
pub(crate) fn bootstrap_actor() -> Actor {
    Actor::automation("bootstrap".parse().expect("the word is a name"))
}

fn starter_policy() -> Result<PolicyActivated, PolicyFaults> {
    let bundle = PolicyBundle::starter();
    let compiled = CompiledPolicy::compile(&bundle)?;
    Ok(PolicyActivated { version: compiled.version().0, files: bundle.files, topics: bundle.topics })
}
