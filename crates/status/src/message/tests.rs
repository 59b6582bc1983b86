//! What a message with a good signature may still not be.

use super::*;
use crate::{FeedSigner, StatusSet};
use touchmark_identity::SpkiHash;

fn envelope() -> Envelope {
    Envelope {
        environment: "lab".parse().unwrap(),
        trust_domain: "lab.touchmark.internal".parse().unwrap(),
        position: Position { epoch: 1, seq: 0 },
        previous: [0; 32],
        issued_at: Timestamp::from_unix_ms(1_700_000_000_000),
    }
}

fn replaced(message: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = hex::encode(message);
    assert!(text.contains(from), "{from} stands in {text}");
    hex::decode(text.replacen(from, to, 1)).unwrap()
}

#[test]
fn a_message_is_read_in_one_spelling_only() {
    let heartbeat = envelope().heartbeat();
    let mut state = State::default();
    state.fold(Change::DenyKey(SpkiHash([1; 32])));
    state.fold(Change::DenyKey(SpkiHash([2; 32])));
    let snapshot = envelope().snapshot(&state);
    let (one, two) = (format!("5820{}", "01".repeat(32)), format!("5820{}", "02".repeat(32)));
    let rows: &[(&str, Vec<u8>, Option<FeedFault>)] = &[
        ("heartbeat", heartbeat.clone(), None),
        ("snapshot", snapshot.clone(), None),
        (
            "octet after the end",
            [&heartbeat[..], &[0]].concat(),
            Some(FeedFault::Malformed("octets after the end")),
        ),
        ("newer version", replaced(&heartbeat, "8801", "8802"), Some(FeedFault::UnknownVersion(2))),
        (
            "newer version with more items",
            replaced(&heartbeat, "8801", "8902"),
            Some(FeedFault::UnknownVersion(2)),
        ),
        (
            "fewer items",
            replaced(&heartbeat, "8801", "8701"),
            Some(FeedFault::Malformed("another number of items")),
        ),
        (
            "long form of the epoch",
            replaced(&heartbeat, "6c0100", "6c180100"),
            Some(FeedFault::Malformed("a number or length not in shortest form")),
        ),
        (
            "unknown kind",
            replaced(&heartbeat, "820380", "820480"),
            Some(FeedFault::Malformed("an unknown kind of message")),
        ),
        (
            "keys out of order",
            replaced(&snapshot, &format!("{one}{two}"), &format!("{two}{one}")),
            Some(FeedFault::Malformed("entries out of order")),
        ),
        (
            "a key twice",
            replaced(&snapshot, &format!("{one}{two}"), &format!("{one}{one}")),
            Some(FeedFault::Malformed("entries out of order")),
        ),
        (
            "environment that is no name",
            replaced(&heartbeat, "636c6162", "634c6162"),
            Some(FeedFault::Malformed("not a name")),
        ),
        (
            "moment past the year 9999",
            replaced(&heartbeat, "1b0000018bcfe56800", "1bffffffffffffffff"),
            Some(FeedFault::Malformed("a moment after the year 9999")),
        ),
    ];
    for (name, message, fault) in rows {
        assert_eq!(read_message(message).err(), *fault, "{name}");
    }
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    let mut state = State::default();
    state.fold(Change::DenyKey(SpkiHash([1; 32])));
    let snapshot = envelope().snapshot(&state);
    for length in 0..snapshot.len() {
        assert!(read_message(&snapshot[..length]).is_err(), "{length} octets");
    }
}

#[test]
fn a_signature_for_another_purpose_is_refused() {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let message = envelope().snapshot(&State::default());
    let signer = FeedSigner::from_seed(&[7; 32]).unwrap();
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    for (name, signed) in [
        ("the bare message", message.clone()),
        ("its bare hash", {
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &message).as_ref().to_vec()
        }),
    ] {
        let mut wire = Writer::new();
        wire.array(2).bytes(&message).bytes(key.sign(&signed).as_ref());
        let environment = "lab".parse().unwrap();
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let read = StatusSet::from_snapshot(&wire.finish(), &signer.verifier(), &environment, None, now);
        assert_eq!(read.err(), Some(FeedFault::WrongSignature), "{name}");
    }
}
