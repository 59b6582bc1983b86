//! The road without its store: request to certificate, step by step and whole.

use crate::Row;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use touchmark_ca::{
    IssuanceOrder, IssuancePlan, IssuingAuthority, OrderParts, Profile, Recorded, create_issuing,
    create_root, issue, plan,
};
use touchmark_identity::{
    AuthorityVersionId, DeviceId, Incarnation, PathKind, ProfileVersionId, SpiffeId, Timestamp,
};
use touchmark_journal::{IdentityKind, Scope};
use touchmark_x509::csr::{Csr, UnprovenCsr};
use touchmark_x509::request::certification_request;
use touchmark_x509::{KeyAlgorithm, SoftwareKey};

pub(crate) const WHOLE: &str = "request to certificate, no store";

struct Bench {
    authority: IssuingAuthority,
    signer: SoftwareKey,
    profile: Profile,
    request: Vec<u8>,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let now = Timestamp::from_unix_s(1_800_000_000);
        let generate = || SoftwareKey::generate(KeyAlgorithm::P256).expect("the provider makes P-256 keys");
        let (root_key, signer, device_key) = (generate(), generate(), generate());
        let root = create_root("bench root", &root_key, Incarnation::FIRST, now, [1; 16]).expect("a root");
        let url = "http://127.0.0.1/crl/root/0.crl";
        let issuing =
            create_issuing("bench issuing", &signer, &root, &root_key, url, Incarnation::FIRST, now, [2; 16])
                .expect("an issuing authority");
        let version = AuthorityVersionId::draw(now, [3; 10]);
        let mut authority =
            IssuingAuthority::new(version, issuing, &signer, "http://127.0.0.1/crl".into(), 1);
        let profile = Profile {
            version: ProfileVersionId::draw(now, [4; 10]),
            kind: IdentityKind::Operational,
            lifetime: Duration::from_secs(86_400),
        };
        authority.prepare(&profile).expect("a template");
        let request = certification_request("pump-01", None, &device_key).expect("a request");
        Self { authority, signer, profile, request, now }
    }

    fn proven(&self) -> Csr {
        let unproven = UnprovenCsr::from_der(&self.request).expect("our own request");
        unproven.prove_possession().expect("its own signature")
    }

    fn planned(&self, csr: &Csr) -> IssuancePlan {
        let order = IssuanceOrder::admitted_unchecked(OrderParts {
            scope: Scope {
                organisation: "bench".parse().expect("a name"),
                environment: Some("lab".parse().expect("a name")),
            },
            identity: SpiffeId {
                trust_domain: "lab.touchmark.internal".parse().expect("a host name"),
                kind: PathKind::Device,
                name: "pump-01".parse().expect("a name"),
            },
            kind: IdentityKind::Operational,
            device: Some(DeviceId::draw(self.now, [5; 10])),
            public_key: csr.public_key().clone(),
            csr_sha256: csr.digest(),
            scope_strings: vec!["custody:software".into(), "model:x200".into()],
            dns: Vec::new(),
            ips: Vec::new(),
            token: None,
            replaces: None,
            renewal: None,
            generation: 1,
        });
        plan(order, &self.profile, &self.authority, Incarnation::FIRST, self.now, [6; 26])
            .expect("the profile is prepared")
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let bench = Arc::new(Bench::new());
    let (a, b, c) = (bench.clone(), bench.clone(), bench);
    let csr = b.proven();
    vec![
        Row {
            name: "request: read and prove possession",
            times: 2000,
            work: Box::new(move || drop(black_box(a.proven()))),
        },
        Row {
            name: "plan: template, 22 lints",
            times: 5000,
            work: Box::new(move || drop(black_box(b.planned(&csr)))),
        },
        Row {
            name: WHOLE,
            times: 1000,
            work: Box::new(move || {
                let planned = c.planned(&c.proven());
                // Nothing is recorded in a benchmark of the core; nothing of it leaves this process.
                let recorded = Recorded::recorded_unchecked(planned);
                black_box(issue(recorded, &c.signer)).expect("the key signs");
            }),
        },
    ]
}
