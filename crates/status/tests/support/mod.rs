//! One small environment, and the stored bytes.
// Each test binary uses a part of it, and stored bytes are files.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

use core::time::Duration;
use std::path::PathBuf;
use touchmark_identity::{
    AuthorityVersionId, EnvironmentName, Name, RevocationReason, SerialNumber, SpkiHash, Timestamp,
    TrustDomain,
};
use touchmark_status::{
    Anchor, AnchorRole, Change, FeedSigner, FeedWriter, PolicyBundle, Presented, Revocation, Standing,
    StatusSet, Supersession,
};

pub fn now() -> Timestamp {
    Timestamp::from_unix_s(1_700_000_000)
}

pub fn end() -> Timestamp {
    Timestamp::from_unix_s(1_702_592_000)
}

pub fn later(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

pub fn environment() -> EnvironmentName {
    "lab".parse().unwrap()
}

pub fn trust_domain() -> TrustDomain {
    "lab.touchmark.internal".parse().unwrap()
}

pub fn handle() -> Name {
    "pump-01".parse().unwrap()
}

pub fn signer() -> FeedSigner {
    FeedSigner::from_seed(&[7; 32]).unwrap()
}

pub fn authority(octet: u8) -> AuthorityVersionId {
    AuthorityVersionId::try_from(&[octet; 16][..]).unwrap()
}

pub fn serial(number: u32) -> SerialNumber {
    let mut octets = [0x11; 17];
    octets[0] = 1;
    octets[13..].copy_from_slice(&number.to_be_bytes());
    SerialNumber::try_from(&octets[..]).unwrap()
}

pub fn revoke(number: u32) -> Change {
    Change::Revoke {
        authority_version: authority(1),
        serial: serial(number),
        revocation: Revocation { at: now(), reason: RevocationReason::KeyCompromise, not_after: end() },
    }
}

pub fn every_change() -> Vec<Change> {
    let name = |text: &str| text.parse::<Name>().unwrap();
    vec![
        Change::Anchors(vec![
            Anchor {
                authority_version: authority(9),
                role: AnchorRole::Root,
                certificate_der: vec![0x30, 0],
            },
            Anchor {
                authority_version: authority(1),
                role: AnchorRole::Issuing,
                certificate_der: vec![0x30, 0],
            },
        ]),
        revoke(7),
        Change::Supersede {
            authority_version: authority(1),
            serial: serial(8),
            supersession: Supersession { effective_at: later(300), not_after: end() },
        },
        Change::DenyKey(SpkiHash([3; 32])),
        Change::DenyKey(SpkiHash([4; 32])),
        Change::AllowKey(SpkiHash([4; 32])),
        Change::SetStanding { handle: name("pump-02"), standing: Standing::Quarantined },
        Change::SetStanding { handle: name("pump-03"), standing: Standing::Banned },
        Change::SetStanding { handle: name("pump-04"), standing: Standing::Suspended },
        Change::SetStanding { handle: name("pump-05"), standing: Standing::Quarantined },
        Change::ClearStanding(name("pump-05")),
        Change::SetScope { handle: name("pump-06"), scope: vec!["group:pumps".into()] },
        Change::SetScope { handle: name("pump-07"), scope: vec![] },
        Change::ClearScope(name("pump-07")),
        Change::Policies(PolicyBundle {
            version: [5; 32],
            files: vec![("starter.cedar".into(), "permit(principal, action, resource);".into())],
            topics: "own = \"plant/{handle}/#\"\n".into(),
        }),
    ]
}

pub fn writer() -> FeedWriter {
    FeedWriter::new(environment(), trust_domain(), 1)
}

pub fn start(writer: &mut FeedWriter) -> StatusSet {
    let snapshot = writer.snapshot(now(), &signer()).unwrap();
    StatusSet::from_snapshot(&snapshot, &signer().verifier(), &environment(), None, now()).unwrap()
}

pub fn presented(now: Timestamp) -> Presented<'static> {
    static HANDLE: std::sync::LazyLock<Name> = std::sync::LazyLock::new(handle);
    Presented {
        authority_version: authority(1),
        serial: serial(1),
        spki: SpkiHash([3; 32]),
        handle: &HANDLE,
        not_after: end(),
        now,
    }
}

/// Compares with `tests/golden/NAME.hex`; `TOUCHMARK_BLESS=1` writes it.
pub fn golden(name: &str, octets: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
    let lines: Vec<String> = octets.chunks(48).map(hex::encode).collect();
    let text = lines.join("\n") + "\n";
    if std::env::var_os("TOUCHMARK_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
}
