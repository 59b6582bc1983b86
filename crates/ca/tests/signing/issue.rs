//! The one use of an issuing key: what is signed is what was planned, or nothing leaves.

use crate::fixtures::{
    Fault, NOW_S, RANDOM, TestSigner, at, device, device_order, fixed_key, issuing, issuing_key, issuing_of,
    planned, prepared, root, root_key, scope, service_order,
};
use touchmark_ca::{IssueFault, LoggedCertificate, Recorded, Signed, Unsigned, issue};
use touchmark_identity::CertificateId;
use touchmark_journal::{CertificateBody, CertificateIssued, Event, Private};
use touchmark_x509::certificate::BadCertificate;
use touchmark_x509::{KeyAlgorithm, KeyPlace, SignatureAlgorithm, SigningFault, SoftwareKey};

#[test]
fn what_was_recorded_is_signed_once_and_told_as_it_is() {
    let authority = prepared(issuing(), &issuing_key(), 1);
    let id = CertificateId::draw(at(NOW_S), RANDOM[16..].try_into().unwrap());
    for (name, order, for_device) in
        [("device", device_order(), Some(device())), ("service", service_order(), None)]
    {
        let plan = planned(order, &authority).unwrap();
        let recorded = plan.tbs().to_vec();
        let signer = TestSigner::new(issuing_key(), Fault::None);
        let issued = issue(Recorded::recorded_unchecked(plan), &signer).unwrap();
        assert_eq!(signer.signed(), [recorded.as_slice()], "{name}");
        assert_eq!((issued.id(), issued.device(), issued.scope()), (id, for_device, &scope()), "{name}");

        let told = issued.event();
        let logged = LoggedCertificate::logged_unchecked(issued, 77);
        assert_eq!((logged.id(), logged.leaf()), (id, 77), "{name}");
        let certificate = logged.certificate();
        assert_eq!(certificate.tbs_der(), recorded, "{name}");
        let fingerprint = certificate.fingerprint();
        let event = Event::CertificateIssued(CertificateIssued { certificate: id, fingerprint });
        let body = Private::Certificate(CertificateBody { der: certificate.der().to_vec() });
        assert_eq!(told, (event, body), "{name}");
        let key = issuing().public_key().clone();
        let verified = key.verify(certificate.signature_algorithm(), &recorded, certificate.signature());
        assert_eq!(verified, Ok(()), "{name}");
    }
}

#[test]
fn what_the_issuing_certificate_would_not_verify_is_not_issued() {
    let p256 = || SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let copy = |key: &SoftwareKey| SoftwareKey::from_pkcs8(key.to_pkcs8().expose()).unwrap();
    let (ecdsa, ed25519) = (p256(), issuing_key());
    let mismatch = IssueFault::Certificate(BadCertificate::AlgorithmMismatch);
    let sha384 = SignatureAlgorithm::EcdsaSha384;
    // The issuing key, the key at hand with its fault, and what is said.
    let rows = [
        ("P-256, all is well", &ecdsa, copy(&ecdsa), Fault::None, None),
        ("Ed25519, all is well", &ed25519, copy(&ed25519), Fault::None, None),
        ("another P-256 key", &ecdsa, p256(), Fault::None, Some(IssueFault::Signature)),
        ("another Ed25519 key", &ed25519, fixed_key(9), Fault::None, Some(IssueFault::Signature)),
        ("P-256 for Ed25519", &ed25519, p256(), Fault::None, Some(mismatch)),
        ("signed with another", &ecdsa, copy(&ecdsa), Fault::SignsWith(p256()), Some(IssueFault::Signature)),
        ("another message", &ecdsa, copy(&ecdsa), Fault::SignsAnother, Some(IssueFault::Signature)),
        ("another message", &ed25519, copy(&ed25519), Fault::SignsAnother, Some(IssueFault::Signature)),
        ("the larger s", &ecdsa, copy(&ecdsa), Fault::HighS, Some(IssueFault::Signature)),
        ("no signature", &ecdsa, copy(&ecdsa), Fault::Octets(&[]), Some(IssueFault::Signature)),
        ("zeros", &ed25519, copy(&ed25519), Fault::Octets(&[0; 64]), Some(IssueFault::Signature)),
        ("another hash than planned", &ecdsa, copy(&ecdsa), Fault::Names(sha384), {
            Some(IssueFault::Certificate(BadCertificate::AlgorithmMismatch))
        }),
        ("the key refuses", &ecdsa, copy(&ecdsa), Fault::Refuses(SigningFault::Keeper), {
            Some(IssueFault::Signing(SigningFault::Keeper))
        }),
    ];
    for (name, key, at_hand, fault, expected) in rows {
        let authority = prepared(issuing_of(&root(), &root_key(), key), key, 1);
        let signer = TestSigner::new(at_hand, fault);
        let plan = Recorded::recorded_unchecked(planned(device_order(), &authority).unwrap());
        let found = issue(plan, &signer).err();
        assert_eq!(
            found.map(|fault| format!("{fault:?}")),
            expected.map(|fault| format!("{fault:?}")),
            "{name}"
        );
        assert_eq!(signer.signed().len(), 1, "{name}");
    }
}

#[test]
fn a_key_elsewhere_signs_only_what_is_recorded() {
    let authority = prepared(issuing(), &issuing_key(), 1);
    let plan = || planned(device_order(), &authority).unwrap();
    let recorded = || Unsigned::Recorded(Recorded::recorded_unchecked(plan()));
    for (name, place, unsigned, signs) in [
        ("here, planned", KeyPlace::Inside, Unsigned::Planned(plan()), true),
        ("here, recorded", KeyPlace::Inside, recorded(), true),
        ("elsewhere, planned", KeyPlace::Outside, Unsigned::Planned(plan()), false),
        ("elsewhere, recorded", KeyPlace::Outside, recorded(), true),
    ] {
        let mut signer = TestSigner::new(issuing_key(), Fault::None);
        signer.place = place;
        let signed = unsigned.sign(&signer).unwrap();
        assert_eq!(matches!(signed, Signed::Issued(_)), signs, "{name}");
        assert_eq!(signer.signed().len(), usize::from(signs), "{name}");
        if let Signed::RecordFirst(same) = signed {
            assert_eq!(same.tbs(), plan().tbs(), "{name}");
        }
    }
}
