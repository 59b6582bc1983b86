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

/// Telemetry does not fill the disk: the file is put aside at its length, and one older one is kept.
#[test]
fn the_file_is_put_aside_and_the_older_one_goes() {
    let home = tempfile::tempdir().unwrap();
    let sink = Sink::open_with(home.path(), 2_000).unwrap();
    for n in 0..500 {
        sink.store(Message {
            n: 0,
            at: touchmark_identity::Timestamp::from_unix_s(1_700_000_000),
            device: "pump-01".into(),
            topic: format!("plant/pump-01/{n}").into(),
            qos: 1,
            retain: false,
            payload: bytes::Bytes::from_static(b"21.5"),
        })
        .unwrap();
    }
    let lengths: Vec<u64> = ["sink.ndjson", "sink.ndjson.1"]
        .iter()
        .map(|name| std::fs::metadata(home.path().join(name)).unwrap().len())
        .collect();
    assert!(lengths.iter().all(|octets| *octets < 2_300), "{lengths:?}");
    assert!(lengths[1] > 2_000, "{lengths:?}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
    let newest = [1, 0]
        .map(|at| std::fs::read_to_string(home.path().join(["sink.ndjson", "sink.ndjson.1"][at])).unwrap());
    assert!(newest.concat().contains("plant/pump-01/499"), "the newest is there");
}
