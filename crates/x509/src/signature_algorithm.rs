//! Signature algorithms as certificates, requests and CRLs name them.
//!
//! In: an AlgorithmIdentifier. Out: [`SignatureAlgorithm`], or what was found instead. Written is one form of each;
//! read is also what the RFCs oblige readers to take. Which key may sign so is asked here, the arithmetic is `key`'s.

use crate::der::{self, NotDer, Reader};
use crate::key::{KeyAlgorithm, oid_named};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758 §3.2).
    EcdsaSha256,
    /// ecdsa-with-SHA384 (RFC 5758 §3.2).
    EcdsaSha384,
    /// ecdsa-with-SHA512 (RFC 5758 §3.2).
    EcdsaSha512,
    /// Ed25519 (RFC 8410 §3).
    Ed25519,
    /// sha256WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha256,
    /// sha384WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha384,
    /// sha512WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256 for message and mask, and a salt of 32 octets (RFC 4055 §3).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384 for message and mask, and a salt of 48 octets (RFC 4055 §3).
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512 for message and mask, and a salt of 64 octets (RFC 4055 §3).
    RsaPssSha512,
}

/// A signature algorithm that is not taken; whoever signed must choose another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found}; taken are ECDSA, RSA and RSASSA-PSS with SHA-256, SHA-384 or SHA-512 (the same hash for the mask, and a \
     salt of its length), and Ed25519"
)]
pub struct BadSignatureAlgorithm {
    /// Its name, and what is wrong with its parameters.
    pub found: String,
}

const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

impl SignatureAlgorithm {
    const ALL: [Self; 10] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::Ed25519,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
    ];

    /// The AlgorithmIdentifier, parameters as the RFCs demand: NULL for PKCS#1, absent for ECDSA and Ed25519, written
    /// out for PSS.
    pub fn algorithm_identifier_der(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaSha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::EcdsaSha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            Self::Ed25519 => b"\x30\x05\x06\x03\x2b\x65\x70",
            Self::RsaPkcs1Sha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            Self::RsaPkcs1Sha384 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
            Self::RsaPkcs1Sha512 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
            Self::RsaPssSha256 => {
                b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\
\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\
\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20"
            }
            Self::RsaPssSha384 => {
                b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\
\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\
\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01\x30"
            }
            Self::RsaPssSha512 => {
                b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\
\x48\x01\x65\x03\x04\x02\x03\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\
\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\xa2\x03\x02\x01\x40"
            }
        }
    }

    /// Reads a whole AlgorithmIdentifier.
    ///
    /// # Errors
    /// [`BadSignatureAlgorithm`]. PKCS#1 passes with NULL and without parameters (RFC 4055 §5: both MUST be
    /// accepted); ECDSA and Ed25519 have none (RFC 5758 §3.2, RFC 8410 §3).
    pub fn from_algorithm_identifier_der(der: &[u8]) -> Result<Self, BadSignatureAlgorithm> {
        // What nearly everybody writes.
        if let Some(known) = Self::ALL.into_iter().find(|known| known.algorithm_identifier_der() == der) {
            return Ok(known);
        }
        let malformed =
            |NotDer| BadSignatureAlgorithm { found: "a malformed AlgorithmIdentifier".to_owned() };
        let mut outer = Reader::new(der);
        let mut fields = outer.enter(der::SEQUENCE).map_err(malformed)?;
        outer.finish().map_err(malformed)?;
        let oid = fields.content(der::OID).map_err(malformed)?;
        if oid == RSASSA_PSS {
            return match pss(fields) {
                Ok((SHA256, SHA256, 32)) => Ok(Self::RsaPssSha256),
                Ok((SHA384, SHA384, 48)) => Ok(Self::RsaPssSha384),
                Ok((SHA512, SHA512, 64)) => Ok(Self::RsaPssSha512),
                Ok((hash, mask, salt)) => Err(BadSignatureAlgorithm {
                    found: format!(
                        "{} with {}, a mask by {} and a salt of {salt} octets",
                        oid_named(oid),
                        oid_named(hash),
                        oid_named(mask)
                    ),
                }),
                Err(NotDer) => Err(BadSignatureAlgorithm {
                    found: format!("{} with parameters left at SHA-1, or malformed", oid_named(oid)),
                }),
            };
        }
        let known = Self::from_oid(oid).ok_or_else(|| BadSignatureAlgorithm { found: oid_named(oid) })?;
        let absent = fields.is_empty();
        match known {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 if absent => Ok(known),
            _ => {
                let parameters = if fields.content(der::NULL) == Ok(&[]) { "NULL" } else { "others" };
                let must = match known {
                    Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => "NULL or absent",
                    _ => "absent",
                };
                let found =
                    format!("{} with parameters that are {parameters} and must be {must}", oid_named(oid));
                Err(BadSignatureAlgorithm { found })
            }
        }
    }

    /// Reads the content octets of an OBJECT IDENTIFIER that says everything; parameters are the caller's to check.
    pub fn from_oid(content: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().filter(|known| !known.is_pss()).find(|known| {
            let oid = Reader::new(known.algorithm_identifier_der())
                .enter(der::SEQUENCE)
                .and_then(|mut fields| fields.content(der::OID));
            oid == Ok(content)
        })
    }

    fn is_pss(self) -> bool {
        matches!(self, Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512)
    }

    /// The algorithm with which a key of this kind signs by default.
    pub fn default_for(key: KeyAlgorithm) -> Self {
        match key {
            KeyAlgorithm::P256 => Self::EcdsaSha256,
            KeyAlgorithm::P384 => Self::EcdsaSha384,
            KeyAlgorithm::P521 => Self::EcdsaSha512,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::Rsa { .. } => Self::RsaPkcs1Sha256,
        }
    }

    /// Whether a key of this kind can have made such a signature.
    pub fn fits(self, key: KeyAlgorithm) -> bool {
        match self {
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => {
                matches!(key, KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521)
            }
            Self::Ed25519 => key == KeyAlgorithm::Ed25519,
            Self::RsaPkcs1Sha256
            | Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512 => matches!(key, KeyAlgorithm::Rsa { .. }),
        }
    }
}

impl core::fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::Ed25519 => "Ed25519",
            Self::RsaPkcs1Sha256 => "sha256WithRSAEncryption",
            Self::RsaPkcs1Sha384 => "sha384WithRSAEncryption",
            Self::RsaPkcs1Sha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "RSASSA-PSS with SHA-256",
            Self::RsaPssSha384 => "RSASSA-PSS with SHA-384",
            Self::RsaPssSha512 => "RSASSA-PSS with SHA-512",
        })
    }
}

/// Hash, mask hash and salt length of RSASSA-PSS-params (RFC 4055 §3.1). The defaults mean SHA-1, so hash, mask and salt must be there; the NULL beside a
/// hash may be absent (§2.1).
fn pss(mut fields: Reader<'_>) -> Result<(&[u8], &[u8], u64), NotDer> {
    let mut parameters = fields.enter(der::SEQUENCE)?;
    fields.finish()?;
    let mut tagged = parameters.enter(der::context_constructed(0))?;
    let hash = hash(&mut tagged)?;
    tagged.finish()?;
    let mut tagged = parameters.enter(der::context_constructed(1))?;
    let mut mask = tagged.enter(der::SEQUENCE)?;
    tagged.finish()?;
    if mask.content(der::OID)? != MGF1 {
        return Err(NotDer);
    }
    let mask_hash = self::hash(&mut mask)?;
    mask.finish()?;
    let mut tagged = parameters.enter(der::context_constructed(2))?;
    let salt = tagged.unsigned()?;
    tagged.finish()?;
    if parameters.peek() == Some(der::context_constructed(3)) {
        let mut tagged = parameters.enter(der::context_constructed(3))?;
        if tagged.unsigned()? != 1 {
            return Err(NotDer);
        }
        tagged.finish()?;
    }
    parameters.finish()?;
    Ok((hash, mask_hash, salt))
}

/// The object identifier of a hash's AlgorithmIdentifier.
fn hash<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], NotDer> {
    let mut fields = from.enter(der::SEQUENCE)?;
    let oid = fields.content(der::OID)?;
    if fields.optional(der::NULL)?.is_some_and(|null| !null.is_empty()) {
        return Err(NotDer);
    }
    fields.finish()?;
    Ok(oid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{element, oid};

    fn identifier(parts: &[&[u8]]) -> Vec<u8> {
        element(der::SEQUENCE, parts)
    }

    fn pss_with(hash: &str, mask: &str, salt: u8, null: &[u8], trailer: &[u8]) -> Vec<u8> {
        let hash = identifier(&[&oid(hash), null]);
        let mask = identifier(&[&oid("1.2.840.113549.1.1.8"), &identifier(&[&oid(mask), null])]);
        let salt = element(0xa2, &[&element(der::INTEGER, &[&[salt]])]);
        let parameters = identifier(&[&element(0xa0, &[&hash]), &element(0xa1, &[&mask]), &salt, trailer]);
        identifier(&[&oid("1.2.840.113549.1.1.10"), &parameters])
    }

    #[test]
    fn every_algorithm_reads_as_it_is_written() {
        for algorithm in SignatureAlgorithm::ALL {
            let der = algorithm.algorithm_identifier_der();
            assert_eq!(SignatureAlgorithm::from_algorithm_identifier_der(der), Ok(algorithm));
        }
    }

    #[test]
    fn what_the_rfcs_oblige_readers_to_take_is_taken_and_the_rest_is_named() {
        use SignatureAlgorithm as S;
        let (sha256, sha384) = ("2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2");
        let null: &[u8] = &[5, 0];
        let trailer = element(0xa3, &[&[2, 1, 1]]);
        let rows: &[(&str, Vec<u8>, Result<S, &str>)] = &[
            ("RSA, absent", identifier(&[&oid("1.2.840.113549.1.1.11")]), Ok(S::RsaPkcs1Sha256)),
            ("RSA-384, absent", identifier(&[&oid("1.2.840.113549.1.1.12")]), Ok(S::RsaPkcs1Sha384)),
            ("RSA-512, absent", identifier(&[&oid("1.2.840.113549.1.1.13")]), Ok(S::RsaPkcs1Sha512)),
            ("RSA, BOOLEAN", identifier(&[&oid("1.2.840.113549.1.1.11"), &[1, 1, 0]]), Err("NULL or absent")),
            (
                "RSA, NULL twice",
                identifier(&[&oid("1.2.840.113549.1.1.11"), null, null]),
                Err("NULL or absent"),
            ),
            (
                "ECDSA, NULL",
                identifier(&[&oid("1.2.840.10045.4.3.2"), null]),
                Err("are NULL and must be absent"),
            ),
            ("ECDSA-512, NULL", identifier(&[&oid("1.2.840.10045.4.3.4"), null]), Err("ecdsa-with-SHA512")),
            ("Ed25519, NULL", identifier(&[&oid("1.3.101.112"), null]), Err("Ed25519 (1.3.101.112)")),
            (
                "ECDSA, SHA-1",
                identifier(&[&oid("1.2.840.10045.4.1")]),
                Err("ecdsa-with-SHA1 (1.2.840.10045.4.1)"),
            ),
            ("RSA, SHA-1", identifier(&[&oid("1.2.840.113549.1.1.5"), null]), Err("sha1WithRSAEncryption")),
            ("RSA, MD5", identifier(&[&oid("1.2.840.113549.1.1.4"), null]), Err("md5WithRSAEncryption")),
            ("unknown", identifier(&[&oid("1.2.3.4")]), Err("1.2.3.4")),
            ("empty", identifier(&[]), Err("malformed")),
            ("PSS, no NULL", pss_with(sha256, sha256, 32, &[], &[]), Ok(S::RsaPssSha256)),
            ("PSS, trailer", pss_with(sha384, sha384, 48, null, &trailer), Ok(S::RsaPssSha384)),
            ("PSS, another mask", pss_with(sha256, sha384, 32, null, &[]), Err("a mask by SHA-384")),
            ("PSS, short salt", pss_with(sha256, sha256, 20, null, &[]), Err("a salt of 20 octets")),
            (
                "PSS, SHA-1",
                pss_with("1.3.14.3.2.26", "1.3.14.3.2.26", 20, null, &[]),
                Err("SHA-1 (1.3.14.3.2.26)"),
            ),
            ("PSS by default", identifier(&[&oid("1.2.840.113549.1.1.10"), &[0x30, 0]]), Err("RSASSA-PSS")),
        ];
        for (name, der, expected) in rows {
            match (SignatureAlgorithm::from_algorithm_identifier_der(der), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, *expected, "{name}"),
                (Err(bad), Err(expected)) => assert!(bad.to_string().contains(expected), "{name}: {bad}"),
                (read, _) => panic!("{name}: {read:?}"),
            }
        }
    }
}
