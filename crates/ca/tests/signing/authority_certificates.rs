//! Roots and issuing authorities: what their certificates hold, and what is refused before or after the signature.

use crate::fixtures::{
    DAY_S, Fault, NOW_S, ROOT_CRL_URL, TestSigner, at, authority_valid, certificate_of, device_order,
    fixed_key, incarnation, issuing, issuing_key, issuing_of, planned, prepared, root, root_key,
};
use touchmark_ca::{AuthorityFault, create_issuing, create_root};
use touchmark_identity::{Incarnation, SerialNumber, Timestamp, Validity};
use touchmark_x509::certificate::{CRL_SIGN, KEY_CERT_SIGN};
use touchmark_x509::{Certificate, KeyAlgorithm, SignatureAlgorithm, Signer, SigningFault, SoftwareKey};

const YEAR_S: u64 = 365 * DAY_S;

#[test]
fn an_authority_may_sign_certificates_and_lists_and_nothing_else() {
    let (root, issuing) = (root(), issuing());
    for (name, own, above, key, path_len, draw, common_name) in [
        ("root", &root, &root, root_key(), 1, (4, 0x11), "example root"),
        ("issuing", &issuing, &root, issuing_key(), 0, (2, 0x22), "example lab"),
    ] {
        assert_eq!(own.serial(), &SerialNumber::draw(incarnation(draw.0), [draw.1; 16]), "{name}");
        assert_eq!(own.common_name(), Some(common_name), "{name}");
        assert_eq!(own.public_key(), key.public_key(), "{name}");
        assert_eq!(own.issuer_der(), above.subject_der(), "{name}");
        assert_eq!((own.is_ca(), own.path_len()), (true, Some(path_len)), "{name}");
        assert_eq!(own.key_usage(), Some(KEY_CERT_SIGN | CRL_SIGN), "{name}");
        assert_eq!(own.extended_key_usages(), None, "{name}");
        assert!(own.uri_sans().is_empty() && own.dns_sans().is_empty() && own.scope().is_empty(), "{name}");
        assert_eq!(own.subject_key_id(), Some(key.public_key().key_id().as_slice()), "{name}");
        let verified = above.public_key().verify(own.signature_algorithm(), own.tbs_der(), own.signature());
        assert_eq!(verified, Ok(()), "{name}");
    }
    assert_eq!((root.authority_key_id(), root.crl_urls()), (None, [].as_slice()));
    assert_eq!(issuing.authority_key_id(), root.subject_key_id());
    assert_eq!(issuing.crl_urls(), [ROOT_CRL_URL]);
}

#[test]
fn the_key_above_chooses_the_algorithm_of_the_signature() {
    let p256 = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let p256_root = create_root("example", &p256, Incarnation::FIRST, at(NOW_S), [1; 16]).unwrap();
    for (name, root, root_key, key, expected) in [
        ("P-256 over Ed25519", &p256_root, &p256, &issuing_key(), SignatureAlgorithm::EcdsaSha256),
        ("Ed25519 over P-256", &root(), &root_key(), &p256, SignatureAlgorithm::Ed25519),
    ] {
        let issuing = issuing_of(root, root_key, key);
        assert_eq!(issuing.signature_algorithm(), expected, "{name}");
        assert_eq!(issuing.public_key(), key.public_key(), "{name}");
    }
}

#[test]
fn a_root_lives_for_twenty_years() {
    let last_s = Timestamp::MAX.unix_s();
    for (name, now_s, from_s, to_s) in [
        ("any day", NOW_S, NOW_S - 30, NOW_S - 30 + 20 * YEAR_S - 1),
        ("the first seconds of 1970", 5, 0, 20 * YEAR_S - 1),
        ("the last year that can be written", last_s - YEAR_S, last_s - YEAR_S - 30, last_s - 1),
    ] {
        let root = create_root("example", &root_key(), Incarnation::FIRST, at(now_s), [1; 16]).unwrap();
        assert_eq!(root.validity(), Validity::new(from_s, to_s).unwrap(), "{name}");
    }
}

/// Five years, or as long as its root; names of lints where it is refused.
#[test]
fn an_issuing_authority_lives_for_five_years_and_no_longer_than_its_root() {
    let (from_s, full_s) = (NOW_S - 30, NOW_S - 30 + 5 * YEAR_S - 1);
    type Row = (&'static str, (u64, u64), Result<u64, &'static [&'static str]>);
    let rows: [Row; 9] = [
        ("a root for longer", (from_s, full_s + 1), Ok(full_s)),
        ("a root that ends with it", (from_s, full_s), Ok(full_s)),
        ("a root that ends a second before", (from_s, full_s - 1), Ok(full_s - 1)),
        ("a root in its last second", (from_s - DAY_S, NOW_S), Ok(NOW_S)),
        ("a root that ended a second ago", (from_s - DAY_S, NOW_S - 1), Err(&["valid-now"])),
        ("a root that ended a while ago", (from_s - DAY_S, from_s), Err(&[])),
        ("a root that began a second before it", (from_s - 1, full_s), Ok(full_s)),
        ("a root that begins a second after it", (from_s + 1, full_s), Err(&["within-issuer"])),
        ("a root that has not begun", (NOW_S + 1, full_s), Err(&["within-issuer"])),
    ];
    for (name, (root_from_s, root_to_s), expected) in rows {
        let signer = TestSigner::new(root_key(), Fault::None);
        let root = authority_valid(&root_key(), root_from_s, root_to_s);
        let made = issuing_under(&root, &signer, &issuing_key(), "example", ROOT_CRL_URL);
        match (made, expected) {
            (Ok(issuing), Ok(to_s)) => {
                assert_eq!(issuing.validity(), Validity::new(from_s, to_s).unwrap(), "{name}");
            }
            (Err(AuthorityFault::Validity(_)), Err([])) => assert!(signer.signed().is_empty(), "{name}"),
            (Err(fault), Err(lints)) => {
                assert_eq!(lints_of(&fault), lints, "{name}");
                assert!(signer.signed().is_empty(), "{name}");
            }
            (made, _) => panic!("{name}: {made:?}"),
        }
    }
}

#[test]
fn what_breaks_a_lint_is_not_signed() {
    let (longest, too_long) = ("é".repeat(64), "é".repeat(65));
    let leaf = certificate_of(
        planned(device_order(), &prepared(issuing(), &issuing_key(), 1)).unwrap(),
        &issuing_key(),
    );
    let (root, below_issuing) = (root(), issuing());
    let http = ROOT_CRL_URL;
    // The certificate above, the seeds of the key above and of the certified key, name, address, lints.
    type Row<'a> = (&'static str, &'a Certificate, u8, u8, &'a str, &'static str, &'static [&'static str]);
    let rows: [Row<'_>; 8] = [
        ("all is well", &root, 1, 2, &longest, http, &[]),
        ("no name", &root, 1, 2, "", http, &["common-name"]),
        ("too long a name", &root, 1, 2, &too_long, http, &["common-name"]),
        ("a list behind TLS", &root, 1, 2, "example", "https://127.0.0.1/0.crl", &["crl-url"]),
        ("the root's own key", &root, 1, 1, "example", http, &["own-key"]),
        ("the root again", &root, 1, 1, "example root", "ldap://127.0.0.1", &["crl-url"]),
        ("below an issuing authority", &below_issuing, 2, 4, "example", http, &["path-length"]),
        ("below a device", &leaf, 3, 4, "example", http, &["issuer-may-issue"]),
    ];
    for (name, root, root_seed, seed, common_name, crl_url, lints) in rows {
        let signer = TestSigner::new(fixed_key(root_seed), Fault::None);
        let made = issuing_under(root, &signer, &fixed_key(seed), common_name, crl_url);
        assert_eq!(made.is_ok(), lints.is_empty(), "{name}");
        if let Err(fault) = made {
            assert_eq!(lints_of(&fault), lints, "{name}");
            assert!(lints.iter().all(|lint| fault.to_string().contains(lint)), "{name}: {fault}");
            assert!(signer.signed().is_empty(), "{name}");
        }
    }
    for (name, common_name, good) in [("64", &*longest, true), ("65", &too_long, false), ("none", "", false)]
    {
        let signer = TestSigner::new(root_key(), Fault::None);
        let made = create_root(common_name, &signer, Incarnation::FIRST, at(NOW_S), [1; 16]);
        assert_eq!((made.is_ok(), signer.signed().len()), (good, usize::from(good)), "root: {name}");
        assert!(made.err().is_none_or(|fault| lints_of(&fault) == ["common-name"]), "root: {name}");
    }
}

#[test]
fn what_cannot_be_read_back_is_not_signed() {
    let signer = TestSigner::new(root_key(), Fault::None);
    let fault =
        issuing_under(&root(), &signer, &issuing_key(), "example", "http://127.0.0.1/é.crl").unwrap_err();
    assert!(matches!(fault, AuthorityFault::Certificate(_)), "{fault:?}");
    assert!(signer.signed().is_empty());
}

#[test]
fn a_signature_that_the_certificate_above_does_not_know_makes_no_authority() {
    let p256 = || SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    for (name, key, fault, root_may) in [
        ("the key refuses", root_key(), Fault::Refuses(SigningFault::Keeper), false),
        ("another key", fixed_key(9), Fault::None, true),
        ("signed with another key", root_key(), Fault::SignsWith(fixed_key(9)), false),
        ("something else was signed", root_key(), Fault::SignsAnother, false),
        ("no signature", root_key(), Fault::Octets(&[]), false),
        ("another hash than named", p256(), Fault::Names(SignatureAlgorithm::EcdsaSha384), false),
    ] {
        let refuses = matches!(fault, Fault::Refuses(_));
        // The lint names an algorithm that does not fit before anything is signed.
        let misnamed = matches!(fault, Fault::Names(_));
        let signer = TestSigner::new(key, fault);
        let right = |fault: &AuthorityFault| match fault {
            AuthorityFault::Signing(SigningFault::Keeper) => refuses,
            AuthorityFault::Signature => !refuses && !misnamed,
            AuthorityFault::Lint(_) => misnamed,
            _ => false,
        };
        let issuing = issuing_under(&root(), &signer, &issuing_key(), "example", ROOT_CRL_URL);
        assert!(issuing.as_ref().is_err_and(right), "{name}: {issuing:?}");
        let root = create_root("example", &signer, Incarnation::FIRST, at(NOW_S), [1; 16]);
        assert_eq!(root.is_ok(), root_may, "{name}: a root is as good as its own key");
        assert!(root.err().is_none_or(|fault| right(&fault)), "{name}");
    }
}

fn issuing_under(
    root: &Certificate,
    root_signer: &dyn Signer,
    key: &dyn Signer,
    common_name: &str,
    crl_url: &str,
) -> Result<Certificate, AuthorityFault> {
    create_issuing(common_name, key, root, root_signer, crl_url, Incarnation::FIRST, at(NOW_S), [2; 16])
}

fn lints_of(fault: &AuthorityFault) -> Vec<&str> {
    let AuthorityFault::Lint(findings) = fault else { panic!("{fault:?}") };
    findings.iter().map(|finding| finding.lint).collect()
}
