//! What can happen. Each variant's number and field numbers are for ever; a changed meaning is a new variant.
//!
//! Only what may stay readable for ever is here: opaque identifiers, hashes, numbers, and the names of
//! operators, who are accountable. Device names, keys and certificates are in [`crate::Private`].

use crate::cbor::{moment, octets, opt_moment, opt_octets, opt_text, span, text};
use crate::gateway::GatewayDeclared;
use crate::maker::{HardwareRegistered, MakerRegistered, MakerWithdrawn};
use crate::renewal::{CloneSuspected, PartyCloneSuspected, RenewalFacts, RenewalRefused, RenewalRules};
use crate::revocation::{CertificateRevoked, HolderRevoked};
use minicbor::{Decode, Encode};
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, Name, PathKind,
    ProfileVersionId, RevocationReason, SerialNumber, SpkiHash, Timestamp, TokenId, TrustDomain, Validity,
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// A key and certificate of an authority came into being.
    #[n(1)]
    AuthorityCreated(#[n(0)] AuthorityCreated),
    /// A trust domain came into being.
    #[n(2)]
    EnvironmentCreated(#[n(0)] EnvironmentCreated),
    /// A profile version may be issued from now on.
    #[n(3)]
    ProfileActivated(#[n(0)] ProfileActivated),
    /// An operator or service is known, with its roles.
    #[n(4)]
    PartyRegistered(#[n(0)] PartyRegistered),
    /// An operator allowed an enrolment.
    #[n(5)]
    TokenCreated(#[n(0)] TokenCreated),
    /// A device is known.
    #[n(6)]
    DeviceRegistered(#[n(0)] DeviceRegistered),
    /// A certificate is about to be signed: recorded before the key is used.
    #[n(7)]
    CertificateIntended(#[n(0)] CertificateIntended),
    /// It was signed, byte for byte as intended.
    #[n(8)]
    CertificateIssued(#[n(0)] CertificateIssued),
    /// An intent was given up; its serial is spent and revoked.
    #[n(9)]
    CertificateBurned(#[n(0)] CertificateBurned),
    /// The device proved possession of the certificate's key.
    #[n(10)]
    CertificateConfirmed(#[n(0)] CertificateConfirmed),
    /// A newer confirmed certificate took over.
    #[n(11)]
    CertificateSuperseded(#[n(0)] CertificateSuperseded),
    /// Certificates are dead, their keys denied, earlier tokens of the device void.
    #[n(12)]
    CertificatesRevoked(#[n(0)] CertificatesRevoked),
    /// A device was quarantined, released or banned.
    #[n(13)]
    StandingChanged(#[n(0)] StandingChanged),
    /// A device policy is in force.
    #[n(14)]
    PolicyActivated(#[n(0)] PolicyActivated),
    /// A CRL was signed.
    #[n(15)]
    CrlPublished(#[n(0)] CrlPublished),
    /// A gateway says when it applied a change.
    #[n(16)]
    EnforcementReported(#[n(0)] EnforcementReported),
    /// Requests were refused.
    #[n(17)]
    Refused(#[n(0)] Refused),
    /// The authority started.
    #[n(18)]
    Started(#[n(0)] Started),
    /// A device proved itself, asked for a successor, and was refused.
    #[n(19)]
    RenewalRefused(#[n(0)] RenewalRefused),
    /// A certificate was used after its successor had taken over: somebody else may hold its key.
    #[n(20)]
    CloneSuspected(#[n(0)] CloneSuspected),
    /// A maker's initial certificates open enrolment from now on.
    #[n(21)]
    MakerRegistered(#[n(0)] MakerRegistered),
    /// They do not any more.
    #[n(22)]
    MakerWithdrawn(#[n(0)] MakerWithdrawn),
    /// A piece of hardware is expected, and which device it is to become.
    #[n(23)]
    HardwareRegistered(#[n(0)] HardwareRegistered),
    /// An operator took a token back.
    #[n(24)]
    TokenVoided(#[n(0)] TokenVoided),
    /// All that a device, operator or service had, or could have by then, is dead: certificates, intents, keys,
    /// tokens, and the hardware that is expected to become the device. Of an operator, also the tokens it made.
    #[n(25)]
    HolderRevoked(#[n(0)] HolderRevoked),
    /// One certificate is dead, with the successors that it was given and that nobody proved; their keys are denied.
    #[n(26)]
    CertificateRevoked(#[n(0)] CertificateRevoked),
    /// An operator's or service's certificate was used after its successor had taken over.
    #[n(27)]
    PartyCloneSuspected(#[n(0)] PartyCloneSuspected),
    /// An operator said that a gateway runs, or that it does not.
    #[n(28)]
    GatewayDeclared(#[n(0)] GatewayDeclared),
}

impl Event {
    /// The event's word in JSON and listings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::AuthorityCreated(_) => "authority-created",
            Self::EnvironmentCreated(_) => "environment-created",
            Self::ProfileActivated(_) => "profile-activated",
            Self::PartyRegistered(_) => "party-registered",
            Self::TokenCreated(_) => "token-created",
            Self::DeviceRegistered(_) => "device-registered",
            Self::CertificateIntended(_) => "certificate-intended",
            Self::CertificateIssued(_) => "certificate-issued",
            Self::CertificateBurned(_) => "certificate-burned",
            Self::CertificateConfirmed(_) => "certificate-confirmed",
            Self::CertificateSuperseded(_) => "certificate-superseded",
            Self::CertificatesRevoked(_) => "certificates-revoked",
            Self::StandingChanged(_) => "standing-changed",
            Self::PolicyActivated(_) => "policy-activated",
            Self::CrlPublished(_) => "crl-published",
            Self::EnforcementReported(_) => "enforcement-reported",
            Self::Refused(_) => "refused",
            Self::Started(_) => "started",
            Self::RenewalRefused(_) => "renewal-refused",
            Self::CloneSuspected(_) => "clone-suspected",
            Self::MakerRegistered(_) => "maker-registered",
            Self::MakerWithdrawn(_) => "maker-withdrawn",
            Self::HardwareRegistered(_) => "hardware-registered",
            Self::TokenVoided(_) => "token-voided",
            Self::HolderRevoked(_) => "holder-revoked",
            Self::CertificateRevoked(_) => "certificate-revoked",
            Self::PartyCloneSuspected(_) => "party-clone-suspected",
            Self::GatewayDeclared(_) => "gateway-declared",
        }
    }
}

macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
        #[cbor(index_only)]
        pub enum $name { $($(#[$vdoc])* #[n($number)] $variant),* }

        impl $name {
            /// The word in rows and JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads [`Self::as_str`] back.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

pub(crate) use word_enum;

word_enum!(
    /// Where an authority stands in its hierarchy.
    AuthorityKind {
        /// Self-signed anchor of the organisation.
        Root = 0 "root",
        /// Issues for one environment.
        Issuing = 1 "issuing",
    }
);

word_enum!(
    /// Who a certificate is for.
    IdentityKind {
        /// A device's operational identity (LDevID, IEEE 802.1AR).
        Operational = 0 "operational",
        /// A gateway or a part of the product.
        Service = 1 "service",
        /// A person.
        Operator = 2 "operator",
    }
);

word_enum!(
    /// Whether a device may act.
    Standing {
        /// It may.
        Active = 0 "active",
        /// Not now; reversible.
        Quarantined = 1 "quarantined",
        /// Never again.
        Banned = 2 "banned",
    }
);

word_enum!(
    /// Why an intent was given up.
    BurnCause {
        /// The process died between intent and record.
        Crash = 0 "crash",
        /// The key refused or failed.
        SigningFault = 1 "signing-fault",
    }
);

/// See [`Event::AuthorityCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuthorityCreated {
    /// This key and certificate.
    #[cbor(n(0), with = "octets")]
    pub authority_version: AuthorityVersionId,
    /// Root or issuing.
    #[n(1)]
    pub kind: AuthorityKind,
    /// For people.
    #[cbor(n(2), with = "text")]
    pub name: Name,
    /// Certificate, DER.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// Who signed it; absent for a root.
    #[cbor(n(4), with = "opt_octets")]
    pub parent: Option<AuthorityVersionId>,
    /// Shards that its CRL is split into.
    #[n(5)]
    pub crl_shards: u32,
}

impl IdentityKind {
    /// The path under which certificates of this kind name their holder.
    pub fn path(self) -> PathKind {
        match self {
            Self::Operational => PathKind::Device,
            Self::Service => PathKind::Service,
            Self::Operator => PathKind::Operator,
        }
    }
}

/// See [`Event::EnvironmentCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnvironmentCreated {
    #[cbor(n(0), with = "text")]
    pub name: EnvironmentName,
    /// Host of its identities' URIs; never changes.
    #[cbor(n(1), with = "text")]
    pub trust_domain: TrustDomain,
    /// The one that EST means when no label is given.
    #[n(2)]
    pub default: bool,
}

/// See [`Event::ProfileActivated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProfileActivated {
    /// This version.
    #[cbor(n(0), with = "octets")]
    pub profile_version: ProfileVersionId,
    /// The profile's name.
    #[cbor(n(1), with = "text")]
    pub name: Name,
    /// What it issues.
    #[n(2)]
    pub kind: IdentityKind,
    /// Seconds from not-before to not-after, both counted.
    #[n(3)]
    pub lifetime_s: u64,
    /// Seconds that an old certificate still serves after its successor is confirmed.
    #[n(4)]
    pub overlap_s: u64,
    /// What holds for successors; absent in the first profiles.
    #[n(5)]
    pub renewal: Option<RenewalRules>,
}

word_enum!(
    /// Where the roles of an operator hold.
    Reach {
        /// In its home environment.
        Environment = 0 "environment",
        /// In every environment, and for what is the organisation's.
        Organisation = 1 "organisation",
    }
);

/// See [`Event::PartyRegistered`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PartyRegistered {
    /// Operator or service.
    #[n(0)]
    pub kind: IdentityKind,
    #[cbor(n(1), with = "text")]
    pub name: Name,
    /// Roles for the operator policy.
    #[n(2)]
    pub roles: Vec<String>,
    /// Who answers for it.
    #[cbor(n(3), with = "opt_text")]
    pub owner: Option<Name>,
    /// Where an operator's roles hold; absent in the first ones, and then it is the organisation.
    #[n(4)]
    pub reach: Option<Reach>,
}

/// See [`Event::TokenCreated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenCreated {
    /// This token.
    #[cbor(n(0), with = "octets")]
    pub token: TokenId,
    /// What it enrols.
    #[n(1)]
    pub kind: IdentityKind,
    /// How often it may be used.
    #[n(2)]
    pub uses: u32,
    /// Last moment of use.
    #[cbor(n(3), with = "moment")]
    pub expires_at: Timestamp,
    /// Roles that an operator or service gets when it enrols; absent when it keeps those that it has.
    #[n(4)]
    pub roles: Option<Vec<String>>,
    /// Where these roles hold; absent in the first ones, and then it is the organisation.
    #[n(5)]
    pub reach: Option<Reach>,
}

/// See [`Event::TokenVoided`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TokenVoided {
    #[cbor(n(0), with = "octets")]
    pub token: TokenId,
}

/// See [`Event::DeviceRegistered`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeviceRegistered {
    /// This device.
    #[cbor(n(0), with = "octets")]
    pub device: DeviceId,
}

/// See [`Event::CertificateIntended`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateIntended {
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    /// The device, unless it is for an operator or service.
    #[cbor(n(1), with = "opt_octets")]
    pub device: Option<DeviceId>,
    /// What it is for.
    #[n(2)]
    pub kind: IdentityKind,
    /// Who signs.
    #[cbor(n(3), with = "octets")]
    pub authority_version: AuthorityVersionId,
    /// By which rules.
    #[cbor(n(4), with = "octets")]
    pub profile_version: ProfileVersionId,
    /// Unique under the authority version.
    #[cbor(n(5), with = "octets")]
    pub serial: SerialNumber,
    /// Its span.
    #[cbor(n(6), with = "span")]
    pub validity: Validity,
    /// SHA-256 of the intended TBSCertificate.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub tbs_sha256: [u8; 32],
    /// The token it is issued on.
    #[cbor(n(8), with = "opt_octets")]
    pub token: Option<TokenId>,
    /// The certificate it is to replace.
    #[cbor(n(9), with = "opt_octets")]
    pub replaces: Option<CertificateId>,
    /// One more than the identity's last.
    #[n(10)]
    pub generation: u64,
    /// Shard of the authority's CRL that would list it.
    #[n(11)]
    pub crl_shard: u32,
    /// Present where a device asked for it on the word of the one that it replaces.
    #[n(12)]
    pub renewal: Option<RenewalFacts>,
}

/// See [`Event::CertificateIssued`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateIssued {
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    /// SHA-256 of the DER.
    #[cbor(n(1), with = "octets")]
    pub fingerprint: Fingerprint,
}

/// See [`Event::CertificateBurned`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateBurned {
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    #[n(1)]
    pub cause: BurnCause,
    /// The token whose use is given back: nothing was handed out for it.
    #[cbor(n(2), with = "opt_octets")]
    pub token: Option<TokenId>,
}

/// See [`Event::CertificateConfirmed`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateConfirmed {
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
}

/// See [`Event::CertificateSuperseded`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificateSuperseded {
    /// The old row.
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    /// The new row.
    #[cbor(n(1), with = "octets")]
    pub by: CertificateId,
    /// First moment at which the old one is refused.
    #[cbor(n(2), with = "moment")]
    pub effective_at: Timestamp,
}

/// One certificate inside [`CertificatesRevoked`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokedCertificate {
    #[cbor(n(0), with = "octets")]
    pub certificate: CertificateId,
    /// Its key, denied from now on.
    #[cbor(n(1), with = "octets")]
    pub spki: SpkiHash,
}

/// See [`Event::CertificatesRevoked`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CertificatesRevoked {
    /// The device whose earlier tokens are void, if it is a device's.
    #[cbor(n(0), with = "opt_octets")]
    pub device: Option<DeviceId>,
    /// What is dead.
    #[n(1)]
    pub certificates: Vec<RevokedCertificate>,
    /// CRLReason (RFC 5280 §5.3.1).
    #[cbor(n(2), with = "text")]
    pub reason: RevocationReason,
}

/// See [`Event::StandingChanged`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StandingChanged {
    #[cbor(n(0), with = "octets")]
    pub device: DeviceId,
    /// From now on.
    #[n(1)]
    pub standing: Standing,
    /// When a quarantine ends by itself.
    #[cbor(n(2), with = "opt_moment")]
    pub until: Option<Timestamp>,
}

/// See [`Event::PolicyActivated`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PolicyActivated {
    /// SHA-256 over the bundle, as the compiler computes it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub version: [u8; 32],
    /// Name and text of each `.cedar` file.
    #[n(1)]
    pub files: Vec<(String, String)>,
    /// `topics.toml`.
    #[n(2)]
    pub topics: String,
}

/// See [`Event::CrlPublished`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CrlPublished {
    #[cbor(n(0), with = "octets")]
    pub authority_version: AuthorityVersionId,
    /// Which shard.
    #[n(1)]
    pub shard: u32,
    /// CRL number, rising.
    #[n(2)]
    pub number: u64,
    /// SHA-256 of the DER.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub sha256: [u8; 32],
}

/// See [`Event::EnforcementReported`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EnforcementReported {
    /// Which gateway.
    #[cbor(n(0), with = "text")]
    pub gateway: Name,
    /// Feed epoch.
    #[n(1)]
    pub epoch: u64,
    /// Feed sequence number that is in force there.
    #[n(2)]
    pub seq: u64,
    /// By the gateway's clock.
    #[cbor(n(3), with = "moment")]
    pub applied_at: Timestamp,
    /// Live sessions that it ended for it.
    #[n(4)]
    pub sessions_closed: u64,
}

/// See [`Event::Refused`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Refused {
    /// Stable reason code.
    #[n(0)]
    pub code: String,
    /// How many in the same second: strangers are counted, not listed.
    #[n(1)]
    pub count: u64,
    /// The device, if one was proven or named by a good token.
    #[cbor(n(2), with = "opt_octets")]
    pub device: Option<DeviceId>,
}

/// See [`Event::Started`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Started {
    /// Serial prefix octet in force.
    #[n(0)]
    pub incarnation: u8,
    /// Feed epoch from now on; rises with each start.
    #[n(1)]
    pub epoch: u64,
    /// Version of the program.
    #[n(2)]
    pub version: String,
}
