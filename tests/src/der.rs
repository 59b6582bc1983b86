//! As much DER as a forger needs: it writes what our own writers refuse to.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// One element.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        _ => {
            let octets = length.to_be_bytes();
            let first = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
            out.push(0x80 | (octets.len() - first) as u8);
            out.extend_from_slice(&octets[first..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A SEQUENCE of elements.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A BIT STRING of whole octets.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], content].concat())
}

/// SubjectPublicKeyInfo of an RSA key with this modulus and the usual exponent. Nobody has to know its factors.
pub(crate) fn rsa_spki(modulus: &[u8]) -> Vec<u8> {
    const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
    let key = sequence(&[tlv(INTEGER, &[&[0], modulus].concat()), tlv(INTEGER, &[1, 0, 1])]);
    sequence(&[sequence(&[tlv(OID, RSA_ENCRYPTION), tlv(NULL, &[])]), bits(&key)])
}
