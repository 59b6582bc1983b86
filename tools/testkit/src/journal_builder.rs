//! Writes entries for tests: every identifier, key and moment is drawn from one counter, so a run repeats itself.

mod makers;
mod renewals;
mod revocations;

use touchmark_identity::{
    Actor, AuthorityVersionId, CertificateId, DeviceId, EnvironmentName, Fingerprint, Incarnation, Name,
    OrganisationName, PathKind, ProfileVersionId, RevocationReason, SerialNumber, SpiffeId, SpkiHash,
    Timestamp, TokenId, Validity,
};
use touchmark_inventory::{Command, Holder, Precondition};
use touchmark_journal::{
    AuthorityCreated, AuthorityKind, BurnCause, CertificateBody, CertificateBurned, CertificateConfirmed,
    CertificateIntended, CertificateIssued, CertificateSuperseded, CertificatesRevoked, CrlPublished,
    DevicePrivate, DeviceRegistered, Draft, EnforcementReported, Envelope, EnvironmentCreated, Event,
    GatewayDeclared, IdentityKind, IntentPrivate, PartyRegistered, PolicyActivated, Private,
    ProfileActivated, Refused, RevokedCertificate, Salt, Scope, Standing, StandingChanged, Started,
    TokenCreated, TokenPrivate, TokenSubject,
};

/// A moment long before every test: 2023-11-14.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Where every certificate ends unless a test says otherwise: 2033-05-18.
pub const NOT_AFTER_S: u64 = 2_000_000_000;

/// A text that a test knows to be a name.
///
/// # Panics
/// When it is none.
pub fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("the test wrote a name")
}

/// Draws what tests need.
#[derive(Clone, Debug)]
pub struct JournalBuilder {
    drawn: u64,
    environment: EnvironmentName,
}

/// An intent and the words for it.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Its row.
    pub certificate: CertificateId,
    /// Under whom.
    pub authority_version: AuthorityVersionId,
    /// Its serial.
    pub serial: SerialNumber,
    /// Its key.
    pub spki: SpkiHash,
    /// Whose, if a device's.
    pub device: Option<DeviceId>,
    /// On which token.
    pub token: Option<TokenId>,
    /// What it is for.
    pub kind: IdentityKind,
    /// The name in its identity.
    pub handle: Name,
    /// Last second.
    pub not_after_s: u64,
    /// CRL shard.
    pub crl_shard: u32,
    /// Predecessor.
    pub replaces: Option<CertificateId>,
}

impl Intent {
    /// The same with another key.
    pub fn with_key(self, spki: SpkiHash) -> Self {
        Self { spki, ..self }
    }

    /// Who holds its key.
    pub fn holder(&self) -> Holder {
        match self.device {
            Some(device) => Holder::Device(device),
            None => Holder::Party { kind: self.kind, name: self.handle.clone() },
        }
    }

    /// The same on a token.
    pub fn on(self, token: TokenId) -> Self {
        Self { token: Some(token), ..self }
    }
}

impl Default for JournalBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl JournalBuilder {
    /// Writes for environment `lab`.
    pub fn new() -> Self {
        Self { drawn: 0, environment: name("lab") }
    }

    /// Draws other values than any builder with another `number` (below 2^16).
    pub fn numbered(number: u64) -> Self {
        Self { drawn: number << 40, environment: name("lab") }
    }

    /// The environment it writes for.
    pub fn environment(&self) -> EnvironmentName {
        self.environment.clone()
    }

    /// Writes for another environment from now on.
    pub fn move_to(&mut self, environment: &str) {
        self.environment = name(environment);
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }

    fn octets<const N: usize>(&mut self) -> [u8; N] {
        let mut octets = [0x5a; N];
        let drawn = self.draw().to_be_bytes();
        let start = N.saturating_sub(drawn.len());
        for (to, from) in octets.iter_mut().skip(start).zip(drawn.iter().skip(drawn.len().saturating_sub(N)))
        {
            *to = *from;
        }
        octets
    }

    /// A later moment than every one before.
    pub fn now(&mut self) -> Timestamp {
        Timestamp::from_unix_ms(EPOCH_MS + self.draw())
    }

    /// An identifier of a device.
    pub fn device_id(&mut self) -> DeviceId {
        DeviceId::draw(self.now(), self.octets())
    }

    /// An identifier of a certificate.
    pub fn certificate_id(&mut self) -> CertificateId {
        CertificateId::draw(self.now(), self.octets())
    }

    /// An identifier of an authority version.
    pub fn authority_version(&mut self) -> AuthorityVersionId {
        AuthorityVersionId::draw(self.now(), self.octets())
    }

    /// An identifier of a profile version.
    pub fn profile_version(&mut self) -> ProfileVersionId {
        ProfileVersionId::draw(self.now(), self.octets())
    }

    /// An identifier of a token.
    pub fn token_id(&mut self) -> TokenId {
        TokenId::draw(self.now(), self.octets())
    }

    /// A serial number.
    pub fn serial(&mut self) -> SerialNumber {
        SerialNumber::draw(Incarnation::FIRST, self.octets())
    }

    /// A key.
    pub fn key(&mut self) -> SpkiHash {
        SpkiHash(self.octets())
    }

    /// A hash.
    pub fn hash(&mut self) -> [u8; 32] {
        self.octets()
    }

    /// A draft in the builder's environment.
    pub fn draft(&mut self, event: Event, private: Option<Private>) -> Draft {
        let scope = Scope {
            organisation: name::<OrganisationName>("example"),
            environment: Some(self.environment.clone()),
        };
        let actor = Actor::person(name("ada"));
        let envelope = Envelope { scope, actor, cause: "test".into(), at: self.now() };
        let private = private.map(|private| (Salt(self.octets()), private));
        Draft { envelope, event, private }
    }

    /// The builder's environment comes into being.
    pub fn environment_created(&mut self) -> Draft {
        let event = EnvironmentCreated {
            name: self.environment.clone(),
            trust_domain: name(&format!("{}.touchmark.internal", self.environment)),
            default: self.environment.as_str() == "lab",
        };
        self.draft(Event::EnvironmentCreated(event), None)
    }

    /// A root, which belongs to the whole organisation.
    pub fn root_created(&mut self) -> Draft {
        let event = AuthorityCreated {
            authority_version: self.authority_version(),
            kind: AuthorityKind::Root,
            name: name("root"),
            certificate: self.hash().to_vec(),
            parent: None,
            crl_shards: 1,
        };
        let mut draft = self.draft(Event::AuthorityCreated(event), None);
        draft.envelope.scope.environment = None;
        draft
    }

    /// An issuing authority.
    pub fn authority_created(&mut self, authority_version: AuthorityVersionId) -> Draft {
        let event = AuthorityCreated {
            authority_version,
            kind: AuthorityKind::Issuing,
            name: name("issuing"),
            certificate: self.hash().to_vec(),
            parent: Some(self.authority_version()),
            crl_shards: 4,
        };
        self.draft(Event::AuthorityCreated(event), None)
    }

    /// A profile version.
    pub fn profile_activated(&mut self) -> Draft {
        let event = ProfileActivated {
            profile_version: self.profile_version(),
            name: name("device"),
            kind: IdentityKind::Operational,
            lifetime_s: 86_400,
            overlap_s: 8_640,
            renewal: None,
        };
        self.draft(Event::ProfileActivated(event), None)
    }

    /// An operator or service with roles.
    pub fn party_registered(&mut self, kind: IdentityKind, party: &str, roles: &[&str]) -> Draft {
        let event = PartyRegistered {
            kind,
            name: name(party),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            owner: Some(name("ada")),
            reach: None,
        };
        self.draft(Event::PartyRegistered(event), None)
    }

    /// A token that lives for a day.
    pub fn token_created(&mut self, token: TokenId, subject: TokenSubject, uses: u32) -> Draft {
        let expires_at = Timestamp::from_unix_ms(EPOCH_MS).plus(std::time::Duration::from_secs(86_400));
        let event = TokenCreated {
            token,
            kind: IdentityKind::Operational,
            uses,
            expires_at,
            roles: None,
            reach: None,
        };
        let private = TokenPrivate {
            secret_sha256: self.hash(),
            subject,
            model: Some(name("x200")),
            hosts: vec!["pump.example.com".into(), "192.0.2.1".into()],
        };
        self.draft(Event::TokenCreated(event), Some(Private::Token(private)))
    }

    /// A device.
    pub fn device_registered(&mut self, device: DeviceId, handle: &str) -> Draft {
        let private = DevicePrivate { name: name(handle), model: Some(name("x200")), owner: name("ada") };
        self.draft(Event::DeviceRegistered(DeviceRegistered { device }), Some(Private::Device(private)))
    }

    /// What an intent for a device would say.
    pub fn intent(&mut self, device: Option<DeviceId>, authority_version: AuthorityVersionId) -> Intent {
        Intent {
            certificate: self.certificate_id(),
            authority_version,
            serial: self.serial(),
            spki: self.key(),
            device,
            token: None,
            kind: if device.is_some() { IdentityKind::Operational } else { IdentityKind::Service },
            handle: name("pump-01"),
            not_after_s: NOT_AFTER_S,
            crl_shard: 0,
            replaces: None,
        }
    }

    /// The intent as an entry.
    pub fn intended(&mut self, intent: &Intent) -> Draft {
        let event = CertificateIntended {
            certificate: intent.certificate,
            device: intent.device,
            kind: intent.kind,
            authority_version: intent.authority_version,
            profile_version: self.profile_version(),
            serial: intent.serial,
            validity: Validity::new(EPOCH_MS / 1000, intent.not_after_s).expect("the test wrote a span"),
            tbs_sha256: self.hash(),
            token: intent.token,
            replaces: intent.replaces,
            generation: 1,
            crl_shard: intent.crl_shard,
            renewal: None,
        };
        let kind = match intent.kind {
            IdentityKind::Operational => PathKind::Device,
            IdentityKind::Service => PathKind::Service,
            IdentityKind::Operator => PathKind::Operator,
        };
        let trust_domain = name(&format!("{}.touchmark.internal", self.environment));
        let private = IntentPrivate {
            identity: SpiffeId { trust_domain, kind, name: intent.handle.clone() },
            spki: intent.spki,
            csr_sha256: self.hash(),
            tbs: self.hash().repeat(12),
        };
        self.draft(Event::CertificateIntended(event), Some(Private::Intent(private)))
    }

    /// The certificate is signed.
    pub fn issued(&mut self, certificate: CertificateId, fingerprint: Fingerprint) -> Draft {
        let body = CertificateBody { der: self.hash().repeat(16) };
        let event = CertificateIssued { certificate, fingerprint };
        self.draft(Event::CertificateIssued(event), Some(Private::Certificate(body)))
    }

    /// The intent is given up.
    pub fn burned(&mut self, certificate: CertificateId, token: Option<TokenId>) -> Draft {
        let event = CertificateBurned { certificate, cause: BurnCause::Crash, token };
        self.draft(Event::CertificateBurned(event), None)
    }

    /// The key was proven.
    pub fn confirmed(&mut self, certificate: CertificateId) -> Draft {
        self.draft(Event::CertificateConfirmed(CertificateConfirmed { certificate }), None)
    }

    /// A successor took over.
    pub fn superseded(&mut self, certificate: CertificateId, by: CertificateId) -> Draft {
        let effective_at = self.now();
        let event = CertificateSuperseded { certificate, by, effective_at };
        self.draft(Event::CertificateSuperseded(event), None)
    }

    /// Certificates are dead.
    pub fn revoked(&mut self, device: Option<DeviceId>, intents: &[&Intent]) -> Draft {
        let certificates = intents
            .iter()
            .map(|intent| RevokedCertificate { certificate: intent.certificate, spki: intent.spki })
            .collect();
        let event = CertificatesRevoked { device, certificates, reason: RevocationReason::KeyCompromise };
        self.draft(Event::CertificatesRevoked(event), None)
    }

    /// A device's standing changes.
    pub fn standing_changed(&mut self, device: DeviceId, standing: Standing) -> Draft {
        let until = (standing == Standing::Quarantined).then(|| self.now());
        self.draft(Event::StandingChanged(StandingChanged { device, standing, until }), None)
    }

    /// A policy is in force.
    pub fn policy_activated(&mut self) -> Draft {
        let event = PolicyActivated {
            version: self.hash(),
            files: vec![("starter.cedar".into(), "permit (principal, action, resource);\n\"quoted\"".into())],
            topics: "own = \"plant/{handle}/#\"\n".into(),
        };
        self.draft(Event::PolicyActivated(event), None)
    }

    /// A CRL was signed.
    pub fn crl_published(&mut self, authority_version: AuthorityVersionId, shard: u32, number: u64) -> Draft {
        let event = CrlPublished { authority_version, shard, number, sha256: self.hash() };
        self.draft(Event::CrlPublished(event), None)
    }

    /// A gateway reported.
    pub fn enforcement_reported(&mut self, gateway: &str, epoch: u64, seq: u64) -> Draft {
        let applied_at = self.now();
        let event =
            EnforcementReported { gateway: name(gateway), epoch, seq, applied_at, sessions_closed: 3 };
        self.draft(Event::EnforcementReported(event), None)
    }

    /// A gateway was declared offline, or online again.
    pub fn gateway_declared(&mut self, gateway: &str, offline: bool, until: Option<Timestamp>) -> Draft {
        let event = GatewayDeclared { gateway: name(gateway), offline, until };
        self.draft(Event::GatewayDeclared(event), None)
    }

    /// Requests were refused.
    pub fn refused(&mut self, code: &str, count: u64, device: Option<DeviceId>) -> Draft {
        self.draft(Event::Refused(Refused { code: code.into(), count, device }), None)
    }

    /// The authority started.
    pub fn started(&mut self, epoch: u64, incarnation: u8) -> Draft {
        let mut draft =
            self.draft(Event::Started(Started { incarnation, epoch, version: "0.1.0".into() }), None);
        draft.envelope.scope.environment = None;
        draft
    }
}

/// A command.
pub fn command(
    preconditions: impl IntoIterator<Item = Precondition>,
    entries: impl IntoIterator<Item = Draft>,
) -> Command {
    Command { preconditions: preconditions.into_iter().collect(), entries: entries.into_iter().collect() }
}
