//! What vouches is what the rows say: after each change, and after one that could not be read.

use super::*;
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::House;
use touchmark_testkit::name;

macro_rules! made_by_openssl {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/ra/tests/makers/", $file))
    };
}

fn read(pem: &str) -> Certificate {
    Certificate::from_pem_many(pem).unwrap().remove(0)
}

fn acme() -> RegisterMaker {
    RegisterMaker { environment: name("lab"), name: name("acme") }
}

/// Whether a device of the maker gets through the handshake, and is one of its environment.
fn vouches(makers: &Makers, house: &House) -> (bool, bool) {
    let (leaf, factory) =
        (read(made_by_openssl!("acme-sn-1.pem")), read(made_by_openssl!("acme-factory.pem")));
    let now = house.clock.now();
    let chain = PeerChain { leaf: leaf.der().to_vec(), rest: vec![factory.der().to_vec()] };
    let handshake = makers.vouch(&leaf, &[factory], now, &mut Budget::default()).is_ok();
    (handshake, makers.initial(&name("lab"), &chain, now).is_ok())
}

#[tokio::test]
async fn each_change_is_read_at_once_and_what_was_not_read_is_read_later() {
    let house = House::new().await;
    let trust = house.hierarchy.default_trust().unwrap();
    let certificate = read(made_by_openssl!("acme-ca.pem"));
    // Another process over the same rows would be as far behind as this one.
    let other = Makers::load(house.commits.clone(), house.hierarchy.clone(), house.clock.clone()).unwrap();
    assert_eq!(vouches(&house.makers, &house), (false, false));
    house.makers.register(bootstrapped(acme()), &trust, &certificate).await.unwrap();
    assert_eq!(vouches(&house.makers, &house), (true, true), "registered");
    other.repair().unwrap();
    assert_eq!(vouches(&other, &house), (false, false), "nothing says that it is behind");
    other.behind.store(true, Ordering::SeqCst);
    other.repair().unwrap();
    assert_eq!(vouches(&other, &house), (true, true), "read when it was behind");
    assert!(!other.behind.load(Ordering::SeqCst), "once");
    house.makers.withdraw(bootstrapped(WithdrawMaker(acme())), &trust).await.unwrap();
    assert_eq!(vouches(&house.makers, &house), (false, false), "withdrawn");
}
