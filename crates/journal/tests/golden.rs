//! Golden bytes of every event and private part: what was once written is read for ever.
//!
//! A difference here breaks every journal there is. A new event is a new file; no file changes.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod samples;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Once;
use touchmark_journal::{Draft, Entry, Event, Private};

/// The golden files; rewritten first, once, when that is asked for.
fn folder() -> PathBuf {
    static BLESS: Once = Once::new();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        BLESS.call_once(|| {
            for (name, draft) in samples::all() {
                std::fs::write(folder.join(format!("{name}.hex")), text(&draft)).unwrap();
            }
        });
    }
    folder
}

/// `leaf` and, where there is one, `salt` and `private`, each on a line of its own.
fn text(draft: &Draft) -> String {
    let mut text = format!("leaf {}\n", hex::encode(draft.leaf().unwrap()));
    if let Some((salt, private)) = &draft.private {
        text += &format!("salt {}\nprivate {}\n", hex::encode(salt.0), hex::encode(private.to_bytes()));
    }
    text
}

#[test]
fn every_event_and_private_part_has_the_bytes_it_always_had() {
    for (name, draft) in samples::all() {
        let golden = std::fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap_or_default();
        assert_eq!(text(&draft), golden, "{name}: the journal's format changed");
    }
}

#[test]
fn golden_bytes_read_back_as_the_samples() {
    for (name, draft) in samples::all() {
        let golden = std::fs::read_to_string(folder().join(format!("{name}.hex"))).unwrap();
        let field = |word: &str| {
            golden.lines().find_map(|line| line.strip_prefix(word)).map(|digits| hex::decode(digits).unwrap())
        };
        let salt = field("salt ").map(|salt| touchmark_journal::Salt(salt.try_into().unwrap()));
        let private = field("private ");
        let read = Entry::read(7, &field("leaf ").unwrap(), salt.as_ref().zip(private.as_deref()));
        assert_eq!(read, Ok(draft.at(7)), "{name}");
    }
}

#[test]
fn there_is_a_sample_of_everything_and_no_file_without_one() {
    let samples = samples::all();
    let words: BTreeSet<&str> = samples.iter().map(|(_, draft)| draft.event.word()).collect();
    // A new variant does not compile here until it is counted, and fails below until it has a sample.
    let variants = |event: &Event| match event {
        Event::AuthorityCreated(_)
        | Event::EnvironmentCreated(_)
        | Event::ProfileActivated(_)
        | Event::PartyRegistered(_)
        | Event::TokenCreated(_)
        | Event::DeviceRegistered(_)
        | Event::CertificateIntended(_)
        | Event::CertificateIssued(_)
        | Event::CertificateBurned(_)
        | Event::CertificateConfirmed(_)
        | Event::CertificateSuperseded(_)
        | Event::CertificatesRevoked(_)
        | Event::StandingChanged(_)
        | Event::PolicyActivated(_)
        | Event::CrlPublished(_)
        | Event::EnforcementReported(_)
        | Event::Refused(_)
        | Event::Started(_)
        | Event::RenewalRefused(_)
        | Event::CloneSuspected(_)
        | Event::MakerRegistered(_)
        | Event::MakerWithdrawn(_)
        | Event::HardwareRegistered(_)
        | Event::TokenVoided(_)
        | Event::HolderRevoked(_)
        | Event::CertificateRevoked(_)
        | Event::PartyCloneSuspected(_)
        | Event::GatewayDeclared(_) => 28,
    };
    assert!(samples.iter().all(|(_, draft)| variants(&draft.event) == words.len()));
    let parts: BTreeSet<u8> = samples
        .iter()
        .filter_map(|(_, draft)| draft.private.as_ref())
        .map(|(_, private)| match private {
            Private::Token(_) => 1,
            Private::Device(_) => 2,
            Private::Intent(_) => 3,
            Private::Certificate(_) => 4,
            Private::Hardware(_) => 5,
        })
        .collect();
    assert_eq!(parts.len(), 5);
    for (name, draft) in &samples {
        assert!(name.starts_with(draft.event.word()), "{name}");
    }
    let named: BTreeSet<String> = samples.iter().map(|(name, _)| format!("{name}.hex")).collect();
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, named);
}
