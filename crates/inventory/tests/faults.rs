//! The store in memory loses commits when it is told to: each either leaves nothing, or everything.
#![allow(clippy::unwrap_used)]

use touchmark_identity::{Actor, DeviceId, Timestamp};
use touchmark_inventory::{
    Change, Command, Conflict, Fault, MemoryStore, Precondition, Store, StoreFault, Tables, UniqueKey,
    Unprojectable, project,
};
use touchmark_journal::{
    CertificateBody, DevicePrivate, DeviceRegistered, Draft, Envelope, Event, Private, Refused, Salt, Scope,
};

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap()
}

fn draft(event: Event, private: Option<Private>) -> Draft {
    let scope = Scope { organisation: name("example"), environment: Some(name("lab")) };
    let actor = Actor::automation(name("test"));
    let envelope = Envelope { scope, actor, cause: "test".into(), at: Timestamp::from_unix_s(1_700_000_000) };
    Draft { envelope, event, private: private.map(|private| (Salt([1; 16]), private)) }
}

fn device(number: u8) -> Draft {
    let device = DeviceId::draw(Timestamp::from_unix_s(1), [number; 10]);
    let private = DevicePrivate { name: name(&format!("pump-{number}")), model: None, owner: name("ada") };
    draft(Event::DeviceRegistered(DeviceRegistered { device }), Some(Private::Device(private)))
}

fn command(number: u8) -> Command {
    let free =
        Precondition::DeviceNameFree { environment: name("lab"), name: name(&format!("pump-{number}")) };
    Command { preconditions: vec![free], entries: vec![device(number)] }
}

fn replayed(store: &MemoryStore) -> Tables {
    let mut tables = Tables::default();
    for stored in store.journal_from(0, usize::MAX).unwrap() {
        project(&stored.entry).unwrap().into_iter().for_each(|change| tables.apply(change));
    }
    tables
}

#[test]
fn each_fault_tells_the_caller_what_it_says_and_stores_what_it_says() {
    // What the caller sees when it asks again shows which of the two unknown outcomes it was.
    let rows = [
        ("it passes", Fault::None, true, 1, true),
        ("it is lost", Fault::Lost, false, 0, false),
        ("it is stored, but reported lost", Fault::StoredButReportedLost, false, 1, true),
    ];
    for (what, fault, told_stored, entries, taken) in rows {
        let store = MemoryStore::new();
        store.plan_faults([fault]);
        let outcome = store.commit(command(1));
        match &outcome {
            Ok(receipt) => assert!(told_stored && receipt.first_seq == 0, "{what}"),
            Err(fault) => assert!(!told_stored && matches!(fault, StoreFault::Storage(_)), "{what}: {fault}"),
        }
        assert_eq!(store.journal_len(), Ok(entries), "{what}");
        assert_eq!(store.dump_rows().unwrap(), replayed(&store).dump(), "{what}: replay equals rows");
        let again = store.commit(command(1));
        assert_eq!(matches!(again, Err(StoreFault::Conflict(_))), taken, "{what}: asked again, {again:?}");
    }
}

#[test]
fn faults_fall_in_the_order_of_the_plan_and_then_all_passes() {
    let store = MemoryStore::new();
    store.plan_faults([Fault::None, Fault::Lost]);
    store.plan_faults([Fault::StoredButReportedLost]);
    let outcomes: Vec<bool> = (1..=5).map(|number| store.commit(command(number)).is_ok()).collect();
    assert_eq!(outcomes, [true, false, false, true, true]);
    assert_eq!(store.journal_len(), Ok(4));
    assert_eq!(store.dump_rows().unwrap(), replayed(&store).dump());
    assert_eq!(store.commit(command(6)).unwrap().first_seq, 4, "no gap where one was lost");
}

#[test]
fn a_conflict_is_told_even_when_the_answer_to_a_good_command_would_be_lost() {
    let store = MemoryStore::new();
    store.commit(command(1)).unwrap();
    store.plan_faults([Fault::StoredButReportedLost]);
    let refused = store.commit(command(1));
    let failed = command(1).preconditions.pop().unwrap();
    assert_eq!(refused, Err(Conflict { failed }.into()));
    assert!(store.commit(command(2)).is_ok(), "the plan is used up");
}

#[test]
fn the_callback_may_ask_the_store_again() {
    let store = std::sync::Arc::new(MemoryStore::new());
    let (tell, told) = std::sync::mpsc::channel();
    let again = std::sync::Arc::clone(&store);
    store.submit(
        command(1),
        Box::new(move |outcome| tell.send((outcome.is_ok(), again.journal_len())).unwrap()),
    );
    assert_eq!(told.recv(), Ok((true, Ok(1))));
}

#[test]
fn an_entry_that_no_command_of_ours_makes_cannot_be_projected() {
    let mut foreign = device(1);
    foreign.private = Some((Salt([1; 16]), Private::Certificate(CertificateBody { der: vec![] })));
    let mut nowhere = device(1);
    nowhere.envelope.scope.environment = None;
    let rows = [
        ("a foreign private part", foreign, Unprojectable::ForeignPrivate { seq: 9 }),
        ("a device without an environment", nowhere, Unprojectable::NoEnvironment { seq: 9 }),
    ];
    for (what, draft, expected) in rows {
        assert_eq!(project(&draft.at(9)), Err(expected), "{what}");
    }
}

#[test]
fn only_added_rows_take_keys() {
    let changes = project(&device(1).at(0)).unwrap();
    let keys: Vec<UniqueKey> = changes.iter().flat_map(Change::takes).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let mut tables = Tables::default();
    assert!(keys.iter().all(|key| !tables.has(key)));
    changes.into_iter().for_each(|change| tables.apply(change));
    assert!(keys.iter().all(|key| tables.has(key)));
    let refused = draft(Event::Refused(Refused { code: "token".into(), count: 1, device: None }), None);
    assert!(project(&refused.at(1)).unwrap().iter().all(|change| change.takes().is_empty()));
}
