//! DER (X.690 §10): a small writer for what we emit, and a strict reader for the little that we take apart here.
//!
//! The writer appends to one `Vec`, so that a certificate costs one allocation. No certificate, key or extension
//! is known here beyond identifiers.

mod calendar;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use reader::{NotDer, Reader};

use calendar::civil_from_days;
use touchmark_identity::Timestamp;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const NUMERIC_STRING: u8 = 0x12;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const VISIBLE_STRING: u8 = 0x1a;
pub(crate) const UNIVERSAL_STRING: u8 = 0x1c;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Tag of a primitive, context-specific `[n]`.
pub(crate) const fn context(n: u8) -> u8 {
    0x80 | n
}

/// Tag of a constructed, context-specific `[n]`.
pub(crate) const fn context_constructed(n: u8) -> u8 {
    0xa0 | n
}

/// Appends one element with its content at hand.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    put_length(out, content.len());
    out.extend_from_slice(content);
}

/// Appends one element whose content `write` appends.
pub(crate) fn nest(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[tag, 0]);
    let at = out.len();
    write(out);
    let (field, used) = length_field(out.len() - at);
    match out.get_mut(at - 1) {
        Some(short) if used == 1 => *short = field[0],
        // Moving the content once is cheaper than measuring it first: certificates are about 1 KiB.
        _ => drop(out.splice(at - 1..at, field.into_iter().take(used))),
    }
}

/// Appends a non-negative INTEGER.
pub(crate) fn put_unsigned(out: &mut Vec<u8>, value: u64) {
    let octets = value.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count().min(7);
    let content = octets.iter().skip(zeros);
    let sign = octets.get(zeros).is_some_and(|first| first & 0x80 != 0);
    out.push(INTEGER);
    put_length(out, 8 - zeros + usize::from(sign));
    if sign {
        out.push(0);
    }
    out.extend(content);
}

/// Appends a BIT STRING of whole octets.
pub(crate) fn put_bit_string(out: &mut Vec<u8>, octets: &[u8]) {
    out.push(BIT_STRING);
    put_length(out, octets.len() + 1);
    out.push(0);
    out.extend_from_slice(octets);
}

/// Appends a Time: UTCTime through 2049, GeneralizedTime after (RFC 5280 §4.1.2.5).
pub(crate) fn put_time(out: &mut Vec<u8>, moment: Timestamp) {
    let (days, second) = (moment.unix_s() / 86_400, moment.unix_s() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let mut digits = [0; 15];
    let fields =
        [(year / 100, 0), (year % 100, 2), (month, 4), (day, 6), (second / 3600, 8), (second / 60 % 60, 10)];
    for (value, at) in fields.into_iter().chain([(second % 60, 12)]) {
        if let Some([tens, ones]) = digits.get_mut(at..at + 2) {
            *tens = decimal_digit(value / 10);
            *ones = decimal_digit(value % 10);
        }
    }
    digits[14] = b'Z';
    if year < 2050 { put(out, UTC_TIME, &digits[2..]) } else { put(out, GENERALIZED_TIME, &digits) }
}

/// Whether a reader that does not know an extension must refuse.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Critical {
    Yes,
    No,
}

/// Appends one Extension (RFC 5280 §4.2); `oid` is content octets, `write` appends the value inside the OCTET STRING.
pub(crate) fn put_extension(
    out: &mut Vec<u8>,
    oid: &[u8],
    critical: Critical,
    write: impl FnOnce(&mut Vec<u8>),
) {
    nest(out, SEQUENCE, |extension| {
        put(extension, OID, oid);
        if critical == Critical::Yes {
            put(extension, BOOLEAN, &[0xff]);
        }
        nest(extension, OCTET_STRING, write);
    });
}

/// SEQUENCE { what was signed, AlgorithmIdentifier, BIT STRING }: certificates, requests and CRLs end alike.
pub(crate) fn signed(body: &[u8], algorithm_identifier: &[u8], signature: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + algorithm_identifier.len() + signature.len() + 16);
    nest(&mut out, SEQUENCE, |out| {
        out.extend_from_slice(body);
        out.extend_from_slice(algorithm_identifier);
        put_bit_string(out, signature);
    });
    out
}

/// Content octets of the extensions that more than one module writes or reads.
pub(crate) mod oids {
    pub(crate) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
    pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(crate) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(crate) const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
    pub(crate) const REASON_CODE: &[u8] = &[0x55, 0x1d, 0x15];
    pub(crate) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
    pub(crate) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
    pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    /// Private: SEQUENCE OF UTF8String with what the RA knows of the device (`model:x200`).
    pub(crate) const SCOPE: &[u8] = &[
        0x69, 0x8f, 0xe9, 0xa2, 0xb4, 0xa7, 0xbe, 0xe2, 0xa2, 0xeb, 0x91, 0x93, 0xee, 0xda, 0x86, 0xf5, 0xee,
        0xb2, 0x40, 0x01, 0x01,
    ];
}

/// Content octets of an OBJECT IDENTIFIER from its dotted text; `None` when the text is no OID.
pub(crate) fn oid_content(dotted: &str) -> Option<Vec<u8>> {
    let mut arcs = dotted.split('.').map(|arc| {
        let canonical = !arc.is_empty() && arc.bytes().all(|c| c.is_ascii_digit());
        arc.parse::<u128>().ok().filter(|_| canonical && (arc == "0" || !arc.starts_with('0')))
    });
    let (root, second) = (arcs.next()??, arcs.next()??);
    if root > 2 || (root < 2 && second > 39) {
        return None;
    }
    let mut content = Vec::new();
    put_arc(&mut content, second.checked_add(root * 40)?);
    for arc in arcs {
        put_arc(&mut content, arc?);
    }
    Some(content)
}

fn put_arc(out: &mut Vec<u8>, arc: u128) {
    let groups = (128 - arc.max(1).leading_zeros()).div_ceil(7);
    for group in (0..groups).rev() {
        let seven = (arc >> (7 * group)).to_le_bytes()[0] & 0x7f;
        out.push(if group == 0 { seven } else { seven | 0x80 });
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let (field, used) = length_field(length);
    out.extend(field.into_iter().take(used));
}

/// The length field and how many of its octets count.
fn length_field(length: usize) -> ([u8; 9], usize) {
    let octets = length.to_be_bytes();
    let mut field = [0; 9];
    if length < 0x80 {
        field[0] = octets[octets.len() - 1];
        return (field, 1);
    }
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let used = octets.len() - zeros;
    field[0] = 0x80 | used.to_le_bytes()[0];
    for (to, from) in field.iter_mut().skip(1).zip(octets.iter().skip(zeros)) {
        *to = *from;
    }
    (field, used + 1)
}

fn decimal_digit(value: u64) -> u8 {
    b'0' + (value % 10).to_le_bytes()[0]
}
