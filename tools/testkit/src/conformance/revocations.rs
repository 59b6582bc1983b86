//! Revocations by set: what dies is found by the store as it accepts the command, and stands in the entry.

use super::{Case, Claim};
use crate::journal_builder::{Intent, name};
use touchmark_identity::{CertificateId, DeviceId};
use touchmark_inventory::{CertificateState, Holder, Precondition, killed};
use touchmark_journal::{Draft, Event, IdentityKind, Standing, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("a holder's revocation kills all that lives of it, intents too, whatever the command says", of_holder),
    (
        "what came before in the same command is not missed, and a holder without certificates is no fault",
        empty,
    ),
    ("more than one leaf holds dies in several entries of one commit", many),
    ("a certificate's revocation kills its unproven successors, and no other", line),
    ("a party's revocation voids the tokens for it and, of an operator, those that it made", tokens_of_party),
    ("a device's revocation voids no token for an operator or service of its name", tokens_of_kind),
    ("a suspected clone of a party is counted, and its roles change nothing of that", party_clones),
    ("alive, not banned, held until, revoked at", preconditions),
];

impl Case<'_> {
    fn state_of(&self, certificate: CertificateId) -> CertificateState {
        self.store.certificate(certificate).expect("rows can be read").expect("it is there").state
    }

    /// One intent in each state, by name.
    fn one_of_each(&mut self, device: Option<DeviceId>) -> Vec<(CertificateState, Intent)> {
        let made: Vec<Intent> = (0..6).map(|_| self.intended(device)).collect();
        let [_, issued, confirmed, superseded, revoked, burned] = &made[..] else { panic!("six were made") };
        for intent in [issued, confirmed, superseded, revoked] {
            self.issue(intent);
        }
        let entries = vec![
            self.builder.confirmed(confirmed.certificate),
            self.builder.superseded(superseded.certificate, confirmed.certificate),
            self.builder.revoked(None, &[revoked]),
            self.builder.burned(burned.certificate, None),
        ];
        self.accept(entries);
        use CertificateState::{Burned, Confirmed, Intended, Issued, Revoked, Superseded};
        [Intended, Issued, Confirmed, Superseded, Revoked, Burned].into_iter().zip(made).collect()
    }

    fn denied(&self, intent: &Intent) -> bool {
        let denied = self.store.denied_keys(&self.builder.environment()).expect("rows can be read");
        denied.iter().any(|row| row.spki == intent.spki)
    }
}

fn of_holder(case: &mut Case<'_>) {
    let (device, other) = (case.device("pump-01"), case.device("pump-02"));
    let spared = case.intended(Some(other));
    let made = case.one_of_each(Some(device));
    let over = Intent { not_after_s: 1_700_000_900, ..case.builder.intent(Some(device), case.authority) };
    case.record(&over);
    let entry = case.builder.superseded(over.certificate, over.certificate);
    case.accept([entry]);
    let mut draft = case.builder.holder_revoked(Holder::Device(device));
    draft.envelope.at = touchmark_identity::Timestamp::from_unix_s(1_700_000_901);
    // What a caller wrote there is no list to go by.
    if let Event::HolderRevoked(event) = &mut draft.event {
        event.certificates = vec![touchmark_journal::RevokedCertificate {
            certificate: spared.certificate,
            spki: spared.spki,
        }];
    }
    let receipt = case.accept([draft]);
    assert_eq!(receipt.entries, 1);
    let entries = case.store.journal_from(receipt.first_seq, 1).expect("the journal can be read");
    let mut dead: Vec<_> = killed(&entries[0].entry.event).iter().map(|dead| dead.certificate).collect();
    dead.sort();
    let mut expected: Vec<_> = made[..4].iter().map(|(_, intent)| intent.certificate).collect();
    expected.sort();
    assert_eq!(dead, expected);
    for (was, intent) in &made {
        let now = case.state_of(intent.certificate);
        let burned = *was == CertificateState::Burned;
        assert_eq!(now == CertificateState::Burned, burned, "{was:?}");
        assert_eq!(now == CertificateState::Revoked, !burned, "{was:?}");
        assert_eq!(case.denied(intent), !burned, "{was:?}");
    }
    assert_eq!(case.state_of(over.certificate), CertificateState::Superseded, "it is over");
    assert_eq!(case.state_of(spared.certificate), CertificateState::Intended);
    let row = case.store.device(device).expect("rows can be read").expect("it is known");
    assert_eq!(row.revoked_at, Some(entries[0].entry.envelope.at));
}

fn empty(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let entry = case.builder.holder_revoked(Holder::Device(device));
    assert_eq!(case.accept([entry]).entries, 1);
    let intent = case.intended(Some(device));
    let entries = [
        case.builder.standing_changed(device, Standing::Banned),
        case.builder.holder_revoked(Holder::Device(device)),
    ];
    assert_eq!(case.accept(entries).entries, 2);
    assert_eq!(case.state_of(intent.certificate), CertificateState::Revoked);
    let nobody = case.builder.device_id();
    let entry = case.builder.holder_revoked(Holder::Device(nobody));
    case.accept([entry]);
}

fn many(case: &mut Case<'_>) {
    const MANY: usize = 1_201;
    let device = case.device("pump-01");
    let intents: Vec<Intent> = (0..MANY).map(|_| case.builder.intent(Some(device), case.authority)).collect();
    let entries: Vec<Draft> = intents.iter().map(|intent| case.builder.intended(intent)).collect();
    case.accept(entries);
    let entry = case.builder.holder_revoked(Holder::Device(device));
    let receipt = case.accept([entry]);
    assert_eq!(receipt.entries, 2);
    let entries = case.store.journal_from(receipt.first_seq, 2).expect("the journal can be read");
    let counts: Vec<usize> = entries.iter().map(|stored| killed(&stored.entry.event).len()).collect();
    assert_eq!(counts, [1_000, 201]);
    let all = case.store.certificates_of_device(device).expect("rows can be read");
    assert!(all.iter().all(|row| row.state == CertificateState::Revoked));
}

fn line(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let root = case.intended(Some(device));
    let token = case.builder.token_id();
    let after = |case: &mut Case<'_>, of: &Intent, on| {
        let intent = case.builder.intent(Some(device), case.authority);
        let intent = Intent { replaces: Some(of.certificate), token: on, ..intent };
        case.record(&intent);
        case.issue(&intent);
        intent
    };
    case.issue(&root);
    let unproven = after(case, &root, None);
    let replaced = after(case, &root, None);
    let proven = after(case, &root, None);
    let by_token = after(case, &root, Some(token));
    let of_proven = after(case, &proven, None);
    let entries = vec![
        case.builder.confirmed(root.certificate),
        case.builder.superseded(replaced.certificate, unproven.certificate),
        case.builder.confirmed(proven.certificate),
    ];
    case.accept(entries);
    let successors = case.store.successors_of(root.certificate).expect("rows can be read");
    let successors: Vec<_> = successors.iter().map(|row| row.certificate).collect();
    assert_eq!(successors, [proven.certificate, replaced.certificate, unproven.certificate]);
    let entry = case.builder.certificate_revoked(root.certificate);
    case.accept([entry]);
    let rows = [
        ("itself", &root, true),
        ("never proven", &unproven, true),
        ("never proven, and replaced", &replaced, true),
        ("proven", &proven, false),
        ("on a token", &by_token, false),
        ("of the proven one", &of_proven, false),
    ];
    for (what, intent, dead) in rows {
        assert_eq!(case.state_of(intent.certificate) == CertificateState::Revoked, dead, "{what}");
        assert_eq!(case.denied(intent), dead, "{what}");
    }
    assert!(case.store.device(device).expect("rows can be read").expect("it is known").revoked_at.is_none());
}

fn tokens_of_party(case: &mut Case<'_>) {
    let token = |case: &mut Case<'_>, handle: &str, kind, by: &str| {
        let token = case.builder.token_id();
        let mut draft = case.builder.token_created(token, TokenSubject::Named(name(handle)), 1);
        draft.envelope.actor = touchmark_identity::Actor::person(name(by));
        if let Event::TokenCreated(event) = &mut draft.event {
            event.kind = kind;
        }
        case.accept([draft]);
        token
    };
    use IdentityKind::{Operational, Operator, Service};
    let rows = [
        ("for it", "ada", Operator, "grace", true),
        ("by it", "pump-01", Operational, "ada", true),
        ("for another", "grace", Operator, "grace", false),
        ("for a service of its name", "ada", Service, "grace", false),
        ("for a device of its name", "ada", Operational, "grace", false),
    ];
    let made = rows.map(|(what, handle, kind, by, void)| (what, token(case, handle, kind, by), void));
    let void = |case: &Case<'_>, token| {
        case.store.token(token).expect("rows can be read").expect("it is known").void
    };
    let entry = case.builder.holder_revoked(Holder::Party { kind: Service, name: name("grace") });
    case.accept([entry]);
    assert!(made.iter().all(|(_, token, _)| !void(case, *token)), "a service makes none");
    let entry = case.builder.holder_revoked(Holder::Party { kind: Operator, name: name("ada") });
    case.accept([entry]);
    for (what, token, dead) in made {
        assert_eq!(void(case, token), dead, "{what}");
    }
}

fn tokens_of_kind(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let mut tokens = Vec::new();
    for kind in [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator] {
        let token = case.builder.token_id();
        let mut draft = case.builder.token_created(token, TokenSubject::Named(name("pump-01")), 1);
        if let Event::TokenCreated(event) = &mut draft.event {
            event.kind = kind;
        }
        case.accept([draft]);
        tokens.push(token);
    }
    let void = |case: &Case<'_>| -> Vec<bool> {
        let row = |token: &_| case.store.token(*token).expect("rows can be read").expect("it is known").void;
        tokens.iter().map(row).collect()
    };
    let entry = case.builder.holder_revoked(Holder::Device(device));
    case.accept([entry]);
    assert_eq!(void(case), [true, false, false]);
    // As the first journals say, which replay as they always did.
    case.revoke(Some(device), &[]);
    assert_eq!(void(case), [true, true, true]);
}

fn party_clones(case: &mut Case<'_>) {
    let alarms = |case: &Case<'_>| {
        let parties = case.store.parties().expect("rows can be read");
        parties
            .iter()
            .map(|row| (row.roles.len(), row.clone_alarms, row.clone_alarm_at.is_some()))
            .collect::<Vec<_>>()
    };
    let entry = case.builder.party_clone_suspected(IdentityKind::Operator, "ada");
    case.accept([entry]);
    assert_eq!(alarms(case), [], "nobody is made by it");
    let entry = case.builder.party_registered(IdentityKind::Operator, "ada", &["fleet"]);
    case.accept([entry]);
    for _ in 0..2 {
        let entry = case.builder.party_clone_suspected(IdentityKind::Operator, "ada");
        case.accept([entry]);
    }
    let entry = case.builder.party_registered(IdentityKind::Operator, "ada", &["admin", "fleet"]);
    case.accept([entry]);
    assert_eq!(alarms(case), [(2, 2, true)]);
}

fn preconditions(case: &mut Case<'_>) {
    for (was, intent) in case.one_of_each(None) {
        let dead = matches!(was, CertificateState::Revoked | CertificateState::Burned);
        assert_eq!(case.holds(Precondition::CertificateAlive(intent.certificate)), !dead, "{was:?}");
    }
    let unknown = case.builder.certificate_id();
    assert!(!case.holds(Precondition::CertificateAlive(unknown)));

    let (device, nobody) = (case.device("pump-01"), case.builder.device_id());
    assert!(!case.holds(Precondition::DeviceNotBanned(nobody)));
    assert!(!case.holds(Precondition::DeviceRevokedAt { device: nobody, at: None }));
    let until = Some(case.builder.now());
    let held = |until| Precondition::QuarantinedUntil { device, until };
    assert!(!case.holds(held(None)), "it is active");
    for (end, other) in [(until, None), (None, until)] {
        let mut draft = case.builder.standing_changed(device, Standing::Quarantined);
        if let Event::StandingChanged(event) = &mut draft.event {
            event.until = end;
        }
        case.accept([draft]);
        assert!(case.holds(held(end)));
        assert!(!case.holds(held(other)), "another end");
    }
    assert!(case.holds(Precondition::DeviceNotBanned(device)));
    let entry = case.builder.standing_changed(device, Standing::Banned);
    case.accept([entry]);
    assert!(!case.holds(Precondition::DeviceNotBanned(device)));

    assert!(case.holds(Precondition::DeviceRevokedAt { device, at: None }));
    let entry = case.builder.holder_revoked(Holder::Device(device));
    let at = Some(entry.envelope.at);
    case.accept([entry]);
    assert!(!case.holds(Precondition::DeviceRevokedAt { device, at: None }));
    assert!(case.holds(Precondition::DeviceRevokedAt { device, at }));
}
