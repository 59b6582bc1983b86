//! What one environment's identity looks like from outside: for `status`, `why` and logs. Decides nothing.

use super::record::{Failure, Renewed};
use super::{Lifecycle, LocalFault, Stage, Standing, Start};
use touchmark_enrol::RenewalWindow;
use touchmark_identity::{EnvironmentName, Fingerprint, Name, SpiffeId, Timestamp, Validity};

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub identity: Name,
    pub environment: EnvironmentName,
    /// The certificate in force.
    pub certificate: Option<CertificateReport>,
    /// How far a new pair is.
    pub progress: Progress,
    /// When a renewal begins, if nothing else happens; `None` without a certificate.
    pub renews_at: Option<Timestamp>,
    /// The server's window for it.
    pub window: Option<RenewalWindow>,
    /// When something happens next, by [`Report::now`]'s reckoning.
    pub next_at: Timestamp,
    /// The last success.
    pub renewed: Option<Renewed>,
    /// Failures since then.
    pub failures: u32,
    /// The last of them.
    pub failure: Option<Failure>,
    /// What the server thinks of the device.
    pub standing: Standing,
    /// Who must act.
    pub needs: Needs,
    /// The time used for decisions.
    pub now: Timestamp,
    /// The device's own clock.
    pub clock: Timestamp,
    /// No time before this is believed.
    pub floor: Timestamp,
    /// Anchors in force.
    pub anchors: usize,
}

/// The certificate in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReport {
    /// Its handle.
    pub fingerprint: Fingerprint,
    /// The identity; `None` for a certificate put there by other means, with another kind of name.
    pub identity: Option<SpiffeId>,
    /// From when to when.
    pub validity: Validity,
}

/// How far a new pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// None is on its way.
    Idle,
    /// Key and request are made, and asked for.
    Asking,
    /// The certificate is there and not yet confirmed.
    Confirming,
    /// Confirmed; taking over.
    TakingOver,
    /// Refused; being forgotten.
    Dropping,
}

/// Who must act before this identity is fresh again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nobody: all is well, or time will mend it.
    Nobody,
    /// A person brings a new token, or a new initial certificate.
    NewProof,
    /// An operator of the authority releases the device.
    Release,
    /// Nobody can: the device never returns under this name.
    NewDevice,
    /// Whoever runs the device: its disk, its files, its configuration.
    DeviceKeeper,
    /// Whoever runs the authority, or the network to it.
    Authority,
}

/// Failures in a row after which a server, or the way to it, is somebody's matter.
const SERVER_FAILURES: u32 = 3;

impl Lifecycle {
    /// A snapshot, while the device's clock shows `clock`.
    pub fn report(&self, clock: Timestamp) -> Report {
        let now = self.watch.at(clock);
        Report {
            identity: self.rules.identity.clone(),
            environment: self.rules.environment.clone(),
            certificate: self.current().map(|chain| CertificateReport {
                fingerprint: chain.leaf().fingerprint(),
                identity: chain.leaf().spiffe_id().ok(),
                validity: chain.leaf().validity(),
            }),
            progress: self.progress(),
            renews_at: self.renews_at(),
            window: self
                .memory
                .hint
                .filter(|(of, _)| Some(*of) == self.current_fingerprint())
                .map(|(_, window)| window),
            next_at: self.next_at(now).max(now),
            renewed: self.memory.renewed,
            failures: self.memory.failures,
            failure: self.memory.failure.clone(),
            standing: self.memory.standing.clone(),
            needs: self.needs(),
            now,
            clock,
            floor: self.watch.floor(),
            anchors: self.anchors.in_force().count(),
        }
    }

    fn progress(&self) -> Progress {
        match self.stage {
            Stage::Absent => Progress::Idle,
            Stage::Requested { .. } | Stage::Delivered { .. } => Progress::Asking,
            Stage::Kept { .. } => Progress::Confirming,
            Stage::Confirmed { .. } => Progress::TakingOver,
            Stage::Abandoned => Progress::Dropping,
        }
    }

    fn needs(&self) -> Needs {
        let code = self.memory.failure.as_ref().map_or("", |failure| failure.code.as_str());
        let nothing_to_ask_with = self.current.is_none() && self.rules.start == Start::None;
        match &self.memory.standing {
            Standing::Banned => Needs::NewDevice,
            Standing::Quarantined => Needs::Release,
            _ if code == LocalFault::DISK || code == LocalFault::KEY || nothing_to_ask_with => {
                Needs::DeviceKeeper
            }
            // The token that it has made what is lost now: it is spent, unless somebody brought another.
            Standing::Lost { .. } if self.rules.start != Start::Initial => Needs::NewProof,
            Standing::Good | Standing::Lost { .. } if self.proof_refused => Needs::NewProof,
            Standing::Good | Standing::Lost { .. } if self.memory.failures >= SERVER_FAILURES => {
                Needs::Authority
            }
            Standing::Good | Standing::Lost { .. } => Needs::Nobody,
        }
    }
}
