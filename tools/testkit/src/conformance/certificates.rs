//! Certificates: their life, and every way to find them.

use super::{Case, Claim};
use crate::journal_builder::{Intent, NOT_AFTER_S, name};
use std::time::Duration;
use touchmark_identity::{CertificateId, RevocationReason, Timestamp};
use touchmark_inventory::{CertificateRow, CertificateState, StoreFault};
use touchmark_journal::{Draft, IdentityKind, Private};

pub(super) const CLAIMS: &[Claim] = &[
    ("a certificate's row says what each step of its life said", life),
    ("a burned intent keeps its serial and is listed without a reason", burned),
    ("a certificate is found by fingerprint, serial, key, device and party", found),
    ("lists of certificates are newest first", newest_first),
    ("an open intent is listed until it is issued, burned or revoked", open_intents),
    ("a CRL shard lists its revoked and burned certificates until they expire", revoked),
    ("superseded certificates are listed for their environment until they expire", superseded),
    ("a revocation denies each key once, and keeps the first denial", denied),
    ("a certificate whose private part is erased keeps its public row", erased),
];

type Rows = Result<Vec<CertificateRow>, StoreFault>;

fn ids(rows: Rows) -> Vec<CertificateId> {
    rows.expect("rows can be read").into_iter().map(|row| row.certificate).collect()
}

impl Case<'_> {
    fn row(&self, intent: &Intent) -> CertificateRow {
        self.store.certificate(intent.certificate).expect("rows can be read").expect("the row is known")
    }

    /// When the draft says that it happened.
    fn accept_at(&self, draft: Draft) -> Option<Timestamp> {
        let at = draft.envelope.at;
        self.accept([draft]);
        Some(at)
    }
}

fn life(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let intent = case.builder.intent(Some(device), case.authority);
    let draft = case.builder.intended(&intent);
    let Some((_, Private::Intent(private))) = draft.private.clone() else { panic!("an intent is private") };
    let intended_at = case.accept_at(draft);
    let row = case.row(&intent);
    assert_eq!(row.state, CertificateState::Intended);
    assert_eq!((row.device, row.serial, row.spki), (Some(device), intent.serial, Some(intent.spki)));
    assert_eq!(row.csr_sha256, Some(private.csr_sha256));
    assert_eq!(row.identity, Some(private.identity));
    assert_eq!(Some(row.intended_at), intended_at);
    assert_eq!((row.der, row.fingerprint, row.confirmed_at, row.revoked_at), (None, None, None, None));

    let fingerprint = case.issue(&intent);
    let row = case.row(&intent);
    assert_eq!((row.state, row.fingerprint), (CertificateState::Issued, Some(fingerprint)));
    assert!(row.der.is_some());

    let draft = case.builder.confirmed(intent.certificate);
    let confirmed_at = case.accept_at(draft);
    let row = case.row(&intent);
    assert_eq!((row.state, row.confirmed_at), (CertificateState::Confirmed, confirmed_at));

    let by = case.builder.certificate_id();
    let draft = case.builder.superseded(intent.certificate, by);
    case.accept([draft]);
    let row = case.row(&intent);
    assert_eq!(row.state, CertificateState::Superseded);
    assert!(row.refused_from.is_some() && row.revoked_at.is_none());

    let draft = case.builder.revoked(Some(device), &[&intent]);
    let revoked_at = case.accept_at(draft);
    let row = case.row(&intent);
    assert_eq!((row.state, row.revoked_at), (CertificateState::Revoked, revoked_at));
    assert_eq!(row.revocation_reason, Some(RevocationReason::KeyCompromise));
    assert!(row.der.is_some() && row.confirmed_at.is_some(), "evidence survives");
}

fn burned(case: &mut Case<'_>) {
    let intent = case.intended(None);
    let draft = case.builder.burned(intent.certificate, None);
    let burned_at = case.accept_at(draft);
    let row = case.row(&intent);
    assert_eq!((row.state, row.revoked_at), (CertificateState::Burned, burned_at));
    assert_eq!(row.revocation_reason, Some(RevocationReason::Unspecified));
    let now = case.builder.now();
    assert_eq!(ids(case.store.revoked(case.authority, 0, now)), [intent.certificate]);
}

fn found(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let (token, other) = (case.builder.token_id(), case.builder.authority_version());
    let mine = case.builder.intent(Some(device), case.authority).on(token);
    let namesake = Intent { serial: mine.serial, ..case.builder.intent(None, other) };
    let renewed = case.builder.intent(Some(device), case.authority).with_key(mine.spki);
    let party = Intent { handle: name("gateway"), ..case.builder.intent(None, case.authority) };
    let operator = Intent {
        kind: IdentityKind::Operator,
        handle: name("gateway"),
        ..case.builder.intent(None, case.authority)
    };
    for intent in [&mine, &namesake, &renewed, &party, &operator] {
        case.record(intent);
    }
    let fingerprint = case.issue(&mine);
    let by_fingerprint = case.store.certificate_by_fingerprint(&fingerprint).expect("rows can be read");
    assert_eq!(by_fingerprint, Some(case.row(&mine)));
    let unknown = touchmark_identity::Fingerprint([0; 32]);
    assert_eq!(case.store.certificate_by_fingerprint(&unknown), Ok(None));
    let store = case.store;
    assert_eq!(ids(store.certificates_by_serial(&mine.serial)), [namesake.certificate, mine.certificate]);
    assert_eq!(ids(store.certificates_by_key(&mine.spki)), [renewed.certificate, mine.certificate]);
    assert_eq!(ids(store.certificates_of_device(device)), [renewed.certificate, mine.certificate]);
    let gateway = name("gateway");
    assert_eq!(ids(store.certificates_of_party(IdentityKind::Service, &gateway)), [party.certificate]);
    assert_eq!(ids(store.certificates_of_party(IdentityKind::Operator, &gateway)), [operator.certificate]);
    let pump = name("pump-01");
    assert_eq!(ids(store.certificates_of_party(IdentityKind::Service, &pump)), [namesake.certificate]);
    assert_eq!(
        ids(store.certificates_of_party(IdentityKind::Operational, &pump)),
        [],
        "a device is no party"
    );
    let nobody = case.builder.device_id();
    assert_eq!(ids(case.store.certificates_of_device(nobody)), []);
    let nothing = case.builder.certificate_id();
    assert_eq!(case.store.certificate(nothing), Ok(None));
}

fn newest_first(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let mut intents: Vec<_> = (0..5).map(|_| case.builder.intent(Some(device), case.authority)).collect();
    // Written in another order than drawn: the identifier's time decides.
    for place in [3, 0, 4, 1, 2] {
        let intent = intents.get(place).expect("five were drawn").clone();
        case.record(&intent);
    }
    intents.reverse();
    let expected: Vec<_> = intents.iter().map(|intent| intent.certificate).collect();
    assert_eq!(ids(case.store.certificates_of_device(device)), expected);
    assert_eq!(ids(case.store.open_intents()), expected);
}

fn open_intents(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let [open, issued, burned, revoked] = [(); 4].map(|()| case.intended(Some(device)));
    case.issue(&issued);
    let entry = case.builder.burned(burned.certificate, None);
    case.accept([entry]);
    case.revoke(Some(device), &[&revoked]);
    assert_eq!(ids(case.store.open_intents()), [open.certificate]);
}

fn revoked(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let base = |case: &mut Case<'_>| case.builder.intent(Some(device), case.authority);
    let listed = base(case);
    let short = Intent { not_after_s: NOT_AFTER_S - 100, ..base(case) };
    let sharded = Intent { crl_shard: 1, ..base(case) };
    let other = Intent { authority_version: case.builder.authority_version(), ..base(case) };
    let live = base(case);
    for intent in [&listed, &short, &sharded, &other, &live] {
        case.record(intent);
        case.issue(intent);
    }
    case.revoke(Some(device), &[&listed, &short, &sharded, &other]);
    let s = Timestamp::from_unix_s;
    let last_ms = s(NOT_AFTER_S - 100).plus(Duration::from_millis(999));
    let rows: [(&str, Timestamp, &[CertificateId]); 4] = [
        ("both run", s(NOT_AFTER_S - 101), &[short.certificate, listed.certificate]),
        ("the whole of the last second counts", last_ms, &[short.certificate, listed.certificate]),
        ("one has expired", s(NOT_AFTER_S - 99), &[listed.certificate]),
        ("all have expired", s(NOT_AFTER_S + 1), &[]),
    ];
    for (what, now, expected) in rows {
        assert_eq!(ids(case.store.revoked(case.authority, 0, now)), expected, "{what}");
    }
    assert_eq!(ids(case.store.revoked(case.authority, 1, s(0))), [sharded.certificate]);
    assert_eq!(ids(case.store.revoked(other.authority_version, 0, s(0))), [other.certificate]);
    assert_eq!(ids(case.store.revoked(case.authority, 2, s(0))), []);
}

fn superseded(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let by = case.builder.certificate_id();
    let long = case.intended(Some(device));
    let short =
        Intent { not_after_s: NOT_AFTER_S - 100, ..case.builder.intent(Some(device), case.authority) };
    case.record(&short);
    let revoked = case.intended(Some(device));
    case.builder.move_to("plant");
    let elsewhere = case.intended(Some(device));
    for (environment, intent) in [("plant", &elsewhere), ("lab", &long), ("lab", &short), ("lab", &revoked)] {
        case.builder.move_to(environment);
        let entry = case.builder.superseded(intent.certificate, by);
        case.accept([entry]);
    }
    case.revoke(Some(device), &[&revoked]);
    let s = Timestamp::from_unix_s;
    let lab = name("lab");
    assert_eq!(ids(case.store.superseded(&lab, s(0))), [short.certificate, long.certificate]);
    assert_eq!(ids(case.store.superseded(&lab, s(NOT_AFTER_S - 99))), [long.certificate]);
    assert_eq!(ids(case.store.superseded(&name("plant"), s(0))), [elsewhere.certificate]);
}

fn denied(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let (first, second) = (case.intended(Some(device)), case.intended(Some(device)));
    let draft = case.builder.revoked(Some(device), &[&first]);
    let first_at = case.accept_at(draft);
    case.revoke(Some(device), &[&first, &second]);
    let rows = case.store.denied_keys(&name("lab")).expect("rows can be read");
    assert_eq!(rows.len(), 2);
    assert!(rows.is_sorted_by_key(|row| row.spki));
    let kept = rows.iter().find(|row| row.spki == first.spki).map(|row| row.denied_at);
    assert_eq!(kept, first_at);
    assert_eq!(case.store.denied_keys(&name("plant")), Ok(Vec::new()));
    case.builder.move_to("plant");
    case.revoke(Some(device), &[&first]);
    assert_eq!(case.store.denied_keys(&name("plant")).map(|rows| rows.len()), Ok(1));
}

fn erased(case: &mut Case<'_>) {
    let device = case.builder.device_id();
    let mut draft = case.builder.device_registered(device, "pump-01");
    draft.private = None;
    case.accept([draft]);
    let row = case.store.device(device).expect("rows can be read").expect("the row stays");
    assert_eq!((row.name, row.model, row.owner), (None, None, None));
    let nameless = case.builder.device_id();
    let mut draft = case.builder.device_registered(nameless, "pump-01");
    draft.private = None;
    case.accept([draft]);

    let intent = case.builder.intent(Some(device), case.authority);
    let mut draft = case.builder.intended(&intent);
    draft.private = None;
    case.accept([draft]);
    let mut draft = case.builder.issued(intent.certificate, touchmark_identity::Fingerprint([3; 32]));
    draft.private = None;
    case.accept([draft]);
    let row = case.row(&intent);
    assert_eq!((row.identity, row.spki, row.der), (None, None, None));
    assert_eq!((row.serial, row.state), (intent.serial, CertificateState::Issued));
    case.revoke(Some(device), &[&intent]);
    assert_eq!(case.row(&intent).state, CertificateState::Revoked);
}
