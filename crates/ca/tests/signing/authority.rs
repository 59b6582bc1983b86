//! An issuing authority at hand: its addresses, its shards, the profiles that it is ready for.

use crate::fixtures::{
    CRL_URL_BASE, DAY_S, NOW_S, RANDOM, at, authority_version, certificate_of, device_key, device_order,
    incarnation, issuing, issuing_key, planned, prepared, profile, service_order,
};
use std::time::Duration;
use touchmark_ca::{AuthorityFault, IssuanceOrder, IssuingAuthority, PlanFault, Profile, plan};
use touchmark_identity::{ProfileVersionId, SerialNumber};
use touchmark_journal::IdentityKind::{Operational, Operator, Service};
use touchmark_journal::{Event, IdentityKind};
use touchmark_x509::certificate::ExtendedKeyUsage::{self, ClientAuth, ServerAuth};
use touchmark_x509::csr::Form;
use touchmark_x509::tbs::BadProfile;
use touchmark_x509::{KeyAlgorithm, SoftwareKey};

fn url(shard: u32) -> String {
    format!("http://127.0.0.1:8080/crl/{}/{shard}.crl", authority_version())
}

#[test]
fn a_serial_belongs_to_the_shard_of_its_last_octet_and_the_certificate_says_where_it_is() {
    for (shards, last_octet, shard) in [
        (0, 0xff, 0),
        (1, 0xff, 0),
        (2, 0xfe, 0),
        (2, 0xff, 1),
        (3, 0x00, 0),
        (3, 0x04, 1),
        (3, 0xff, 0),
        (255, 0xff, 0),
        (256, 0xff, 255),
        (300, 0xff, 255),
    ] {
        let name = format!("{last_octet} of {shards}");
        let authority = prepared(issuing(), &issuing_key(), shards);
        let mut random = RANDOM;
        random[15] = last_octet;
        let serial = SerialNumber::draw(incarnation(3), random[..16].try_into().unwrap());
        assert_eq!(authority.crl_shard(&serial), shard, "{name}");
        assert_eq!(authority.crl_url(shard), url(shard), "{name}");

        let order = IssuanceOrder::admitted_unchecked(device_order());
        let profile = profile(Operational);
        let plan = plan(order, &profile, &authority, incarnation(3), at(NOW_S), random).unwrap();
        let (Event::CertificateIntended(intended), _) = plan.intent(|_| [0; 32]) else { panic!("{name}") };
        assert_eq!((intended.serial, intended.crl_shard), (serial, shard), "{name}");
        assert_eq!(certificate_of(plan, &issuing_key()).crl_urls(), [url(shard)], "{name}");
    }
}

#[test]
fn purposes_follow_from_the_kind() {
    let rows: [(IdentityKind, &[ExtendedKeyUsage]); 3] =
        [(Operational, &[ClientAuth]), (Operator, &[ClientAuth]), (Service, &[ClientAuth, ServerAuth])];
    let authority = prepared(issuing(), &issuing_key(), 3);
    for (kind, usages) in rows {
        let profile = profile(kind);
        assert_eq!(profile.extended_key_usages(), usages, "{kind:?}");
        let expected = Form {
            extended_key_usages: usages.to_vec(),
            authority_key_id: issuing_key_id(),
            crl_urls: vec![url(0), url(1), url(2)],
        };
        assert_eq!(authority.form(profile.version), Some(&expected), "{kind:?}");
    }
}

fn issuing_key_id() -> Vec<u8> {
    issuing().subject_key_id().unwrap().to_vec()
}

#[test]
fn an_authority_is_what_it_was_made_from() {
    let authority = prepared(issuing(), &issuing_key(), 1);
    assert_eq!((authority.version(), authority.certificate()), (authority_version(), &issuing()));
    assert_eq!(planned(device_order(), &authority).unwrap().serial().0, authority_version());
}

#[test]
fn only_a_prepared_profile_version_is_planned() {
    let mut authority =
        IssuingAuthority::new(authority_version(), issuing(), &issuing_key(), CRL_URL_BASE.to_owned(), 2);
    let version = |octet| ProfileVersionId::draw(at(NOW_S), [octet; 10]);
    let of = |octet, days| Profile {
        version: version(octet),
        kind: Service,
        lifetime: Duration::from_secs(days * DAY_S),
    };
    let (first, second, third) = (of(1, 1), of(2, 2), of(3, 1));
    authority.prepare(&first).unwrap();
    authority.prepare(&second).unwrap();
    for (name, profile, days) in
        [("first", &first, Some(1)), ("second", &second, Some(2)), ("third, not prepared", &third, None)]
    {
        assert_eq!(authority.form(profile.version).is_some(), days.is_some(), "{name}");
        let order = IssuanceOrder::admitted_unchecked(service_order());
        match (plan(order, profile, &authority, incarnation(3), at(NOW_S), RANDOM), days) {
            (Ok(plan), Some(days)) => {
                let life = certificate_of(plan, &issuing_key()).validity();
                assert_eq!(life.not_after().since(life.not_before()).as_secs() + 1, days * DAY_S, "{name}");
            }
            (Err(PlanFault::NoTemplate(found)), None) => assert_eq!(found, profile.version, "{name}"),
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_profile_that_cannot_be_issued_is_not_prepared() {
    let p256 = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let bad_url = format!("http://é/{}/0.crl", authority_version());
    for (name, key, base, expected) in [
        ("a key of another type", &p256, CRL_URL_BASE, BadProfile::SignatureAlgorithm),
        ("an address that is not ASCII", &issuing_key(), "http://é", BadProfile::CrlUrl(bad_url)),
    ] {
        let mut authority = IssuingAuthority::new(authority_version(), issuing(), key, base.to_owned(), 1);
        let fault = authority.prepare(&profile(Operational)).unwrap_err();
        assert!(matches!(&fault, AuthorityFault::Profile(bad) if *bad == expected), "{name}: {fault:?}");
        assert_eq!(authority.form(profile(Operational).version), None, "{name}");
        let planned = planned(device_order(), &authority).unwrap_err();
        assert!(matches!(planned, PlanFault::NoTemplate(_)), "{name}: {planned:?}");
    }
}

#[test]
fn an_order_is_read_as_it_was_admitted() {
    let order = IssuanceOrder::admitted_unchecked(device_order());
    let (parts, expected) = (order.parts(), device_order());
    assert_eq!((&parts.identity, parts.generation), (&expected.identity, 7));
    assert_eq!(parts.public_key, device_key());
}
