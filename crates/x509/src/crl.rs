//! Certificate revocation lists, version 2 (RFC 5280 §5): written whole for one authority, read back bounded.
//!
//! In: the revoked set, in the order the caller wants it; or untrusted DER. Out: [`TbsCertList`] to be signed; or
//! [`Crl`], which answers by serial number. Whether a CRL is fresh enough is the reader's policy: no clock is here.

use crate::certificate::{CRL_SIGN, Certificate};
use crate::der::{self, Critical, NotDer, Reader, oids};
use crate::key::{BadSignature, SignatureAlgorithm};
use crate::tbs::put_authority_key_id;
use touchmark_identity::{RevocationReason, SerialNumber, Timestamp};

/// Largest CRL that is looked into: half a million entries of about 50 octets, and room.
pub const CRL_OCTETS_MAX: usize = 32 * 1024 * 1024;
/// Most entries: bounds memory at 32 MiB, whatever the entries' encoding.
pub const CRL_ENTRIES_MAX: usize = 500_000;
/// Octets of an entry with a reason, for reserving.
const ENTRY_OCTETS: usize = 52;

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedEntry {
    /// Serial number under the CRL's issuer.
    pub serial: SerialNumber,
    /// When it was revoked; the list keeps whole seconds.
    pub at: Timestamp,
    /// Why; [`RevocationReason::Unspecified`] is written as absence.
    pub reason: RevocationReason,
}

/// Everything in a CRL.
#[derive(Clone, Copy, Debug)]
pub struct CrlContents<'a> {
    /// The authority whose certificates are listed, and that signs.
    pub issuer: &'a Certificate,
    /// Rises with each list of this issuer (RFC 5280 §5.2.3).
    pub number: u64,
    /// When the list was made.
    pub this_update: Timestamp,
    /// When the next will be there at the latest.
    pub next_update: Timestamp,
    /// How the issuer signs.
    pub signature_algorithm: SignatureAlgorithm,
    /// One entry for each serial number.
    pub entries: &'a [RevokedEntry],
}

/// Encodes the part of a CRL that is signed. An issuer without a key identifier gives a CRL without one.
pub fn crl_tbs(crl: &CrlContents<'_>) -> TbsCertList {
    let mut out = Vec::with_capacity(crl.entries.len() * ENTRY_OCTETS + 512);
    der::nest(&mut out, der::SEQUENCE, |out| {
        // version v2
        der::put_unsigned(out, 1);
        out.extend_from_slice(crl.signature_algorithm.algorithm_identifier_der());
        out.extend_from_slice(crl.issuer.subject_der());
        der::put_time(out, crl.this_update);
        der::put_time(out, crl.next_update);
        // An empty list is forbidden: it is left out (RFC 5280 §5.1.2.6).
        if !crl.entries.is_empty() {
            der::nest(out, der::SEQUENCE, |out| crl.entries.iter().for_each(|entry| put_entry(out, entry)));
        }
        der::nest(out, der::context_constructed(0), |explicit| {
            der::nest(explicit, der::SEQUENCE, |out| {
                if let Some(issuer_key_id) = crl.issuer.subject_key_id() {
                    put_authority_key_id(out, issuer_key_id);
                }
                der::put_extension(out, oids::CRL_NUMBER, Critical::No, |value| {
                    der::put_unsigned(value, crl.number);
                });
            });
        });
    });
    TbsCertList { der: out, signature_algorithm: crl.signature_algorithm }
}

fn put_entry(out: &mut Vec<u8>, entry: &RevokedEntry) {
    der::nest(out, der::SEQUENCE, |out| {
        der::put(out, der::INTEGER, entry.serial.der_content());
        der::put_time(out, entry.at);
        if entry.reason != RevocationReason::Unspecified {
            der::nest(out, der::SEQUENCE, |out| {
                der::put_extension(out, oids::REASON_CODE, Critical::No, |value| {
                    der::put(value, der::ENUMERATED, &[entry.reason.number()]);
                });
            });
        }
    });
}

/// The octets of a CRL that are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TbsCertList {
    der: Vec<u8>,
    signature_algorithm: SignatureAlgorithm,
}

impl TbsCertList {
    /// What the signer signs.
    pub fn as_bytes(&self) -> &[u8] {
        &self.der
    }

    /// The algorithm named inside, with which it must be signed.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// The CRL. Readers refuse it unless `algorithm` is [`TbsCertList::signature_algorithm`].
    pub fn into_crl(self, algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        der::signed(&self.der, algorithm.algorithm_identifier_der(), signature)
    }
}

/// Why a CRL is refused. Its publisher must act, or whoever fetched the wrong one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCrl {
    /// More than [`CRL_OCTETS_MAX`].
    #[error("a CRL has at most {CRL_OCTETS_MAX} octets, this one has {octets}")]
    TooLarge {
        /// Length as given.
        octets: usize,
    },
    /// More than [`CRL_ENTRIES_MAX`].
    #[error("a CRL has at most {CRL_ENTRIES_MAX} entries")]
    TooMany,
    /// Not the DER of a version 2 CertificateList with a nextUpdate and a number.
    #[error("not a version 2 CRL in DER")]
    Malformed,
    /// A signature algorithm that is not known here, or not the same inside and outside.
    #[error("the CRL's signature algorithm is unknown, or differs inside and outside")]
    SignatureAlgorithm,
    /// An extension that must be understood and is not: delta and partitioned CRLs among them.
    #[error("the CRL has a critical extension that is not understood")]
    UnknownCriticalExtension,
    /// The list is of another authority.
    #[error("the CRL was not issued by this authority")]
    WrongIssuer,
    /// The authority's certificate does not allow it to sign CRLs.
    #[error("the authority's certificate lacks cRLSign")]
    NotAuthorised,
    /// The signature says no.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl From<NotDer> for BadCrl {
    fn from(NotDer: NotDer) -> Self {
        Self::Malformed
    }
}

/// A CRL as read. Its signature counts only after [`Crl::verify`].
#[derive(Clone)]
pub struct Crl {
    tbs: Box<[u8]>,
    issuer: Box<[u8]>,
    authority_key_id: Option<Box<[u8]>>,
    signature_algorithm: SignatureAlgorithm,
    signature: Box<[u8]>,
    number: u64,
    this_update: Timestamp,
    next_update: Timestamp,
    /// Sorted by serial number, one for each.
    entries: Box<[RevokedEntry]>,
}

impl Crl {
    /// Reads a complete, direct CRL with a number of at most 64 bits and a nextUpdate.
    ///
    /// # Errors
    /// [`BadCrl`].
    pub fn from_der(crl: &[u8]) -> Result<Self, BadCrl> {
        if crl.len() > CRL_OCTETS_MAX {
            return Err(BadCrl::TooLarge { octets: crl.len() });
        }
        Self::read(crl, CRL_ENTRIES_MAX)
    }

    /// Reads back what was signed here a moment ago, however long it is: a list that its readers may find too long says
    /// more than none.
    ///
    /// # Errors
    /// [`BadCrl`].
    pub fn from_own_der(crl: &[u8]) -> Result<Self, BadCrl> {
        Self::read(crl, usize::MAX)
    }

    fn read(crl: &[u8], entries_max: usize) -> Result<Self, BadCrl> {
        let mut outer = Reader::new(crl);
        let mut list = outer.enter(der::SEQUENCE)?;
        outer.finish()?;
        let tbs = list.whole(der::SEQUENCE)?;
        let outer_algorithm = list.whole(der::SEQUENCE)?;
        let signature = list.bit_string()?;
        list.finish()?;

        let mut fields = Reader::new(tbs).enter(der::SEQUENCE)?;
        // version v2 is 1; a version 1 list leaves it out, and cannot carry a number.
        if fields.unsigned()? != 1 {
            return Err(BadCrl::Malformed);
        }
        let inner_algorithm = fields.whole(der::SEQUENCE)?;
        let signature_algorithm = SignatureAlgorithm::from_algorithm_identifier_der(inner_algorithm)
            .ok()
            .filter(|_| inner_algorithm == outer_algorithm)
            .ok_or(BadCrl::SignatureAlgorithm)?;
        let issuer = fields.whole(der::SEQUENCE)?;
        let this_update = fields.time()?;
        let next_update = fields.time()?;
        let entries = read_entries(fields.optional(der::SEQUENCE)?.unwrap_or_default(), entries_max)?;
        let extensions = ListExtensions::read(fields.enter(der::context_constructed(0))?)?;
        fields.finish()?;
        Ok(Self {
            tbs: tbs.into(),
            issuer: issuer.into(),
            authority_key_id: extensions.authority_key_id.map(Into::into),
            signature_algorithm,
            signature: signature.into(),
            number: extensions.number.ok_or(BadCrl::Malformed)?,
            this_update,
            next_update,
            entries,
        })
    }

    /// Whether `authority` may sign CRLs, and signed this one.
    ///
    /// # Errors
    /// [`BadCrl::WrongIssuer`], [`BadCrl::NotAuthorised`], [`BadCrl::Signature`].
    pub fn verify(&self, authority: &Certificate) -> Result<(), BadCrl> {
        let same_key = match (self.authority_key_id.as_deref(), authority.subject_key_id()) {
            (Some(named), Some(own)) => named == own,
            _ => true,
        };
        if *self.issuer != *authority.subject_der() || !same_key {
            return Err(BadCrl::WrongIssuer);
        }
        if authority.key_usage().is_none_or(|usage| usage & CRL_SIGN == 0) {
            return Err(BadCrl::NotAuthorised);
        }
        Ok(authority.public_key().verify(self.signature_algorithm, &self.tbs, &self.signature)?)
    }

    /// The list's number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When the list was made.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// When the next was promised.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// The issuer's Name in DER.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// The entry of a serial number; `None` is "not listed", which is less than "good".
    pub fn find(&self, serial: &SerialNumber) -> Option<RevokedEntry> {
        let at = self.entries.binary_search_by_key(serial, |entry| entry.serial).ok()?;
        self.entries.get(at).copied()
    }

    /// All entries, by serial number.
    pub fn entries(&self) -> &[RevokedEntry] {
        &self.entries
    }

    /// How many serial numbers are listed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl std::fmt::Debug for Crl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crl(number {}, {} entries)", self.number, self.entries.len())
    }
}

fn read_entries(list: &[u8], entries_max: usize) -> Result<Box<[RevokedEntry]>, BadCrl> {
    let mut list = Reader::new(list);
    let mut entries = Vec::new();
    while !list.is_empty() {
        if entries.len() == entries_max {
            return Err(BadCrl::TooMany);
        }
        let mut fields = list.enter(der::SEQUENCE)?;
        let serial = SerialNumber::try_from(fields.content(der::INTEGER)?).map_err(|_| BadCrl::Malformed)?;
        let at = fields.time()?;
        let reason = match fields.optional(der::SEQUENCE)? {
            Some(extensions) => read_reason(Reader::new(extensions))?,
            None => RevocationReason::Unspecified,
        };
        fields.finish()?;
        entries.push(RevokedEntry { serial, at, reason });
    }
    // A serial that stands twice is revoked since the earlier moment.
    entries.sort_unstable_by_key(|entry| (entry.serial, entry.at));
    entries.dedup_by_key(|entry| entry.serial);
    Ok(entries.into_boxed_slice())
}

/// The reason among an entry's extensions.
fn read_reason(mut extensions: Reader<'_>) -> Result<RevocationReason, BadCrl> {
    let mut reason = RevocationReason::Unspecified;
    while !extensions.is_empty() {
        let Extension { oid, critical, mut value } = Extension::read(&mut extensions)?;
        if oid == oids::REASON_CODE {
            let [number] = value.content(der::ENUMERATED)? else { return Err(BadCrl::Malformed) };
            value.finish()?;
            // certificateHold and reasons yet unknown are revoked like any other.
            reason = RevocationReason::try_from(*number).unwrap_or(RevocationReason::Unspecified);
        } else if critical {
            // certificateIssuer among them: the entry is about another authority's certificate.
            return Err(BadCrl::UnknownCriticalExtension);
        }
    }
    Ok(reason)
}

#[derive(Default)]
struct ListExtensions<'a> {
    authority_key_id: Option<&'a [u8]>,
    number: Option<u64>,
}

impl<'a> ListExtensions<'a> {
    fn read(mut explicit: Reader<'a>) -> Result<Self, BadCrl> {
        let mut extensions = explicit.enter(der::SEQUENCE)?;
        explicit.finish()?;
        let mut found = Self::default();
        while !extensions.is_empty() {
            let Extension { oid, critical, mut value } = Extension::read(&mut extensions)?;
            if oid == oids::CRL_NUMBER && found.number.is_none() {
                found.number = Some(value.unsigned()?);
                value.finish()?;
            } else if oid == oids::AUTHORITY_KEY_ID && found.authority_key_id.is_none() {
                found.authority_key_id = value.enter(der::SEQUENCE)?.optional(der::context(0))?;
                value.finish()?;
            } else if critical || oid == oids::CRL_NUMBER || oid == oids::AUTHORITY_KEY_ID {
                return Err(if critical { BadCrl::UnknownCriticalExtension } else { BadCrl::Malformed });
            }
        }
        Ok(found)
    }
}

struct Extension<'a> {
    oid: &'a [u8],
    critical: bool,
    value: Reader<'a>,
}

impl<'a> Extension<'a> {
    fn read(list: &mut Reader<'a>) -> Result<Self, NotDer> {
        let mut fields = list.enter(der::SEQUENCE)?;
        let (oid, critical) = (fields.content(der::OID)?, fields.default_false()?);
        let value = fields.enter(der::OCTET_STRING)?;
        fields.finish()?;
        Ok(Self { oid, critical, value })
    }
}
