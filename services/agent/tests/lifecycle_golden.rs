//! Golden bytes of `state.json`: what an agent wrote, every later one reads.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use touchmark_agent::lifecycle::{
    Failure, Followed, RECORD_OCTETS_MAX, Renewed, RenewedBy, Standing, StateRecord,
};
use touchmark_enrol::RenewalWindow;
use touchmark_identity::{Fingerprint, Timestamp};

fn at(s: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_795_305_600_000 + s * 1000 + 7)
}

fn full() -> StateRecord {
    StateRecord {
        floor: at(0),
        hint: Some((Fingerprint([0x11; 32]), RenewalWindow::new(at(100), at(200)).unwrap())),
        failures: 3,
        retry_at: Some(at(50)),
        standing: Standing::Lost { code: "renewal-late".to_owned() },
        failure: Some(Failure {
            at: at(40),
            code: "renewal-late".to_owned(),
            says: "too \"late\" é".to_owned(),
        }),
        renewed: Some(Renewed { at: at(1), by: RenewedBy::Wish, failures: 2 }),
        announced: Some(Fingerprint([0x22; 32])),
        followed: vec![Followed { anchor: Fingerprint([0x33; 32]), on_word_of: Fingerprint([0x44; 32]) }],
    }
}

fn samples() -> Vec<(&'static str, StateRecord)> {
    let standing = |standing| StateRecord { standing, ..StateRecord::empty(at(0)) };
    vec![
        ("state-empty.json", StateRecord::empty(at(0))),
        ("state-full.json", full()),
        ("state-quarantined.json", standing(Standing::Quarantined)),
        ("state-banned.json", standing(Standing::Banned)),
    ]
}

#[test]
fn a_record_has_the_bytes_it_always_had_and_reads_back() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1");
    for (name, record) in samples() {
        let path = folder.join(name);
        if bless {
            std::fs::write(&path, record.to_json()).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(record.to_json(), golden, "{name}: the format changed");
        assert_eq!(StateRecord::from_json(golden.as_bytes()), Some(record), "{name}");
    }
}

#[test]
fn a_record_is_read_whole_or_not_at_all() {
    let good = full().to_json();
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let long = format!("{good}{}", " ".repeat(RECORD_OCTETS_MAX));
    let rows: &[(&str, String, bool)] = &[
        ("as written", good.clone(), true),
        ("a field of a later agent", changed("\"version\": 1,", "\"version\": 1, \"mood\": [],"), true),
        ("a later version", changed("\"version\": 1", "\"version\": 2"), false),
        ("no version", changed("\"version\": 1,", ""), false),
        ("no floor", changed("\"floor\"", "\"flor\""), false),
        ("a floor that is no moment", changed("2026-", "yesterday-"), false),
        ("a window that ends before it begins", changed("00:03:20.000Z", "00:00:20.000Z"), false),
        ("a fingerprint that is none", changed("1111", "xxxx"), false),
        ("a standing of another world", changed("\"lost\"", "\"enlightened\""), false),
        ("cut off", good[..good.len() / 2].to_owned(), false),
        ("nothing", String::new(), false),
        ("too long", long, false),
    ];
    for (name, text, readable) in rows {
        assert_eq!(StateRecord::from_json(text.as_bytes()).is_some(), *readable, "{name}");
    }
    assert_eq!(StateRecord::from_json(&[0xff, 0xfe]), None);
}
