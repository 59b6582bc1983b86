use super::*;
use crate::lifecycle::{CertificateReport, Failure, Renewed};
use touchmark_enrol::RenewalWindow;
use touchmark_identity::{Fingerprint, Validity};

const DAY_S: u64 = 86_400;
/// 2027-01-15T08:00:00Z.
const NOW_S: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_s(seconds)
}

fn good() -> Report {
    Report {
        identity: "pump-01".parse().unwrap(),
        environment: "lab".parse().unwrap(),
        certificate: Some(CertificateReport {
            fingerprint: Fingerprint([7; 32]),
            identity: None,
            validity: Validity::new(NOW_S - DAY_S, NOW_S + 9 * DAY_S).unwrap(),
        }),
        progress: Progress::Idle,
        renews_at: Some(at(NOW_S + 5 * DAY_S + 3600)),
        window: None,
        next_at: at(NOW_S + 3600),
        renewed: Some(Renewed { at: at(NOW_S - DAY_S), by: RenewedBy::Itself, failures: 0 }),
        failures: 0,
        failure: None,
        standing: Standing::Good,
        needs: Needs::Nobody,
        now: at(NOW_S),
        clock: at(NOW_S),
        floor: at(NOW_S),
        anchors: 2,
    }
}

fn failed(report: Report, failures: u32, code: &str) -> Report {
    let failure = Failure { at: at(NOW_S - 60), code: code.into(), says: "the server's words".into() };
    Report { failures, failure: Some(failure), next_at: at(NOW_S + 90), ..report }
}

#[test]
fn one_sentence_says_how_an_identity_stands() {
    let none = || Report { certificate: None, renews_at: None, renewed: None, ..good() };
    let rows: &[(&str, Report, &str)] = &[
        (
            "good",
            good(),
            "pump-01 in lab: certificate good until 2027-01-24T08:00:00Z (in 9 d 0 h), \
             renews about 2027-01-20T09:00:00Z (in 5 d 1 h), last renewal 2027-01-14T08:00:00Z by itself",
        ),
        (
            "new",
            none(),
            "pump-01 in lab: no certificate yet, next attempt 2027-01-15T09:00:00Z (in 1 h 0 min)",
        ),
        (
            "refused",
            failed(none(), 1, "est-unauthorised"),
            "pump-01 in lab: no certificate yet, next attempt 2027-01-15T08:01:30Z (in 1 min 30 s), \
             1 attempt failed in a row (est-unauthorised)",
        ),
        (
            "expired",
            failed(Report { now: at(NOW_S + 9 * DAY_S + 5), renewed: None, ..good() }, 3, "server-timeout"),
            "pump-01 in lab: certificate EXPIRED 2027-01-24T08:00:00Z (5 s ago), \
             next attempt 2027-01-15T08:01:30Z (8 d 23 h ago), 3 attempts failed in a row (server-timeout)",
        ),
    ];
    for (name, report, expected) in rows {
        assert_eq!(summary(report), *expected, "{name}");
    }
}

#[test]
fn the_reasons_end_with_who_must_act() {
    let lines = why(&good());
    assert_eq!(lines.last().unwrap(), "Nobody need act.");
    assert_eq!(lines.len(), 2, "{lines:?}");

    let silent = |code: &str| {
        let mut report = failed(good(), 1, code);
        if let Some(failure) = &mut report.failure {
            failure.says.clear();
        }
        why(&report)
    };
    assert!(
        silent("http-401").iter().any(|line| line.contains("did not take the token; it is wrong, used,"))
    );
    assert!(
        silent("http-500")
            .iter()
            .any(|line| line.contains("failed: the authority gave no reason (http-500)"))
    );

    let window = RenewalWindow::new(at(NOW_S + DAY_S), at(NOW_S + 2 * DAY_S)).unwrap();
    let troubled = Report {
        needs: Needs::NewProof,
        window: Some(window),
        clock: at(NOW_S - 30 * DAY_S),
        progress: Progress::Asking,
        ..failed(good(), 2, "certificate-revoked")
    };
    assert_eq!(
        why(&troubled)[1..],
        [
            "It asks for a new certificate; the old one stays in force meanwhile.",
            "The authority asks for the renewal between 2027-01-16T08:00:00Z and 2027-01-17T08:00:00Z.",
            "The last attempt, 2027-01-15T07:59:00Z, failed: the server's words (certificate-revoked).",
            "This machine's clock says 2026-12-16T08:00:00Z; the agent reckons with 2027-01-15T08:00:00Z.",
            "Somebody must act: at the authority, touchmark token create --env lab --device pump-01 --out FILE; \
             then put FILE where this agent's token_file points.",
        ]
    );
}

#[test]
fn only_a_change_that_matters_is_news() {
    let first = news(&good());
    assert_eq!(news(&Report { now: at(NOW_S + 9), next_at: at(NOW_S), ..good() }), first, "time passes");
    assert_eq!(news(&failed(good(), 1, "x")), news(&failed(good(), 2, "x")), "the same failure again");
    assert_ne!(news(&failed(good(), 1, "x")), first);
    assert_ne!(news(&Report { needs: Needs::Release, ..good() }), first);
    assert_ne!(news(&Report { certificate: None, ..good() }), first);
}
