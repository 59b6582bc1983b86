//! From untrusted DER to the parts of a certificate.
//!
//! First the shape (size, depth, exact fields), then the meaning. The shape check also makes the signed bytes
//! unambiguous: what is verified is the very element that was read.

use super::{BadCertificate, CERTIFICATE_OCTETS_MAX, DateForm, Parts};
use crate::der::{BIT_STRING, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME};
use crate::distinguished_name::{COMMON_NAME, DistinguishedName, SERIAL_NUMBER};
use crate::extensions::Extensions;
use crate::key::{PublicKey, SignatureAlgorithm, sha256};
use crate::strict::{BadShape, Element, Field};
use touchmark_identity::{Fingerprint, SerialNumber, Validity};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

fn malformed(part: &'static str) -> impl Fn(BadShape) -> BadCertificate {
    move |BadShape| BadCertificate::Malformed { part }
}

pub(super) fn certificate(der: &[u8]) -> Result<Parts, BadCertificate> {
    if der.len() > CERTIFICATE_OCTETS_MAX {
        return Err(BadCertificate::TooLarge { octets: der.len() });
    }
    let outer = Element::whole(der).map_err(malformed("its encoding"))?;
    let [Some(tbs), Some(algorithm), Some(signature)] = outer
        .fields([Field::One(SEQUENCE), Field::One(SEQUENCE), Field::One(BIT_STRING)])
        .map_err(malformed("the outer sequence"))?
    else {
        return Err(BadCertificate::Malformed { part: "the outer sequence" });
    };
    let [
        version,
        Some(serial),
        Some(signed_algorithm),
        Some(issuer),
        Some(dates),
        Some(subject),
        Some(key),
        _issuer_unique_id,
        _subject_unique_id,
        extensions,
    ] = tbs
        .fields([
            Field::Optional(0xa0),
            Field::One(INTEGER),
            Field::One(SEQUENCE),
            Field::One(SEQUENCE),
            Field::One(SEQUENCE),
            Field::One(SEQUENCE),
            Field::One(SEQUENCE),
            Field::Optional(0x81),
            Field::Optional(0x82),
            Field::Optional(0xa3),
        ])
        .map_err(malformed("the signed part"))?
    else {
        return Err(BadCertificate::Malformed { part: "the signed part" });
    };

    if version.is_none_or(|version| version.content != [INTEGER, 1, 2]) {
        return Err(BadCertificate::Version);
    }
    if algorithm.raw != signed_algorithm.raw {
        return Err(BadCertificate::AlgorithmMismatch);
    }
    if issuer.content.is_empty() {
        return Err(BadCertificate::Malformed { part: "the issuer" });
    }
    DistinguishedName::read(issuer).map_err(malformed("the issuer"))?;
    let subject_name = DistinguishedName::read(subject).map_err(malformed("the subject"))?;
    let (validity, date_forms) = validity(dates)?;
    let extensions = match extensions {
        None => Extensions::default(),
        Some(tagged) => {
            let [list] = tagged.contents([Field::OptionalAny]).map_err(malformed("the extensions"))?;
            Extensions::read(list.ok_or(BadCertificate::Malformed { part: "the extensions" })?)?
        }
    };
    let unknown_critical =
        extensions.present.iter().filter(|present| present.critical && !present.understood);

    Ok(Parts {
        der: der.to_vec(),
        tbs_der: tbs.raw.to_vec(),
        issuer_der: issuer.raw.to_vec(),
        subject_der: subject.raw.to_vec(),
        signature: signature.whole_bits().map_err(malformed("the signature"))?.to_vec(),
        signature_algorithm: SignatureAlgorithm::from_algorithm_identifier_der(algorithm.raw)
            .map_err(BadCertificate::SignatureAlgorithm)?,
        serial: SerialNumber::of_stranger(serial.content).map_err(BadCertificate::Serial)?,
        validity,
        date_forms,
        subject_serial_numbers: subject_name.texts(SERIAL_NUMBER),
        common_names: subject_name.texts(COMMON_NAME),
        public_key: PublicKey::from_spki_der(key.raw).map_err(BadCertificate::Key)?,
        fingerprint: Fingerprint(sha256(der)),
        unknown_critical: unknown_critical.map(|present| present.oid.clone()).collect(),
        extensions,
    })
}

fn validity(dates: Element<'_>) -> Result<(Validity, [DateForm; 2]), BadCertificate> {
    let [Some(not_before), Some(not_after)] =
        dates.fields([Field::OptionalAny, Field::OptionalAny]).map_err(malformed("the validity"))?
    else {
        return Err(BadCertificate::Malformed { part: "the validity" });
    };
    let ((from, from_form), (to, to_form)) = (date(not_before)?, date(not_after)?);
    Ok((Validity::new(from, to).map_err(|_| BadCertificate::Validity)?, [from_form, to_form]))
}

/// RFC 5280 §4.1.2.5: seconds are there, fractions and offsets are not.
fn date(element: Element<'_>) -> Result<(u64, DateForm), BadCertificate> {
    let bad = BadCertificate::Malformed { part: "the validity" };
    let (form, digits) = match element.tag {
        UTC_TIME => (DateForm::Utc, 12),
        GENERALIZED_TIME => (DateForm::Generalized, 14),
        _ => return Err(bad),
    };
    let exact = match element.content.split_last() {
        Some((b'Z', rest)) => rest.len() == digits && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !exact {
        return Err(bad);
    }
    let (_, moment) = ASN1Time::from_der(element.raw).map_err(|_| bad)?;
    Ok((u64::try_from(moment.timestamp()).map_err(|_| BadCertificate::Validity)?, form))
}
