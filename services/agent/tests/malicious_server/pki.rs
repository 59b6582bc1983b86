//! A root, an issuing authority and leaves, with real keys; one thing may be wrong with a leaf.

// Each test program uses a part of it.
#![allow(dead_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use touchmark_identity::{SerialNumber, SpiffeId, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{Certificate, KeyAlgorithm, PublicKey, Signer, SoftwareKey};

pub(crate) const DAY_S: u64 = 86_400;

static SERIALS: AtomicU64 = AtomicU64::new(1);

/// This machine's clock, in seconds.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_s(now_s())
}

pub(crate) fn key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::P256).unwrap()
}

fn serial() -> SerialNumber {
    let number = SERIALS.fetch_add(1, Ordering::Relaxed);
    SerialNumber::try_from([&[1; 9][..], &number.to_be_bytes()].concat().as_slice()).unwrap()
}

fn signed(tbs: TbsCertificate, key: &SoftwareKey) -> Certificate {
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

/// An authority.
pub(crate) struct Authority {
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

impl Authority {
    pub(crate) fn new(name: &str, above: Option<&Authority>) -> Self {
        let key = key();
        let certificate = ca_certificate(name, key.public_key(), above, &key);
        Self { key, certificate }
    }

    /// An authority's certificate for a key of somebody else.
    pub(crate) fn certify(name: &str, key: &PublicKey, above: &Authority) -> Certificate {
        ca_certificate(name, key, Some(above), &above.key)
    }
}

fn ca_certificate(name: &str, key: &PublicKey, above: Option<&Authority>, own: &SoftwareKey) -> Certificate {
    let signer = above.map_or(own, |above| &above.key);
    let tbs = ca_tbs(&CaContents {
        common_name: name,
        serial: serial(),
        validity: Validity::new(now_s() - 30 * DAY_S, now_s() + 300 * DAY_S).unwrap(),
        public_key: key,
        path_len: above.map(|_| 0),
        issuer: above.map(|above| &above.certificate),
        crl_url: above.map(|_| "http://127.0.0.1:1/root.crl"),
        signature_algorithm: signer.algorithm(),
    });
    signed(tbs, signer)
}

/// What a leaf shall be.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) usage: ExtendedKeyUsage,
    /// Seconds from now.
    pub(crate) validity_s: (i64, i64),
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) dns: Vec<String>,
    pub(crate) ip: Vec<IpAddr>,
    pub(crate) scope: Vec<String>,
}

impl Leaf {
    /// A server's, for this machine.
    pub(crate) fn server() -> Self {
        Self {
            usage: ExtendedKeyUsage::ServerAuth,
            validity_s: (-60, 5 * 86_400),
            name: "authority".into(),
            path: "s/authority".into(),
            dns: vec!["localhost".into()],
            ip: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            scope: Vec::new(),
        }
    }

    /// A device's.
    pub(crate) fn device(name: &str) -> Self {
        Self {
            usage: ExtendedKeyUsage::ClientAuth,
            name: name.into(),
            path: format!("d/{name}"),
            dns: Vec::new(),
            ip: Vec::new(),
            ..Self::server()
        }
    }

    pub(crate) fn issue(&self, issuer: &Authority, key: &PublicKey) -> Certificate {
        let at = |seconds: i64| now_s().checked_add_signed(seconds).unwrap();
        let uri: SpiffeId = format!("spiffe://lab.touchmark.internal/{}", self.path).parse().unwrap();
        let template = LeafTemplate::new(&LeafProfile {
            issuer: &issuer.certificate,
            signature_algorithm: issuer.key.algorithm(),
            extended_key_usages: std::slice::from_ref(&self.usage),
            crl_url: "http://127.0.0.1:1/issuing.crl",
        });
        let tbs = template.unwrap().fill(&LeafContents {
            serial: serial(),
            validity: Validity::new(at(self.validity_s.0), at(self.validity_s.1)).unwrap(),
            public_key: key,
            common_name: &self.name.parse().unwrap(),
            uri: &uri,
            dns: &self.dns,
            ip: &self.ip,
            scope: &self.scope,
        });
        signed(tbs, &issuer.key)
    }
}

/// Root and issuing authority.
pub(crate) struct Pki {
    pub(crate) root: Authority,
    pub(crate) issuing: Authority,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let root = Authority::new("lab root", None);
        let issuing = Authority::new("lab issuing", Some(&root));
        Self { root, issuing }
    }

    pub(crate) fn anchors(&self) -> Vec<Certificate> {
        vec![self.root.certificate.clone()]
    }

    /// A new key and its chain, without the root.
    pub(crate) fn holder(&self, leaf: &Leaf) -> (SoftwareKey, Vec<Certificate>) {
        let key = key();
        let certificate = leaf.issue(&self.issuing, key.public_key());
        (key, vec![certificate, self.issuing.certificate.clone()])
    }
}
