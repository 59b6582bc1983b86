//! The renewal matrix: which certificate opens the way to a successor, and for whom.

use crate::rows::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use touchmark_ca::create_root;
use touchmark_enrol::{EnrolmentRequest, Intent, PresentedCredential};
use touchmark_identity::{
    Fingerprint, Incarnation, PathKind, SerialNumber, SpiffeId, SpkiHash, Timestamp, Validity,
};
use touchmark_inventory::{CertificateRow, CertificateState, DeviceRow, Holder, Precondition};
use touchmark_journal::{CloneResponse, Event, IdentityKind, RenewalManner, Standing};
use touchmark_ra::{
    Admitted, Presented, Refusal, RenewalTerms, admit_renewal, revoke_superseded, suspect_clone,
};
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::csr::{Form, UnprovenCsr};
use touchmark_x509::request::certification_request;
use touchmark_x509::tbs::{LeafContents, LeafProfile, LeafTemplate};
use touchmark_x509::{Certificate, KeyAlgorithm, Signer as _, SoftwareKey};

const GRACE: Duration = Duration::from_secs(3600);

fn key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::P256).unwrap()
}

/// What the holder shows, as far as the rules read it: the names in it.
fn shown(dns: &[String], ips: &[IpAddr]) -> Certificate {
    let root_key = key();
    let root = create_root("example", &root_key, Incarnation::FIRST, now(), [1; 16]).unwrap();
    let template = LeafTemplate::new(&LeafProfile {
        issuer: &root,
        signature_algorithm: root_key.algorithm(),
        extended_key_usages: &[ExtendedKeyUsage::ClientAuth],
        crl_url: "http://127.0.0.1/0.crl",
    })
    .unwrap();
    let uri = identity("pump-01");
    let tbs = template.fill(&LeafContents {
        serial: SerialNumber::draw(Incarnation::FIRST, [2; 16]),
        validity: Validity::new(now().unix_s(), NOT_AFTER_S).unwrap(),
        public_key: key().public_key(),
        common_name: &uri.name,
        uri: &uri,
        dns,
        ip: ips,
        scope: &[],
    });
    Certificate::from_der(&tbs.with_placeholder_signature()).unwrap()
}

fn identity(name: &str) -> SpiffeId {
    SpiffeId { trust_domain: word("lab.touchmark.internal"), kind: PathKind::Device, name: word(name) }
}

fn confirmed(number: u32, generation: u64) -> CertificateRow {
    CertificateRow {
        confirmed_at: Some(now()),
        fingerprint: Some(Fingerprint([u8::try_from(number).unwrap(); 32])),
        ..certificate(number, CertificateState::Confirmed, generation)
    }
}

fn in_state(row: CertificateRow, state: CertificateState) -> CertificateRow {
    CertificateRow { state, ..row }
}

/// One question to the rules.
struct Question {
    row: CertificateRow,
    device: Option<DeviceRow>,
    certificates: Vec<CertificateRow>,
    label: Option<&'static str>,
    common_name: &'static str,
    uri: Option<SpiffeId>,
    key: Arc<SoftwareKey>,
    at: Timestamp,
}

impl Question {
    /// The device's only certificate, proven, in the middle of its life, and a new key.
    fn good() -> Self {
        let row = confirmed(1, 1);
        Self {
            certificates: vec![row.clone()],
            row,
            device: Some(device(Standing::Active)),
            label: None,
            common_name: "",
            uri: None,
            key: Arc::new(key()),
            at: now(),
        }
    }

    fn with(row: CertificateRow, others: &[CertificateRow]) -> Self {
        let certificates = [others, std::slice::from_ref(&row)].concat();
        Self { row, certificates, ..Self::good() }
    }

    fn ask(&self) -> Result<Admitted, Refusal> {
        let der = certification_request(self.common_name, self.uri.as_ref(), &*self.key).unwrap();
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        let label = self.label.map(word);
        let credential = PresentedCredential::ClientCertificate(Fingerprint([1; 32]));
        let request = EnrolmentRequest::new(Intent::Renew, csr, label, credential, None);
        let environment = environment();
        let presented = Presented {
            row: &self.row,
            environment: &environment,
            device: self.device.as_ref(),
            certificates: &self.certificates,
            issues: &issues(&self.certificates),
            grace: GRACE,
        };
        let old = shown(&[], &[]);
        let manner = RenewalManner::Automatic;
        let asked = self.key.public_key().spki_hash();
        let proven = |row: &CertificateRow| row.spki == Some(asked) && row.confirmed_at.is_some();
        let key_proven = self.certificates.iter().any(proven);
        let terms = RenewalTerms { old: &old, key_proven, form: &Form::default(), manner };
        admit_renewal(&request, &presented, &terms, "test", self.at)
    }
}

#[test]
fn only_the_newest_proven_certificate_of_an_active_identity_in_time_opens_the_way() {
    use CertificateState::{Burned, Intended, Issued, Revoked, Superseded};
    let end = Timestamp::from_unix_s(NOT_AFTER_S);
    let after = |seconds| end.plus(Duration::from_secs(seconds));
    let same_key = Arc::new(key());
    let of_key = |row: CertificateRow, key: &SoftwareKey| CertificateRow {
        spki: Some(key.public_key().spki_hash()),
        ..row
    };
    let issued = certificate(1, Issued, 1);
    let replaced_by_an_unproven_one =
        CertificateRow { refused_from: Some(now()), ..certificate(1, Superseded, 1) };
    let superseded = |refused_from: Timestamp| CertificateRow {
        refused_from: Some(refused_from),
        ..in_state(confirmed(1, 1), Superseded)
    };
    let later = now().plus(Duration::from_secs(300));
    let old_key = Arc::new(key());
    let good = Question::good;
    let rows: Vec<(&str, Question, Result<(), &str>)> = vec![
        ("its own", good(), Ok(())),
        ("its own, label of its environment", Question { label: Some("lab"), ..good() }, Ok(())),
        ("its own name in the request", Question { common_name: "pump-01", ..good() }, Ok(())),
        ("its own URI in the request", Question { uri: Some(identity("pump-01")), ..good() }, Ok(())),
        ("not proven before this connection", Question::with(issued, &[]), Ok(())),
        (
            "beside a successor that nobody proved",
            Question::with(confirmed(1, 1), &[certificate(2, Issued, 2)]),
            Ok(()),
        ),
        ("beside a burned intent", Question::with(confirmed(1, 1), &[certificate(2, Burned, 2)]), Ok(())),
        ("at its last second", Question { at: end, ..good() }, Ok(())),
        ("one second past its end", Question { at: after(1), ..good() }, Ok(())),
        ("at the last second of the grace", Question { at: after(3600), ..good() }, Ok(())),
        ("past the grace", Question { at: after(3601), ..good() }, Err("renewal-late")),
        (
            "another environment's label",
            Question { label: Some("plant"), ..good() },
            Err("certificate-environment"),
        ),
        (
            "superseded, in its overlap",
            Question::with(superseded(later), &[confirmed(2, 2)]),
            Err("certificate-superseded"),
        ),
        (
            "superseded, past its overlap",
            Question::with(superseded(now()), &[confirmed(2, 2)]),
            Err("certificate-superseded"),
        ),
        (
            "replaced before anybody proved it",
            Question::with(replaced_by_an_unproven_one, &[certificate(2, Issued, 2)]),
            Err("certificate-superseded"),
        ),
        ("revoked", Question::with(in_state(confirmed(1, 1), Revoked), &[]), Err("certificate-revoked")),
        (
            "never handed out",
            Question::with(in_state(confirmed(1, 1), Intended), &[]),
            Err("certificate-unknown"),
        ),
        (
            "of an erased party",
            Question::with(CertificateRow { identity: None, device: None, ..confirmed(1, 1) }, &[]),
            Err("certificate-unknown"),
        ),
        (
            "quarantined",
            Question { device: Some(device(Standing::Quarantined)), ..good() },
            Err("device-quarantined"),
        ),
        ("banned", Question { device: Some(device(Standing::Banned)), ..good() }, Err("device-banned")),
        (
            "banned, whose certificates are revoked",
            Question {
                device: Some(device(Standing::Banned)),
                ..Question::with(in_state(confirmed(1, 1), Revoked), &[])
            },
            Err("device-banned"),
        ),
        (
            "banned, past the grace",
            Question { device: Some(device(Standing::Banned)), at: after(9999), ..good() },
            Err("device-banned"),
        ),
        ("another device's name", Question { common_name: "pump-02", ..good() }, Err("csr-name")),
        ("another device's URI", Question { uri: Some(identity("pump-02")), ..good() }, Err("csr-name")),
        (
            "a sibling environment's URI",
            Question {
                uri: Some(SpiffeId {
                    trust_domain: word("plant.touchmark.internal"),
                    kind: PathKind::Device,
                    name: word("pump-01"),
                }),
                ..good()
            },
            Err("csr-name"),
        ),
        (
            "the same key",
            Question {
                key: Arc::clone(&same_key),
                ..Question::with(of_key(confirmed(1, 1), &same_key), &[])
            },
            Err("renewal-same-key"),
        ),
        (
            "a key that was in use before",
            Question {
                key: Arc::clone(&old_key),
                ..Question::with(confirmed(2, 2), &[of_key(superseded(now()), &old_key)])
            },
            Err("renewal-same-key"),
        ),
        (
            "a key that was asked for before, and never used",
            Question {
                key: Arc::clone(&old_key),
                ..Question::with(confirmed(1, 1), &[of_key(certificate(2, Superseded, 2), &old_key)])
            },
            Ok(()),
        ),
    ];
    for (what, question, expected) in rows {
        let outcome = question.ask();
        assert_eq!(outcome.as_ref().map(drop).map_err(Refusal::code), expected, "{what}");
    }
}

#[test]
fn the_commit_demands_again_what_was_decided_on() {
    let service = CertificateRow { device: None, kind: IdentityKind::Service, ..confirmed(1, 1) };
    let operator = CertificateRow { device: None, kind: IdentityKind::Operator, ..confirmed(1, 1) };
    let party = |kind| Holder::Party { kind, name: word("pump-01") };
    let rows: [(&str, CertificateRow, Holder, Vec<Precondition>, &str); 3] = [
        (
            "a device",
            confirmed(1, 1),
            Holder::Device(device_id(1)),
            vec![Precondition::DeviceStanding { device: device_id(1), standing: Standing::Active }],
            "device:dev_",
        ),
        ("a service", service, party(IdentityKind::Service), vec![], "automation:pump-01"),
        ("an operator", operator, party(IdentityKind::Operator), vec![], "person:pump-01"),
    ];
    for (what, row, holder, mut expected, actor) in rows {
        let device = row.device.map(|_| device(Standing::Active));
        let question = Question {
            device,
            ..Question::with(row.clone(), &[certificate(7, CertificateState::Burned, 4)])
        };
        let admitted = question.ask().unwrap();
        let spki = question.key.public_key().spki_hash();
        let confirmed = CertificateState::Confirmed;
        expected
            .insert(0, Precondition::CertificateInState { certificate: row.certificate, state: confirmed });
        assert_eq!(admitted.still, expected, "{what}: and again when the result is recorded");
        expected.push(Precondition::KeyUsable { spki, holder: holder.clone() });
        // The burned one counts: its generation was spent.
        expected.push(Precondition::NewestGeneration { holder, generation: 4 });
        assert_eq!(admitted.preconditions, expected, "{what}");
        let parts = admitted.order.parts();
        assert_eq!((parts.generation, parts.replaces), (5, Some(row.certificate)), "{what}");
        assert_eq!(parts.token, None, "{what}");
        let facts = parts.renewal.unwrap();
        assert_eq!((facts.lead_s, facts.manner), (86_400, RenewalManner::Automatic), "{what}");
        assert!(
            admitted.envelope.actor.to_string().starts_with(actor),
            "{what}: {}",
            admitted.envelope.actor
        );
        assert!(admitted.entries.is_empty(), "{what}");
    }
}

#[test]
fn a_service_keeps_its_hosts_and_a_device_gets_the_scope_of_today() {
    let row = CertificateRow { device: None, kind: IdentityKind::Service, ..confirmed(1, 1) };
    let environment = environment();
    let certificates = [row.clone()];
    let (dns, ips) = (vec!["gateway.example.org".to_owned()], vec!["192.0.2.1".parse().unwrap()]);
    let old = shown(&dns, &ips);
    let der = certification_request("", None, &key()).unwrap();
    let request = || {
        let csr = UnprovenCsr::from_der(&der).unwrap().prove_possession().unwrap();
        EnrolmentRequest::new(Intent::Renew, csr, None, PresentedCredential::None, None)
    };
    let terms =
        RenewalTerms { old: &old, key_proven: false, form: &Form::default(), manner: RenewalManner::Unknown };
    let service = Presented {
        row: &row,
        environment: &environment,
        device: None,
        certificates: &certificates,
        issues: &issues(&certificates),
        grace: GRACE,
    };
    let admitted = admit_renewal(&request(), &service, &terms, "test", now()).unwrap();
    assert_eq!((&admitted.order.parts().dns, &admitted.order.parts().ips), (&dns, &ips));

    let of_device = confirmed(1, 1);
    let device = DeviceRow { model: Some(word("x200")), ..device(Standing::Active) };
    let presented = Presented { row: &of_device, device: Some(&device), ..service };
    let admitted = admit_renewal(&request(), &presented, &terms, "test", now()).unwrap();
    assert_eq!(admitted.order.parts().scope_strings, ["custody:software", "model:x200"]);
}

#[test]
fn who_may_declare_a_certificate_the_current_one() {
    use CertificateState::{Issued, Revoked, Superseded};
    let mine = Fingerprint([1; 32]);
    let issued = CertificateRow { fingerprint: Some(mine), ..certificate(1, Issued, 1) };
    let over = Timestamp::from_unix_s(NOT_AFTER_S + 1);
    let rows = [
        ("first use", issued.clone(), None, now(), Ok(())),
        ("first use, by its hash", issued.clone(), Some(mine), now(), Ok(())),
        ("again", confirmed(1, 1), None, now(), Ok(())),
        ("another one's hash", issued.clone(), Some(Fingerprint([2; 32])), now(), Err("confirm-other")),
        ("superseded", in_state(confirmed(1, 1), Superseded), None, now(), Err("certificate-superseded")),
        ("revoked", in_state(confirmed(1, 1), Revoked), None, now(), Err("certificate-revoked")),
        ("past its end", issued, None, over, Err("certificate-expired")),
    ];
    let environment = environment();
    for (what, row, meant, at, expected) in rows {
        let device = device(Standing::Active);
        let certificates = [row.clone(), confirmed(2, 2)];
        let presented = Presented {
            row: &row,
            environment: &environment,
            device: Some(&device),
            certificates: &certificates,
            issues: &[],
            grace: GRACE,
        };
        let outcome = presented.may_confirm(meant.as_ref(), at);
        assert_eq!(outcome.map_err(|refusal| refusal.code()), expected, "{what}");
    }
}

/// A quarantine freezes the succession: nobody knows which of two that bear the name is the thief.
#[test]
fn nothing_is_confirmed_while_a_device_is_held_off() {
    use CertificateState::{Confirmed, Issued};
    let environment = environment();
    let rows = [
        (Standing::Active, None),
        (Standing::Quarantined, Some("device-quarantined")),
        (Standing::Banned, Some("device-banned")),
    ];
    for state in [Issued, Confirmed] {
        for (standing, code) in rows {
            let (row, device) = (in_state(confirmed(1, 1), state), device(standing));
            let presented = Presented {
                row: &row,
                environment: &environment,
                device: Some(&device),
                certificates: &[],
                issues: &[],
                grace: GRACE,
            };
            let refused = presented.may_confirm(None, now()).err().map(|refusal| refusal.code());
            assert_eq!(refused, code, "{state:?}, {standing:?}");
        }
    }
}

/// Operators and services have no standing: of their clones people are told.
#[test]
fn a_clone_of_an_operator_or_a_service_is_an_alarm_and_no_more() {
    for kind in [IdentityKind::Operator, IdentityKind::Service] {
        let of = |row: CertificateRow| CertificateRow { device: None, kind, ..row };
        let older = of(in_state(confirmed(1, 1), CertificateState::Superseded));
        let (environment, newer) = (environment(), [of(confirmed(2, 2))]);
        let presented = Presented {
            row: &older,
            environment: &environment,
            device: None,
            certificates: &newer,
            issues: &[],
            grace: GRACE,
        };
        let response = CloneResponse::Quarantine;
        let command = suspect_clone(&presented, &word("api"), response, "test", now()).unwrap();
        let [entry] = &command.entries[..] else { panic!("{kind:?}: one entry") };
        let Event::PartyCloneSuspected(alarm) = &entry.event else { panic!("{kind:?}") };
        assert_eq!((alarm.party.kind, &alarm.party.name), (kind, &word("pump-01")));
        assert_eq!((alarm.older, alarm.newer), (older.certificate, newer[0].certificate));
    }
}

#[test]
fn a_clone_is_suspected_only_where_a_newer_key_was_proven() {
    use CertificateState::{Issued, Superseded};
    let older = in_state(confirmed(1, 1), Superseded);
    let of_another = CertificateRow { identity: Some(identity("pump-02")), ..confirmed(2, 2) };
    let rows = [
        ("a newer one was proven", vec![confirmed(2, 2)], Some(2)),
        ("two newer ones were", vec![confirmed(3, 3), confirmed(2, 2)], Some(3)),
        ("the newer one was superseded, too", vec![in_state(confirmed(2, 2), Superseded)], Some(2)),
        ("the newer one is unproven", vec![certificate(2, Issued, 2)], None),
        ("the other one is older", vec![confirmed(2, 0)], None),
        ("the newer one is another identity's", vec![of_another], None),
        ("there is no other", vec![], None),
    ];
    let environment = environment();
    for standing in [Standing::Active, Standing::Quarantined] {
        for response in [CloneResponse::Alarm, CloneResponse::Quarantine] {
            for (what, certificates, newer) in &rows {
                let device = device(standing);
                let presented = Presented {
                    row: &older,
                    environment: &environment,
                    device: Some(&device),
                    certificates,
                    issues: &[],
                    grace: GRACE,
                };
                let command = suspect_clone(&presented, &word("est"), response, "test", now());
                let said = command.as_ref().map(|command| match &command.entries[0].event {
                    Event::CloneSuspected(alarm) => (alarm.older, alarm.newer),
                    other => panic!("{what}: {other:?}"),
                });
                assert_eq!(said, newer.map(|newer| (older.certificate, certificate_id(newer))), "{what}");
                let held = command.is_some_and(|command| command.entries.len() == 2);
                let expected =
                    newer.is_some() && response == CloneResponse::Quarantine && standing == Standing::Active;
                assert_eq!(held, expected, "{what}, {response:?}, {standing:?}");
            }
        }
    }
}

#[test]
fn what_is_superseded_is_revoked_after_its_overlap_only() {
    use CertificateState::{Confirmed, Revoked, Superseded};
    let refused_from = |from: Option<Timestamp>, state| CertificateRow {
        refused_from: from,
        ..in_state(confirmed(1, 1), state)
    };
    let later = now().plus(Duration::from_secs(1));
    let rows = [
        ("past its overlap", refused_from(Some(now()), Superseded), true),
        ("in its overlap", refused_from(Some(later), Superseded), false),
        ("revoked already", refused_from(Some(now()), Revoked), false),
        ("the current one", refused_from(None, Confirmed), false),
        ("erased", CertificateRow { spki: None::<SpkiHash>, ..refused_from(Some(now()), Superseded) }, false),
    ];
    for (what, row, dies) in rows {
        let rows = [row.clone()];
        let outcome = revoke_superseded(&rows, now());
        assert_eq!(outcome.is_some(), dies, "{what}");
        let Some(command) = outcome else { continue };
        let Event::CertificatesRevoked(revoked) = &command.entries[0].event else { panic!("{what}") };
        let dead: Vec<_> = revoked.certificates.iter().map(|dead| dead.certificate).collect();
        assert_eq!(dead, [row.certificate], "{what}");
        assert_eq!(revoked.device, None, "{what}: the device's tokens stay");
        let still = Precondition::CertificateInState { certificate: row.certificate, state: Superseded };
        assert_eq!(command.preconditions, [still], "{what}");
    }
    let many: Vec<CertificateRow> = (0..1500)
        .map(|n| CertificateRow { refused_from: Some(now()), ..certificate(n, Superseded, 1) })
        .collect();
    let command = revoke_superseded(&many, now()).unwrap();
    assert_eq!(command.preconditions.len(), 1000, "so that the event fits its leaf");
    assert!(command.entries[0].leaf().is_ok());
}
