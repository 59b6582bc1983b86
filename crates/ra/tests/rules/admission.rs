//! Who is admitted, and what the commit of the intent must find unchanged.

use crate::rows::*;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Name, Secret};
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, Holder, Precondition, TokenRow};
use touchmark_journal::{Event, IdentityKind, Standing, TokenSubject};
use touchmark_ra::{Admitted, EnrolmentFacts, Refusal, admit};
use touchmark_x509::csr::{Form, UnprovenCsr};
use touchmark_x509::request::certification_request;
use touchmark_x509::{KeyAlgorithm, SoftwareKey};

fn asked(
    token: &TokenRow,
    username: &str,
    device: Option<&DeviceRow>,
    certificates: &[CertificateRow],
) -> Result<Admitted, Refusal> {
    let username: Name = word(username);
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let der = certification_request("", None, &key).unwrap();
    let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
    let credential = PresentedCredential::Token {
        username: username.clone(),
        password: Secret::new("not looked at by the rules".to_owned()),
    };
    let request = EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None);
    let environment = environment();
    let facts = EnrolmentFacts {
        environment: &environment,
        token: Some(token),
        username: &username,
        device,
        certificates,
        form: &Form::default(),
    };
    admit(&request, &facts, "test", now(), [3; 26])
}

fn named(name: &str) -> TokenSubject {
    TokenSubject::Named(word(name))
}

#[test]
fn a_prefix_token_names_an_existing_device_only_when_it_burned_all_that_it_ever_had() {
    use CertificateState::*;
    let of_another_token = CertificateRow { token: Some(token_id(2)), ..certificate(1, Burned, 1) };
    let of_no_token = CertificateRow { token: None, ..certificate(1, Burned, 1) };
    let rows: [(&str, Vec<CertificateRow>, Standing, bool); 9] = [
        ("its own burned intent", vec![certificate(1, Burned, 1)], Standing::Active, true),
        (
            "two of its own burned intents",
            vec![certificate(2, Burned, 2), certificate(1, Burned, 1)],
            Standing::Active,
            true,
        ),
        ("quarantined meanwhile", vec![certificate(1, Burned, 1)], Standing::Quarantined, false),
        ("banned meanwhile", vec![certificate(1, Burned, 1)], Standing::Banned, false),
        ("no certificate at all", vec![], Standing::Active, false),
        ("another token's burned intent", vec![of_another_token], Standing::Active, false),
        ("a burned intent of no token", vec![of_no_token], Standing::Active, false),
        ("an open intent", vec![certificate(1, Intended, 1)], Standing::Active, false),
        (
            "a dead certificate beside the burned intent",
            vec![certificate(2, Burned, 2), certificate(1, Revoked, 1)],
            Standing::Active,
            false,
        ),
    ];
    let prefix = token(IdentityKind::Operational, TokenSubject::Prefix(word("pump")));
    for (what, certificates, standing, admitted) in rows {
        let outcome = asked(&prefix, "pump-01", Some(&device(standing)), &certificates);
        match (&outcome, standing) {
            (Ok(order), _) => {
                assert!(admitted, "{what}");
                assert_eq!(order.order.parts().device, Some(device_id(1)), "{what}");
                assert!(order.entries.is_empty(), "{what}: it is registered already");
            }
            (Err(Refusal::DeviceExists { .. }), Standing::Active) => assert!(!admitted, "{what}"),
            (Err(Refusal::Standing { .. }), Standing::Quarantined | Standing::Banned) => {
                assert!(!admitted, "{what}");
            }
            (Err(other), _) => panic!("{what}: {other}"),
        }
    }
}

#[test]
fn the_commit_of_an_intent_demands_that_no_certificate_came_meanwhile() {
    let known = device(Standing::Active);
    let two =
        [certificate(2, CertificateState::Confirmed, 2), certificate(1, CertificateState::Superseded, 1)];
    let of_device = |count| Precondition::DeviceCertificates { device: device_id(1), count };
    let party = |kind, count| Precondition::PartyCertificates { kind, name: word("pump-01"), count };
    let free = Precondition::DeviceNameFree { environment: word("lab"), name: word("pump-01") };
    use IdentityKind::*;
    let rows = [
        ("a new device", Operational, None, &two[..0], free),
        ("a device without certificates", Operational, Some(&known), &two[..0], of_device(0)),
        ("a device with two", Operational, Some(&known), &two[..], of_device(2)),
        ("a new service", Service, None, &two[..0], party(Service, 0)),
        ("an operator with two", Operator, None, &two[..], party(Operator, 2)),
    ];
    for (what, kind, device, certificates, demanded) in rows {
        let admitted = asked(&token(kind, named("pump-01")), "pump-01", device, certificates).unwrap();
        assert!(admitted.preconditions.contains(&demanded), "{what}: {:?}", admitted.preconditions);
        assert_eq!(admitted.order.parts().generation, certificates.len() as u64 + 1, "{what}");
    }
}

#[test]
fn the_key_must_be_usable_by_the_very_identity_that_gets_the_certificate() {
    let known = device(Standing::Active);
    use IdentityKind::*;
    let party = |kind| Holder::Party { kind, name: word("pump-01") };
    let rows = [
        ("a known device", Operational, Some(&known), Some(Holder::Device(device_id(1)))),
        ("a new device", Operational, None, None),
        ("a service", Service, None, Some(party(Service))),
        ("an operator", Operator, None, Some(party(Operator))),
    ];
    for (what, kind, device, expected) in rows {
        let admitted = asked(&token(kind, named("pump-01")), "pump-01", device, &[]).unwrap();
        let registered = admitted.entries.iter().find_map(|draft| match &draft.event {
            Event::DeviceRegistered(registered) => Some(Holder::Device(registered.device)),
            _ => None,
        });
        let holders: Vec<&Holder> = admitted
            .preconditions
            .iter()
            .filter_map(|precondition| match precondition {
                Precondition::KeyUsable { holder, .. } => Some(holder),
                _ => None,
            })
            .collect();
        assert_eq!(holders, [&expected.or(registered).unwrap()], "{what}");
    }
}

#[test]
fn a_burned_intent_between_hides_neither_the_predecessor_nor_its_generation() {
    let rows = [certificate(3, CertificateState::Burned, 3), certificate(2, CertificateState::Confirmed, 2)];
    let known = device(Standing::Active);
    let admitted =
        asked(&token(IdentityKind::Operational, named("pump-01")), "pump-01", Some(&known), &rows).unwrap();
    assert_eq!(admitted.order.parts().replaces, Some(certificate_id(2)));
    assert_eq!(admitted.order.parts().generation, 4);
}

/// Whoever holds a certificate of that name is taken for the authority by devices, gateways and the command line.
#[test]
fn no_prefix_lets_anybody_in_under_the_authoritys_own_name() {
    use IdentityKind::{Operational, Operator, Service};
    let rows = [
        (Service, TokenSubject::Prefix(word("auth")), "authority", false),
        (Service, TokenSubject::Prefix(word("authorit")), "authority", false),
        (Service, TokenSubject::Prefix(word("auth")), "authority-2", true),
        (Operational, TokenSubject::Prefix(word("auth")), "authority", true),
        (Operator, TokenSubject::Prefix(word("auth")), "authority", true),
        (Service, named("authority"), "authority", true),
    ];
    for (kind, subject, name, admitted) in rows {
        let outcome = asked(&token(kind, subject.clone()), name, None, &[]);
        assert_eq!(outcome.is_ok(), admitted, "{kind:?} {subject:?} as {name}");
    }
}
