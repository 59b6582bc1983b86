//! PKCS#8 private keys from files: what is accepted signs, and is written so that it reads back as the same key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::chosen;
use touchmark_x509::signer::PKCS8_OCTETS_MAX;
use touchmark_x509::{Signer, SoftwareKey};

fuzz_target!(|data: &[u8]| {
    let read = match chosen(data) {
        (0, der) => SoftwareKey::from_pkcs8(der),
        (_, pem) => SoftwareKey::from_pkcs8_pem(core::str::from_utf8(pem).unwrap_or_default()),
    };
    let Ok(key) = read else { return };
    let signature = key.sign(b"message").expect("a key that was accepted signs");
    let public = key.public_key();
    assert_eq!(public.verify(key.algorithm(), b"message", &signature), Ok(()));
    assert!(public.verify(key.algorithm(), b"massage", &signature).is_err());
    assert!(key.to_pkcs8().expose().len() <= PKCS8_OCTETS_MAX);
    for again in [
        SoftwareKey::from_pkcs8(key.to_pkcs8().expose()),
        SoftwareKey::from_pkcs8_pem(key.to_pkcs8_pem().expose()),
    ] {
        assert_eq!(again.expect("reads what it wrote").public_key(), public);
    }
});
