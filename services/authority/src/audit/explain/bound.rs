//! An answer of bounded size, whatever a device did and however often it renewed. What is left out is said.

use serde::Serialize;
use touchmark_api::Explanation;

/// Octets of a whole answer in JSON.
#[cfg(test)]
pub(super) const ANSWER_OCTETS_MAX: usize = 200_000;
/// Its parts. What remains is for the parts of fixed size: the device, its renewals, the decision asked for.
const CERTIFICATES_OCTETS: usize = 50_000;
const PLACES_OCTETS: usize = 85_000;
const REVOKERS_OCTETS: usize = 15_000;
const ACTIONS_OCTETS: usize = 12_000;
const HISTORY_OCTETS: usize = 15_000;
/// Octets of what was asked that are said again.
const ASKED_OCTETS: usize = 1_024;

/// Certificates that are looked at: as many as can be shown.
pub(super) const CERTIFICATES_MAX: usize = 128;

/// Cuts each list to its part. `older` certificates were not even looked at.
pub(super) fn bound(mut all: Explanation, older: usize) -> Explanation {
    let mut left_out = Vec::new();
    let mut say = |count: usize, what: &str| {
        if count > 0 {
            left_out.push(format!("{count} {what}"));
        }
    };
    say(
        older + fit(&mut all.certificates, CERTIFICATES_OCTETS),
        "older certificates, and where they were used",
    );
    if let Some(seen) = &mut all.where_used {
        say(fit(seen, PLACES_OCTETS), "places where they were used, those of the longest ago");
        say(seen.iter().filter(|one| one.folded).count(), "groups of places are shown as one each");
    }
    if let Some(able) = &mut all.who_can_revoke {
        say(fit(able, REVOKERS_OCTETS), "more who can revoke them");
    }
    if let Some(expiry) = &mut all.on_expiry {
        say(fit(&mut expiry.actions_lost, ACTIONS_OCTETS), "more actions that end with the certificate");
    }
    say(fit(&mut all.history, HISTORY_OCTETS), "older entries of the history");
    all.asked.truncate(all.asked.floor_char_boundary(ASKED_OCTETS));
    all.left_out = left_out;
    all
}

/// Keeps as many of the first items as fit; gives how many do not.
fn fit<T: Serialize>(items: &mut Vec<T>, octets_max: usize) -> usize {
    let mut octets = 0_usize;
    let kept = items
        .iter()
        .take_while(|item| {
            // Something that has no JSON takes no room in it.
            octets += 1 + serde_json::to_string(item).map_or(0, |text| text.len());
            octets <= octets_max
        })
        .count();
    let cut = items.len() - kept;
    items.truncate(kept);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_api::{Certificate, History, OnExpiry, Revoker, Sighting, Word};
    use touchmark_identity::{CertificateId, Fingerprint, Name, Timestamp};

    fn largest(lists: usize, text: &str) -> Explanation {
        let text = || text.to_owned();
        let at = Timestamp::from_unix_s(1_800_000_000);
        let (id, fingerprint) = (CertificateId::draw(at, [7; 10]), Fingerprint([7; 32]));
        let name: Name = "n".repeat(64).parse().unwrap();
        let certificate = || Certificate {
            id,
            fingerprint: Some(fingerprint),
            issuer: Some(text()),
            serial: "4c".repeat(17).parse().unwrap(),
            spki: None,
            state: Word::Other(text().into()),
            not_before: at,
            not_after: at,
            profile: None,
            identity: None,
            generation: u64::MAX,
            revoked_at: Some(at),
            revocation_reason: Some(Word::Other(text().into())),
            revoked_by: Some(Word::Other(text().into())),
            pem: None,
        };
        let sighting = |folded| Sighting {
            certificate: fingerprint,
            gateway: name.clone(),
            action: Word::Other(text().into()),
            resource: text(),
            first: at,
            last: at,
            allowed: u64::MAX,
            denied: u64::MAX,
            folded,
        };
        Explanation {
            asked: text().repeat(1_000),
            matched: Some(id),
            device: None,
            party: None,
            identities: Vec::new(),
            certificates: (0..lists).map(|_| certificate()).collect(),
            where_used: Some((0..lists).map(|n| sighting(n == 0)).collect()),
            who_can_revoke: Some(
                (0..lists)
                    .map(|_| Revoker { kind: Word::Other(text().into()), name: name.clone(), rule: text() })
                    .collect(),
            ),
            on_expiry: Some(OnExpiry {
                not_after: at,
                chain_not_after: at,
                in_s: i64::MIN,
                effect: text(),
                actions_lost: vec![text(); lists],
                way_back: text(),
            }),
            renewals: None,
            history: (0..lists)
                .map(|seq| History {
                    seq: seq as u64,
                    at,
                    event: text(),
                    actor: Word::Other(text().into()),
                    cause: text(),
                })
                .collect(),
            decision: None,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn no_answer_is_longer_than_its_limit_and_what_is_left_out_is_said() {
        // Octets that JSON writes as six, quotes, letters of several octets.
        let texts = ["\u{1}".repeat(250), "\"".repeat(250), "ä".repeat(120), "a".into()];
        for text in texts {
            let bounded = bound(largest(5_000, &text), 7);
            let octets = serde_json::to_string(&bounded).unwrap().len();
            assert!(octets <= ANSWER_OCTETS_MAX, "{octets}");
            assert_eq!(bounded.left_out.len(), 6, "{:?}", bounded.left_out);
            assert!(!bounded.certificates.is_empty() && !bounded.history.is_empty());
        }
    }

    #[test]
    fn an_answer_that_fits_is_whole() {
        let all = largest(30, "a");
        let bounded = bound(all.clone(), 0);
        assert_eq!(bounded.left_out, ["1 groups of places are shown as one each"]);
        assert_eq!((bounded.certificates, bounded.where_used), (all.certificates, all.where_used));
    }
}
