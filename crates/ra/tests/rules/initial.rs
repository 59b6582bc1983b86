//! Who enrols on a maker's word, and what an operator can register. The certificates in `makers/` were made with
//! OpenSSL: acme's CA, its factory, the initial certificate of SN-1 (none of them ends), and another maker's CA.

use crate::rows::*;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{Fingerprint, MakerId, Name};
use touchmark_inventory::{
    CertificateRow, CertificateState, DeviceRow, HardwareRow, Holder, MakerRow, Precondition,
};
use touchmark_journal::{Event, Private, Standing};
use touchmark_ra::{
    Admitted, HardwareFacts, InitialFacts, InitialRefusal, MAKERS_IN_FORCE_MAX, MakerFacts, MakerFault,
    Refusal, RegisterHardware, RegisterMaker, WithdrawMaker, admit_initial, register_hardware,
    register_maker, withdraw_maker,
};
use touchmark_x509::csr::{Form, UnprovenCsr};
use touchmark_x509::hardware::HardwareId;
use touchmark_x509::path::{Purpose, VerifiedPath, validate};
use touchmark_x509::request::certification_request;
use touchmark_x509::{Certificate, KeyAlgorithm, PublicKey, SoftwareKey};

fn read(pem: &str) -> Certificate {
    Certificate::from_pem_many(pem).unwrap().remove(0)
}

fn acme() -> Certificate {
    read(include_str!("../makers/acme-ca.pem"))
}

fn factory() -> Certificate {
    read(include_str!("../makers/acme-factory.pem"))
}

fn other() -> Certificate {
    read(include_str!("../makers/other-ca.pem"))
}

fn path() -> VerifiedPath {
    let leaf = read(include_str!("../makers/acme-sn-1.pem"));
    validate(&leaf, &[factory()], &[acme()], now(), Purpose::Initial).unwrap()
}

fn maker_id(number: u8) -> MakerId {
    MakerId::draw(now(), [number; 10])
}

fn maker(number: u8, name: &str, certificate: &Certificate) -> MakerRow {
    MakerRow {
        maker: maker_id(number),
        scope: scope(),
        name: word(name),
        certificate: certificate.der().to_vec(),
        registered_at: now(),
        withdrawn_at: None,
    }
}

fn hardware(device: u8, id: &str) -> HardwareRow {
    HardwareRow {
        scope: scope(),
        maker: maker_id(1),
        hardware_id: id.into(),
        device: device_id(device),
        registered_at: now(),
        void: false,
    }
}

fn asked(
    maker: &MakerRow,
    hardware: Option<&HardwareRow>,
    device: Option<&DeviceRow>,
    certificates: &[CertificateRow],
    common_name: &str,
) -> Result<Admitted, Refusal> {
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let der = certification_request(common_name, None, &key).unwrap();
    let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
    let credential = PresentedCredential::ClientCertificate(Fingerprint([0; 32]));
    let request = EnrolmentRequest::new(Intent::Enrol, csr, None, credential, None);
    let (environment, path) = (environment(), path());
    let facts = InitialFacts {
        environment: &environment,
        path: &path,
        maker,
        hardware,
        device,
        current: certificates,
        issues: &issues(certificates),
        lifetime: std::time::Duration::from_secs(86_400),
        form: &Form::default(),
    };
    admit_initial(&request, &facts, "test", now())
}

/// R6, R55: the word of a maker opens enrolment for what is expected, and for nothing else.
#[test]
fn hardware_enrols_as_the_device_that_it_is_expected_to_become() {
    let (good, device) = (maker(1, "acme", &acme()), device(Standing::Active));
    let void = HardwareRow { void: true, ..hardware(1, "SN-1") };
    let twins = HardwareRow { maker: maker_id(2), ..hardware(1, "SN-1") };
    let standing = |standing| DeviceRow { standing, ..device.clone() };
    let (quarantined, banned) = (standing(Standing::Quarantined), standing(Standing::Banned));
    let erased = DeviceRow { name: None, ..device.clone() };
    let stranger = maker(1, "acme", &other());
    type Row<'a> = (&'a str, &'a MakerRow, Option<HardwareRow>, Option<&'a DeviceRow>, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        ("expected", &good, Some(hardware(1, "SN-1")), Some(&device), "", "ok"),
        ("with its own name", &good, Some(hardware(1, "SN-1")), Some(&device), "pump-01", "ok"),
        ("with another name", &good, Some(hardware(1, "SN-1")), Some(&device), "pump-02", "csr-name"),
        ("not expected", &good, None, None, "", "hardware-unknown"),
        ("another piece", &good, Some(hardware(1, "SN-2")), Some(&device), "", "hardware-unknown"),
        ("another maker's piece", &good, Some(twins), Some(&device), "", "hardware-unknown"),
        ("another anchor", &stranger, Some(hardware(1, "SN-1")), Some(&device), "", "hardware-unknown"),
        ("another device's", &good, Some(hardware(2, "SN-1")), Some(&device), "", "hardware-unknown"),
        ("of an erased device", &good, Some(hardware(1, "SN-1")), Some(&erased), "", "hardware-unknown"),
        ("void", &good, Some(void.clone()), Some(&device), "", "hardware-void"),
        ("quarantined", &good, Some(hardware(1, "SN-1")), Some(&quarantined), "", "device-quarantined"),
        ("banned, and so void", &good, Some(void), Some(&banned), "", "device-banned"),
    ];
    for (what, maker, hardware, device, name, code) in rows {
        let outcome = asked(maker, hardware.as_ref(), *device, &[], name);
        assert_eq!(outcome.map_or_else(|refusal| refusal.code(), |_| "ok"), *code, "{what}");
    }
}

#[test]
fn the_commit_demands_that_hardware_maker_and_device_are_as_they_were_read() {
    let certificates =
        [certificate(2, CertificateState::Issued, 2), certificate(1, CertificateState::Revoked, 1)];
    let device = device(Standing::Active);
    let admitted =
        asked(&maker(1, "acme", &acme()), Some(&hardware(1, "SN-1")), Some(&device), &certificates, "")
            .unwrap();
    let parts = admitted.order.parts();
    assert_eq!((parts.device, parts.token, parts.generation), (Some(device_id(1)), None, 3));
    assert_eq!((parts.replaces, parts.renewal), (Some(certificate_id(2)), None));
    assert!(admitted.entries.is_empty(), "device and hardware are recorded already");
    assert_eq!(admitted.envelope.actor.name.as_str(), device_id(1).to_string());
    let usable = Precondition::HardwareUsable {
        environment: word("lab"),
        maker: maker_id(1),
        hardware_id: "SN-1".into(),
        device: device_id(1),
    };
    let expected = [
        usable,
        Precondition::DeviceStanding { device: device_id(1), standing: Standing::Active },
        Precondition::NewestGeneration { holder: Holder::Device(device_id(1)), generation: 2 },
        Precondition::KeyUsable { spki: parts.public_key.spki_hash(), holder: Holder::Device(device_id(1)) },
    ];
    assert_eq!(admitted.preconditions, expected);
}

#[test]
fn every_refusal_says_what_to_do() {
    let bad = "".parse::<HardwareId>().unwrap_err();
    let rows = [
        InitialRefusal::HardwareId(bad),
        InitialRefusal::HardwareUnknown,
        InitialRefusal::HardwareVoid,
        InitialRefusal::Key,
    ];
    for refusal in rows {
        let refusal = Refusal::from(refusal);
        assert!(!refusal.code().is_empty() && !refusal.fix().is_empty() && !refusal.to_string().is_empty());
    }
}

fn registered(
    name: &str,
    certificate: &Certificate,
    makers: &[MakerRow],
    own_keys: &[PublicKey],
) -> Result<(MakerId, usize), MakerFault> {
    let name: Name = word(name);
    let act = RegisterMaker { environment: word("lab"), name: name.clone() };
    let facts = MakerFacts { scope: &scope(), makers, own_keys };
    let (id, command) = register_maker(mandate(act), certificate, &facts, now(), [9; 10])?;
    let free = Precondition::MakerFree { environment: word("lab"), name };
    assert!(command.entries.is_empty() || command.preconditions == [free]);
    Ok((id, command.entries.len()))
}

#[test]
fn a_maker_is_in_force_once_under_one_name_with_one_key() {
    let (ca, leaf) = (acme(), read(include_str!("../makers/acme-sn-1.pem")));
    let in_force = [maker(1, "acme", &ca)];
    let withdrawn = [MakerRow { withdrawn_at: Some(now()), ..maker(1, "acme", &ca) }];
    let ours = [ca.public_key().clone()];
    let full: Vec<_> =
        (0..MAKERS_IN_FORCE_MAX).map(|n| maker(n as u8, &format!("maker-{n}"), &other())).collect();
    type Row<'a> = (&'a str, &'a str, &'a Certificate, &'a [MakerRow], &'a [PublicKey], &'a str);
    let other_ca = other();
    let rows: &[Row<'_>] = &[
        ("new", "acme", &ca, &[], &[], "recorded"),
        ("an intermediate", "acme", &factory(), &[], &[], "recorded"),
        ("once more", "acme", &ca, &in_force, &[], "so already"),
        ("after a withdrawal", "acme", &ca, &withdrawn, &[], "recorded"),
        ("another beside it", "other", &other_ca, &in_force, &[], "recorded"),
        ("the name is taken", "acme", &other_ca, &in_force, &[], "maker-exists"),
        ("the key is taken", "twin", &ca, &in_force, &[], "maker-known"),
        ("our own key", "acme", &ca, &[], &ours, "maker-own-authority"),
        ("a device's certificate", "acme", &leaf, &[], &[], "maker-certificate"),
        ("one too many", "acme", &ca, &full, &[], "maker-too-many"),
    ];
    for (what, name, certificate, makers, own_keys, expected) in rows {
        let outcome = registered(name, certificate, makers, own_keys);
        let said = outcome.as_ref().map_or_else(MakerFault::code, |(_, entries)| match entries {
            0 => "so already",
            _ => "recorded",
        });
        assert_eq!(said, *expected, "{what}");
        assert!(outcome.is_ok() || !outcome.unwrap_err().fix().is_empty(), "{what}");
    }
    assert_eq!(registered("acme", &ca, &in_force, &[]).unwrap().0, maker_id(1));

    let withdrawal = |makers: &[MakerRow]| {
        let act = WithdrawMaker(RegisterMaker { environment: word("lab"), name: word("acme") });
        withdraw_maker(mandate(act), &scope(), makers, now())
    };
    let (id, command) = withdrawal(&in_force).unwrap();
    assert!(id == maker_id(1) && matches!(command.entries[0].event, Event::MakerWithdrawn(_)));
    assert_eq!(withdrawal(&withdrawn).unwrap_err().code(), "maker-unknown");
}

struct Expected<'a> {
    device: Option<DeviceRow>,
    of_device: &'a [HardwareRow],
    registered: Option<HardwareRow>,
    model: Option<Name>,
}

fn expected(known: &Expected<'_>) -> Result<Vec<Event>, MakerFault> {
    let (maker, name): (_, Name) = (maker(1, "acme", &acme()), word("pump-01"));
    let facts = HardwareFacts {
        scope: &scope(),
        maker: &maker,
        device: known.device.as_ref(),
        of_device: known.of_device,
        registered: known.registered.as_ref(),
    };
    let act = RegisterHardware {
        environment: word("lab"),
        maker: word("acme"),
        hardware_id: "SN-1".parse().unwrap(),
        name: name.clone(),
        model: known.model.clone(),
    };
    let (device, command) = register_hardware(mandate(act), &facts, now(), [3; 42])?;
    for draft in &command.entries {
        match &draft.private {
            Some((_, Private::Hardware(private))) => {
                assert_eq!((private.maker, private.hardware_id.as_str()), (maker_id(1), "SN-1"));
            }
            Some((_, Private::Device(private))) => assert_eq!(private.name, name),
            other => panic!("{other:?}"),
        }
    }
    let free = Precondition::HardwareFree {
        environment: word("lab"),
        maker: maker_id(1),
        hardware_id: "SN-1".into(),
        device,
    };
    assert!(command.entries.is_empty() || command.preconditions.contains(&free));
    Ok(command.entries.into_iter().map(|draft| draft.event).collect())
}

#[test]
fn a_device_is_expected_from_one_piece_of_hardware_and_a_piece_becomes_one_device() {
    let known = || Some(device(Standing::Active));
    let (own, void) = (hardware(1, "SN-1"), HardwareRow { void: true, ..hardware(1, "SN-1") });
    let elsewhere = [hardware(1, "SN-0")];
    let given_up = [HardwareRow { void: true, ..hardware(1, "SN-0") }];
    let (of_own, of_void) = ([own.clone()], [void.clone()]);
    let row = |device, of_device, registered| Expected { device, of_device, registered, model: None };
    let rows: Vec<(&str, Expected<'_>, Result<usize, &str>)> = vec![
        ("a new device", row(None, &[], None), Ok(2)),
        ("a device that enrolled by token", row(known(), &[], None), Ok(1)),
        ("so already", row(known(), &of_own, Some(own.clone())), Ok(0)),
        ("after a revocation", row(known(), &of_void, Some(void.clone())), Ok(1)),
        ("on other hardware after a revocation", row(known(), &given_up, None), Ok(1)),
        ("quarantined", row(Some(device(Standing::Quarantined)), &[], None), Ok(1)),
        ("on a second piece", row(known(), &elsewhere, None), Err("device-has-hardware")),
        ("another device's piece", row(None, &[], Some(own)), Err("hardware-taken")),
        ("another device's piece, void", row(None, &[], Some(void)), Err("hardware-taken")),
        ("banned", row(Some(device(Standing::Banned)), &[], None), Err("device-banned")),
        (
            "another model",
            Expected { model: Some(word("x300")), ..row(known(), &[], None) },
            Err("device-model"),
        ),
    ];
    for (what, known, outcome) in rows {
        let found = expected(&known);
        assert_eq!(found.as_ref().map(Vec::len).map_err(MakerFault::code), outcome, "{what}");
        let last = found.unwrap_or_default().pop();
        assert!(last.is_none_or(|event| matches!(event, Event::HardwareRegistered(_))), "{what}");
    }
}
