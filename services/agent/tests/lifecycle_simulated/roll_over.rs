//! A new root: followed on the old one's word, and on nobody else's (RFC 4210 §4.4).

use super::authority::{Ca, DAY, ca, ca_certificate};
use super::device::Device;
use super::world::World;
use std::time::Duration;
use touchmark_agent::lifecycle::{ANCHORS_MAX, Call, Chain, Wanted};
use touchmark_identity::Validity;
use touchmark_x509::certificate::ExtendedKeyUsage;
use touchmark_x509::{Certificate, KeyAlgorithm, Signer as _, SoftwareKey};

const HOUR: Duration = Duration::from_secs(3600);

fn long(world: &World) -> Validity {
    world.authority.root.certificate.validity()
}

/// A new root, and the certificate in which the present one signs for it.
fn successor(world: &World, number: u64) -> (Ca, Certificate) {
    let new = ca("lab root", number, long(world), None);
    let link = ca_certificate("lab root", number + 1, long(world), &new.key, Some(&world.authority.root));
    (new, link)
}

/// From now on everything comes from under the new root.
fn switch(world: &mut World, root: Ca) {
    let now = world.now;
    let issuing = ca("lab issuing 2", 77, long(world), Some(&root));
    world.authority.issuing = issuing;
    world.authority.root = root;
    world.authority.renew_server(now);
}

#[test]
fn a_new_root_is_followed_on_the_old_ones_word_and_outlives_a_restart() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let (new, link) = successor(&world, 50);
    world.authority.extra = vec![new.certificate.clone(), link];
    let before = device.certificate();
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
    device.run(&mut world, HOUR);
    assert_eq!(device.report(&world).anchors, 2);
    device.restart(&world);
    assert_eq!(device.report(&world).anchors, 2);
    switch(&mut world, new);
    let before = device.certificate();
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
}

/// What `cacerts` holds besides the root, given a stranger's authority.
type Offer = fn(&World, Ca) -> Vec<Certificate>;

#[test]
fn a_new_root_without_a_word_or_with_another_ones_is_not_followed() {
    let stranger = |world: &World| ca("lab root", 90, long(world), None);
    let rows: &[(&str, Offer)] = &[
        ("alone", |world, _| vec![ca("lab root", 50, long(world), None).certificate]),
        ("on a stranger's word", |world, stranger| {
            let new = ca("lab root", 50, long(world), None);
            let link = ca_certificate("lab root", 51, long(world), &new.key, Some(&stranger));
            vec![new.certificate, link, stranger.certificate]
        }),
        ("the word is for another key", |world, stranger| {
            let (_, link) = successor(world, 50);
            vec![stranger.certificate, link]
        }),
        ("the word is for another name", |world, _| {
            let new = ca("another root", 50, long(world), None);
            let link = ca_certificate("lab root", 51, long(world), &new.key, Some(&world.authority.root));
            vec![new.certificate, link]
        }),
        ("the word is over", |world, _| {
            let new = ca("lab root", 50, long(world), None);
            let from = world.now.unix_s();
            let over = Validity::new(from - 2000, from - 1000).unwrap();
            let link = ca_certificate("lab root", 51, over, &new.key, Some(&world.authority.root));
            vec![new.certificate, link]
        }),
        ("the word of the issuing authority, which is no anchor", |world, _| {
            let new = ca("lab root", 50, long(world), None);
            let link = ca_certificate("lab root", 51, long(world), &new.key, Some(&world.authority.issuing));
            vec![new.certificate, link]
        }),
        ("the root does not sign itself", |world, _| {
            let (new, link) = successor(world, 50);
            let other = ca_certificate("lab root", 52, long(world), &new.key, Some(&world.authority.root));
            vec![other, link]
        }),
    ];
    for (name, offer) in rows {
        let mut world = World::new(30 * DAY);
        let mut device = Device::enrolled(&mut world, "pump-01");
        let foreign = stranger(&world);
        world.authority.extra = offer(&world, foreign);
        let before = device.certificate();
        device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
        assert_eq!(world.count(Call::Anchors), 1, "{name}: it was offered");
        assert_eq!(device.report(&world).anchors, 1, "{name}");
    }
}

#[test]
fn whoever_takes_out_a_pin_takes_out_what_was_followed_on_its_word() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let (new, link) = successor(&world, 50);
    world.authority.extra = vec![new.certificate.clone(), link];
    device.run(&mut world, 25 * DAY);
    assert_eq!(device.report(&world).anchors, 2);
    device.rules.pinned = vec![ca("spare root", 60, long(&world), None).certificate];
    device.restart(&world);
    assert_eq!(device.report(&world).anchors, 1, "the spare alone");
}

#[test]
fn there_are_never_more_anchors_than_the_limit() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    for number in 0..8 {
        let (new, link) = successor(&world, 50 + 2 * number);
        world.authority.extra.extend([new.certificate, link]);
    }
    device.run(&mut world, 25 * DAY);
    device.run(&mut world, HOUR);
    assert_eq!(device.report(&world).anchors, ANCHORS_MAX);
    device.restart(&world);
    assert_eq!(device.report(&world).anchors, ANCHORS_MAX);
}

#[test]
fn an_expired_anchor_makes_room_and_those_it_vouched_for_stay() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let from = world.now.unix_s() - 60;
    let soon = Validity::new(from, from + 40 * DAY.as_secs()).unwrap();
    let short = ca("lab root", 50, soon, None);
    let short_link = ca_certificate("lab root", 51, soon, &short.key, Some(&world.authority.root));
    let on_its_word = ca("lab root", 52, long(&world), None);
    let its_word = ca_certificate("lab root", 53, soon, &on_its_word.key, Some(&short));
    let (third, third_link) = successor(&world, 54);
    let kept = on_its_word.certificate.fingerprint();
    world.authority.extra = vec![
        short.certificate.clone(),
        short_link,
        on_its_word.certificate,
        its_word,
        third.certificate,
        third_link,
    ];
    device.run(&mut world, 25 * DAY);
    assert_eq!(device.report(&world).anchors, ANCHORS_MAX);
    let (fourth, fourth_link) = successor(&world, 56);
    world.authority.extra = vec![fourth.certificate.clone(), fourth_link];
    device.run(&mut world, 50 * DAY);
    let held = |device: &Device| -> Vec<_> {
        device.lifecycle.anchors().iter().map(Certificate::fingerprint).collect()
    };
    for _ in 0..2 {
        let anchors = held(&device);
        assert_eq!(anchors.len(), ANCHORS_MAX);
        assert!(!anchors.contains(&short.certificate.fingerprint()), "expired");
        assert!(anchors.contains(&kept) && anchors.contains(&fourth.certificate.fingerprint()));
        device.restart(&world);
    }
}

#[test]
fn an_answer_may_lead_to_the_pin_over_the_joining_certificate() {
    let mut world = World::new(30 * DAY);
    let pinned = [world.authority.root.certificate.clone()];
    let (new, link) = successor(&world, 50);
    world.authority.issuing = ca("lab issuing", 70, long(&world), Some(&new));
    let key = SoftwareKey::generate(KeyAlgorithm::P256).unwrap();
    let validity = world.authority.validity(world.now);
    let usages = [ExtendedKeyUsage::ClientAuth];
    let leaf = world.authority.leaf(key.public_key(), "pump-01", "d", validity, &usages);
    let wanted = Wanted {
        key: leaf.spki_hash(),
        name: &"pump-01".parse().unwrap(),
        identity: None,
        anchors: &pinned,
        now: world.now,
        floor: world.now,
    };
    let without = [leaf.clone(), world.authority.issuing.certificate.clone()];
    assert!(Chain::accept(&without, &wanted).is_err());
    let with: Vec<_> = without.into_iter().chain([link.clone(), new.certificate]).collect();
    let chain = Chain::accept(&with, &wanted).unwrap();
    assert_eq!(chain.certificates().last(), Some(&link), "it is kept, for those who hold the old root alone");
    assert_eq!(chain.certificates().count(), 3);
}

/// The anchors were asked for before the root was followed by another, and the answer lacks the joining certificate.
#[test]
fn a_root_that_changes_while_a_renewal_is_refused_is_still_followed() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let before = device.certificate();
    world.refusals.extend((0..50).map(|_| (Call::Renew, 503, "", None)));
    device.run_until(&mut world, 25 * DAY, |_, world| world.count(Call::Renew) == 3);
    let (new, link) = successor(&world, 50);
    world.authority.extra = vec![new.certificate.clone(), link];
    world.refusals.clear();
    // The server still shows a certificate under the old root; what it issues is under the new one.
    let issuing = ca("lab issuing 2", 77, long(&world), Some(&new));
    let before_it = core::mem::replace(&mut world.authority.issuing, issuing);
    world.authority.published = vec![before_it.certificate];
    device.run_until(&mut world, 5 * HOUR, |device, _| device.is_past(&before));
}

/// Four pins are allowed; they must not be a dead end.
#[test]
fn a_full_set_of_pins_leaves_room_for_a_new_root() {
    let mut world = World::new(30 * DAY);
    let mut device = Device::enrolled(&mut world, "pump-01");
    let spares = (0..3).map(|n| ca("spare root", 60 + n, long(&world), None).certificate);
    device.rules.pinned.extend(spares);
    device.restart(&world);
    let (new, link) = successor(&world, 50);
    world.authority.extra = vec![new.certificate.clone(), link];
    let before = device.certificate();
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
    device.run(&mut world, HOUR);
    device.restart(&world);
    switch(&mut world, new);
    let before = device.certificate();
    device.run_until(&mut world, 25 * DAY, |device, _| device.is_past(&before));
}
