//! An authority in memory: a root, an issuing authority, EST and confirmation, with the rules that a device meets.

use std::collections::BTreeMap;
use std::time::Duration;
use touchmark_enrol::est;
use touchmark_identity::{Fingerprint, Incarnation, SerialNumber, SpiffeId, Timestamp, Validity};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::csr::Csr;
use touchmark_x509::key::{KeyAlgorithm, PublicKey};
use touchmark_x509::tbs::{CaContents, LeafContents, LeafProfile, LeafTemplate, TbsCertificate, ca_tbs};
use touchmark_x509::{Certificate, Signer, SoftwareKey};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
const YEAR_S: u64 = 31_536_000;

/// A key with the certificate for it.
pub(crate) struct Ca {
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

pub(crate) fn sign(tbs: TbsCertificate, key: &SoftwareKey) -> Certificate {
    let signature = key.sign(tbs.as_bytes()).unwrap();
    Certificate::from_der(&tbs.into_certificate(key.algorithm(), &signature)).unwrap()
}

pub(crate) fn serial(number: u64) -> SerialNumber {
    let mut random = [0; 16];
    random[8..].copy_from_slice(&number.to_be_bytes());
    SerialNumber::draw(Incarnation::FIRST, random)
}

pub(crate) fn ca(name: &str, number: u64, validity: Validity, issuer: Option<&Ca>) -> Ca {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let certificate = ca_certificate(name, number, validity, &key, issuer);
    Ca { key, certificate }
}

/// A certificate for an authority's key, by itself or by another authority.
pub(crate) fn ca_certificate(
    name: &str,
    number: u64,
    validity: Validity,
    key: &SoftwareKey,
    issuer: Option<&Ca>,
) -> Certificate {
    let signer = issuer.map_or(key, |issuer| &issuer.key);
    let tbs = ca_tbs(&CaContents {
        common_name: name,
        serial: serial(number),
        validity,
        public_key: key.public_key(),
        path_len: None,
        issuer: issuer.map(|issuer| &issuer.certificate),
        crl_url: None,
        signature_algorithm: signer.algorithm(),
    });
    sign(tbs, signer)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Quarantined,
    Banned,
}

/// What the authority knows of one certificate.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) device: String,
    pub(crate) certificate: Certificate,
    pub(crate) request: [u8; 32],
    pub(crate) confirmed: bool,
    pub(crate) revoked: bool,
    /// Refused from then on.
    pub(crate) superseded_at: Option<Timestamp>,
}

/// A refusal: status, code.
pub(crate) type No = (u16, &'static str);

pub(crate) struct Authority {
    pub(crate) root: Ca,
    pub(crate) issuing: Ca,
    pub(crate) server: Ca,
    pub(crate) life: Duration,
    pub(crate) grace: Duration,
    pub(crate) issued: BTreeMap<Fingerprint, Issued>,
    pub(crate) standing: Standing,
    /// Password, and the request that used it.
    pub(crate) tokens: BTreeMap<String, Option<[u8; 32]>>,
    pub(crate) knows_maker: bool,
    /// Certificates beside the root that `cacerts` tells.
    pub(crate) extra: Vec<Certificate>,
    /// Shown with the server's own certificate, beside `issuing`.
    pub(crate) published: Vec<Certificate>,
    number: u64,
}

impl Authority {
    pub(crate) fn new(now: Timestamp, life: Duration) -> Self {
        let long = Validity::new(now.unix_s() - YEAR_S, now.unix_s() + 40 * YEAR_S).unwrap();
        let root = ca("lab root", 1, long, None);
        let issuing = ca("lab issuing", 2, long, Some(&root));
        let mut authority = Self {
            server: ca("unused", 3, long, None),
            root,
            issuing,
            life,
            grace: life,
            issued: BTreeMap::new(),
            standing: Standing::Active,
            tokens: BTreeMap::new(),
            knows_maker: false,
            extra: Vec::new(),
            published: Vec::new(),
            number: 100,
        };
        authority.renew_server(now);
        authority
    }

    /// The server's own certificate: 90 days.
    pub(crate) fn renew_server(&mut self, now: Timestamp) {
        let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let validity = Validity::new(now.unix_s() - 60, now.unix_s() + 90 * DAY.as_secs()).unwrap();
        let certificate = self.leaf(key.public_key(), "est", "s", validity, &[ExtendedKeyUsage::ServerAuth]);
        self.server = Ca { key, certificate };
    }

    pub(crate) fn leaf(
        &mut self,
        key: &PublicKey,
        name: &str,
        kind: &str,
        validity: Validity,
        usages: &[ExtendedKeyUsage],
    ) -> Certificate {
        self.number += 1;
        let uri: SpiffeId = format!("spiffe://lab.touchmark.internal/{kind}/{name}").parse().unwrap();
        let template = LeafTemplate::new(&LeafProfile {
            issuer: &self.issuing.certificate,
            signature_algorithm: self.issuing.key.algorithm(),
            extended_key_usages: usages,
            crl_url: "http://localhost/crl",
        });
        let tbs = template.unwrap().fill(&LeafContents {
            serial: serial(self.number),
            validity,
            public_key: key,
            common_name: &uri.name,
            uri: &uri,
            dns: &[],
            ip: &[],
            scope: &[],
        });
        sign(tbs, &self.issuing.key)
    }

    /// The lifetime's usual span from `now`, backdated by a minute.
    pub(crate) fn validity(&self, now: Timestamp) -> Validity {
        let from = now.unix_s() - (self.life.as_secs() / 10).min(60);
        Validity::new(from, from + self.life.as_secs() - 1).unwrap()
    }

    pub(crate) fn token(&mut self, password: &str) {
        self.tokens.insert(password.to_owned(), None);
    }

    /// Bytes in, certificates out: the request as EST carries it.
    pub(crate) fn enrol(
        &mut self,
        now: Timestamp,
        body: &[u8],
        name: &str,
        password: &str,
    ) -> Result<Certificate, No> {
        let csr = read(body)?;
        self.stand()?;
        let Some(used) = self.tokens.get_mut(password) else { return Err((401, "token-invalid")) };
        let digest = csr.digest();
        match used {
            Some(other) if *other != digest => return Err((401, "token-used")),
            _ => *used = Some(digest),
        }
        Ok(self.issue(now, &csr, name))
    }

    /// With a maker's certificate in the connection.
    pub(crate) fn enrol_initial(
        &mut self,
        now: Timestamp,
        body: &[u8],
        name: &str,
    ) -> Result<Certificate, No> {
        let csr = read(body)?;
        self.stand()?;
        if self.knows_maker { Ok(self.issue(now, &csr, name)) } else { Err((403, "maker-unknown")) }
    }

    /// With the device's own certificate in the connection.
    pub(crate) fn renew(
        &mut self,
        now: Timestamp,
        body: &[u8],
        shown: &Certificate,
    ) -> Result<Certificate, No> {
        let csr = read(body)?;
        let device = self.good(now, shown)?;
        let late = now.since(shown.validity().not_after());
        if late > self.grace {
            return Err((403, "renewal-late"));
        }
        Ok(self.issue(now, &csr, &device))
    }

    /// The first use: everything else of this device is superseded after the overlap.
    pub(crate) fn confirm(&mut self, now: Timestamp, shown: &Certificate) -> Result<(), No> {
        let device = self.good(now, shown)?;
        let overlap_end = now.plus((self.life / 10).max(Duration::from_secs(300)));
        for issued in self.issued.values_mut().filter(|issued| issued.device == device) {
            if issued.certificate == *shown {
                issued.confirmed = true;
            } else if issued.superseded_at.is_none() {
                issued.superseded_at = Some(overlap_end);
            }
        }
        Ok(())
    }

    pub(crate) fn revoke_all(&mut self) {
        self.issued.values_mut().for_each(|issued| issued.revoked = true);
    }

    pub(crate) fn ca_certs(&self) -> Vec<Certificate> {
        [&self.root.certificate, &self.issuing.certificate].into_iter().chain(&self.extra).cloned().collect()
    }

    fn good(&self, now: Timestamp, shown: &Certificate) -> Result<String, No> {
        let issued = self.issued.get(&shown.fingerprint()).ok_or((401, ""))?;
        self.stand()?;
        match issued {
            Issued { revoked: true, .. } => Err((403, "certificate-revoked")),
            Issued { superseded_at: Some(at), .. } if *at <= now => Err((403, "certificate-superseded")),
            Issued { device, .. } => Ok(device.clone()),
        }
    }

    fn stand(&self) -> Result<(), No> {
        match self.standing {
            Standing::Active => Ok(()),
            Standing::Quarantined => Err((403, "device-quarantined")),
            Standing::Banned => Err((403, "device-banned")),
        }
    }

    /// The same request has the same certificate; another one ends what was not confirmed.
    fn issue(&mut self, now: Timestamp, csr: &Csr, device: &str) -> Certificate {
        let mine = |issued: &&mut Issued| issued.device == device && !issued.revoked;
        if let Some(same) = self.issued.values_mut().filter(mine).find(|one| one.request == csr.digest()) {
            return same.certificate.clone();
        }
        self.issued.values_mut().filter(mine).filter(|one| !one.confirmed).for_each(|one| one.revoked = true);
        let validity = self.validity(now);
        let certificate = self.leaf(csr.public_key(), device, "d", validity, &[ExtendedKeyUsage::ClientAuth]);
        let issued = Issued {
            device: device.to_owned(),
            certificate: certificate.clone(),
            request: csr.digest(),
            confirmed: false,
            revoked: false,
            superseded_at: None,
        };
        self.issued.insert(certificate.fingerprint(), issued);
        certificate
    }
}

fn read(body: &[u8]) -> Result<Csr, No> {
    let unproven = est::read_csr(Some("application/pkcs10"), body).map_err(|_| (400, "csr-malformed"))?;
    unproven.prove_possession().map_err(|_| (400, "csr-signature"))
}
