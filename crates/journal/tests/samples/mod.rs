//! One draft of every kind of event, and more where a field may be absent.

use touchmark_identity::{
    Actor, AuthorityVersionId, CertificateId, DeviceId, Fingerprint, Incarnation, MakerId, ProfileVersionId,
    RevocationReason, SerialNumber, SpkiHash, Timestamp, TokenId, Validity,
};
use touchmark_journal::*;

pub(crate) fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("the test wrote a name")
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000 + ms)
}

fn device() -> DeviceId {
    DeviceId::draw(at(1), [1; 10])
}

fn certificate(number: u8) -> CertificateId {
    CertificateId::draw(at(2), [number; 10])
}

fn authority(number: u8) -> AuthorityVersionId {
    AuthorityVersionId::draw(at(3), [number; 10])
}

fn token() -> TokenId {
    TokenId::draw(at(4), [4; 10])
}

fn profile() -> ProfileVersionId {
    ProfileVersionId::draw(at(5), [5; 10])
}

fn draft(event: Event, private: Option<Private>) -> Draft {
    let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
    let actor = Actor::person(name("ada"));
    let envelope = Envelope { scope, actor, cause: "api/device/revoke".into(), at: at(1000) };
    Draft { envelope, event, private: private.map(|private| (Salt([0x5a; 16]), private)) }
}

fn token_private(subject: TokenSubject, hosts: &[&str]) -> Private {
    Private::Token(TokenPrivate {
        secret_sha256: [0x11; 32],
        subject,
        model: hosts.is_empty().then(|| name("x200")),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    })
}

fn authorities() -> Vec<(&'static str, Draft)> {
    let root = AuthorityCreated {
        authority_version: authority(0),
        kind: AuthorityKind::Root,
        name: name("root"),
        certificate: vec![0x30, 0x03, 0x02, 0x01, 0x01],
        parent: None,
        crl_shards: 1,
    };
    let issuing = AuthorityCreated {
        authority_version: authority(1),
        kind: AuthorityKind::Issuing,
        name: name("lab-issuing"),
        parent: Some(authority(0)),
        crl_shards: 16,
        ..root.clone()
    };
    let mut root = draft(Event::AuthorityCreated(root), None);
    root.envelope.scope.environment = None;
    root.envelope.actor = Actor::automation(name("authority"));
    vec![
        ("authority-created-root", root),
        ("authority-created-issuing", draft(Event::AuthorityCreated(issuing), None)),
    ]
}

fn definitions() -> Vec<(&'static str, Draft)> {
    let environment =
        EnvironmentCreated { name: name("lab"), trust_domain: name("lab.touchmark.internal"), default: true };
    let activated = ProfileActivated {
        profile_version: profile(),
        name: name("device"),
        kind: IdentityKind::Operational,
        lifetime_s: 86_400,
        overlap_s: 8_640,
        renewal: None,
    };
    let renewing = ProfileActivated {
        renewal: Some(RenewalRules {
            grace_s: 28_800,
            on_clone: CloneResponse::Quarantine,
            revoke_superseded: true,
        }),
        ..activated.clone()
    };
    let party = PartyRegistered {
        kind: IdentityKind::Operator,
        name: name("ada"),
        roles: vec!["security-officer".into(), "reader".into()],
        owner: Some(name("grace")),
        reach: None,
    };
    let bound = PartyRegistered { reach: Some(Reach::Environment), ..party.clone() };
    let ownerless =
        PartyRegistered { kind: IdentityKind::Service, roles: vec![], owner: None, ..party.clone() };
    let policy = PolicyActivated {
        version: [0x22; 32],
        files: vec![("starter.cedar".into(), "permit (principal, action, resource);\n".into())],
        topics: "own = \"plant/{handle}/#\"\n".into(),
    };
    vec![
        ("environment-created", draft(Event::EnvironmentCreated(environment), None)),
        ("profile-activated", draft(Event::ProfileActivated(activated), None)),
        ("profile-activated-with-renewal-rules", draft(Event::ProfileActivated(renewing), None)),
        ("party-registered-with-reach", draft(Event::PartyRegistered(bound), None)),
        ("party-registered", draft(Event::PartyRegistered(party), None)),
        ("party-registered-without-owner", draft(Event::PartyRegistered(ownerless), None)),
        ("policy-activated", draft(Event::PolicyActivated(policy), None)),
    ]
}

fn enrolments() -> Vec<(&'static str, Draft)> {
    let token_created = |kind, roles, reach| {
        let expires_at = at(3_600_000);
        Event::TokenCreated(TokenCreated { token: token(), kind, uses: 3, expires_at, roles, reach })
    };
    let created = |kind, roles| token_created(kind, roles, None);
    let named = token_private(TokenSubject::Named(name("pump-01")), &[]);
    let prefix = token_private(TokenSubject::Prefix(name("pump")), &["pump.example.com", "192.0.2.1"]);
    let registered = Event::DeviceRegistered(DeviceRegistered { device: device() });
    let private = DevicePrivate { name: name("pump-01"), model: Some(name("x200")), owner: name("ada") };
    let modelless = DevicePrivate { model: None, ..private.clone() };
    let intended = CertificateIntended {
        certificate: certificate(1),
        device: Some(device()),
        kind: IdentityKind::Operational,
        authority_version: authority(1),
        profile_version: profile(),
        serial: SerialNumber::draw(Incarnation::FIRST, [0x33; 16]),
        validity: Validity::new(1_700_000_000, 1_700_086_399).expect("a span"),
        tbs_sha256: [0x44; 32],
        token: Some(token()),
        replaces: Some(certificate(0)),
        generation: 2,
        crl_shard: 7,
        renewal: None,
    };
    let late = CertificateIntended {
        token: None,
        renewal: Some(RenewalFacts { lead_s: -60, manner: RenewalManner::Automatic }),
        ..intended.clone()
    };
    let party = CertificateIntended {
        device: None,
        kind: IdentityKind::Service,
        token: None,
        replaces: None,
        generation: 1,
        ..intended.clone()
    };
    let intent = |uri| {
        Private::Intent(IntentPrivate {
            identity: name(uri),
            spki: SpkiHash([0x55; 32]),
            csr_sha256: [0x66; 32],
            tbs: vec![0x30, 0x00],
        })
    };
    let declared = |offline, until| {
        Event::GatewayDeclared(GatewayDeclared { gateway: "gateway-01".parse().unwrap(), offline, until })
    };
    let issued = CertificateIssued { certificate: certificate(1), fingerprint: Fingerprint([0x77; 32]) };
    let body = Private::Certificate(CertificateBody { der: vec![0x30, 0x02, 0x05, 0x00] });
    vec![
        ("token-created-named", draft(created(IdentityKind::Operational, None), Some(named.clone()))),
        ("token-created-prefix", draft(created(IdentityKind::Service, None), Some(prefix))),
        (
            "token-created-reach",
            draft(
                token_created(IdentityKind::Operator, Some(vec!["fleet".into()]), Some(Reach::Environment)),
                Some(named.clone()),
            ),
        ),
        (
            "token-created-roles",
            draft(created(IdentityKind::Operator, Some(vec!["admin".into(), "fleet".into()])), Some(named)),
        ),
        ("gateway-declared-offline", draft(declared(true, Some(at(86_400_000))), None)),
        ("gateway-declared-online", draft(declared(false, None), None)),
        ("token-voided", draft(Event::TokenVoided(TokenVoided { token: token() }), None)),
        ("device-registered", draft(registered.clone(), Some(Private::Device(private)))),
        ("device-registered-without-model", draft(registered, Some(Private::Device(modelless)))),
        (
            "certificate-intended-device",
            draft(
                Event::CertificateIntended(intended),
                Some(intent("spiffe://lab.touchmark.internal/d/pump-01")),
            ),
        ),
        (
            "certificate-intended-renewal",
            draft(
                Event::CertificateIntended(late),
                Some(intent("spiffe://lab.touchmark.internal/d/pump-01")),
            ),
        ),
        (
            "certificate-intended-service",
            draft(Event::CertificateIntended(party), Some(intent("spiffe://lab.touchmark.internal/s/gw-1"))),
        ),
        ("certificate-issued", draft(Event::CertificateIssued(issued), Some(body))),
    ]
}

fn lives() -> Vec<(&'static str, Draft)> {
    let burned =
        CertificateBurned { certificate: certificate(1), cause: BurnCause::Crash, token: Some(token()) };
    let faulty = CertificateBurned { cause: BurnCause::SigningFault, token: None, ..burned.clone() };
    let confirmed = CertificateConfirmed { certificate: certificate(1) };
    let superseded =
        CertificateSuperseded { certificate: certificate(0), by: certificate(1), effective_at: at(300_000) };
    let revoked = CertificatesRevoked {
        device: Some(device()),
        certificates: [0, 1]
            .map(|number| RevokedCertificate {
                certificate: certificate(number),
                spki: SpkiHash([number; 32]),
            })
            .to_vec(),
        reason: RevocationReason::KeyCompromise,
    };
    let of_party = CertificatesRevoked {
        device: None,
        certificates: vec![],
        reason: RevocationReason::CessationOfOperation,
    };
    let quarantined =
        StandingChanged { device: device(), standing: Standing::Quarantined, until: Some(at(7_200_000)) };
    let banned = StandingChanged { standing: Standing::Banned, until: None, ..quarantined.clone() };
    vec![
        ("certificate-burned-crash", draft(Event::CertificateBurned(burned), None)),
        ("certificate-burned-signing-fault", draft(Event::CertificateBurned(faulty), None)),
        ("certificate-confirmed", draft(Event::CertificateConfirmed(confirmed), None)),
        ("certificate-superseded", draft(Event::CertificateSuperseded(superseded), None)),
        ("certificates-revoked-device", draft(Event::CertificatesRevoked(revoked), None)),
        ("certificates-revoked-party", draft(Event::CertificatesRevoked(of_party), None)),
        ("standing-changed-quarantined", draft(Event::StandingChanged(quarantined), None)),
        ("standing-changed-banned", draft(Event::StandingChanged(banned), None)),
    ]
}

fn reports() -> Vec<(&'static str, Draft)> {
    let crl = CrlPublished { authority_version: authority(1), shard: 7, number: 300, sha256: [0x88; 32] };
    let report = EnforcementReported {
        gateway: name("gw-1"),
        epoch: 2,
        seq: 70_000,
        applied_at: at(1200),
        sessions_closed: 1,
    };
    let refused = Refused { code: "csr-ca".into(), count: 1, device: Some(device()) };
    let strangers = Refused { code: "token".into(), count: 5_000_000_000, device: None };
    let started = Started { incarnation: 1, epoch: 2, version: "0.1.0".into() };
    let mut by_device = draft(Event::Refused(refused), None);
    by_device.envelope.actor = Actor::device(name("pump-01"));
    vec![
        ("crl-published", draft(Event::CrlPublished(crl), None)),
        ("enforcement-reported", draft(Event::EnforcementReported(report), None)),
        ("refused-device", by_device),
        ("refused-strangers", draft(Event::Refused(strangers), None)),
        ("started", draft(Event::Started(started), None)),
    ]
}

fn renewals() -> Vec<(&'static str, Draft)> {
    let refused = RenewalRefused { device: device(), code: "renewal-late".into(), count: 3 };
    let suspected = CloneSuspected {
        device: device(),
        older: certificate(0),
        newer: certificate(1),
        seen_by: name("gw-1"),
    };
    vec![
        ("renewal-refused", draft(Event::RenewalRefused(refused), None)),
        ("clone-suspected", draft(Event::CloneSuspected(suspected), None)),
    ]
}

fn revocations() -> Vec<(&'static str, Draft)> {
    let dead = vec![RevokedCertificate { certificate: certificate(3), spki: SpkiHash([3; 32]) }];
    let reason = RevocationReason::KeyCompromise;
    let of_device = HolderRevoked { device: Some(device()), party: None, certificates: dead.clone(), reason };
    let party = PartyName { kind: IdentityKind::Operator, name: name("ada") };
    let of_party = HolderRevoked {
        device: None,
        party: Some(party.clone()),
        certificates: vec![],
        reason: RevocationReason::Unspecified,
    };
    let one = CertificateRevoked { certificate: certificate(3), certificates: dead, reason };
    let suspected =
        PartyCloneSuspected { party, older: certificate(0), newer: certificate(1), seen_by: name("api") };
    vec![
        ("holder-revoked-device", draft(Event::HolderRevoked(of_device), None)),
        ("holder-revoked-party", draft(Event::HolderRevoked(of_party), None)),
        ("certificate-revoked", draft(Event::CertificateRevoked(one), None)),
        ("party-clone-suspected", draft(Event::PartyCloneSuspected(suspected), None)),
    ]
}

fn makers() -> Vec<(&'static str, Draft)> {
    let maker = MakerId::draw(at(6), [6; 10]);
    let registered =
        MakerRegistered { maker, name: name("acme"), certificate: vec![0x30, 0x03, 0x02, 0x01, 0x01] };
    let hardware = HardwareRegistered { device: device() };
    let private = Private::Hardware(HardwarePrivate { maker, hardware_id: "SN-0017".into() });
    vec![
        ("maker-registered", draft(Event::MakerRegistered(registered), None)),
        ("maker-withdrawn", draft(Event::MakerWithdrawn(MakerWithdrawn { maker }), None)),
        ("hardware-registered", draft(Event::HardwareRegistered(hardware), Some(private))),
    ]
}

/// Every sample with its name, which begins with its event's word.
pub(crate) fn all() -> Vec<(&'static str, Draft)> {
    [authorities(), definitions(), enrolments(), lives(), renewals(), revocations(), makers(), reports()]
        .concat()
}
