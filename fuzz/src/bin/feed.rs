//! The status feed behind its signature: messages and files. The target signs, so that a fuzzer gets past it.
//!
//! Messages, each behind a length of four octets: a feed file without its signatures.

#![no_main]

use core::time::Duration;
use libfuzzer_sys::fuzz_target;
use minicbor::Encoder;
use std::sync::LazyLock;
use touchmark_fuzz::{FixedKey, Input, sha256};
use touchmark_identity::{AuthorityVersionId, EnvironmentName, SerialNumber, SpkiHash, Timestamp};
use touchmark_status::{
    FeedFault, FeedSigner, FeedVerifier, FeedWriter, Presented, StatusSet, feed_file_entry, open_feed_file,
};

static KEY: LazyLock<FixedKey> = LazyLock::new(|| FixedKey::of(7));
static SIGNER: LazyLock<FeedSigner> = LazyLock::new(|| FeedSigner::from_seed(&[7; 32]).expect("a seed"));
static ENVIRONMENT: LazyLock<EnvironmentName> = LazyLock::new(|| "lab".parse().expect("a name"));
/// Nothing that can be written lies after it.
const NOW: Timestamp = Timestamp::MAX;
/// Messages looked at in one input: each costs two signatures.
const MESSAGES_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let verifier = SIGNER.verifier();
    let _ = StatusSet::from_snapshot(data, &verifier, &ENVIRONMENT, None, NOW);
    let _ = open_feed_file(data, &verifier, &ENVIRONMENT, None, NOW);

    let mut input = Input::new(data);
    let mut wires = Vec::new();
    while !input.is_empty() && wires.len() < MESSAGES_MAX {
        let octets = u32::from_be_bytes(input.array());
        wires.push(sealed(input.take(octets.try_into().unwrap_or(usize::MAX))));
    }
    let Some((first, rest)) = wires.split_first() else { return };
    let Ok(mut set) = StatusSet::from_snapshot(first, &verifier, &ENVIRONMENT, None, NOW) else { return };
    assert_eq!(&snapshot(&set), first, "equal states are equal octets");
    another_key_is_refused(first);
    let mut file = feed_file_entry(first).expect("short");
    for wire in rest {
        let before = set.clone();
        match set.apply(wire, NOW) {
            Ok(_) => {
                file.extend(feed_file_entry(wire).expect("short"));
                follows(&before, &set);
            }
            Err(_) => {
                assert_eq!((set.state(), set.head()), (before.state(), before.head()), "refused, and changed")
            }
        }
        asked(&set);
    }
    let read =
        open_feed_file(&file, &verifier, &ENVIRONMENT, Some(set.position()), NOW).expect("all was applied");
    assert_eq!((read.state(), read.head(), read.issued_at()), (set.state(), set.head(), set.issued_at()));
    let cut = &file[..file.len() - 1];
    assert!(open_feed_file(cut, &verifier, &ENVIRONMENT, None, NOW).is_err(), "a file cut short");
});

/// `[message, signature]`; the signature covers a prefix and the hash of the message.
fn sealed(message: &[u8]) -> Vec<u8> {
    let mut signed = [0; 64];
    signed[..24].copy_from_slice(b"touchmark/status-feed/v1");
    signed[32..].copy_from_slice(&sha256(message));
    let mut wire = Encoder::new(Vec::new());
    let encoded =
        wire.array(2).and_then(|wire| wire.bytes(message)).and_then(|wire| wire.bytes(&KEY.sign(&signed)));
    encoded.expect("a Vec takes every write");
    wire.into_writer()
}

/// What an authority with this state would sign.
fn snapshot(set: &StatusSet) -> Vec<u8> {
    let (environment, domain) = (set.environment().clone(), set.trust_domain().clone());
    let mut writer = FeedWriter::resume(environment, domain, set.head(), set.state().clone());
    writer.snapshot(set.issued_at(), &SIGNER).expect("what was read can be signed")
}

fn another_key_is_refused(wire: &[u8]) {
    let other = FeedVerifier::new(FixedKey::of(8).public());
    let read = StatusSet::from_snapshot(wire, &other, &ENVIRONMENT, None, NOW);
    assert_eq!(read.err(), Some(FeedFault::WrongSignature));
}

/// Positions only rise, and whoever starts from a snapshot here knows the same.
fn follows(before: &StatusSet, after: &StatusSet) {
    assert!(after.position() >= before.position() && after.issued_at() >= before.issued_at());
    assert_eq!(after.environment(), before.environment());
    let again = StatusSet::from_snapshot(&snapshot(after), &SIGNER.verifier(), &ENVIRONMENT, None, NOW)
        .expect("a folded state can be read");
    assert_eq!((again.state(), again.head()), (after.state(), after.head()));
}

fn asked(set: &StatusSet) {
    let handle = "pump-02".parse().expect("a name");
    let _ = set.check(&Presented {
        authority_version: AuthorityVersionId::try_from([1; 16].as_slice()).expect("sixteen octets"),
        serial: SerialNumber::try_from([1; 17].as_slice()).expect("a serial number"),
        spki: SpkiHash([3; 32]),
        handle: &handle,
        not_after: set.issued_at(),
        now: set.issued_at().plus(Duration::from_secs(1)),
    });
    let mut pruned = set.clone();
    pruned.prune(NOW);
    assert!(pruned.state().revoked_len() <= set.state().revoked_len());
    assert_eq!((pruned.prune(NOW), set.age(NOW)), (0, NOW.since(set.issued_at())), "pruned once is pruned");
}
