//! A device that one environment knows by several handles.
#![allow(clippy::unwrap_used)]

use touchmark_inventory::{MemoryStore, Store as _};
use touchmark_journal::{Draft, Event, Standing};
use touchmark_projections::{feed_changes, feed_state};
use touchmark_status::Change;
use touchmark_testkit::{Intent, JournalBuilder, command, name};

/// Handles of the changes of standing, and what is said of each.
fn told(changes: Vec<Change>) -> Vec<(String, Option<touchmark_status::Standing>)> {
    let mut told: Vec<_> = changes
        .into_iter()
        .filter_map(|change| match change {
            Change::SetStanding { handle, standing } => Some((handle.to_string(), Some(standing))),
            Change::ClearStanding(handle) => Some((handle.to_string(), None)),
            _ => None,
        })
        .collect();
    told.sort_unstable_by(|one, next| one.0.cmp(&next.0));
    told
}

#[test]
fn a_standing_is_told_of_each_handle_of_the_device_in_the_environment_and_of_no_other() {
    let (store, mut builder) = (MemoryStore::new(), JournalBuilder::new());
    let (device, other) = (builder.device_id(), builder.device_id());
    let authority = builder.authority_version();
    let mut drafts = vec![
        builder.environment_created(),
        builder.authority_created(authority),
        builder.device_registered(device, "pump-01"),
        builder.device_registered(other, "pump-02"),
    ];
    let met = |builder: &mut JournalBuilder, device, handle: &str| -> Draft {
        let intent = Intent { handle: name(handle), ..builder.intent(Some(device), authority) };
        builder.intended(&intent)
    };
    for (device, handle) in [(device, "pump-01"), (device, "x7f2"), (device, "k3d9"), (other, "q5a1")] {
        drafts.push(met(&mut builder, device, handle));
    }
    builder.move_to("plant");
    drafts.push(met(&mut builder, device, "z8m4"));
    builder.move_to("lab");
    store.commit(command([], drafts)).unwrap();

    let quarantined = Some(touchmark_status::Standing::Quarantined);
    let banned = Some(touchmark_status::Standing::Banned);
    for (standing, said) in
        [(Standing::Quarantined, quarantined), (Standing::Active, None), (Standing::Banned, banned)]
    {
        let draft = builder.standing_changed(device, standing);
        let event: Event = draft.event.clone();
        store.commit(command([], [draft])).unwrap();
        let expected: Vec<_> = ["k3d9", "pump-01", "x7f2"].map(|handle| (handle.to_owned(), said)).into();
        assert_eq!(told(feed_changes(&event, &name("lab"), &[], &store).unwrap()), expected);
        let state = feed_state(&name("lab"), authority, &[], &store, builder.now()).unwrap();
        let exceptions: Vec<_> = expected.into_iter().filter(|(_, said)| said.is_some()).collect();
        assert_eq!(told(state), exceptions, "the whole state");
    }
}
