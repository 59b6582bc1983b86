//! PKCS#10 requests: a proven one proves itself again, its signature covers all of it, and no wish gets lost.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::sha256;
use touchmark_x509::PublicKey;
use touchmark_x509::csr::{CSR_OCTETS_MAX, Csr, Form, Granted, UnprovenCsr};

fuzz_target!(|data: &[u8]| {
    let Ok(unproven) = UnprovenCsr::from_der(data) else { return };
    assert!(data.len() <= CSR_OCTETS_MAX);
    let Ok(csr) = unproven.prove_possession() else { return };
    assert_eq!(csr.der(), data);
    assert_eq!(csr.digest(), sha256(data));
    let spki = csr.public_key().spki_der();
    assert_eq!(PublicKey::from_spki_der(spki).as_ref(), Ok(csr.public_key()));
    assert!(data.windows(spki.len()).any(|part| part == spki), "the key stands in the request");
    let again = proven(data).expect("proves itself again");
    assert_eq!(again.requested(), csr.requested());
    signature_covers_everything(data);
    nothing_is_granted_silently(&csr);
});

fn proven(der: &[u8]) -> Option<Csr> {
    UnprovenCsr::from_der(der).ok()?.prove_possession().ok()
}

/// One bit anywhere, chosen by the request itself. The unused bits of no BIT STRING are among them: DER has none here.
fn signature_covers_everything(der: &[u8]) {
    let hash = sha256(der);
    let at = usize::from(u16::from_be_bytes([hash[0], hash[1]])) % der.len();
    let mut bent = der.to_vec();
    bent[at] ^= 1 << (hash[2] & 7);
    assert!(proven(&bent).is_none(), "still proven with another octet {at}");
}

/// What passes against an empty grant asked for nothing.
fn nothing_is_granted_silently(csr: &Csr) {
    let form = Form::default();
    let nothing = Granted { common_name: "", uri: "", dns: &[], ips: &[], scope: &[], form: &form };
    let asked = csr.requested();
    let names = asked.subject.iter().any(|one| one.text.as_deref() != Some(""))
        || asked.uris.iter().any(|name| !name.is_empty())
        || !asked.dns.is_empty()
        || !asked.ips.is_empty()
        || asked.other_name.is_some();
    let rights =
        asked.ca || !asked.extended_key_usages.is_empty() || asked.key_usage.is_some_and(|usage| usage != 1);
    // An authorityKeyIdentifier that is empty, or names no key, asks for nothing.
    let unknown =
        asked.extensions.iter().any(|(oid, _)| oid != "2.5.29.35") || !asked.attributes.is_empty();
    if let Err(fault) = csr.within(&nothing) {
        assert!(fault.code().starts_with("csr-"));
    } else {
        assert!(!names && !rights && !unknown, "granted: {asked:?}");
    }
}
