//! A policy bundle's canonical octets: one form, one version, whatever the order of its files.
//!
//! The first letter chooses: `a` octets from a stranger, `b` texts for a bundle.

#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::{Input, chosen, sha256};
use touchmark_policy_cedar::PolicyBundle;

fuzz_target!(|data: &[u8]| match chosen(data) {
    (0, octets) => {
        let Ok(bundle) = PolicyBundle::from_canonical_bytes(octets) else { return };
        assert!(bundle.files.len() <= PolicyBundle::FILES_MAX);
        assert_eq!(bundle.to_canonical_bytes(), octets);
        assert_eq!(bundle.version().as_bytes(), &sha256(octets));
    }
    (_, octets) => {
        let mut input = Input::new(octets);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let topics = text(input.short());
        let mut files = Vec::new();
        while !input.is_empty() && files.len() < PolicyBundle::FILES_MAX {
            files.push((text(input.short()), text(input.short())));
        }
        let bundle = PolicyBundle { files, topics };
        let mut turned = bundle.clone();
        turned.files.reverse();
        assert_eq!(turned.version(), bundle.version());
        let read =
            PolicyBundle::from_canonical_bytes(&bundle.to_canonical_bytes()).expect("reads what it wrote");
        assert_eq!((read.files.len(), &read.topics), (bundle.files.len(), &bundle.topics));
        assert!(bundle.files.iter().all(|file| read.files.contains(file)));
    }
});
