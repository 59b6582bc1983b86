//! CRLs read back as what was put in, are bounded, and count only under their issuer.

use crate::authority::{
    Authority, START_S, crl, entries, fixed_key, issuing, issuing_with, leaf_tbs, root, signed,
};
use touchmark_identity::{SerialNumber, Timestamp};
use touchmark_x509::Signer;
use touchmark_x509::crl::{BadCrl, CRL_OCTETS_MAX, Crl, CrlContents, RevokedEntry, crl_tbs};

#[test]
fn a_list_of_100_000_entries_reads_back() {
    let issuer = issuing();
    let put_in = entries(100_000);
    let crl = Crl::from_der(&crl(&issuer, 7, &put_in)).unwrap();
    crl.verify(&issuer.certificate).unwrap();
    assert_eq!((crl.number(), crl.len()), (7, 100_000));
    assert_eq!(crl.this_update(), Timestamp::from_unix_s(START_S));
    assert_eq!(crl.next_update(), Timestamp::from_unix_s(START_S + 7 * 86_400));
    assert_eq!(crl.issuer_der(), issuer.certificate.subject_der());
    for entry in &put_in {
        assert_eq!(crl.find(&entry.serial), Some(*entry));
    }
    assert_eq!(crl.find(&SerialNumber::try_from([5].as_slice()).unwrap()), None);
}

#[test]
fn an_empty_list_is_left_out() {
    let issuer = issuing();
    let crl = Crl::from_der(&crl(&issuer, 0, &[])).unwrap();
    crl.verify(&issuer.certificate).unwrap();
    assert!(crl.is_empty());
    assert_eq!(crl.number(), 0);
}

#[test]
fn a_serial_that_stands_twice_is_revoked_since_the_earlier_moment() {
    let issuer = issuing();
    let early = entries(1)[0];
    let late = RevokedEntry { at: Timestamp::from_unix_s(START_S + 99), ..early };
    let crl = Crl::from_der(&crl(&issuer, 1, &[late, early])).unwrap();
    assert_eq!((crl.len(), crl.find(&early.serial)), (1, Some(early)));
}

#[test]
fn a_list_counts_only_under_its_issuer() {
    let (root, issuer) = (root(), issuing());
    let same_name_other_key = issuing_with(&root, fixed_key(9));
    let leaf = signed(leaf_tbs(&issuer, fixed_key(4).public_key()), &issuer.key);
    // A list that carries a device's name and signature: devices have no cRLSign.
    let from_leaf = Authority { key: fixed_key(4), certificate: leaf.clone() };
    let good = crl(&issuer, 1, &entries(3));
    let rows = [
        ("its issuer", &good, &issuer.certificate, None),
        ("another name", &good, &root.certificate, Some(BadCrl::WrongIssuer)),
        ("another key of that name", &good, &same_name_other_key.certificate, Some(BadCrl::WrongIssuer)),
        ("no authority", &crl(&from_leaf, 1, &[]), &leaf, Some(BadCrl::NotAuthorised)),
    ];
    for (name, der, authority, expected) in rows {
        assert_eq!(Crl::from_der(der).unwrap().verify(authority).err(), expected, "{name}");
    }
    let tbs = crl_tbs(&CrlContents {
        issuer: &issuer.certificate,
        number: 1,
        this_update: Timestamp::from_unix_s(START_S),
        next_update: Timestamp::from_unix_s(START_S),
        signature_algorithm: issuer.key.algorithm(),
        entries: &[],
    });
    let forged = tbs.clone().into_crl(issuer.key.algorithm(), &fixed_key(9).sign(tbs.as_bytes()).unwrap());
    let verdict = Crl::from_der(&forged).unwrap().verify(&issuer.certificate);
    assert!(matches!(verdict, Err(BadCrl::Signature(_))), "{verdict:?}");
}

#[test]
fn what_is_not_our_kind_of_list_is_refused() {
    let issuer = issuing();
    let good = crl(&issuer, 1, &entries(2));
    let replaced = |from: &str, to: &str| {
        let text = hex::encode(&good);
        assert!(text.contains(from), "{from}");
        hex::decode(text.replacen(from, to, 1)).unwrap()
    };
    let trailing = [good.as_slice(), &[0]].concat();
    let rows = [
        ("good", good.clone(), None),
        ("empty", vec![], Some(BadCrl::Malformed)),
        ("trailing octet", trailing, Some(BadCrl::Malformed)),
        ("version 3", replaced("020101300506032b6570", "020102300506032b6570"), Some(BadCrl::Malformed)),
        ("algorithms differ", replaced("06032b6570", "06032b6571"), Some(BadCrl::SignatureAlgorithm)),
        // The number's extension under another identifier: a list without a number.
        ("no number", replaced("0603551d14", "0603551d15"), Some(BadCrl::Malformed)),
        ("serial zero", replaced("02110100000000", "02110000000000"), Some(BadCrl::Malformed)),
        ("month 13", replaced("170d3236303130", "170d3236313330"), Some(BadCrl::Malformed)),
        ("too large", vec![0; CRL_OCTETS_MAX + 1], Some(BadCrl::TooLarge { octets: CRL_OCTETS_MAX + 1 })),
    ];
    for (name, der, expected) in rows {
        assert_eq!(Crl::from_der(&der).err(), expected, "{name}");
    }
}
