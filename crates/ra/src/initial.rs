//! Initial certificates: may the device of this maker have its first operational certificate?
//!
//! In: a request with proven possession of a new key, and the path of the maker's certificate (IDevID, IEEE 802.1AR)
//! whose key was proven in the same TLS connection. Out: an order, or a [`Refusal`]. Who made a device grants nothing:
//! its hardware identifier must have been registered for a device of this environment before.

mod maker;

pub use maker::{
    HardwareFacts, MAKERS_IN_FORCE_MAX, MakerFacts, MakerFault, RegisterHardware, RegisterMaker,
    WithdrawMaker, register_hardware, register_maker, withdraw_maker,
};

use crate::admission::{Admitted, newest_generation, replaced, scope_strings};
use crate::holder::device_actor;
use crate::issue_rate::may_issue;
use crate::refusal::Refusal;
use core::time::Duration;
use touchmark_ca::{IssuanceOrder, OrderParts};
use touchmark_enrol::EnrolmentRequest;
use touchmark_identity::{DeviceId, PathKind, SpiffeId, Timestamp};
use touchmark_inventory::{
    CertificateRow, DeviceRow, EnvironmentRow, HardwareRow, Holder, IssueRow, MakerRow, Precondition,
};
use touchmark_journal::{Envelope, IdentityKind, Standing};
use touchmark_x509::csr::{Form, Granted};
use touchmark_x509::hardware::{BadHardwareId, HardwareId};
use touchmark_x509::path::{PathFault, VerifiedPath};

/// Why an initial certificate opened nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitialRefusal {
    /// No maker in force in this environment issued it; an operator may have to register one.
    #[error("no maker of this environment vouches for the certificate: {0}")]
    Maker(PathFault),
    /// It names no hardware, or several; its maker must act.
    #[error(transparent)]
    HardwareId(#[from] BadHardwareId),
    /// Nobody said what this piece of hardware is to become.
    #[error("this hardware is not registered here")]
    HardwareUnknown,
    /// It was registered before its device was revoked.
    #[error("this hardware was registered before its device was revoked")]
    HardwareVoid,
    /// The request brings a key of the maker's chain.
    #[error("the request is for the key of the initial certificate")]
    Key,
}

impl InitialRefusal {
    /// The stable code in answers, logs and documentation.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Maker(_) => "maker-unknown",
            Self::HardwareId(bad) => bad.code(),
            Self::HardwareUnknown => "hardware-unknown",
            Self::HardwareVoid => "hardware-void",
            Self::Key => "initial-key",
        }
    }

    /// What the person who can act does next.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Maker(_) => "an operator registers the maker: touchmark maker register NAME --ca FILE",
            Self::HardwareId(_) => "the device's maker issues a certificate that names its hardware once",
            Self::HardwareUnknown | Self::HardwareVoid => {
                "an operator registers it: touchmark device register NAME --maker MAKER --hardware-id ID"
            }
            Self::Key => "make a new key pair on the device and send a request for it",
        }
    }
}

/// The rows that an enrolment by initial certificate concerns, read by the caller.
#[derive(Debug)]
pub struct InitialFacts<'a> {
    /// The environment that the request is for.
    pub environment: &'a EnvironmentRow,
    /// The path of the initial certificate, validated as one, to an anchor that is `maker`'s.
    pub path: &'a VerifiedPath,
    /// Whose anchor ends the path.
    pub maker: &'a MakerRow,
    /// What is registered under that maker for the hardware identifier in the path's leaf.
    pub hardware: Option<&'a HardwareRow>,
    /// The device that it is to become.
    pub device: Option<&'a DeviceRow>,
    /// The certificates that it works with now, newest first.
    pub current: &'a [CertificateRow],
    /// What it was given last, the newest first: at least as many as [`crate::ISSUES_AT_ONCE`].
    pub issues: &'a [IssueRow],
    /// How long a certificate lives.
    pub lifetime: Duration,
    /// What the profile and the authority put into every certificate.
    pub form: &'a Form,
}

/// Decides on an enrolment by initial certificate. The commit demands that the hardware is still expected, and its
/// maker still in force.
///
/// # Errors
/// [`Refusal`]; nothing is recorded.
pub fn admit_initial(
    request: &EnrolmentRequest,
    facts: &InitialFacts<'_>,
    cause: &str,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let scope = &facts.environment.scope;
    let unknown = || Refusal::Initial(InitialRefusal::HardwareUnknown);
    let hardware_id = HardwareId::of(facts.path.leaf()).map_err(InitialRefusal::from)?;
    let expected = |row: &&HardwareRow| {
        row.maker == facts.maker.maker
            && row.hardware_id == hardware_id.as_str()
            && facts.path.anchor().der() == facts.maker.certificate
    };
    let hardware = facts.hardware.filter(expected).ok_or_else(unknown)?;
    let device = facts.device.filter(|device| device.device == hardware.device).ok_or_else(unknown)?;
    let name = device.name.as_ref().ok_or_else(unknown)?;
    if device.standing != Standing::Active {
        return Err(Refusal::Standing { device: device.device, standing: device.standing });
    }
    if hardware.void {
        return Err(InitialRefusal::HardwareVoid.into());
    }
    let identity = SpiffeId {
        trust_domain: facts.environment.trust_domain.clone(),
        kind: PathKind::Device,
        name: name.clone(),
    };
    let scope_strings = scope_strings(device.model.as_ref());
    request.csr().within(&Granted {
        common_name: name.as_str(),
        uri: &identity.to_string(),
        dns: &[],
        ips: &[],
        scope: &scope_strings,
        form: facts.form,
    })?;
    let public_key = request.csr().public_key().clone();
    // The maker may keep a copy, and who has it would be the device for as long as the hardware lives.
    if facts.path.chain().iter().any(|certificate| *certificate.public_key() == public_key) {
        return Err(InitialRefusal::Key.into());
    }
    may_issue(facts.issues, Some(hardware.registered_at), facts.lifetime, now)
        .map_err(|wait| Refusal::TooSoon { wait })?;
    let preconditions = preconditions(facts, hardware, device.device, &public_key);
    let still = vec![Precondition::DeviceStanding { device: device.device, standing: Standing::Active }];
    let order = IssuanceOrder::admitted_unchecked(OrderParts {
        scope: scope.clone(),
        identity,
        kind: IdentityKind::Operational,
        device: Some(device.device),
        public_key,
        csr_sha256: request.csr().digest(),
        scope_strings,
        dns: Vec::new(),
        ips: Vec::new(),
        token: None,
        replaces: replaced(facts.current),
        renewal: None,
        generation: newest_generation(facts.issues).saturating_add(1),
    });
    let actor = device_actor(device.device, name);
    let envelope = Envelope { scope: scope.clone(), actor, cause: cause.into(), at: now };
    Ok(Admitted { order, preconditions, still, entries: Vec::new(), envelope })
}

fn preconditions(
    facts: &InitialFacts<'_>,
    hardware: &HardwareRow,
    device: DeviceId,
    key: &touchmark_x509::PublicKey,
) -> Vec<Precondition> {
    vec![
        Precondition::HardwareUsable {
            environment: facts.environment.name.clone(),
            maker: facts.maker.maker,
            hardware_id: hardware.hardware_id.clone(),
            device,
        },
        Precondition::DeviceStanding { device, standing: Standing::Active },
        // A certificate that came between reading and committing would have the same generation.
        Precondition::NewestGeneration {
            holder: Holder::Device(device),
            generation: newest_generation(facts.issues),
        },
        Precondition::KeyUsable { spki: key.spki_hash(), holder: Holder::Device(device) },
    ]
}
