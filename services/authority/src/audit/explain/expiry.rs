//! What the end of a certificate means for its holder, in words: what it can no longer do, what renews it before, what
//! brings it back. A device, a gateway and an operator differ in all three.

use std::time::Duration;
use touchmark_identity::Timestamp;
use touchmark_inventory::RenewalRow;
use touchmark_journal::RenewalManner;

/// What a holder uses its certificate for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Device,
    /// A gateway, or another service that follows the feed.
    Service,
    /// The authority's own server certificate.
    Authority,
    Operator,
}

/// What the end means, and whether something is likely to renew before it.
pub(super) fn effect(role: Role, renewals: Option<&RenewalRow>) -> &'static str {
    let manner = renewals.filter(|row| row.refused_since == 0).and_then(|row| row.last_manner);
    match (role, manner) {
        (Role::Authority, _) => {
            "renewed by the authority itself, in the last third of its life and at each start: without that nobody \
             connects to EST or the API"
        }
        (Role::Service, _) => {
            "refused unless `touchmark gateway up` renews it before, as it does while it runs: without that devices end \
             every handshake with it, and the authority too"
        }
        (Role::Operator, _) => "refused: from then on every call to the API with it ends in a TLS alert",
        (Role::Device, Some(RenewalManner::Automatic)) => {
            "refused unless its program renews it before, as it did the last time: without that every handshake \
             with it ends in a TLS alert from then on and live sessions are cut"
        }
        (Role::Device, Some(RenewalManner::Manual | RenewalManner::Unknown) | None) => {
            "refused: nothing is known to renew this certificate by itself; from then on every handshake with it \
             ends in a TLS alert and live sessions are cut"
        }
    }
}

/// What a party can no longer do. For a device it is what it was seen to be allowed.
pub(super) fn lost(role: Role) -> &'static [&'static str] {
    match role {
        Role::Device => &[],
        Role::Service => &["serve devices", "follow the status feed", "deliver its decision log"],
        Role::Authority => &["answer EST", "answer the API"],
        Role::Operator => &["call the API"],
    }
}

/// What brings the holder back.
pub(super) fn way_back(role: Role, not_after: Timestamp, grace: Option<Duration>, now: Timestamp) -> String {
    let fresh = match role {
        Role::Device => "a new token: touchmark token create --device NAME, then enrol again",
        Role::Service => {
            "a new token: touchmark token create --kind gateway --device NAME --host HOST, then touchmark gateway up \
             --token-file FILE where key.pem and chain.pem of the old certificate are gone (--kind service for another service)"
        }
        Role::Authority => return "a start of the authority: it makes itself a new one".to_owned(),
        Role::Operator => {
            "a new token, made by an operator who may enrol operators: touchmark token create --kind operator --device NAME"
        }
    };
    let until = not_after.plus(grace.unwrap_or_default());
    match now.unix_s() <= until.unix_s() && until > not_after {
        true => format!("a late renewal with this very certificate, until {until}; after that {fresh}"),
        false => fresh.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_party_is_true_of_a_party() {
        let now = Timestamp::from_unix_s(1_800_000_000);
        let end = now.plus(Duration::from_secs(60));
        let rows = [
            (Role::Device, "live sessions are cut", "touchmark token create --device NAME", false),
            (Role::Service, "`touchmark gateway up` renews it", "--kind gateway", true),
            (Role::Authority, "renewed by the authority itself", "a start of the authority", true),
            (Role::Operator, "every call to the API", "--kind operator", true),
        ];
        for (role, means, back, loses) in rows {
            assert!(effect(role, None).contains(means), "{role:?}");
            assert!(way_back(role, end, None, now).contains(back), "{role:?}");
            assert_eq!(!lost(role).is_empty(), loses, "{role:?}");
        }
        let late = way_back(Role::Service, end, Some(Duration::from_secs(3600)), now);
        assert!(late.starts_with("a late renewal") && late.contains("--kind gateway"), "{late}");
    }
}
