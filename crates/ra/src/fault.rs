//! Why a use case of a certificate ended without it, and how EST says so: one table for every server.

use crate::refusal::Refusal;
use core::time::Duration;
use touchmark_ca::{IssueFault, PlanFault};
use touchmark_enrol::Intent;
use touchmark_enrol::est::EstFault;
use touchmark_identity::{CertificateId, EnvironmentName, Name, SpiffeId};
use touchmark_inventory::StoreFault;
use touchmark_x509::certificate::BadCertificate;

/// When to come back after a storage fault, and when an operator has to make space first.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_DISK: Duration = Duration::from_secs(30);

/// Why no certificate was handed out, or none confirmed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentFault {
    /// The RA said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such environment.
    #[error("no environment has this name")]
    UnknownEnvironment,
    /// Nothing that enrols was presented.
    #[error("no credential was presented")]
    NoCredential,
    /// The environment has no profile for what is asked for.
    #[error("the environment has no profile for this")]
    NoProfile,
    /// Too many at once; this identity has a place of its own after so long.
    #[error("more certificates are asked for than can be made now; come back in {} s", retry_after.as_secs())]
    TooMany {
        /// When to come back.
        retry_after: Duration,
    },
    /// Storage: the same request may be sent again and gets the same certificate.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// Planning failed: an operator must act.
    #[error(transparent)]
    Plan(#[from] PlanFault),
    /// Signing failed: an operator must act.
    #[error(transparent)]
    Issue(#[from] IssueFault),
    /// A stored certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
}

/// As the device hears it, and the code that the journal keeps.
#[derive(Debug)]
pub struct EstRefusal {
    pub fault: EstFault,
    pub code: &'static str,
}

impl From<EstFault> for EstRefusal {
    fn from(fault: EstFault) -> Self {
        Self { code: fault.code(), fault }
    }
}

impl EnrolmentFault {
    /// What is for the log of the server: nobody who asked can act.
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Refused(_) | Self::UnknownEnvironment | Self::NoCredential | Self::TooMany { .. } => false,
            Self::Store(StoreFault::Conflict(_) | StoreFault::DiskFull) => false,
            Self::Store(_) | Self::NoProfile | Self::Plan(_) | Self::Issue(_) | Self::Certificate(_) => true,
        }
    }

    /// In EST's words. What rests on a certificate is not asked for by password: no challenge, which a client would
    /// answer with one.
    pub fn in_est(self, intent: Intent) -> EstRefusal {
        let (code, fault) = match self {
            Self::Refused(refusal) => (refusal.code(), refusal_in_est(refusal, intent)),
            Self::NoCredential => return refusal_in_est(Refusal::CertificateUnknown, intent).into(),
            Self::UnknownEnvironment => return EstFault::UnknownPath.into(),
            Self::TooMany { retry_after } => ("paced", EstFault::Unavailable { retry_after }),
            Self::Store(StoreFault::Conflict(_)) => {
                ("changed-meanwhile", EstFault::Unavailable { retry_after: RETRY })
            }
            Self::Store(StoreFault::DiskFull) => {
                return EstFault::DiskFull { retry_after: RETRY_DISK }.into();
            }
            Self::Store(_) => return EstFault::Unavailable { retry_after: RETRY }.into(),
            Self::NoProfile | Self::Plan(_) | Self::Issue(_) | Self::Certificate(_) => {
                return EstFault::Internal.into();
            }
        };
        EstRefusal { fault, code }
    }
}

fn refusal_in_est(refusal: Refusal, intent: Intent) -> EstFault {
    let forbidden = |refusal: &Refusal| EstFault::Forbidden {
        code: refusal.code(),
        says: format!("{refusal}; {}", refusal.fix()),
    };
    match refusal {
        Refusal::Request(fault) => EstFault::Csr(fault),
        Refusal::TooSoon { wait } => EstFault::TooSoon { retry_after: wait },
        // Strangers are not told which of these it is.
        Refusal::Token
        | Refusal::TokenExpired
        | Refusal::TokenUsed
        | Refusal::TokenVoid
        | Refusal::CertificateUnknown => match intent {
            Intent::Enrol => EstFault::Unauthorised,
            Intent::Renew => forbidden(&Refusal::CertificateUnknown),
        },
        Refusal::Environment { .. }
        | Refusal::Standing { .. }
        | Refusal::DeviceExists { .. }
        | Refusal::Key
        | Refusal::CertificateEnvironment { .. }
        | Refusal::Superseded { .. }
        | Refusal::Revoked
        | Refusal::Expired { .. }
        | Refusal::Late { .. }
        | Refusal::SameKey
        | Refusal::OtherCertificate
        | Refusal::LastWayIn
        | Refusal::Initial(_) => forbidden(&refusal),
    }
}

/// What people are told of while a use case goes on.
#[derive(Debug)]
pub enum Notice {
    /// An older certificate was used after a newer one.
    CloneSuspected { holder: Option<SpiffeId>, certificate: CertificateId, seen_by: Name, quarantined: bool },
    /// A clone is suspected, which could not be recorded.
    CloneUnrecorded(StoreFault),
    /// A key was proven past its certificate's end, by its holder.
    ProvenPastEnd(CertificateId),
    /// By a gateway that has no say about it.
    ProvenElsewhere(CertificateId, EnvironmentName),
    /// An intent stays open until the upkeep finds it.
    Unburned(CertificateId, StoreFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device's agent goes by: whoever asks too often waits and is told how long; who is refused needs somebody.
    #[test]
    fn est_says_who_must_wait_and_who_must_act() {
        let wait = Duration::from_secs(7);
        let conflict = || {
            let failed = touchmark_inventory::Precondition::CertificateAlive(CertificateId::draw(
                touchmark_identity::Timestamp::from_unix_s(1),
                [1; 10],
            ));
            EnrolmentFault::Store(touchmark_inventory::Conflict { failed }.into())
        };
        let rows: [(EnrolmentFault, u16, u16, &str, Option<u64>); 10] = [
            (Refusal::TooSoon { wait }.into(), 429, 429, "renewal-too-soon", Some(7)),
            (EnrolmentFault::TooMany { retry_after: wait }, 503, 503, "paced", Some(7)),
            (conflict(), 503, 503, "changed-meanwhile", Some(5)),
            (StoreFault::DiskFull.into(), 503, 503, "disk-full", Some(30)),
            (StoreFault::Busy.into(), 503, 503, "est-unavailable", Some(5)),
            (Refusal::TokenUsed.into(), 401, 403, "token-used", None),
            (Refusal::CertificateUnknown.into(), 401, 403, "certificate-unknown", None),
            (Refusal::Revoked.into(), 403, 403, "certificate-revoked", None),
            (EnrolmentFault::UnknownEnvironment, 404, 404, "est-unknown-path", None),
            (EnrolmentFault::NoProfile, 500, 500, "est-internal", None),
        ];
        for (fault, enrol, renew, code, retry_s) in rows {
            let name = fault.to_string();
            let ours = fault.is_ours();
            for (intent, status) in [(Intent::Enrol, enrol), (Intent::Renew, renew)] {
                let told = match &fault {
                    EnrolmentFault::Refused(refusal) => EnrolmentFault::from(refusal.clone()).in_est(intent),
                    EnrolmentFault::Store(fault) => EnrolmentFault::from(fault.clone()).in_est(intent),
                    EnrolmentFault::TooMany { retry_after } => {
                        EnrolmentFault::TooMany { retry_after: *retry_after }.in_est(intent)
                    }
                    EnrolmentFault::UnknownEnvironment => EnrolmentFault::UnknownEnvironment.in_est(intent),
                    _ => EnrolmentFault::NoProfile.in_est(intent),
                };
                assert_eq!((told.fault.status(), told.code), (status, code), "{name}, {intent:?}");
                assert_eq!(told.fault.retry_after().map(|wait| wait.as_secs()), retry_s, "{name}");
            }
            let busy = code == "est-unavailable" || code == "est-internal";
            assert_eq!(ours, busy, "{name}: for the log");
        }
    }
}
