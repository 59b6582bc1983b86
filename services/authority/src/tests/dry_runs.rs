//! A dry run says what would happen, and leaves no trace: not in the journal, the rows, the feed or the CRL.

use crate::containment::{ContainFault, Containments};
use crate::feed::crls::Published;
use crate::start::bootstrap::bootstrapped;
use crate::tests::house::{DEVICE, House, request};
use std::time::Duration;
use touchmark_api::{CertificateName, ContainmentOutcome};
use touchmark_identity::RevocationReason;
use touchmark_inventory::{CertificateRow, DeviceRow, PartyRow, Store as _};
use touchmark_journal::{IdentityKind, Reach};
use touchmark_ra::{Contain, RevokeCertificate, RevokeParty, Verb};
use touchmark_status::Position;
use touchmark_testkit::name;

const COMPROMISED: RevocationReason = RevocationReason::KeyCompromise;

struct Lab {
    house: House,
    containments: Containments,
    _home: tempfile::TempDir,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Device(Verb),
    Party(IdentityKind),
    Certificate(IdentityKind),
}

impl Lab {
    /// Two certificates of each kind, and an admin that nobody asks about.
    async fn new() -> Self {
        let house = House::new().await;
        let home = tempfile::tempdir().unwrap();
        let containments = house.containments(home.path());
        containments.crls.refresh_all().await.unwrap();
        house.joins(IdentityKind::Operator, "admin", &["admin"]).await;
        house.joins(IdentityKind::Operator, DEVICE, &["admin"]).await;
        for kind in [IdentityKind::Operational, IdentityKind::Service] {
            house.first(kind).await;
        }
        for kind in [IdentityKind::Operational, IdentityKind::Service, IdentityKind::Operator] {
            let old = house.rows(kind)[0].fingerprint.unwrap();
            house.issuance.confirm(&old, None, "test").await.unwrap();
            let der = house.row(&old).der.unwrap();
            let old = touchmark_x509::Certificate::from_der(&der).unwrap();
            house.renew(&old, &request()).await.unwrap();
        }
        Self { house, containments, _home: home }
    }

    fn device(&self) -> DeviceRow {
        self.house.store.device_by_name(&name("lab"), &name(DEVICE)).unwrap().unwrap()
    }

    fn party(&self, kind: IdentityKind) -> PartyRow {
        self.house.tokens.party(kind, &name(DEVICE)).unwrap().unwrap()
    }

    fn oldest(&self, kind: IdentityKind) -> CertificateRow {
        self.house.rows(kind).into_iter().min_by_key(|row| row.generation).unwrap()
    }

    async fn asks(&self, asked: Asked, dry_run: bool) -> Result<ContainmentOutcome, ContainFault> {
        let (wait, reason) = (Duration::ZERO, COMPROMISED);
        match asked {
            Asked::Device(verb) => {
                let act = Contain { device: self.device(), verb };
                self.containments.contain(bootstrapped(act), dry_run, wait).await
            }
            Asked::Party(kind) => {
                let act = RevokeParty { party: self.party(kind), reason };
                self.containments.revoke_party(bootstrapped(act), dry_run, wait).await
            }
            Asked::Certificate(kind) => {
                let act =
                    RevokeCertificate { certificate: self.oldest(kind), reach: Reach::Organisation, reason };
                self.containments.revoke_one(bootstrapped(act), dry_run, wait).await
            }
        }
    }

    fn trace(&self) -> (u64, Vec<String>, Position, u64) {
        let (store, row) = (&self.house.store, self.oldest(IdentityKind::Operational));
        let crl: Published = self.containments.crls.get(row.authority_version, row.crl_shard).unwrap();
        let feed = self.house.feeds.of(&name("lab")).unwrap().position();
        (store.journal_len().unwrap(), store.dump_rows().unwrap(), feed, crl.number)
    }
}

#[tokio::test]
async fn a_dry_run_of_any_verb_leaves_no_trace_and_says_what_would_die() {
    use IdentityKind::{Operational, Operator, Service};
    let until = touchmark_identity::Timestamp::from_unix_s(1_900_000_000);
    // With how many certificates die.
    let rows = [
        (Asked::Device(Verb::Revoke(COMPROMISED)), 2),
        (Asked::Device(Verb::Quarantine(None)), 0),
        (Asked::Device(Verb::Quarantine(Some(until))), 0),
        (Asked::Device(Verb::Release), 0),
        (Asked::Device(Verb::Ban(COMPROMISED)), 2),
        (Asked::Party(Service), 2),
        (Asked::Party(Operator), 2),
        (Asked::Certificate(Operational), 2),
        (Asked::Certificate(Service), 2),
        (Asked::Certificate(Operator), 2),
    ];
    for (asked, die) in rows {
        let lab = Lab::new().await;
        if matches!(asked, Asked::Device(Verb::Release)) {
            lab.asks(Asked::Device(Verb::Quarantine(None)), false).await.unwrap();
        }
        let before = lab.trace();
        let dry = lab.asks(asked, true).await.unwrap();
        assert_eq!(lab.trace(), before, "{asked:?}");
        assert!(dry.dry_run && dry.seq.is_none() && dry.accepted_at.is_none(), "{asked:?}: {dry:?}");
        assert!(dry.gateways.is_empty(), "{asked:?}");
        let done = lab.asks(asked, false).await.unwrap();
        assert!(!done.dry_run && done.seq == Some(before.0), "{asked:?}: {done:?}");
        let sorted = |outcome: &ContainmentOutcome| {
            let mut certificates = outcome.certificates.clone();
            certificates.sort_unstable();
            certificates
        };
        assert_eq!(sorted(&dry), sorted(&done), "{asked:?}");
        assert_eq!(done.certificates.len(), die, "{asked:?}");
        assert_eq!(
            (&dry.rule, &dry.device, &dry.lives_on),
            (&done.rule, &done.device, &done.lives_on),
            "{asked:?}"
        );
        let after = lab.trace();
        assert!(after.0 > before.0 && after.2 > before.2, "{asked:?}: journal and feed");
        assert_eq!(after.3 > before.3, die > 0, "{asked:?}: CRL");
    }
}

#[tokio::test]
async fn what_lives_on_is_what_is_not_of_the_line() {
    let lab = Lab::new().await;
    // A second line, on a token of its own.
    let other = lab.house.first(IdentityKind::Operational).await;
    lab.house.issuance.confirm(&other.fingerprint(), None, "test").await.unwrap();
    let newer = lab.house.renew(&other, &request()).await.unwrap();
    let row = lab.house.row(&newer.fingerprint());
    let act = || {
        bootstrapped(RevokeCertificate {
            certificate: row.clone(),
            reach: Reach::Organisation,
            reason: COMPROMISED,
        })
    };
    for dry_run in [true, false] {
        let outcome = lab.containments.revoke_one(act(), dry_run, Duration::ZERO).await.unwrap();
        assert_eq!(
            outcome.certificates,
            [CertificateName::Fingerprint(newer.fingerprint())],
            "dry run: {dry_run}"
        );
        assert!(
            outcome.lives_on.contains(&CertificateName::Fingerprint(other.fingerprint())),
            "dry run: {dry_run}: {outcome:?}"
        );
        assert!(
            !outcome.lives_on.contains(&CertificateName::Fingerprint(newer.fingerprint())),
            "dry run: {dry_run}"
        );
    }
}
