//! Fact reads: one answer holds all that a decision about a certificate needs.

use super::{Case, Claim};
use crate::journal_builder::{Intent, name};
use touchmark_identity::{DeviceId, Fingerprint, SpkiHash};
use touchmark_inventory::{Facts, Found, Holder, HolderFacts, ISSUES_READ, IssueRow, Query};
use touchmark_journal::{Event, IdentityKind, Private, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    (
        "the facts of a certificate are its row and what its holder has, the last issues only with a key",
        facts,
    ),
    ("a key counts as proven only by its holder, and once it was", key_proven),
    ("the last issues are as many as the rate looks at, the highest generation first", last_issues),
    ("the facts of a token are of the one that it is to let in, or of nobody yet", of_token),
    ("only intents of this very token that were burned leave a device new", only_burned),
    ("the facts of hardware are of the device that it is to become", of_hardware),
];

const NO_KEY: SpkiHash = SpkiHash([9; 32]);

impl Case<'_> {
    fn facts(&self, fingerprint: &Fingerprint, key: Option<&SpkiHash>) -> Facts {
        let query = Query::Certificate { fingerprint: *fingerprint, alone: false, key: key.copied() };
        self.store.facts(&query).expect("rows can be read").expect("the certificate is known")
    }

    fn token_facts(&self, secret: [u8; 32], asked: &str) -> Option<Facts> {
        let for_whom = Some((name("lab"), name(asked), NO_KEY));
        self.store.facts(&Query::Token { secret_sha256: secret, for_whom }).expect("rows can be read")
    }

    /// What of [`Store::certificate`] and its like the facts of a holder must be.
    fn assert_of(&self, of: &HolderFacts, holder: &Holder) {
        let device = match holder {
            Holder::Device(device) => self.store.device(*device).expect("rows can be read"),
            Holder::Party { .. } => None,
        };
        assert_eq!(of.device, device);
        assert_eq!(Ok(of.current.clone()), self.store.current_certificates(holder));
    }
}

fn facts(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let (old, new, strange) = (case.intended(Some(device)), case.intended(Some(device)), case.intended(None));
    let (old, other) = (case.issue(&old), case.issue(&new));
    let service = case.issue(&strange);
    let without = case.facts(&old, None);
    assert_eq!(Ok(without.certificate().cloned()), case.store.certificate_by_fingerprint(&old));
    case.assert_of(&without.of, &Holder::Device(device));
    assert_eq!((without.of.current.len(), without.of.issues.len()), (2, 0));
    let with = case.facts(&other, Some(&NO_KEY));
    assert_eq!(with.certificate().map(|row| row.fingerprint), Some(Some(other)));
    assert_eq!((with.of.issues.len(), with.of.key_proven), (2, false));
    let of_service = case.facts(&service, Some(&NO_KEY));
    case.assert_of(&of_service.of, &strange.holder());
    assert_eq!((of_service.of.current.len(), of_service.of.issues.len()), (1, 1));
    let alone = |fingerprint, alone| Query::Certificate { fingerprint, alone, key: None };
    assert_eq!(case.store.facts(&alone(Fingerprint([7; 32]), false)), Ok(None));
    let row = case.store.facts(&alone(old, true)).expect("rows can be read").expect("it is known");
    assert_eq!((row.certificate(), &row.of), (without.certificate(), &HolderFacts::default()));
}

fn key_proven(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let (first, theirs, party) =
        (case.intended(Some(device)), case.intended(Some(other)), case.intended(None));
    let own = case.issue(&first);
    let (of_other, of_party) = (case.issue(&theirs), case.issue(&party));
    assert!(!case.facts(&own, Some(&first.spki)).of.key_proven, "issued only");
    let entries = [case.builder.confirmed(first.certificate), case.builder.confirmed(party.certificate)];
    case.accept(entries);
    assert!(case.facts(&own, Some(&first.spki)).of.key_proven);
    assert!(!case.facts(&own, None).of.key_proven, "not asked about");
    assert!(!case.facts(&of_other, Some(&first.spki)).of.key_proven, "another device's");
    assert!(!case.facts(&of_party, Some(&first.spki)).of.key_proven, "a device's");
    assert!(case.facts(&of_party, Some(&party.spki)).of.key_proven);
}

fn last_issues(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let token = case.builder.token_id();
    let mut given = Vec::new();
    let mut fingerprint = None;
    // Generations in another order than that of their intents.
    for generation in [1, 3, 2, 10, 9, 8, 7, 6, 5, 4] {
        let on = (generation == 10).then_some(token);
        let intent = Intent { token: on, ..case.builder.intent(Some(device), case.authority) };
        let mut draft = case.builder.intended(&intent);
        if let Event::CertificateIntended(event) = &mut draft.event {
            event.generation = generation;
        }
        given.push(IssueRow { generation, intended_at: draft.envelope.at, token: on });
        case.accept([draft]);
        fingerprint.get_or_insert_with(|| case.issue(&intent));
    }
    given.sort_by_key(|issue| core::cmp::Reverse(issue.generation));
    let fingerprint = fingerprint.expect("the first was issued");
    assert_eq!(case.facts(&fingerprint, Some(&NO_KEY)).of.issues, given[..ISSUES_READ]);
}

fn of_token(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    case.intended(Some(device));
    let entry = case.builder.party_registered(IdentityKind::Service, "pump-01", &["gateway"]);
    case.accept([entry]);
    for kind in [IdentityKind::Operational, IdentityKind::Service] {
        let token = case.builder.token_id();
        let mut draft = case.builder.token_created(token, TokenSubject::Prefix(name("pump")), 9);
        if let Event::TokenCreated(event) = &mut draft.event {
            event.kind = kind;
        }
        let Some((_, Private::Token(private))) = &draft.private else { panic!("a token has a secret") };
        let secret = private.secret_sha256;
        case.accept([draft]);
        let found = case.token_facts(secret, "pump-01").expect("the token is known");
        assert_eq!(Ok(found.token().cloned()), case.store.token(token));
        let alone = case.store.facts(&Query::Token { secret_sha256: secret, for_whom: None });
        let alone = alone.expect("rows can be read").expect("the token is known");
        assert_eq!((alone.token(), &alone.of), (found.token(), &HolderFacts::default()));
        let holder = match kind {
            IdentityKind::Operational => Holder::Device(device),
            kind => Holder::Party { kind, name: name("pump-01") },
        };
        case.assert_of(&found.of, &holder);
        let Found::Token { party, .. } = found.found else { panic!("a token was asked for") };
        assert_eq!(party.is_some(), kind == IdentityKind::Service, "{kind:?}");
        let nobody = case.token_facts(secret, "pump-02").expect("the token is known");
        let no_party = matches!(nobody.found, Found::Token { party: None, .. });
        assert!(no_party && nobody.of == HolderFacts::default(), "{kind:?}");
    }
    assert_eq!(case.token_facts([0; 32], "pump-01"), None);
}

fn only_burned(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let token = case.builder.token_id();
    let draft = case.builder.token_created(token, TokenSubject::Prefix(name("pump")), 9);
    let Some((_, Private::Token(private))) = &draft.private else { panic!("a token has a secret") };
    let secret = private.secret_sha256;
    case.accept([draft]);
    let is = |case: &Case<'_>| {
        let found = case.token_facts(secret, "pump-01").map(|facts| facts.found);
        matches!(found, Some(Found::Token { only_burned: true, .. }))
    };
    assert!(!is(case), "nothing at all");
    let intent = Intent { token: Some(token), ..case.builder.intent(Some(device), case.authority) };
    case.record(&intent);
    assert!(!is(case));
    let entry = case.builder.burned(intent.certificate, Some(token));
    case.accept([entry]);
    assert!(is(case), "burned on it");
    let elsewhere = case.intended(Some(device));
    let entry = case.builder.burned(elsewhere.certificate, None);
    case.accept([entry]);
    assert!(!is(case), "burned, but not on it");
}

fn of_hardware(case: &mut Case<'_>) {
    let device: DeviceId = case.device("pump-01");
    let maker = case.builder.maker_id();
    let entries = [
        case.builder.maker_registered(maker, "acme"),
        case.builder.hardware_registered(device, maker, "SN-1"),
    ];
    case.accept(entries);
    let intent = case.intended(Some(device));
    case.issue(&intent);
    let entry = case.builder.confirmed(intent.certificate);
    case.accept([entry]);
    let asked = |case: &Case<'_>, id: &str| {
        let (environment, hardware_id, key) = (name("lab"), id.to_owned(), intent.spki);
        let query = Query::Hardware { environment, maker, hardware_id, key };
        case.store.facts(&query).expect("rows can be read")
    };
    let found = asked(case, "SN-1").expect("it is expected");
    let hardware = case.store.hardware(&name("lab"), maker, "SN-1").expect("rows can be read");
    assert_eq!(Some(found.found), hardware.map(Found::Hardware));
    case.assert_of(&found.of, &Holder::Device(device));
    assert_eq!((found.of.issues.len(), found.of.key_proven), (1, true));
    assert_eq!(asked(case, "SN-2"), None);
}
