//! The decision log as the authority holds it: complete, and whole.

use crate::installation::Installation;
use std::process::Command;
use touchmark_authority::audit::verify;
use touchmark_mqtt::QoS;
use touchmark_tests::{Dice, Lab, Mqtt, until};

const FLIPS: usize = 100;

/// R46: every flipped bit and every cut in a gateway's decision log is found by the audit.
#[test]
fn a_changed_decision_log_is_found() {
    let Some(mut installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    for n in 0..20 {
        let topic = format!("plant/pump-0{}/x", 1 + n % 2);
        session.publish(&topic, "x", QoS::AtLeastOnce).unwrap();
    }
    drop(session);
    installation.lab.stop_gateway();
    let covered = || {
        let outcome = verify(&installation.lab.data(), None).unwrap();
        let gateway = outcome.gateways.into_iter().next()?;
        (gateway.covered == gateway.frames && gateway.decisions >= 21).then_some(gateway)
    };
    println!("{:?}", until("the last head of the decision log", covered));
    installation.lab.stop_authority();
    let directory = installation.lab.data().join("decisions/gateway-01");
    let mut dice = Dice::new();
    for flip in 0..FLIPS {
        let file = directory.join(if flip % 4 == 0 { "checkpoint" } else { "frames" });
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let (place, bit) = (dice.below(whole.len()), dice.below(8));
        flipped[place] ^= 1 << bit;
        std::fs::write(&file, flipped).unwrap();
        let found = verify(&installation.lab.data(), None);
        assert!(found.is_err(), "bit {bit} of octet {place} in {}: {found:?}", file.display());
        std::fs::write(&file, whole).unwrap();
    }
    for file in ["frames", "checkpoint"].map(|name| directory.join(name)) {
        let whole = std::fs::read(&file).unwrap();
        for keep in [whole.len() - 1, whole.len() / 2, 0] {
            std::fs::write(&file, &whole[..keep]).unwrap();
            assert!(verify(&installation.lab.data(), None).is_err(), "{} cut to {keep}", file.display());
        }
        std::fs::write(&file, &whole).unwrap();
    }
    let vkey = directory.join("vkey");
    let whole = std::fs::read(&vkey).unwrap();
    std::fs::remove_file(&vkey).unwrap();
    assert!(verify(&installation.lab.data(), None).is_err(), "its key removed");
    std::fs::write(&vkey, whole).unwrap();
    verify(&installation.lab.data(), None).unwrap();
}

/// A topic that a terminal would show turned round is recorded as it was, and printed so that it shows what it is.
#[test]
fn a_topic_that_turns_the_text_round_is_printed_escaped() {
    let Some(installation) = Installation::start() else { return };
    let device = installation.enrol("pump-01");
    let mut session = Mqtt::welcome(&installation.lab, device.identity(), "pump-01");
    let topics = ["plant/pump-01/exe.\u{202e}fdp", "plant/pump-02/\u{2066}x\u{200b}"];
    for topic in topics {
        session.publish(topic, "x", QoS::AtLeastOnce).unwrap();
    }
    let mut operator = installation.lab.operator();
    operator.decided("pump-01", "publish", topics[0], "allow");
    let denied = operator.decided("pump-01", "publish", topics[1], "deny");
    let denied_id = denied.id.to_string();
    for (words, shows) in [
        (vec!["explain", "pump-01"], r"exe.\u{202e}fdp"),
        (vec!["explain", "pump-01", "-o", "json"], r"exe.\u202efdp"),
        (vec!["explain", &denied_id], r"\u{2066}x\u{200b}"),
        (vec!["audit", "decisions", "-o", "name"], ""),
        (vec!["audit", "decisions", "-o", "ndjson"], r"\u2066x\u200b"),
        (vec!["audit", "decisions"], r"\u{2066}x\u{200b}"),
        (vec!["explain", "a\u{202e}b"], r"\u{202e}"),
        (vec!["explain", "a\u{202e}b", "-o", "json"], r"\u202e"),
        (vec!["explain", "--\u{202e}b"], r"\u{202e}"),
    ] {
        let mut command = Command::new(Lab::program());
        let output = command.args(&words).arg("--data").arg(installation.lab.data()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains(shows), "{words:?}: {said:?}");
        assert!(!said.contains(['\u{202e}', '\u{2066}', '\u{200b}']), "{words:?}: {said:?}");
    }
}
