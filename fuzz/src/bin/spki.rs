//! SubjectPublicKeyInfo: what is accepted keeps its octets, lies within the limits, and takes no made-up signature.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::sha256;
use touchmark_x509::key::{RSA_BITS_MAX, RSA_BITS_MIN, SPKI_OCTETS_MAX};
use touchmark_x509::{KeyAlgorithm, PublicKey, SignatureAlgorithm};

/// Signatures that need no private key: zeroes, and the neutral element of edwards25519 with the number zero.
const MADE_UP: [[u8; 64]; 2] = {
    let mut neutral = [0; 64];
    neutral[0] = 1;
    [[0; 64], neutral]
};

/// With a key of order eight every eighth message is signed by the second of these.
const MESSAGES: u8 = 32;

fuzz_target!(|data: &[u8]| {
    let Ok(key) = PublicKey::from_spki_der(data) else { return };
    assert!(data.len() <= SPKI_OCTETS_MAX);
    assert_eq!(key.spki_der(), data, "one spelling");
    assert!(data.ends_with(key.subject_public_key()));
    assert_eq!(key.spki_hash().as_bytes(), &sha256(data));
    assert_eq!(key.key_id(), sha256(key.subject_public_key())[..20]);
    if let KeyAlgorithm::Rsa { bits } = key.algorithm() {
        assert!((RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits), "{bits}");
    }
    let algorithm = SignatureAlgorithm::default_for(key.algorithm());
    assert!(algorithm.fits(key.algorithm()));
    for signature in MADE_UP {
        for message in 0..MESSAGES {
            assert!(key.verify(algorithm, &[message], &signature).is_err(), "signed by nobody: {message}");
        }
    }
});
