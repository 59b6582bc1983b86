//! Commands: all or nothing each, by themselves in a shared commit, and never two rows with one key.

use super::{Case, Claim};
use crate::journal_builder::{JournalBuilder, command, name};
use std::sync::mpsc::{channel, sync_channel};
use touchmark_identity::Fingerprint;
use touchmark_inventory::{CertificateState, Precondition, StoreFault};
use touchmark_journal::{Draft, Event, Standing, TokenSubject};

pub(super) const CLAIMS: &[Claim] = &[
    ("a new store is empty", empty),
    ("a command's entries stand side by side, and its receipt says where", receipts),
    ("an empty command writes nothing", empty_command),
    ("in one commit each command is accepted or refused by itself, in order", batch),
    ("a later command of a commit sees the rows of an earlier one", batch_sees_itself),
    ("a refused command leaves nothing, wherever it fails", nothing_stays),
    ("a key that is taken refuses the whole command, even without preconditions", taken_keys),
    ("an entry that cannot be written is refused, and the store goes on", unwritable),
    ("a revoked intent cannot be issued", revoked_before_issue),
    ("eight threads at once: every receipt is its own, and no place is left out", threads),
];

fn damaged(outcome: Result<touchmark_inventory::Receipt, StoreFault>, what: &str) {
    assert!(matches!(outcome, Err(StoreFault::Damaged(_))), "{what}: {outcome:?}");
}

fn empty(case: &mut Case<'_>) {
    assert_eq!(case.store.journal_len(), Ok(0));
    assert_eq!(case.store.journal_from(0, 10), Ok(Vec::new()));
    assert_eq!(case.store.dump_rows(), Ok(Vec::new()));
    assert_eq!(case.store.log_head(), Ok(None));
    assert_eq!(case.store.started(), Ok((0, 1)));
    assert_eq!(case.store.environments(), Ok(Vec::new()));
    assert_eq!(case.store.open_intents(), Ok(Vec::new()));
}

fn receipts(case: &mut Case<'_>) {
    for (first_seq, count) in [(0, 1), (1, 3), (4, 2)] {
        let entries: Vec<_> = (0..count).map(|_| case.builder.refused("code", 1, None)).collect();
        let receipt = case.accept(entries);
        assert_eq!((receipt.first_seq, receipt.entries), (first_seq, count));
    }
}

fn empty_command(case: &mut Case<'_>) {
    let receipt = case.accept([]);
    assert_eq!((receipt.first_seq, receipt.entries), (0, 0));
    assert_eq!(case.store.journal_len(), Ok(0));
}

/// Submits while the store's own thread is held by an earlier callback, so that a store that groups commits
/// finds them all queued.
fn together(case: &Case<'_>, commands: Vec<touchmark_inventory::Command>) -> Vec<Result<u64, StoreFault>> {
    let (release, held) = channel::<()>();
    let (reached, at_hold) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let hold = move |_| {
                reached.send(()).expect("the test waits");
                held.recv().expect("the test releases");
            };
            case.store.submit(command([], []), Box::new(hold));
        });
        at_hold.recv().expect("the empty command is answered");
        let (tell, told) = sync_channel(commands.len());
        let count = commands.len();
        for (number, command) in commands.into_iter().enumerate() {
            let tell = tell.clone();
            let done = move |outcome: Result<touchmark_inventory::Receipt, StoreFault>| {
                tell.send((number, outcome.map(|receipt| receipt.first_seq))).expect("the test waits");
            };
            case.store.submit(command, Box::new(done));
        }
        release.send(()).expect("the callback waits");
        let mut outcomes: Vec<_> = told.iter().take(count).collect();
        outcomes.sort_by_key(|(number, _)| *number);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    })
}

fn batch(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let good = Precondition::DeviceStanding { device, standing: Standing::Active };
    let bad = Precondition::DeviceStanding { device, standing: Standing::Banned };
    let mut commands = Vec::new();
    for number in 0..9 {
        let precondition = if number % 3 == 1 { bad.clone() } else { good.clone() };
        let entry = match number {
            // Not a precondition but a taken key.
            2 => case.builder.device_registered(device, "pump-09"),
            _ => case.builder.refused("code", 1, None),
        };
        commands.push(command([precondition], [entry]));
    }
    let outcomes = together(case, commands);
    let accepted: Vec<Option<u64>> = outcomes.iter().map(|outcome| outcome.clone().ok()).collect();
    assert_eq!(accepted, [Some(1), None, None, Some(2), None, Some(3), Some(4), None, Some(5)]);
    assert!(matches!(outcomes.get(1), Some(Err(StoreFault::Conflict(_)))));
    assert!(matches!(outcomes.get(2), Some(Err(StoreFault::Damaged(_)))));
}

fn batch_sees_itself(case: &mut Case<'_>) {
    let free = Precondition::DeviceNameFree { environment: name("lab"), name: name("pump-01") };
    let commands = (0..3)
        .map(|_| {
            let device = case.builder.device_id();
            command([free.clone()], [case.builder.device_registered(device, "pump-01")])
        })
        .collect();
    let outcomes = together(case, commands);
    let accepted: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false]);
}

fn nothing_stays(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let before = case.store.dump_rows();
    let new = case.builder.device_id();
    let entries = |builder: &mut JournalBuilder| {
        let first = builder.device_registered(new, "pump-02");
        let taken = builder.device_registered(device, "pump-03");
        [builder.refused("code", 1, None), first, taken]
    };
    let drafts = entries(&mut case.builder);
    damaged(case.submit([], drafts), "fails at its last entry");
    let banned = Precondition::DeviceStanding { device, standing: Standing::Banned };
    let drafts = entries(&mut case.builder);
    assert!(matches!(case.submit([banned], drafts), Err(StoreFault::Conflict(_))));
    assert_eq!(case.store.dump_rows(), before);
    assert_eq!(case.store.journal_len(), Ok(1));
    assert_eq!(case.store.device(new), Ok(None));
    let entry = case.builder.device_registered(new, "pump-02");
    case.accept([entry]);
}

fn taken_keys(case: &mut Case<'_>) {
    let authority = case.authority;
    let device = case.device("pump-01");
    let token = case.builder.token_id();
    let intent = case.intended(Some(device));
    let profile = case.builder.profile_activated();
    let same_key =
        |of: Draft, builder: &mut JournalBuilder| Draft { event: of.event, ..builder.refused("x", 1, None) };
    let subject = || TokenSubject::Named(name("pump-01"));
    let first = [
        case.builder.authority_created(authority),
        case.builder.environment_created(),
        profile.clone(),
        case.builder.token_created(token, subject(), 1),
    ];
    case.accept(first);
    let len = case.store.journal_len();

    let mut domain = case.builder.environment_created();
    if let Event::EnvironmentCreated(created) = &mut domain.event {
        created.name = name("other");
    }
    let other = case.builder.device_id();
    let serial = crate::Intent { certificate: case.builder.certificate_id(), ..intent.clone() };
    let row = crate::Intent { serial: case.builder.serial(), ..intent.clone() };
    let rows: Vec<(&str, Draft)> = vec![
        ("an authority version", case.builder.authority_created(authority)),
        ("an environment", case.builder.environment_created()),
        ("a trust domain", domain),
        ("a profile version", same_key(profile, &mut case.builder)),
        ("a token", case.builder.token_created(token, subject(), 1)),
        ("a device", case.builder.device_registered(device, "pump-02")),
        ("a device's name", case.builder.device_registered(other, "pump-01")),
        ("a certificate's row", case.builder.intended(&row)),
        ("a serial number", case.builder.intended(&serial)),
    ];
    for (what, draft) in rows {
        damaged(case.submit([], [draft]), what);
    }
    let twice = case.builder.device_id();
    let pair =
        [case.builder.device_registered(twice, "pump-03"), case.builder.device_registered(twice, "pump-04")];
    damaged(case.submit([], pair), "twice in one command");
    assert_eq!(case.store.journal_len(), len);

    case.builder.move_to("plant");
    let elsewhere = [case.builder.environment_created(), case.builder.device_registered(other, "pump-01")];
    case.accept(elsewhere);
}

fn unwritable(case: &mut Case<'_>) {
    let mut long = case.builder.refused("code", 1, None);
    long.envelope.cause = "x".repeat(65);
    damaged(case.submit([], [long]), "a cause too long");
    let large = case.builder.refused(&"x".repeat(70_000), 1, None);
    damaged(case.submit([], [large]), "a leaf too long");
    let device = case.builder.device_id();
    let token = case.builder.token_id();
    let mut foreign = case.builder.device_registered(device, "pump-01");
    foreign.private = case.builder.token_created(token, TokenSubject::Named(name("pump-01")), 1).private;
    damaged(case.submit([], [foreign]), "the private part of another event");
    let mut nowhere = case.builder.device_registered(device, "pump-01");
    nowhere.envelope.scope.environment = None;
    damaged(case.submit([], [nowhere]), "a device without an environment");
    assert_eq!(case.store.journal_len(), Ok(0));
    case.device("pump-01");
}

fn revoked_before_issue(case: &mut Case<'_>) {
    let device = case.device("pump-01");
    let intent = case.intended(Some(device));
    case.revoke(Some(device), &[&intent]);
    let certificate = intent.certificate;
    let entry = case.builder.issued(certificate, Fingerprint([9; 32]));
    let intended = Precondition::CertificateInState { certificate, state: CertificateState::Intended };
    assert!(matches!(case.submit([intended], [entry]), Err(StoreFault::Conflict(_))));
    let row = case.store.certificate(certificate).expect("rows can be read").expect("the row stays");
    assert_eq!((row.state, row.der), (CertificateState::Revoked, None));
}

fn threads(case: &mut Case<'_>) {
    const THREADS: u64 = 8;
    const EACH: u64 = 25;
    let store = case.store;
    let mut places: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|number| {
                scope.spawn(move || {
                    let mut builder = JournalBuilder::numbered(number);
                    let mut places = Vec::new();
                    for each in 0..EACH {
                        let device = builder.device_id();
                        let handle = format!("pump-{number}-{each}");
                        let entries = [
                            builder.device_registered(device, &handle),
                            builder.standing_changed(device, Standing::Quarantined),
                        ];
                        let free =
                            Precondition::DeviceNameFree { environment: name("lab"), name: name(&handle) };
                        let receipt = store.commit(command([free], entries)).expect("nobody is in the way");
                        let stored =
                            store.journal_from(receipt.first_seq, 2).expect("it can be read at once");
                        assert!(stored.iter().all(|entry| match &entry.entry.event {
                            Event::DeviceRegistered(e) => e.device == device,
                            Event::StandingChanged(e) => e.device == device,
                            _ => false,
                        }));
                        places.extend(receipt.first_seq..receipt.first_seq + receipt.entries);
                    }
                    places
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread failed")).collect()
    });
    places.sort_unstable();
    assert_eq!(places, (0..THREADS * EACH * 2).collect::<Vec<_>>());
}
