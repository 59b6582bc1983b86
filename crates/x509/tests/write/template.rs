//! A filled template reads back as exactly what was put in.

use crate::authority::{CRL_URL, START_S, fixed_key, fixed_p256, issuing, signed, template};
use core::net::IpAddr;
use proptest::prelude::*;
use touchmark_identity::{Incarnation, Name, SerialNumber, SpiffeId, Validity};
use touchmark_x509::certificate::{CRL_SIGN, DIGITAL_SIGNATURE, ExtendedKeyUsage, KEY_CERT_SIGN};
use touchmark_x509::tbs::{BadProfile, CaContents, LeafContents, LeafProfile, LeafTemplate, ca_tbs};
use touchmark_x509::{Certificate, KeyAlgorithm, SignatureAlgorithm, Signer, SoftwareKey};

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_filled_template_reads_back(
        random in any::<[u8; 16]>(),
        incarnation in (1_u8..=0x7f).prop_filter_map("kept octet", |octet| Incarnation::try_from(octet).ok()),
        (start, length) in (0_u64..8_000_000_000, 1_u64..8_000_000_000),
        common_name in name(),
        (domain, handle, kind) in ("[a-z]{1,20}(\\.[a-z]{1,20}){1,5}", name(), "[dso]"),
        dns in proptest::collection::vec("[a-z0-9-]{1,63}(\\.[a-z]{1,63}){0,3}", 0..8),
        ip in proptest::collection::vec(any::<IpAddr>(), 0..4),
        scope in proptest::collection::vec("[a-z]{1,12}:[a-z0-9]{1,120}", 0..12),
        key_seed in any::<Option<u8>>(),
    ) {
        let issuer = issuing();
        let public_key = key_seed.map_or_else(fixed_p256, |seed| fixed_key(seed).public_key().clone());
        let uri: SpiffeId = format!("spiffe://{domain}/{kind}/{handle}").parse().unwrap();
        let serial = SerialNumber::draw(incarnation, random);
        let validity = Validity::new(start, start + length).unwrap();
        let contents = LeafContents {
            serial,
            validity,
            public_key: &public_key,
            common_name: &common_name,
            uri: &uri,
            dns: &dns,
            ip: &ip,
            scope: &scope,
        };
        let tbs = template(&issuer).fill(&contents);
        let twin = Certificate::from_der(&tbs.with_placeholder_signature()).unwrap();
        prop_assert_eq!(twin.tbs_der(), tbs.as_bytes());
        let read = signed(tbs, &issuer.key);
        prop_assert_eq!(read.tbs_der(), twin.tbs_der());

        prop_assert_eq!(read.serial(), &serial);
        prop_assert_eq!(read.validity(), validity);
        prop_assert_eq!(read.public_key(), &public_key);
        prop_assert_eq!(read.common_name(), Some(common_name.as_str()));
        prop_assert_eq!(read.spiffe_id().unwrap(), uri);
        prop_assert_eq!(read.dns_sans(), dns.as_slice());
        prop_assert_eq!(read.ip_sans(), ip.as_slice());
        prop_assert_eq!(read.scope(), scope.as_slice());
        prop_assert!(!read.has_other_sans());

        prop_assert_eq!(read.issuer_der(), issuer.certificate.subject_der());
        prop_assert_eq!(read.authority_key_id(), issuer.certificate.subject_key_id());
        let key_id = public_key.key_id();
        prop_assert_eq!(read.subject_key_id(), Some(key_id.as_slice()));
        prop_assert!(!read.is_ca());
        prop_assert_eq!(read.key_usage(), Some(DIGITAL_SIGNATURE));
        let usages = [ExtendedKeyUsage::ClientAuth, ExtendedKeyUsage::ServerAuth];
        prop_assert_eq!(read.extended_key_usages(), Some(usages.as_slice()));
        prop_assert_eq!(read.crl_urls(), [CRL_URL.to_owned()]);
        prop_assert!(read.unknown_critical().is_empty());
        let issuer_key = issuer.certificate.public_key();
        prop_assert_eq!(issuer_key.verify(read.signature_algorithm(), read.tbs_der(), read.signature()), Ok(()));
        let forged = issuer_key.verify(twin.signature_algorithm(), twin.tbs_der(), twin.signature());
        prop_assert!(forged.is_err(), "a placeholder never verifies");
    }
}

#[test]
fn an_authority_reads_back() {
    let issuer = issuing();
    let key = SoftwareKey::generate(KeyAlgorithm::P384).unwrap();
    for (issued_by, path_len, crl_url) in
        [(None, None, None), (None, Some(3), None), (Some(&issuer.certificate), Some(0), Some(CRL_URL))]
    {
        let signer = if issued_by.is_some() { &issuer.key } else { &key };
        let tbs = ca_tbs(&CaContents {
            common_name: "Prüfstand — Wurzel",
            serial: SerialNumber::draw(Incarnation::FIRST, [9; 16]),
            validity: Validity::new(START_S, 253_402_300_799).unwrap(),
            public_key: key.public_key(),
            path_len,
            issuer: issued_by,
            crl_url,
            signature_algorithm: signer.algorithm(),
        });
        let read = signed(tbs, signer);
        assert_eq!(read.common_name(), Some("Prüfstand — Wurzel"));
        assert_eq!((read.is_ca(), read.path_len()), (true, path_len.map(u32::from)));
        assert_eq!(read.key_usage(), Some(KEY_CERT_SIGN | CRL_SIGN));
        assert_eq!(read.extended_key_usages(), None);
        assert_eq!(read.subject_key_id(), Some(key.public_key().key_id().as_slice()));
        assert_eq!(read.authority_key_id(), issued_by.and_then(Certificate::subject_key_id));
        assert_eq!(read.is_self_issued(), issued_by.is_none());
        assert_eq!(read.crl_urls().len(), usize::from(crl_url.is_some()));
        assert_eq!(read.validity().not_after().unix_s(), 253_402_300_799);
        assert_eq!(
            signer.public_key().verify(read.signature_algorithm(), read.tbs_der(), read.signature()),
            Ok(())
        );
    }
}

#[test]
fn a_profile_that_cannot_be_encoded_is_refused() {
    let issuer = issuing();
    let good = LeafProfile {
        issuer: &issuer.certificate,
        signature_algorithm: issuer.key.algorithm(),
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
        crl_url: CRL_URL,
    };
    let no_oid = [ExtendedKeyUsage::Other("any purpose".to_owned())];
    let own_oid = [ExtendedKeyUsage::Other("2.999.9".to_owned())];
    let rows = [
        ("good", good, None),
        ("another purpose", LeafProfile { extended_key_usages: &own_oid, ..good }, None),
        (
            "no purpose",
            LeafProfile { extended_key_usages: &[], ..good },
            Some(BadProfile::NoExtendedKeyUsage),
        ),
        (
            "a purpose that is no OID",
            LeafProfile { extended_key_usages: &no_oid, ..good },
            Some(BadProfile::ExtendedKeyUsage("any purpose".to_owned())),
        ),
        ("no CRL", LeafProfile { crl_url: "", ..good }, Some(BadProfile::CrlUrl(String::new()))),
        (
            "an address that is no IA5String",
            LeafProfile { crl_url: "http://prüfstand/", ..good },
            Some(BadProfile::CrlUrl("http://prüfstand/".to_owned())),
        ),
        (
            "an algorithm of another key",
            LeafProfile { signature_algorithm: SignatureAlgorithm::EcdsaSha256, ..good },
            Some(BadProfile::SignatureAlgorithm),
        ),
    ];
    for (name, profile, expected) in rows {
        assert_eq!(LeafTemplate::new(&profile).err(), expected, "{name}");
    }
}
