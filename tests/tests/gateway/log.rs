//! The decision log as the authority holds it: complete, and whole.

use crate::town::Town;
use touchmark_authority::audit::verify;
use touchmark_mqtt::QoS;
use touchmark_tests::{Dice, Mqtt, until};

const FLIPS: usize = 100;

/// R46: every flipped bit and every cut in a gateway's decision log is found by the audit.
#[test]
fn a_changed_decision_log_is_found() {
    let Some(mut town) = Town::start() else { return };
    let device = town.enrol("pump-01");
    let mut session = Mqtt::welcome(&town.lab, device.identity(), "pump-01");
    for n in 0..20 {
        let topic = format!("plant/pump-0{}/x", 1 + n % 2);
        session.publish(&topic, "x", QoS::AtLeastOnce).unwrap();
    }
    drop(session);
    town.lab.stop_gateway();
    let covered = || {
        let outcome = verify(&town.lab.data(), None).unwrap();
        let gateway = outcome.gateways.into_iter().next()?;
        (gateway.covered == gateway.frames && gateway.decisions >= 21).then_some(gateway)
    };
    println!("{:?}", until("the last head of the decision log", covered));
    town.lab.stop_authority();
    let directory = town.lab.data().join("decisions/gateway-01");
    let mut dice = Dice::new();
    for flip in 0..FLIPS {
        let file = directory.join(if flip % 4 == 0 { "checkpoint" } else { "frames" });
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let (place, bit) = (dice.below(whole.len()), dice.below(8));
        flipped[place] ^= 1 << bit;
        std::fs::write(&file, flipped).unwrap();
        let found = verify(&town.lab.data(), None);
        assert!(found.is_err(), "bit {bit} of octet {place} in {}: {found:?}", file.display());
        std::fs::write(&file, whole).unwrap();
    }
    for file in ["frames", "checkpoint"].map(|name| directory.join(name)) {
        let whole = std::fs::read(&file).unwrap();
        for keep in [whole.len() - 1, whole.len() / 2, 0] {
            std::fs::write(&file, &whole[..keep]).unwrap();
            assert!(verify(&town.lab.data(), None).is_err(), "{} cut to {keep}", file.display());
        }
        std::fs::write(&file, &whole).unwrap();
    }
    let vkey = directory.join("vkey");
    let whole = std::fs::read(&vkey).unwrap();
    std::fs::remove_file(&vkey).unwrap();
    assert!(verify(&town.lab.data(), None).is_err(), "its key removed");
    std::fs::write(&vkey, whole).unwrap();
    verify(&town.lab.data(), None).unwrap();
}
