//! Tokens: counted, given back, voided, found by their password.

use super::{Case, Claim};
use crate::journal_builder::name;
use touchmark_identity::TokenId;
use touchmark_inventory::{Precondition, StoreFault, TokenRow};
use touchmark_journal::{Draft, Private, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("an intent counts one use of its token, a burn gives it back, an issue does not", uses),
    ("a token of N uses is used N times, whoever asks at once", never_more_than_its_uses),
    ("revoking a device voids the tokens that name it there, and no others", void),
    ("a token made after a revocation works", after_revocation),
    ("a token is found by its password's hash, with all that it says", by_secret),
];

impl Case<'_> {
    fn token(&mut self, subject: TokenSubject, uses: u32) -> (TokenId, [u8; 32]) {
        let token = self.builder.token_id();
        let draft = self.builder.token_created(token, subject, uses);
        let secret = secret_of(&draft);
        self.accept([draft]);
        (token, secret)
    }

    fn token_row(&self, secret: &[u8; 32]) -> TokenRow {
        self.store.token_by_secret(secret).expect("rows can be read").expect("the token is known")
    }
}

fn secret_of(draft: &Draft) -> [u8; 32] {
    match &draft.private {
        Some((_, Private::Token(token))) => token.secret_sha256,
        _ => panic!("a token has a secret"),
    }
}

fn named(handle: &str) -> TokenSubject {
    TokenSubject::Named(name(handle))
}

fn uses(case: &mut Case<'_>) {
    let (token, secret) = case.token(TokenSubject::Prefix(name("pump")), 3);
    let intents: Vec<_> = (0..2)
        .map(|_| {
            let intent = case.builder.intent(None, case.authority).on(token);
            case.record(&intent);
            intent
        })
        .collect();
    assert_eq!(case.token_row(&secret).uses, 2);
    for intent in intents.iter().take(1) {
        case.issue(intent);
    }
    assert_eq!(case.token_row(&secret).uses, 2, "an issue counts nothing");
    for (left, intent) in [1, 0, 0].into_iter().zip(intents.iter().cycle()) {
        let entry = case.builder.burned(intent.certificate, Some(token));
        case.accept([entry]);
        assert_eq!(case.token_row(&secret).uses, left, "never below zero");
    }
    let unknown = case.builder.token_id();
    let intent = case.builder.intent(None, case.authority).on(unknown);
    case.record(&intent);
    let row = case.store.certificate(intent.certificate).expect("rows can be read");
    assert_eq!(row.and_then(|row| row.token), Some(unknown), "an unknown token is kept");
}

fn never_more_than_its_uses(case: &mut Case<'_>) {
    const USES: u32 = 5;
    let (token, secret) = case.token(TokenSubject::Prefix(name("pump")), USES);
    let now = case.builder.now();
    let commands: Vec<_> = (0..20)
        .map(|_| {
            let intent = case.builder.intent(None, case.authority).on(token);
            crate::command([Precondition::TokenUsable { token, now }], [case.builder.intended(&intent)])
        })
        .collect();
    let store = case.store;
    let accepted = std::thread::scope(|scope| {
        let asked: Vec<_> =
            commands.into_iter().map(|command| scope.spawn(move || store.commit(command))).collect();
        asked
            .into_iter()
            .map(|thread| thread.join().expect("no thread failed"))
            .filter(|outcome| match outcome {
                Ok(_) => true,
                Err(StoreFault::Conflict(_)) => false,
                Err(other) => panic!("neither accepted nor refused: {other}"),
            })
            .count()
    });
    assert_eq!(accepted, 5);
    assert_eq!(case.token_row(&secret).uses, USES);
}

fn void(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let rows = [
        ("names it", named("pump-01"), "lab", true),
        ("names it again", named("pump-01"), "lab", true),
        ("names another", named("pump-02"), "lab", false),
        ("prefix of it", TokenSubject::Prefix(name("pump-01")), "lab", false),
        ("names its namesake", named("pump-01"), "plant", false),
    ];
    let made: Vec<_> = rows
        .into_iter()
        .map(|(what, subject, environment, void)| {
            case.builder.move_to(environment);
            (what, case.token(subject, 1).1, void)
        })
        .collect();
    case.builder.move_to("lab");
    case.revoke(None, &[]);
    assert!(
        made.iter().all(|(_, secret, _)| !case.token_row(secret).void),
        "a party's revocation voids none"
    );
    case.revoke(Some(device), &[]);
    for (what, secret, void) in made {
        assert_eq!(case.token_row(&secret).void, void, "{what}");
    }
}

fn after_revocation(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    case.revoke(Some(device), &[]);
    let (token, secret) = case.token(named("pump-01"), 1);
    assert!(!case.token_row(&secret).void);
    let now = case.builder.now();
    assert!(case.holds(Precondition::TokenUsable { token, now }));
}

fn by_secret(case: &mut Case<'_>) {
    let (_, other) = case.token(named("pump-02"), 1);
    let (token, secret) = case.token(TokenSubject::Prefix(name("pump")), u32::MAX);
    let row = case.token_row(&secret);
    assert_eq!((row.token, row.uses_max, row.uses, row.void), (token, u32::MAX, 0, false));
    assert_eq!(row.subject, Some(TokenSubject::Prefix(name("pump"))));
    assert_eq!(row.hosts, ["pump.example.com", "192.0.2.1"]);
    assert_eq!(row.created_by, name("ada"));
    assert_ne!(case.token_row(&other).token, token);
    assert_eq!(case.store.token_by_secret(&[0; 32]), Ok(None));

    let erased = case.builder.token_id();
    let mut draft = case.builder.token_created(erased, named("pump-03"), 1);
    let secret = secret_of(&draft);
    draft.private = None;
    case.accept([draft]);
    assert_eq!(case.store.token_by_secret(&secret), Ok(None), "an erased token opens nothing");
}
