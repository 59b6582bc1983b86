//! Signed notes, checkpoints and verifier keys: one spelling each, and nothing opens that was not signed.
//!
//! The first letter chooses: `a` a note from a stranger, `b` a text that the target signs, `c` a verifier key.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use touchmark_fuzz::{FixedKey, chosen};
use touchmark_tlog::{BadNote, NOTE_OCTETS_MAX, VerifierKey, open_note, signed_text};

const ORIGIN: &str = "lab.touchmark.internal/journal";
static SIGNER: LazyLock<FixedKey> = LazyLock::new(|| FixedKey::of(7));
static KEY: LazyLock<VerifierKey> =
    LazyLock::new(|| VerifierKey::new(ORIGIN, SIGNER.public()).expect("an origin and a key"));
/// The only text that the key signed before, in a seed.
const SIGNED: &str = include_str!("../../seeds/signed_note/checkpoint");

fuzz_target!(|data: &[u8]| {
    let (which, rest) = chosen(data);
    let Ok(text) = core::str::from_utf8(rest) else { return };
    match which {
        0 => stranger(text),
        1 => signed_here(text),
        _ => {
            if let Ok(key) = text.parse::<VerifierKey>() {
                assert_eq!(key.to_string(), text, "one spelling");
                assert_eq!(VerifierKey::new(key.origin(), *key.public()).as_ref(), Ok(&key));
            }
        }
    }
});

fn stranger(note: &str) {
    let Ok(text) = signed_text(note, &KEY) else {
        assert!(open_note(note, &KEY).is_err());
        return;
    };
    assert!(note.starts_with(text) && note.len() <= NOTE_OCTETS_MAX);
    assert!(SIGNED[1..].starts_with(text), "a text that was never signed: {text:?}");
}

fn signed_here(text: &str) {
    let blob = [KEY.key_id().as_slice(), &SIGNER.sign(text.as_bytes())].concat();
    let note = format!("{text}\n\u{2014} {ORIGIN} {}\n", STANDARD.encode(blob));
    let opened = signed_text(&note, &KEY);
    if !text.ends_with('\n') {
        assert!(opened.is_err(), "a text without its last line feed: {text:?}");
        return;
    }
    let plain = text.bytes().all(|c| c >= 0x20 || c == b'\n') && note.len() <= NOTE_OCTETS_MAX;
    assert_eq!(opened.is_ok(), plain);
    if let Ok(opened) = opened {
        assert_eq!(opened, text);
    }
    match open_note(&note, &KEY) {
        Ok(head) => {
            assert_eq!((head.body().as_str(), head.origin.as_str()), (text, ORIGIN));
            assert_eq!(head.to_note(|octets| SIGNER.sign(octets), &KEY), note);
        }
        Err(BadNote::OtherLog { found, .. }) => assert!(text.starts_with(&found) && found != ORIGIN),
        Err(fault) => assert!(!plain || fault == BadNote::NotACheckpoint, "{fault}"),
    }
}
