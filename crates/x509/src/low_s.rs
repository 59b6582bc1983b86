//! The one form of an ECDSA signature: (r, s) and (r, n - s) both verify, and the smaller s is the one we make.
//!
//! In: an ECDSA-Sig-Value (RFC 3279 §2.2.3). Out: whether s is low, or the signature with s made low. A certificate
//! with a second valid signature would have a second fingerprint.

use crate::der::{self, NotDer, Reader};
use crate::key::KeyAlgorithm;

/// Order n of P-256's base point (SP 800-186 §3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// Order n of P-384's base point (SP 800-186 §3.2.1.4).
const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
    0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];
const P256_HALF: [u8; 32] = halved(P256_ORDER);
const P384_HALF: [u8; 48] = halved(P384_ORDER);

/// n / 2, rounded down.
const fn halved<const N: usize>(order: [u8; N]) -> [u8; N] {
    let mut half = [0; N];
    let (mut at, mut carried) = (0, 0);
    while at < N {
        half[at] = (order[at] >> 1) | carried;
        carried = order[at] << 7;
        at += 1;
    }
    half
}

/// Half the order of the group in which a key of ours signs; `None` where signatures have one form, and for P-521, whose
/// keys are never ours.
pub(crate) fn half_order(key: KeyAlgorithm) -> Option<&'static [u8]> {
    match key {
        KeyAlgorithm::P256 => Some(&P256_HALF),
        KeyAlgorithm::P384 => Some(&P384_HALF),
        KeyAlgorithm::P521 | KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. } => None,
    }
}

fn order(key: KeyAlgorithm) -> Option<&'static [u8]> {
    match key {
        KeyAlgorithm::P256 => Some(&P256_ORDER),
        KeyAlgorithm::P384 => Some(&P384_ORDER),
        KeyAlgorithm::P521 | KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. } => None,
    }
}

/// Whether s is at most `half`. What is no signature is not low.
pub(crate) fn is_low(signature: &[u8], half: &[u8]) -> bool {
    read(signature).is_ok_and(|(_, s)| !greater(s, half))
}

/// The same signature with the smaller s. What is no ECDSA signature of this key comes back as it is.
pub(crate) fn lowered(signature: &[u8], key: KeyAlgorithm) -> Vec<u8> {
    let (Some(order), Some(half), Ok((r, s))) = (order(key), half_order(key), read(signature)) else {
        return signature.to_vec();
    };
    if !greater(s, half) || s.len() > order.len() {
        return signature.to_vec();
    }
    let mut low = Vec::with_capacity(order.len());
    let mut borrowed = false;
    for (from, take) in order.iter().rev().zip(s.iter().rev().chain(core::iter::repeat(&0))) {
        let (octet, first) = from.overflowing_sub(*take);
        let (octet, second) = octet.overflowing_sub(u8::from(borrowed));
        borrowed = first || second;
        low.push(octet);
    }
    low.reverse();
    let mut out = Vec::with_capacity(signature.len());
    der::nest(&mut out, der::SEQUENCE, |out| {
        put_magnitude(out, r);
        put_magnitude(out, &low);
    });
    out
}

/// r and s as magnitudes without leading zeros.
fn read(signature: &[u8]) -> Result<(&[u8], &[u8]), NotDer> {
    let mut outer = Reader::new(signature);
    let mut fields = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    let (r, s) = (fields.magnitude()?, fields.magnitude()?);
    fields.finish()?;
    Ok((r, s))
}

/// Whether a magnitude without leading zeros is greater than `bound`, which has none either.
fn greater(magnitude: &[u8], bound: &[u8]) -> bool {
    magnitude.len().cmp(&bound.len()).then_with(|| magnitude.cmp(bound)).is_gt()
}

fn put_magnitude(out: &mut Vec<u8>, octets: &[u8]) {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count().min(octets.len().saturating_sub(1));
    let digits = octets.get(zeros..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    der::put(out, der::INTEGER, &[sign, digits].concat());
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::key::SignatureAlgorithm;
    use crate::signer::{Signer, SoftwareKey};

    /// The other form of a signature.
    pub(crate) fn twin(signature: &[u8], key: KeyAlgorithm) -> Vec<u8> {
        let (r, s) = read(signature).unwrap();
        let order = order(key).unwrap();
        let mut other = vec![0; order.len()];
        let mut borrowed = 0;
        for at in 0..order.len() {
            let take = s.len().checked_sub(at + 1).map_or(0, |place| s[place]);
            let value = i16::from(order[order.len() - 1 - at]) - i16::from(take) - borrowed;
            borrowed = i16::from(value < 0);
            other[order.len() - 1 - at] = value.rem_euclid(256) as u8;
        }
        let mut out = Vec::new();
        der::nest(&mut out, der::SEQUENCE, |out| {
            put_magnitude(out, r);
            put_magnitude(out, &other);
        });
        out
    }

    #[test]
    fn our_signatures_are_low_and_their_twins_verify_but_are_not() {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384] {
            let key = SoftwareKey::generate(algorithm).unwrap();
            // A provider that does not lower s passes 64 rounds once in 2^64.
            for round in 0_u8..64 {
                let signature = key.sign(&[round]).unwrap();
                let public = key.public_key();
                assert!(public.is_low_s(&signature), "{algorithm} {round}");
                let twin = twin(&signature, algorithm);
                assert!(!public.is_low_s(&twin), "{algorithm} {round}");
                for form in [&signature, &twin] {
                    let verified = public.verify(SignatureAlgorithm::default_for(algorithm), &[round], form);
                    assert_eq!(verified, Ok(()), "{algorithm} {round}");
                }
                assert_eq!(lowered(&twin, algorithm), signature, "{algorithm} {round}");
            }
        }
    }

    #[test]
    fn half_the_order_is_low_and_one_more_is_not() {
        let with_s = |s: &[u8]| {
            let mut out = Vec::new();
            der::nest(&mut out, der::SEQUENCE, |out| {
                put_magnitude(out, &[1]);
                put_magnitude(out, s);
            });
            out
        };
        let mut more = P256_HALF;
        more[31] += 1;
        for (name, s, low) in [
            ("one", &[1][..], true),
            ("half", &P256_HALF, true),
            ("one more", &more, false),
            ("n - 1", &[&P256_ORDER[..31], &[0x50]].concat(), false),
            ("longer than n", &[1; 40], false),
        ] {
            let signature = with_s(s);
            assert_eq!(is_low(&signature, &P256_HALF), low, "{name}");
            assert_eq!(is_low(&lowered(&signature, KeyAlgorithm::P256), &P256_HALF), s.len() <= 32, "{name}");
        }
        assert!(!is_low(&[0x30, 0], &P256_HALF), "no signature is not low");
        assert_eq!(lowered(b"raw", KeyAlgorithm::Ed25519), b"raw");
    }
}
