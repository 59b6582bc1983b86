//! Fixed keys, authorities and orders, and a signer with one fault: a test states only what it is about.

use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;
use touchmark_ca::{
    IssuanceOrder, IssuancePlan, IssuingAuthority, LoggedCertificate, OrderParts, PlanFault, Profile,
    Recorded, create_issuing, create_root, issue, plan,
};
use touchmark_identity::{
    AuthorityVersionId, CertificateId, DeviceId, Incarnation, ProfileVersionId, SerialNumber, Timestamp,
    TokenId, Validity,
};
use touchmark_journal::{IdentityKind, RenewalFacts, RenewalManner, Scope};
use touchmark_x509::tbs::{CaContents, ca_tbs};
use touchmark_x509::{
    Certificate, KeyPlace, PublicKey, SignatureAlgorithm, Signer, SigningFault, SoftwareKey,
};

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const DAY_S: u64 = 86_400;
pub(crate) const CRL_URL_BASE: &str = "http://127.0.0.1:8080/crl";
pub(crate) const ROOT_CRL_URL: &str = "http://127.0.0.1:8080/crl/root/0.crl";
/// No two octets are equal: each lands in one place.
pub(crate) const RANDOM: [u8; 26] = {
    let (mut random, mut at) = ([0; 26], 0);
    while at < random.len() {
        random[at] = 0xa0 + at as u8;
        at += 1;
    }
    random
};

pub(crate) fn word<T: FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

pub(crate) fn at(unix_s: u64) -> Timestamp {
    Timestamp::from_unix_s(unix_s)
}

pub(crate) fn incarnation(octet: u8) -> Incarnation {
    Incarnation::try_from(octet).unwrap()
}

pub(crate) fn serial(octet: u8) -> SerialNumber {
    SerialNumber::draw(Incarnation::FIRST, [octet; 16])
}

/// An Ed25519 key from a seed: its signatures are the same on every run.
pub(crate) fn fixed_key(seed: u8) -> SoftwareKey {
    let head = hex::decode("302e020100300506032b657004220420").unwrap();
    SoftwareKey::from_pkcs8(&[head.as_slice(), &[seed; 32]].concat()).unwrap()
}

/// The key of [`root`].
pub(crate) fn root_key() -> SoftwareKey {
    fixed_key(1)
}

/// The key of [`issuing`].
pub(crate) fn issuing_key() -> SoftwareKey {
    fixed_key(2)
}

pub(crate) fn root() -> Certificate {
    create_root("example root", &root_key(), incarnation(4), at(NOW_S), [0x11; 16]).unwrap()
}

pub(crate) fn issuing() -> Certificate {
    issuing_of(&root(), &root_key(), &issuing_key())
}

pub(crate) fn issuing_of(root: &Certificate, root_key: &dyn Signer, key: &dyn Signer) -> Certificate {
    let random = [0x22; 16];
    create_issuing("example lab", key, root, root_key, ROOT_CRL_URL, incarnation(2), at(NOW_S), random)
        .unwrap()
}

/// A self-signed authority of any span.
pub(crate) fn authority_valid(key: &SoftwareKey, from_s: u64, to_s: u64) -> Certificate {
    let tbs = ca_tbs(&CaContents {
        common_name: "example of another span",
        serial: serial(0x33),
        validity: Validity::new(from_s, to_s).unwrap(),
        public_key: key.public_key(),
        path_len: Some(1),
        issuer: None,
        crl_url: None,
        signature_algorithm: key.algorithm(),
    });
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

pub(crate) fn authority_version() -> AuthorityVersionId {
    AuthorityVersionId::draw(at(NOW_S), [0x41; 10])
}

pub(crate) fn profile(kind: IdentityKind) -> Profile {
    let version = ProfileVersionId::draw(at(NOW_S), [0x50 + kind as u8; 10]);
    Profile { version, kind, lifetime: Duration::from_secs(3 * DAY_S) }
}

/// An authority that is ready for the profiles of all kinds.
pub(crate) fn prepared(certificate: Certificate, key: &dyn Signer, crl_shards: u32) -> IssuingAuthority {
    let base = CRL_URL_BASE.to_owned();
    let mut authority = IssuingAuthority::new(authority_version(), certificate, key, base, crl_shards);
    for kind in [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator] {
        authority.prepare(&profile(kind)).unwrap();
    }
    authority
}

pub(crate) fn scope() -> Scope {
    Scope { organisation: word("example"), environment: Some(word("lab")) }
}

pub(crate) fn device() -> DeviceId {
    DeviceId::draw(at(NOW_S), [0x61; 10])
}

pub(crate) fn device_key() -> PublicKey {
    fixed_key(3).public_key().clone()
}

/// A device's renewal: every optional part is there.
pub(crate) fn device_order() -> OrderParts {
    OrderParts {
        scope: scope(),
        identity: word("spiffe://lab.touchmark.internal/d/pump-01"),
        kind: IdentityKind::Operational,
        device: Some(device()),
        public_key: device_key(),
        csr_sha256: [0x62; 32],
        scope_strings: vec!["model:x200".to_owned(), "site:north".to_owned()],
        dns: Vec::new(),
        ips: Vec::new(),
        token: Some(TokenId::draw(at(NOW_S), [0x63; 10])),
        replaces: Some(CertificateId::draw(at(NOW_S), [0x64; 10])),
        renewal: Some(RenewalFacts { lead_s: 4_321, manner: RenewalManner::Automatic }),
        generation: 7,
    }
}

/// A service's first certificate: no optional part is there.
pub(crate) fn service_order() -> OrderParts {
    OrderParts {
        identity: word("spiffe://lab.touchmark.internal/s/gateway"),
        kind: IdentityKind::Service,
        device: None,
        scope_strings: Vec::new(),
        dns: vec!["gateway.example".to_owned(), "gateway-2.example".to_owned()],
        ips: vec![word("192.0.2.7"), word("2001:db8::7")],
        token: None,
        replaces: None,
        renewal: None,
        generation: 1,
        ..device_order()
    }
}

pub(crate) fn operator_order() -> OrderParts {
    let identity = word("spiffe://lab.touchmark.internal/o/ada");
    let (dns, ips) = (Vec::new(), Vec::new());
    OrderParts { identity, kind: IdentityKind::Operator, dns, ips, ..service_order() }
}

/// The plan of an order by the profile of its kind.
pub(crate) fn planned(parts: OrderParts, authority: &IssuingAuthority) -> Result<IssuancePlan, PlanFault> {
    let profile = profile(parts.kind);
    plan(IssuanceOrder::admitted_unchecked(parts), &profile, authority, incarnation(3), at(NOW_S), RANDOM)
}

/// What becomes of a plan.
pub(crate) fn certificate_of(plan: IssuancePlan, key: &dyn Signer) -> Certificate {
    let issued = issue(Recorded::recorded_unchecked(plan), key).unwrap();
    LoggedCertificate::logged_unchecked(issued, 0).certificate().clone()
}

/// What is wrong with a [`TestSigner`].
pub(crate) enum Fault {
    None,
    Refuses(SigningFault),
    /// Another key than the one it shows makes the signatures.
    SignsWith(SoftwareKey),
    /// The first octet of what it signs is another.
    SignsAnother,
    /// P-256: the larger s.
    HighS,
    /// Something else than a signature.
    Octets(&'static [u8]),
    /// Names an algorithm that it does not use.
    Names(SignatureAlgorithm),
}

/// A signer that keeps what it was given to sign.
pub(crate) struct TestSigner {
    key: SoftwareKey,
    fault: Fault,
    signed: Mutex<Vec<Vec<u8>>>,
    pub(crate) place: KeyPlace,
}

impl TestSigner {
    pub(crate) fn new(key: SoftwareKey, fault: Fault) -> Self {
        Self { key, fault, signed: Mutex::default(), place: KeyPlace::Inside }
    }

    pub(crate) fn signed(&self) -> Vec<Vec<u8>> {
        self.signed.lock().unwrap().clone()
    }
}

impl Signer for TestSigner {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        if let Fault::Names(algorithm) = self.fault { algorithm } else { self.key.algorithm() }
    }

    fn place(&self) -> KeyPlace {
        self.place
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFault> {
        self.signed.lock().unwrap().push(message.to_vec());
        match &self.fault {
            Fault::None | Fault::Names(_) => self.key.sign(message),
            Fault::Refuses(fault) => Err(*fault),
            Fault::SignsWith(other) => other.sign(message),
            Fault::SignsAnother => self.key.sign(&[&[0], message.get(1..).unwrap()].concat()),
            Fault::HighS => self.key.sign(message).map(|signature| larger_s(&signature)),
            Fault::Octets(octets) => Ok(octets.to_vec()),
        }
    }
}

/// The other form of a P-256 signature whose s is low: (r, n - s).
fn larger_s(signature: &[u8]) -> Vec<u8> {
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    // SEQUENCE { INTEGER r, INTEGER s }, all lengths in one octet.
    let s_at = 4 + usize::from(signature[3]);
    let (r, s) = (&signature[2..s_at], &signature[s_at + 2..]);
    let s = [vec![0; order.len() - s.len()], s.to_vec()].concat();
    let (mut other, mut borrow) = (Vec::new(), 0);
    for (from, take) in order.iter().zip(&s).rev() {
        let difference = i16::from(*from) - i16::from(*take) - borrow;
        borrow = i16::from(difference < 0);
        other.push(difference.rem_euclid(256) as u8);
    }
    // A low s leaves at least 0x7f in the first octet.
    other.extend((other[31] > 0x7f).then_some(0));
    other.reverse();
    let body = [r, &[2, other.len() as u8], &other].concat();
    [&[0x30, body.len() as u8], body.as_slice()].concat()
}
