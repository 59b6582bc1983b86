//! What the sink keeps and shows.

use super::{Message, Sink};
use bytes::Bytes;
use touchmark_identity::Timestamp;

fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        n: 0,
        at: Timestamp::from_unix_s(1_700_000_000),
        device: "pump-01".into(),
        topic: topic.into(),
        qos: 1,
        retain: false,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[test]
fn a_line_is_json_whatever_the_payload() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::open(home.path()).unwrap();
    sink.store(message("plant/pump-01/t", b"21.5\n\"C\"")).unwrap();
    sink.store(message("plant/pump-01/raw", b"\xff\x00")).unwrap();
    let text = std::fs::read_to_string(home.path().join("sink.ndjson")).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["payload"], "21.5\n\"C\"");
    assert_eq!((&lines[0]["n"], &lines[0]["device"]), (&1.into(), &"pump-01".into()));
    assert_eq!(lines[1]["payload_base64"], "/wA=");
    assert_eq!(sink.last("plant/pump-01/t").unwrap().n, 1);
    assert!(sink.last("plant/pump-01").is_none());
    assert_eq!(sink.after(1).len(), 1);
}

#[test]
fn memory_is_bounded_in_messages_topics_and_octets() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::open(home.path()).unwrap();
    for n in 0..10_500 {
        sink.store(message(&format!("plant/{n}"), b"x")).unwrap();
    }
    assert_eq!(sink.after(0).len(), 1_000);
    assert!(
        sink.last("plant/0").is_none() && sink.last("plant/10499").is_some(),
        "the oldest topic went first"
    );
    let large = vec![0; 256 * 1024];
    for n in 0..200 {
        sink.store(message(&format!("large/{n}"), &large)).unwrap();
    }
    assert!(sink.after(0).len() <= 32 && sink.last("large/0").is_none() && sink.last("large/199").is_some());
}
