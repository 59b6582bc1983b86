//! Who is admitted, and what the commit of the intent must find unchanged.

use crate::rows::*;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Name, Secret};
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, Holder, Precondition, TokenRow};
use touchmark_journal::{Event, IdentityKind, Standing, TokenSubject};
use touchmark_ra::{Admitted, EnrolmentFacts, Refusal, admit, name_asked};
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
        username: username.clone().into(),
        password: Secret::new("not looked at by the rules".to_owned()),
    };
    let request = EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None);
    let environment = environment();
    let facts = EnrolmentFacts {
        environment: &environment,
        token: Some(token),
        username: &username,
        device,
        party: None,
        only_burned: !certificates.is_empty()
            && certificates
                .iter()
                .all(|row| row.state == CertificateState::Burned && row.token == Some(token.token)),
        current: certificates,
        issues: &issues(certificates),
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
    let of_device =
        |generation| Precondition::NewestGeneration { holder: Holder::Device(device_id(1)), generation };
    let party = |kind, generation| Precondition::NewestGeneration {
        holder: Holder::Party { kind, name: word("pump-01") },
        generation,
    };
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

/// A revocation voids the tokens that name the device; one for new devices is older or newer than it.
#[test]
fn a_prefix_token_from_before_a_revocation_lets_nobody_back_in() {
    let prefix = token(IdentityKind::Operational, TokenSubject::Prefix(word("pump")));
    let burned = [certificate(1, CertificateState::Burned, 1)];
    let second = std::time::Duration::from_secs(1);
    let before = touchmark_identity::Timestamp::from_unix_ms(now().unix_ms() - 1);
    let rows = [
        ("never", None, Ok(())),
        ("before the token was made", Some(before), Ok(())),
        ("in the same millisecond", Some(now()), Err("token-void")),
        ("after it was made", Some(now().plus(second)), Err("token-void")),
    ];
    for (what, revoked_at, expected) in rows {
        let device = DeviceRow { revoked_at, ..device(Standing::Active) };
        let outcome = asked(&prefix, "pump-01", Some(&device), &burned);
        assert_eq!(outcome.as_ref().map(drop).map_err(Refusal::code), expected, "{what}");
        let Ok(admitted) = outcome else { continue };
        // One that comes between reading and committing is found by the commit.
        let since = Precondition::DeviceRevokedAt { device: device_id(1), at: revoked_at };
        assert!(admitted.preconditions.contains(&since), "{what}");
    }
}

/// The device is named by the request then: what stands there instead of a name, and what would have been taken, is said.
#[test]
fn a_request_under_a_prefix_token_that_names_no_device_hears_what_was_found() {
    let token = token(IdentityKind::Operational, TokenSubject::Prefix(word("pump-")));
    let rows: [(&str, Result<&str, &str>); 5] = [
        ("pump-07", Ok("pump-07")),
        ("valve-07", Err("the name \"valve-07\"")),
        ("PUMP-07", Err("\"PUMP-07\" in its subject, which is no name")),
        ("pump-\u{202e}70", Err(r#""pump-\u{202e}70" in its subject"#)),
        ("", Err("no common name and no URI, but an empty subject")),
    ];
    for (common_name, expected) in rows {
        let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
        let der = certification_request(common_name, None, &key).unwrap();
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let request = EnrolmentRequest::new(Intent::Enrol, csr, None, PresentedCredential::None, None);
        let asked = name_asked(&token, &word("pump-"), &request);
        match expected {
            Ok(name) => assert_eq!(asked.unwrap().as_str(), name),
            Err(found) => {
                let refused = asked.unwrap_err();
                let says = refused.to_string();
                assert_eq!(refused.code(), "csr-name", "{common_name:?}");
                assert!(
                    says.contains(found) && says.contains("goes on after \"pump-\""),
                    "{common_name:?}: {says}"
                );
            }
        }
    }
}

/// Roles come with the certificate: a token alone changes nobody's rights.
#[test]
fn an_operator_gets_the_roles_of_its_token_when_it_enrols() {
    use touchmark_inventory::PartyRow;
    use touchmark_journal::Reach;
    let roles = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>();
    let party = |has: &[&str]| PartyRow {
        scope: scope(),
        kind: IdentityKind::Operator,
        name: word("ada"),
        roles: roles(has),
        reach: Reach::Organisation,
        owner: None,
        registered_at: now(),
        clone_alarms: 0,
        clone_alarm_at: None,
    };
    let bound = PartyRow { reach: Reach::Environment, ..party(&["admin"]) };
    let rows = [
        (
            "those that it has, in the organisation",
            Some(bound),
            Some(roles(&["admin"])),
            Some(roles(&["admin"])),
        ),
        ("nobody knows it yet", None, Some(roles(&["admin"])), Some(roles(&["admin"]))),
        ("others than it has", Some(party(&["fleet"])), Some(roles(&["admin"])), Some(roles(&["admin"]))),
        ("those that it has", Some(party(&["admin"])), Some(roles(&["admin"])), None),
        ("none are said", Some(party(&["fleet"])), None, None),
    ];
    for (what, party, of_token, expected) in rows {
        let token = TokenRow { roles: of_token, ..token(IdentityKind::Operator, named("ada")) };
        let der =
            certification_request("", None, &SoftwareKey::generate(KeyAlgorithm::P256).unwrap()).unwrap();
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let request = EnrolmentRequest::new(Intent::Enrol, csr, None, PresentedCredential::None, None);
        let (environment, username) = (environment(), word("ada"));
        let facts = EnrolmentFacts {
            environment: &environment,
            token: Some(&token),
            username: &username,
            device: None,
            party: party.as_ref(),
            only_burned: false,
            current: &[],
            issues: &[],
            form: &Form::default(),
        };
        let admitted = admit(&request, &facts, "test", now(), [3; 26]).unwrap();
        let given = admitted.entries.iter().find_map(|draft| match &draft.event {
            Event::PartyRegistered(registered) => Some(registered.roles.clone()),
            _ => None,
        });
        assert_eq!(given, expected, "{what}");
        let home = Precondition::PartyHome {
            kind: IdentityKind::Operator,
            name: word("ada"),
            environment: word("lab"),
        };
        assert_eq!(admitted.preconditions.contains(&home), expected.is_some(), "{what}");
    }
}
