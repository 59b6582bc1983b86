//! The machine's own limits: what no design can beat here.

use crate::calibration::Calibration;
use crate::clock::cpu_us;
use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::rand::SystemRandom;
use std::hint::black_box;
use std::time::Instant;
use touchmark_durable::{AppendFile, Mode};
use touchmark_x509::{KeyAlgorithm, PublicKey, SignatureAlgorithm, Signer as _, SoftwareKey};

const MESSAGE: [u8; 450] = [7; 450];
/// Operations of one measurement: some 20 ms each.
const SIGNS: u32 = 1000;
const VERIFIES: u32 = 300;
const AGREEMENTS: u32 = 500;
const SYNCS: u32 = 10;

/// Everything prepared to measure again and again.
pub(crate) struct Probes {
    key: SoftwareKey,
    public: PublicKey,
    signature: Vec<u8>,
    peer: Vec<u8>,
    file: AppendFile,
    _directory: tempfile::TempDir,
}

impl Probes {
    pub(crate) fn new() -> Self {
        let key = SoftwareKey::generate(KeyAlgorithm::P256).expect("the provider makes P-256 keys");
        let signature = key.sign(&MESSAGE).expect("the provider signs");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file =
            AppendFile::open(&directory.path().join("probe"), Mode::Private0600).expect("a file in it");
        let peer = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new())
            .and_then(|key| key.compute_public_key())
            .expect("the provider makes X25519 keys");
        Self {
            public: key.public_key().clone(),
            key,
            signature,
            peer: peer.as_ref().to_vec(),
            file,
            _directory: directory,
        }
    }

    /// Once each.
    pub(crate) fn measure(&mut self) -> Calibration {
        let sign = per(SIGNS, || drop(black_box(self.key.sign(&MESSAGE))));
        let verify = per(VERIFIES, || {
            black_box(self.public.verify(SignatureAlgorithm::EcdsaSha256, &MESSAGE, &self.signature))
                .expect("its own signature verifies");
        });
        let x25519 = per(AGREEMENTS, || {
            let mine = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).expect("a key");
            black_box(mine.compute_public_key()).expect("its public half");
            let peer = UnparsedPublicKey::new(&X25519, &self.peer);
            let agreed = agreement::agree_ephemeral(mine, peer, (), |secret| Ok(black_box(secret).len()));
            black_box(agreed.expect("both halves are good"));
        });
        let since = Instant::now();
        for _ in 0..SYNCS {
            self.file.append(&[0; 4096]).expect("the disk takes it");
            self.file.sync();
        }
        let fdatasync = since.elapsed().as_secs_f64() * 1e6 / f64::from(SYNCS);
        Calibration { sign, verify, x25519, fdatasync }
    }
}

/// Microseconds of thread CPU time per operation.
fn per(times: u32, mut work: impl FnMut()) -> f64 {
    let before = cpu_us();
    for _ in 0..times {
        work();
    }
    (cpu_us() - before) / f64::from(times)
}
