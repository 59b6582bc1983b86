use super::*;
use core::time::Duration;

const HERE: Holder = Holder::V4(Ipv4Addr::new(192, 0, 2, 1));
const THERE: Holder = Holder::V4(Ipv4Addr::new(192, 0, 2, 2));

fn is_over((_, displaced): &mut (Entry, Displaced)) -> bool {
    displaced.try_recv().is_ok()
}

#[test]
fn a_holder_is_an_address_or_a_network_of_64_bits() {
    let holder = |text: &str| Holder::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(holder("192.0.2.1"), HERE);
    assert_eq!(holder("::ffff:192.0.2.1"), HERE);
    assert_eq!(holder("2001:db8:0:1::1"), holder("2001:db8:0:1:ffff::2"));
    assert_ne!(holder("2001:db8:0:1::1"), holder("2001:db8:0:2::1"));
}

#[test]
fn whoever_keeps_us_waiting_ends_first_and_what_waits_for_us_never() {
    use WaitsFor::{Peer, Request, Us};
    type Row<'a> = (&'a str, &'a [(Holder, WaitsFor)], Option<usize>);
    let rows: &[Row<'_>] = &[
        ("within the bounds", &[(HERE, Request), (HERE, Us)], None),
        ("the oldest of those without a request", &[(HERE, Peer), (HERE, Request), (HERE, Request)], Some(1)),
        ("else the oldest that was answered", &[(HERE, Us), (HERE, Peer), (HERE, Peer)], Some(1)),
        ("of the same holder", &[(THERE, Request), (HERE, Us), (HERE, Peer), (HERE, Us)], Some(2)),
        ("never one that waits for us", &[(HERE, Us), (HERE, Us), (HERE, Us)], None),
        (
            "in a full table the one of the fullest holder",
            &[(HERE, Request), (THERE, Us), (THERE, Request), (THERE, Request)],
            Some(2),
        ),
        (
            "in a full table silence before an answer",
            &[(THERE, Peer), (THERE, Peer), (HERE, Request), (THERE, Peer)],
            Some(2),
        ),
    ];
    for (name, held, displaced) in rows {
        let table = ConnectionTable::new(4, Share { silent: 3, all: 3 });
        let mut held: Vec<_> = held.iter().map(|(holder, waits)| table.enter(*holder, *waits)).collect();
        let _newest = table.enter(HERE, Us);
        let over: Vec<_> = (0..held.len()).filter(|at| is_over(&mut held[*at])).collect();
        assert_eq!(over, displaced.iter().copied().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_flood_from_one_address_displaces_itself() {
    let table = ConnectionTable::new(512, Share { silent: 256, all: 512 });
    let mut good = table.enter(THERE, WaitsFor::Peer);
    let mut flood = Vec::new();
    for _ in 0..5_000 {
        flood.push(table.enter(HERE, WaitsFor::Request));
    }
    assert!(!is_over(&mut good));
    assert_eq!(flood.iter_mut().filter_map(|held| is_over(held).then_some(())).count(), 5_000 - 256);
    assert_eq!(table.held().connections.len(), 257);
    assert_eq!(table.held().holders.len(), 2);
}

#[test]
fn a_flood_from_many_addresses_stays_within_the_table() {
    let table = ConnectionTable::new(512, Share { silent: 256, all: 512 });
    let mut good: Vec<_> = (0..10).map(|_| table.enter(THERE, WaitsFor::Peer)).collect();
    let mut flood = Vec::new();
    for network in 0..5_000 {
        flood.push(table.enter(Holder::V6(network), WaitsFor::Request));
    }
    assert_eq!(table.held().connections.len(), 512);
    assert!(!good.iter_mut().any(is_over), "answered ones outlast silent ones");
    drop((good, flood));
    let held = table.held();
    assert!(held.connections.is_empty() && held.holders.is_empty());
    assert_eq!(held.displaceable, 0);
}

#[tokio::test]
async fn room_is_where_a_connection_left_or_waits_for_its_peer() {
    let soon = Duration::from_millis(20);
    let table = ConnectionTable::new(2, Share { silent: 2, all: 2 });
    let (mut first, _displaced) = table.enter(HERE, WaitsFor::Us);
    let second = table.enter(THERE, WaitsFor::Us);
    assert!(tokio::time::timeout(soon, table.has_room()).await.is_err());
    let waiting = tokio::spawn({
        let table = Arc::clone(&table);
        async move { table.has_room().await }
    });
    tokio::task::yield_now().await;
    first.waits(WaitsFor::Peer);
    waiting.await.unwrap();
    first.waits(WaitsFor::Us);
    let waiting = tokio::spawn({
        let table = Arc::clone(&table);
        async move { table.has_room().await }
    });
    tokio::task::yield_now().await;
    drop(second);
    waiting.await.unwrap();
}

/// After a power cut, a thousand devices behind one router come at once: nothing of what we answered ends for them.
#[test]
fn a_crowd_of_good_ones_from_one_address_displaces_nobody_while_there_is_room() {
    let table = ConnectionTable::new(1_024, Share { silent: 256, all: 1_024 });
    let mut crowd: Vec<_> = (0..1_000).map(|_| table.enter(HERE, WaitsFor::Us)).collect();
    for (entry, _) in &mut crowd {
        entry.waits(WaitsFor::Peer);
    }
    let mut flood: Vec<_> = (0..1_000).map(|_| table.enter(HERE, WaitsFor::Request)).collect();
    assert!(!crowd.iter_mut().any(is_over), "silence ends first");
    assert_eq!(flood.iter_mut().filter_map(|held| is_over(held).then_some(())).count(), 1_000 - 24);
}
