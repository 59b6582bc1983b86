//! The machine's own limits: what no design can beat here.

use crate::Row;
use std::hint::black_box;
use touchmark_durable::{AppendFile, Mode};
use touchmark_x509::{KeyAlgorithm, SignatureAlgorithm, Signer, SoftwareKey};

pub(crate) const SIGN: &str = "P-256 sign";
pub(crate) const VERIFY: &str = "P-256 verify";

pub(crate) fn rows() -> Vec<Row> {
    let message = [7_u8; 450];
    let key = SoftwareKey::generate(KeyAlgorithm::P256).expect("the provider makes P-256 keys");
    let signature = key.sign(&message).expect("the provider signs");
    let public = key.public_key().clone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut file =
        AppendFile::open(&directory.path().join("probe"), Mode::Private0600).expect("a file in it");
    vec![
        Row {
            name: SIGN,
            times: 2000,
            wall_clock: false,
            work: Box::new(move || drop(black_box(key.sign(&message)))),
        },
        Row {
            name: VERIFY,
            times: 2000,
            wall_clock: false,
            work: Box::new(move || {
                black_box(public.verify(SignatureAlgorithm::EcdsaSha256, &message, &signature))
                    .expect("its own signature verifies");
            }),
        },
        Row {
            name: "append 4 KiB and fdatasync",
            times: 50,
            wall_clock: true,
            work: Box::new(move || {
                let _in_use = &directory;
                file.append(&[0; 4096]).expect("the disk takes it");
                file.sync();
            }),
        },
    ]
}
