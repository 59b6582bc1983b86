//! Bytes that others will read: known trees, and our own texts and tiles as checked-in files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::PathBuf;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use touchmark_tlog::{
    BadReceipt, Checkpoint, Frontier, Hash, InclusionProof, Receipt, VerifierKey, leaf_hash, open_note,
    push_entry,
};

/// Leaves and roots that the Certificate Transparency code base has tested with since 2013.
const KNOWN: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];
const EMPTY_ROOT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn leaves() -> Vec<Vec<u8>> {
    KNOWN.iter().map(|(leaf, _)| hex::decode(leaf).unwrap()).collect()
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key() -> VerifierKey {
    let public = pair().public_key().as_ref().try_into().unwrap();
    VerifierKey::new("lab.touchmark.internal/journal", public).unwrap()
}

fn head() -> (Checkpoint, String) {
    let mut frontier = Frontier::new();
    leaves().iter().for_each(|leaf| frontier.append(leaf_hash(leaf)));
    let head = Checkpoint { origin: key().origin().into(), size: frontier.size(), root: frontier.root() };
    let note = head.to_note(|text| pair().sign(text).as_ref().try_into().unwrap(), &key());
    (head, note)
}

fn receipt() -> Receipt {
    let mut frontier = Frontier::new();
    let mut nodes = std::collections::HashMap::new();
    for leaf in leaves() {
        frontier.append_each(leaf_hash(&leaf), |node| {
            nodes.insert((node.level, node.index), node.hash);
        });
    }
    let proof = InclusionProof::make(5, 8, |level, index| nodes.get(&(level, index)).copied()).unwrap();
    Receipt { extra: Some(b"context".to_vec()), index: 5, proof, note: head().1 }
}

/// Compares with `tests/golden/<name>`, or rewrites it when TOUCHMARK_BLESS=1.
fn golden(name: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "{}", file.display());
}

#[test]
fn roots_are_those_the_ct_code_base_publishes() {
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root().to_string(), EMPTY_ROOT);
    for (leaf, root) in KNOWN {
        frontier.append(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(frontier.root().to_string(), root, "size {}", frontier.size());
    }
}

#[test]
fn the_texts_are_as_checked_in() {
    golden("verifier_key.txt", &format!("{}\n", key()));
    golden("checkpoint.txt", &head().1);
    golden("receipt.tlog-proof", &receipt().to_text());
    let mut bundle = Vec::new();
    leaves().iter().for_each(|leaf| push_entry(&mut bundle, leaf).unwrap());
    golden("bundle.hex", &format!("{}\n", hex::encode(bundle)));
}

#[test]
fn a_receipt_is_read_back_and_verified_offline() {
    let text = receipt().to_text();
    let read = Receipt::parse(&text).unwrap();
    assert_eq!(read, receipt());
    assert_eq!(read.verify(&leaves()[5], &key()).unwrap(), head().0);
    assert!(matches!(read.verify(&leaves()[4], &key()), Err(BadReceipt::Proof(_))));

    let single = Checkpoint { size: 1, root: leaf_hash(b"only"), ..head().0 };
    let note = single.to_note(|text| pair().sign(text).as_ref().try_into().unwrap(), &key());
    let alone = Receipt { extra: None, index: 0, proof: InclusionProof(vec![]), note };
    let alone = Receipt::parse(&alone.to_text()).unwrap();
    assert_eq!(alone.verify(b"only", &key()).unwrap(), single);
}

#[test]
fn every_flipped_bit_of_a_receipt_is_refused_except_in_its_extra_line() {
    let text = receipt().to_text().into_bytes();
    let extra = text.windows(6).position(|window| window == b"extra ").unwrap() + 6;
    let extra_end = text.windows(7).position(|window| window == b"\nindex ").unwrap();
    for at in (0..text.len()).filter(|at| !(extra..extra_end).contains(at)) {
        for bit in 0..8 {
            let mut bent = text.clone();
            bent[at] ^= 1 << bit;
            let Ok(bent) = String::from_utf8(bent) else { continue };
            let verdict = Receipt::parse(&bent).and_then(|receipt| receipt.verify(&leaves()[5], &key()));
            assert!(verdict.is_err(), "octet {at} bit {bit}: {bent}");
        }
    }
}

#[test]
fn a_text_that_is_no_receipt_is_refused() {
    let text = receipt().to_text();
    let hash = Hash([0; 32]).to_base64();
    for (name, bad) in [
        ("empty", String::new()),
        ("another version", text.replace("@v1", "@v2")),
        ("no index", text.replace("index 5\n", "")),
        ("zero before the index", text.replace("index 5", "index 05")),
        ("signed index", text.replace("index 5", "index +5")),
        ("extra behind the index", text.replace("index 5\n", "index 5\nextra AAAA\n")),
        ("66 hashes", text.replace("index 5\n", &format!("index 5\n{}", format!("{hash}\n").repeat(63)))),
        ("no checkpoint", text.split("\n\n").next().unwrap().to_owned()),
        ("endless", text.clone() + &"a".repeat(touchmark_tlog::RECEIPT_OCTETS_MAX)),
    ] {
        assert_eq!(Receipt::parse(&bad), Err(BadReceipt::NotAReceipt), "{name}");
    }
    let without = text.replace("\n\n— ", "\n— ");
    let verdict = Receipt::parse(&without).and_then(|receipt| receipt.verify(&leaves()[5], &key()));
    assert!(matches!(verdict, Err(BadReceipt::Checkpoint(_))));
    assert_eq!(open_note(&head().1, &key()).unwrap(), head().0);
}
