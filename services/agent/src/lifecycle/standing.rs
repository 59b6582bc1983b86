//! What the server thinks of this device, as far as its answers tell, and what an answer means.
//!
//! In: the call, and the refusal. Out: [`Meaning`], one of a few things that can be done about it. A code that
//! is not known here falls under its HTTP status: a new code of a newer server stops no device for ever.

use super::Call;
use serde::{Deserialize, Serialize};

/// What is remembered of refusals, until a certificate is taken.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// Nothing is known against it.
    #[default]
    Good,
    /// An operator looks into it, and may release it: asked again at an ordinary pace.
    Quarantined,
    /// It never returns: asked again once a day, since a ban by mistake is mended by a new device.
    Banned,
    /// The current certificate opens nothing any more (revoked, superseded, expired beyond the grace).
    Lost {
        /// The refusal's code.
        code: String,
    },
}

/// What a refusal asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Ask again: the server is busy, broken, or waits for an approval.
    Later,
    /// Forget the request and make another.
    OtherRequest,
    /// The token, or initial certificate, does not open (any more): a person brings another.
    ProofRefused,
    /// The current pair cannot be renewed.
    Lost,
    /// Wait for an operator's release.
    Quarantined,
    /// Wait, with little hope.
    Banned,
}

/// Codes that say for good, and why, that a pair opens nothing any more; any other refusal may be a mistake.
const FINAL: [&str; 6] = [
    "certificate-environment",
    "certificate-expired",
    "certificate-revoked",
    "certificate-superseded",
    "certificate-unknown",
    "renewal-late",
];

/// Whether a pair that is lost by this code stays so, as far as its authority knows.
pub(super) fn is_final(code: &str) -> bool {
    FINAL.contains(&code)
}

/// What a refusal to `call` means.
pub(super) fn meaning(call: Call, status: u16, code: &str) -> Meaning {
    match code {
        "device-banned" => return Meaning::Banned,
        "device-quarantined" => return Meaning::Quarantined,
        "key-not-usable" => return Meaning::OtherRequest,
        _ if code.starts_with("csr-") => return Meaning::OtherRequest,
        _ => {}
    }
    match (call, status) {
        (Call::Enrol { .. }, 401 | 403) => Meaning::ProofRefused,
        (Call::Renew, 401 | 403) => Meaning::Lost,
        (Call::Hint, 401 | 403) if ["certificate-revoked", "certificate-superseded"].contains(&code) => {
            Meaning::Lost
        }
        (Call::Confirm, 401 | 403 | 409) | (Call::Enrol { .. } | Call::Renew, 400) => Meaning::OtherRequest,
        (Call::Anchors | Call::Hint | Call::Confirm | Call::Enrol { .. } | Call::Renew, _) => Meaning::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::FirstProof;

    #[test]
    fn a_refusal_means_what_can_be_done_about_it() {
        use Meaning::{Banned, Later, Lost, OtherRequest, ProofRefused, Quarantined};
        let enrol = Call::Enrol { proof: FirstProof::Token };
        let rows: &[(&str, Call, u16, &str, Meaning)] = &[
            ("busy", Call::Renew, 503, "est-unavailable", Later),
            ("too often", Call::Renew, 429, "est-too-soon", Later),
            ("waits for approval", enrol, 202, "est-pending", Later),
            ("broken", Call::Confirm, 500, "", Later),
            ("no such path", Call::Hint, 404, "", Later),
            ("no window for strangers", Call::Hint, 403, "", Later),
            ("revoked, told with the window", Call::Hint, 403, "certificate-revoked", Lost),
            ("a code of the future", Call::Renew, 418, "moon-phase", Later),
            ("banned", Call::Renew, 403, "device-banned", Banned),
            ("banned, at the confirmation", Call::Confirm, 403, "device-banned", Banned),
            ("banned, with a token", enrol, 403, "device-banned", Banned),
            ("quarantined", Call::Renew, 403, "device-quarantined", Quarantined),
            ("revoked", Call::Renew, 403, "certificate-revoked", Lost),
            ("beyond the grace", Call::Renew, 403, "renewal-late", Lost),
            ("superseded", Call::Renew, 403, "certificate-superseded", Lost),
            ("unknown certificate", Call::Renew, 401, "", Lost),
            ("token used up", enrol, 401, "token-used", ProofRefused),
            ("token unknown", enrol, 401, "", ProofRefused),
            ("key denied", Call::Renew, 403, "key-not-usable", OtherRequest),
            ("request malformed", Call::Renew, 400, "csr-malformed", OtherRequest),
            ("successor superseded", Call::Confirm, 403, "certificate-superseded", OtherRequest),
            ("successor revoked", Call::Confirm, 409, "certificate-revoked", OtherRequest),
        ];
        for (name, call, status, code, expected) in rows {
            assert_eq!(meaning(*call, *status, code), *expected, "{name}");
        }
    }
}
