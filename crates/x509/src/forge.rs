//! For tests: certificates and requests with one thing wrong, which the writers of this crate refuse to make.
//!
//! In: a good certificate's parts and a change. Out: DER, signed by any key. Shares the DER encoder with the
//! product, and nothing above it.

use crate::certificate::Certificate;
use crate::der::{self, INTEGER, SEQUENCE};
pub(crate) use crate::extensions::{
    BASIC_CONSTRAINTS, EXTENDED_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID,
};
use crate::key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
use crate::signer::{Signer, SoftwareKey};
use touchmark_identity::Timestamp;

/// The moment of all tests, in unix seconds: 2027-01-15T08:00:00Z.
pub(crate) const NOW_S: u64 = 1_800_000_000;
pub(crate) const DAY_S: u64 = 86_400;

pub(crate) const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub(crate) const CRL_POINTS: &str = "2.5.29.31";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

pub(crate) const DNS: u8 = 0x82;
pub(crate) const URI: u8 = 0x86;
pub(crate) const IP: u8 = 0x87;
pub(crate) const MAIL: u8 = 0x81;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_s(NOW_S)
}

pub(crate) fn key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::P256).unwrap()
}

pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    der::put(&mut out, tag, &parts.concat());
    out
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    element(der::OID, &[&der::oid_content(dotted).unwrap()])
}

pub(crate) fn time(second: u64) -> Vec<u8> {
    let mut out = Vec::new();
    der::put_time(&mut out, Timestamp::from_unix_s(second));
    out
}

pub(crate) fn attribute(dotted: &str, text: &str) -> Vec<u8> {
    let pair = element(SEQUENCE, &[&oid(dotted), &element(der::UTF8_STRING, &[text.as_bytes()])]);
    element(der::SET, &[&pair])
}

pub(crate) fn common_name(text: &str) -> Vec<u8> {
    element(SEQUENCE, &[&attribute("2.5.4.3", text)])
}

pub(crate) fn basic_constraints(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let flag = if ca { element(der::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let length = path_len.map_or(Vec::new(), |length| element(INTEGER, &[&[length]]));
    element(SEQUENCE, &[&flag, &length])
}

/// One octet of usages, first bit on the left.
pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    element(der::BIT_STRING, &[&[u8::try_from(bits.trailing_zeros().min(7)).unwrap(), bits]])
}

pub(crate) fn usages(list: &[&str]) -> Vec<u8> {
    element(SEQUENCE, &[&list.iter().flat_map(|usage| oid(usage)).collect::<Vec<_>>()])
}

pub(crate) fn names(list: &[(u8, &str)]) -> Vec<u8> {
    let names: Vec<u8> = list.iter().flat_map(|(tag, name)| element(*tag, &[name.as_bytes()])).collect();
    element(SEQUENCE, &[&names])
}

pub(crate) fn subject_key_id(id: &[u8]) -> Vec<u8> {
    element(der::OCTET_STRING, &[id])
}

pub(crate) fn authority_key_id(id: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&element(0x80, &[id])])
}

pub(crate) fn crl_points(url: &str) -> Vec<u8> {
    let name = element(0xa0, &[&element(0xa0, &[&element(URI, &[url.as_bytes()])])]);
    element(SEQUENCE, &[&element(SEQUENCE, &[&name])])
}

pub(crate) fn extension(dotted: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { element(der::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    element(SEQUENCE, &[&oid(dotted), &flag, &element(der::OCTET_STRING, &[value])])
}

/// An authority of a test: its key, and its certificate.
pub(crate) struct Party {
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

/// The parts of a certificate, open to change.
#[derive(Clone)]
pub(crate) struct Forged {
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) signed_algorithm: Option<SignatureAlgorithm>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: Vec<u8>,
    pub(crate) not_after: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) after_key: Vec<u8>,
    pub(crate) extensions: Vec<(String, bool, Vec<u8>)>,
    pub(crate) after_extensions: Vec<u8>,
}

impl Forged {
    fn plain(issuer: Vec<u8>, subject: Vec<u8>, key: &PublicKey, days: u64) -> Self {
        Self {
            version: element(0xa0, &[&element(INTEGER, &[&[2]])]),
            serial: [&[1][..], &[0x5a; 16]].concat(),
            signed_algorithm: None,
            issuer,
            not_before: time(NOW_S - 60),
            not_after: time(NOW_S + days * DAY_S),
            subject,
            spki: key.spki_der().to_vec(),
            after_key: Vec::new(),
            extensions: vec![(SUBJECT_KEY_ID.into(), false, subject_key_id(&key.key_id()))],
            after_extensions: Vec::new(),
        }
    }

    /// As ours: self-signed, ten years.
    pub(crate) fn root(name: &str, key: &PublicKey) -> Self {
        Self::plain(common_name(name), common_name(name), key, 3650)
            .with(BASIC_CONSTRAINTS, true, basic_constraints(true, None))
            .with(KEY_USAGE, true, key_usage(0b0000_0110))
    }

    /// As ours: an authority for one year.
    pub(crate) fn authority(name: &str, key: &PublicKey, issuer: &Certificate) -> Self {
        Self::plain(issuer.subject_der().to_vec(), common_name(name), key, 365)
            .with(BASIC_CONSTRAINTS, true, basic_constraints(true, Some(0)))
            .with(KEY_USAGE, true, key_usage(0b0000_0110))
            .with(AUTHORITY_KEY_ID, false, authority_key_id(issuer.subject_key_id().unwrap()))
    }

    /// As ours: a device for ten days.
    pub(crate) fn device(name: &str, key: &PublicKey, issuer: &Certificate) -> Self {
        let uri = format!("spiffe://lab.touchmark.internal/d/{name}");
        Self::plain(issuer.subject_der().to_vec(), common_name(name), key, 10)
            .with(BASIC_CONSTRAINTS, true, basic_constraints(false, None))
            .with(KEY_USAGE, true, key_usage(0b1000_0000))
            .with(EXTENDED_KEY_USAGE, false, usages(&[CLIENT_AUTH]))
            .with(AUTHORITY_KEY_ID, false, authority_key_id(issuer.subject_key_id().unwrap()))
            .with(SUBJECT_ALT_NAME, false, names(&[(URI, &uri)]))
            .with(CRL_POINTS, false, crl_points("http://127.0.0.1:8080/crl/1"))
    }

    /// Puts an extension in, in place of the one of this type.
    pub(crate) fn with(mut self, dotted: &str, critical: bool, value: Vec<u8>) -> Self {
        self = self.without(dotted);
        self.extensions.push((dotted.into(), critical, value));
        self
    }

    pub(crate) fn without(mut self, dotted: &str) -> Self {
        self.extensions.retain(|(known, ..)| known != dotted);
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn to_der(&self, signer: &dyn Signer) -> Vec<u8> {
        let algorithm = signer.algorithm().algorithm_identifier_der();
        let signed_algorithm =
            self.signed_algorithm.map_or(algorithm, SignatureAlgorithm::algorithm_identifier_der);
        let list: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(dotted, critical, value)| extension(dotted, *critical, value))
            .collect();
        let extensions =
            if list.is_empty() { Vec::new() } else { element(0xa3, &[&element(SEQUENCE, &[&list])]) };
        let tbs = element(
            SEQUENCE,
            &[
                &self.version,
                &element(INTEGER, &[&self.serial]),
                signed_algorithm,
                &self.issuer,
                &element(SEQUENCE, &[&self.not_before, &self.not_after]),
                &self.subject,
                &self.spki,
                &self.after_key,
                &extensions,
                &self.after_extensions,
            ],
        );
        signed(&tbs, signer)
    }

    pub(crate) fn signed_by(&self, signer: &dyn Signer) -> Certificate {
        Certificate::from_der(&self.to_der(signer)).unwrap()
    }
}

/// SEQUENCE of what is signed, the algorithm, the signature.
pub(crate) fn signed(what: &[u8], signer: &dyn Signer) -> Vec<u8> {
    let mut signature = Vec::new();
    der::put_bit_string(&mut signature, &signer.sign(what).unwrap());
    element(SEQUENCE, &[what, signer.algorithm().algorithm_identifier_der(), &signature])
}

/// A root.
pub(crate) fn root(name: &str) -> Party {
    let key = key();
    Party { certificate: Forged::root(name, key.public_key()).signed_by(&key), key }
}

impl Party {
    /// An authority under this one, after a change.
    pub(crate) fn authority(&self, name: &str, change: impl FnOnce(Forged) -> Forged) -> Party {
        let key = key();
        let forged = change(Forged::authority(name, key.public_key(), &self.certificate));
        Party { certificate: forged.signed_by(&self.key), key }
    }

    /// A device under this authority, after a change.
    pub(crate) fn device(&self, name: &str, change: impl FnOnce(Forged) -> Forged) -> Certificate {
        change(Forged::device(name, key().public_key(), &self.certificate)).signed_by(&self.key)
    }
}

/// A request with the given subject and attributes.
pub(crate) fn request(subject: &[u8], spki: &[u8], attributes: &[&[u8]], signer: &dyn Signer) -> Vec<u8> {
    let info = element(
        SEQUENCE,
        &[&element(INTEGER, &[&[0]]), subject, spki, &element(0xa0, &[&attributes.concat()])],
    );
    signed(&info, signer)
}

/// An attribute of a request, with one value.
pub(crate) fn request_attribute(dotted: &str, value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&oid(dotted), &element(der::SET, &[value])])
}

/// The extensionRequest attribute.
pub(crate) fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    request_attribute("1.2.840.113549.1.9.14", &element(SEQUENCE, &[&extensions.concat()]))
}

/// SubjectPublicKeyInfo of an RSA key that nobody has, with a modulus of so many bits.
pub(crate) fn rsa_spki(bits: usize) -> Vec<u8> {
    let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
    let key = element(0x30, &[&element(2, &[&modulus]), &element(2, &[&[1, 0, 1]])]);
    let algorithm = element(0x30, &[&oid("1.2.840.113549.1.1.1"), &[5, 0]]);
    element(0x30, &[&algorithm, &element(3, &[&[0], &key])])
}
