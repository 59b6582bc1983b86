//! Makers whose initial certificates open enrolment, and the hardware that is expected from them.
//!
//! What is in force is kept read and ready for the handshake, and follows each change; the rows are the truth, and the
//! commit of an enrolment asks them again.

use crate::entropy::random;
use crate::feed::PublishFault;
use crate::issuance::hierarchy::{Hierarchy, Trust};
use crate::operators::reading::{Environments, Read};
use crate::store::commit::Commits;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use touchmark_identity::{EnvironmentName, MakerId, Timestamp};
use touchmark_inventory::{DeviceRow, MakerRow, Receipt, Store, StoreFault};
use touchmark_listen::{Clock, PeerChain};
use touchmark_ra::{
    Act as _, HardwareFacts, Initial, InitialRefusal, MakerFacts, MakerFault, Mandate, Refusal,
    RegisterHardware, RegisterMaker, WithdrawMaker, register_hardware, register_maker, withdraw_maker,
};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::{Budget, PRESENTED_MAX, PathFault, Purpose, validate, validate_within};
use touchmark_x509::{Certificate, PublicKey};

/// Why nothing was registered or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum MakersFault {
    /// The RA said no.
    #[error(transparent)]
    Rules(#[from] MakerFault),
    /// A stored certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The feed.
    #[error(transparent)]
    Publish(#[from] PublishFault),
}

/// One maker in force.
#[derive(Clone)]
struct Maker {
    row: MakerRow,
    certificate: Certificate,
}

pub(crate) struct Makers {
    commits: Commits,
    hierarchy: Arc<Hierarchy>,
    clock: Clock,
    in_force: RwLock<Arc<HashMap<EnvironmentName, Vec<Maker>>>>,
    /// The rows changed, and could not be read since.
    behind: AtomicBool,
    /// One change at a time: rules that look at several rows hold from reading to committing.
    changing: tokio::sync::Mutex<()>,
}

impl Makers {
    /// Wires it, and reads what is in force.
    ///
    /// # Errors
    /// [`MakersFault`] when a row cannot be read.
    pub(crate) fn load(
        commits: Commits,
        hierarchy: Arc<Hierarchy>,
        clock: Clock,
    ) -> Result<Self, MakersFault> {
        let (in_force, behind) = (RwLock::default(), AtomicBool::new(false));
        let changing = tokio::sync::Mutex::default();
        let makers = Self { commits, hierarchy, clock, in_force, behind, changing };
        makers.reload()?;
        Ok(makers)
    }

    fn reload(&self) -> Result<(), MakersFault> {
        let mut fresh = HashMap::new();
        for trust in self.hierarchy.all() {
            let name = &trust.environment.name;
            let rows = in_force(&**self.commits.store(), name)?;
            let read = |row: MakerRow| -> Result<Maker, BadCertificate> {
                Ok(Maker { certificate: Certificate::from_der(&row.certificate)?, row })
            };
            let makers = rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
            if !makers.is_empty() {
                fresh.insert(name.clone(), makers);
            }
        }
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }

    fn now_in_force(&self) -> Arc<HashMap<EnvironmentName, Vec<Maker>>> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a chain leads to a maker of any environment: enough to finish a handshake, and for nothing else.
    ///
    /// # Errors
    /// [`PathFault`], more telling than an unknown issuer if there is one; `None` when no environment has a maker.
    pub(crate) fn vouch(
        &self,
        leaf: &Certificate,
        presented: &[Certificate],
        now: Timestamp,
        budget: &mut Budget,
    ) -> Result<(), Option<PathFault>> {
        let all = self.now_in_force();
        let makers = || all.values().flatten();
        if makers().next().is_none() {
            return Err(None);
        }
        let anchors: Vec<_> = makers().map(|maker| maker.certificate.clone()).collect();
        validate_within(budget, leaf, presented, &anchors, now, Purpose::Initial).map(drop).map_err(Some)
    }

    /// What an initial certificate says in one environment: its path, the maker at its end, the hardware. Asked on every request: a maker
    /// that was withdrawn since the handshake vouches for nothing.
    ///
    /// # Errors
    /// [`InitialRefusal::Maker`]; [`Refusal::CertificateUnknown`] for what is no certificate.
    pub(crate) fn initial(
        &self,
        environment: &EnvironmentName,
        chain: &PeerChain,
        now: Timestamp,
    ) -> Result<Initial, Refusal> {
        let read = |der: &[u8]| Certificate::from_der(der).map_err(|_| Refusal::CertificateUnknown);
        let leaf = read(&chain.leaf)?;
        let presented =
            chain.rest.iter().take(PRESENTED_MAX).map(|der| read(der)).collect::<Result<Vec<_>, _>>()?;
        let all = self.now_in_force();
        let makers = all.get(environment).map_or(&[][..], Vec::as_slice);
        let anchors: Vec<_> = makers.iter().map(|maker| maker.certificate.clone()).collect();
        let path =
            validate(&leaf, &presented, &anchors, now, Purpose::Initial).map_err(InitialRefusal::Maker)?;
        let maker = makers.iter().find(|maker| maker.certificate == *path.anchor());
        let maker = maker.ok_or(Refusal::CertificateUnknown)?.row.clone();
        let hardware_id = HardwareId::of(path.leaf()).map_err(InitialRefusal::from)?;
        Ok(Initial { path, maker, hardware_id })
    }

    /// All makers of an environment, withdrawn ones too.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub(crate) fn list(&self, read: &Mandate<Read<Environments>>) -> Result<Vec<MakerRow>, StoreFault> {
        read.act().environment().map_or(Ok(Vec::new()), |name| self.commits.store().makers(name))
    }

    /// Puts a maker in force; says whether it is new.
    ///
    /// # Errors
    /// [`MakersFault`].
    pub(crate) async fn register(
        &self,
        mandate: Mandate<RegisterMaker>,
        trust: &Trust,
        certificate: &Certificate,
    ) -> Result<(MakerRow, bool), MakersFault> {
        let _one = self.changing.lock().await;
        let store = self.commits.store();
        let makers = store.makers(&trust.environment.name)?;
        let own_keys = store
            .authorities()?
            .iter()
            .map(|row| Ok(Certificate::from_der(&row.certificate)?.public_key().clone()))
            .collect::<Result<Vec<PublicKey>, BadCertificate>>()?;
        let facts = MakerFacts { scope: &trust.environment.scope, makers: &makers, own_keys: &own_keys };
        let (maker, command) = register_maker(mandate, certificate, &facts, self.clock.now(), random())?;
        let fresh = !command.entries.is_empty();
        if fresh {
            let receipt = self.commits.commit(command).await?;
            self.in_force_everywhere(receipt)?;
        }
        Ok((self.row(trust, maker)?, fresh))
    }

    fn row(&self, trust: &Trust, maker: MakerId) -> Result<MakerRow, StoreFault> {
        let rows = self.commits.store().makers(&trust.environment.name)?;
        let row = rows.into_iter().find(|row| row.maker == maker);
        row.ok_or_else(|| StoreFault::Damaged("a maker that was just recorded".into()))
    }

    /// Ends a maker.
    ///
    /// # Errors
    /// [`MakersFault`].
    pub(crate) async fn withdraw(
        &self,
        mandate: Mandate<WithdrawMaker>,
        trust: &Trust,
    ) -> Result<MakerRow, MakersFault> {
        let _one = self.changing.lock().await;
        let makers = self.commits.store().makers(&trust.environment.name)?;
        let now = self.clock.now();
        let (maker, command) = withdraw_maker(mandate, &trust.environment.scope, &makers, now)?;
        let receipt = self.commits.commit(command).await?;
        self.in_force_everywhere(receipt)?;
        Ok(self.row(trust, maker)?)
    }

    /// Handshakes here follow first, then gateways: neither waits for the other to succeed. Recorded already; what
    /// fails is made good by [`Makers::repair`].
    fn in_force_everywhere(&self, receipt: Receipt) -> Result<(), MakersFault> {
        self.behind.store(true, Ordering::SeqCst);
        let reloaded = self.repair();
        self.commits.is_fed(receipt)?;
        reloaded
    }

    /// Reads again what is in force, if an earlier reading failed.
    ///
    /// # Errors
    /// [`MakersFault`]; the next call tries again.
    pub(crate) fn repair(&self) -> Result<(), MakersFault> {
        if self.behind.load(Ordering::SeqCst) {
            self.reload()?;
            self.behind.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Registers a piece of hardware for a device, which is made if there is none of that name.
    ///
    /// # Errors
    /// [`MakersFault`].
    pub(crate) async fn register_hardware(
        &self,
        mandate: Mandate<RegisterHardware>,
        trust: &Trust,
    ) -> Result<DeviceRow, MakersFault> {
        let _one = self.changing.lock().await;
        let (store, environment) = (self.commits.store(), &trust.environment);
        let RegisterHardware { maker, hardware_id, name, .. } = mandate.act();
        let makers = in_force(&**store, &environment.name)?;
        let found = makers.iter().find(|row| row.name == *maker);
        let maker = found.ok_or_else(|| MakerFault::Unknown(maker.clone()))?;
        let device = store.device_by_name(&environment.name, name)?;
        let of_device = match &device {
            Some(device) => store.hardware_of_device(device.device)?,
            None => Vec::new(),
        };
        let registered = store.hardware(&environment.name, maker.maker, hardware_id.as_str())?;
        let facts = HardwareFacts {
            scope: &environment.scope,
            maker,
            device: device.as_ref(),
            of_device: &of_device,
            registered: registered.as_ref(),
        };
        let (device, command) = register_hardware(mandate, &facts, self.clock.now(), random())?;
        if !command.entries.is_empty() {
            self.commits.commit(command).await?;
        }
        let row = self.commits.store().device(device)?;
        Ok(row.ok_or_else(|| StoreFault::Damaged("a device that was just registered".into()))?)
    }
}

fn in_force(store: &dyn Store, environment: &EnvironmentName) -> Result<Vec<MakerRow>, StoreFault> {
    Ok(store.makers(environment)?.into_iter().filter(|row| row.withdrawn_at.is_none()).collect())
}

#[cfg(test)]
mod tests;
