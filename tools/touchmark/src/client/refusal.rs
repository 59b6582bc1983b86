//! What an answer that is no success means to whoever holds the device: what it is about, and what helps.

use super::{Again, Client};
use crate::failure::{Exit, Failure};
use core::time::Duration;
use touchmark_agent::lifecycle::{Answer, Call, Trouble};
use touchmark_identity::Name;

/// Longest that a busy server's own word about when to come back is followed, in one wait.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A question without success.
pub(super) struct Refused {
    pub(super) failure: Failure,
    pub(super) again: Option<Again>,
}

impl Refused {
    /// `None` for an answer that is one.
    pub(super) fn read(answer: &Answer, call: Call, client: &Client) -> Option<Self> {
        match answer {
            // The anchors that are known will do.
            Answer::Refused { .. } if call == Call::Anchors => None,
            Answer::Refused { status, code, says, retry_after } => {
                let failure = refused(call, *status, code, says, &client.name);
                let final_word = Failure::at_authoritys_machine(failure.code(), "").is_some();
                let again = match (status, call) {
                    _ if final_word => None,
                    (503, Call::Enrol { .. }) => Some(Again::Broken),
                    (429 | 503, Call::Renew | Call::Confirm) => {
                        let asked = retry_after.unwrap_or(Duration::from_secs(1));
                        Some(Again::Busy(asked.min(BUSY_WAIT_MAX)))
                    }
                    _ => None,
                };
                Some(Self { failure, again })
            }
            Answer::Unreachable { why, says } => {
                // A server that dies breaks connections in every state; asking again is safe. One that is silent stays so.
                let broken = matches!(why, Trouble::Dns | Trouble::Connect | Trouble::Protocol);
                Some(Self {
                    failure: unreachable(*why, &client.est).why(says),
                    again: broken.then_some(Again::Broken),
                })
            }
            Answer::Certificates { .. } | Answer::Anchors { .. } | Answer::Confirmed | Answer::Hint(_) => {
                None
            }
        }
    }
}

fn unreachable(why: Trouble, est: &str) -> Failure {
    match why {
        Trouble::Dns | Trouble::Connect | Trouble::Timeout => {
            let place = est.trim_start_matches("https://").trim_end_matches('/');
            let title = format!("the authority does not answer at {place}");
            Failure::new(Exit::Unreachable, "unreachable", title).fix(
                "see whether the server runs and --data is its directory; start it with the words of its last start",
            )
        }
        Trouble::TlsExpired => Failure::new(Exit::Expired, "tls-time", "a certificate is outside its time")
            .fix("check this machine's clock, then the server's certificate"),
        Trouble::TlsAlert(_) => {
            Failure::new(Exit::Denied, "tls-refused", "the other end refused the TLS connection")
                .fix("touchmark device certs NAME   (is the certificate still alive?)")
        }
        Trouble::TlsUntrusted => Failure::new(Exit::Unreachable, "tls", "no TLS connection came about")
            .fix("see that --data is of the environment whose authority answers there"),
        Trouble::Protocol | Trouble::TooLarge | Trouble::Redirect => {
            Failure::new(Exit::Unreachable, "est-answer", "the answer cannot be read")
                .fix("see what answers there; asking again is safe")
        }
    }
}

fn refused(call: Call, status: u16, code: &str, says: &str, name: &Name) -> Failure {
    // EST refuses in plain text, with the code at its end.
    let says = says.trim().strip_suffix(&format!("({code})")).unwrap_or(says).trim();
    if let Some(failure) = Failure::at_authoritys_machine(code, says) {
        return failure;
    }
    let first = matches!(call, Call::Enrol { .. });
    let code = match code {
        "" if status == 401 && !first => "certificate-unknown",
        "" => "est-refused",
        code => code,
    };
    let title = match call {
        Call::Enrol { .. } => format!("the enrolment was refused with {status}"),
        Call::Confirm => format!("the new certificate was not confirmed ({status})"),
        Call::Renew | Call::Anchors | Call::Hint => format!("the renewal was refused with {status}"),
    };
    let (exit, fix) = if first { first_advice(status) } else { advice(status, code, name) };
    // A stranger to the authority gets no words (nothing is told to those who have proven nothing).
    let why = if says.is_empty() { "the authority gives no reason to those it does not know" } else { says };
    Failure::new(exit, code, title).why(why).fix(fix)
}

fn first_advice(status: u16) -> (Exit, String) {
    let (exit, fix) = match status {
        401 => (
            Exit::Denied,
            "touchmark token create --env ENV --device NAME   (a token is good once, for its time, for its name)",
        ),
        403 => (Exit::Denied, "touchmark explain NAME   (what became of this device?)"),
        404 => (Exit::NotFound, "touchmark env list"),
        400..=499 => (Exit::Usage, "correct the request as the text above says"),
        _ => (Exit::Unreachable, "look into the authority's log; asking again is safe"),
    };
    (exit, fix.to_owned())
}

fn advice(status: u16, code: &str, name: &Name) -> (Exit, String) {
    let replace = format!("touchmark device replace {name}   (a new key, on a new token)");
    match (code, status) {
        ("certificate-superseded", _) => (
            Exit::Denied,
            format!(
                "touchmark explain {name}   (who holds the newer one? then: touchmark device replace {name})"
            ),
        ),
        ("certificate-revoked" | "certificate-unknown", _) => (Exit::Denied, replace),
        ("renewal-late" | "certificate-expired", _) => (Exit::Expired, replace),
        ("certificate-environment", _) => {
            (Exit::Usage, format!("touchmark device rotate {name} --env ENV   (the certificate's own)"))
        }
        ("device-quarantined", _) => (
            Exit::Denied,
            format!("touchmark device release {name}, then rotate again: it goes on with the same key"),
        ),
        ("device-banned", _) => (Exit::Denied, "none: a ban is final".to_owned()),
        ("confirm-other", _) => (
            Exit::Conflict,
            format!("touchmark device rotate {name}   (asks again with the right certificate)"),
        ),
        (code, _) if code.starts_with("csr-") || code.contains("key") => (
            Exit::Conflict,
            format!("touchmark device rotate {name}   (makes another key; the refused one is gone)"),
        ),
        (_, 429 | 503) => (Exit::Unreachable, "ask again later: nothing is lost by waiting".to_owned()),
        (_, 401 | 403) => (Exit::Denied, format!("touchmark explain {name}   (what became of this device?)")),
        (_, 404) => (Exit::NotFound, "touchmark env list".to_owned()),
        (_, 400..=499) => (Exit::Usage, "correct what the text above names".to_owned()),
        _ => (Exit::Unreachable, "look into the authority's log; asking again is safe".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use touchmark_agent::lifecycle::FirstProof;

    fn read(answer: Answer, call: Call) -> Option<Refused> {
        let client = Client {
            est: "https://127.0.0.1:7443".to_owned(),
            environment: "lab".parse().unwrap(),
            name: "pump-01".parse().unwrap(),
        };
        Refused::read(&answer, call, &client)
    }

    #[test]
    fn each_refusal_has_its_exit_code_and_a_way_on() {
        use Call::{Confirm, Renew};
        let enrol = Call::Enrol { proof: FirstProof::Token };
        let rows = [
            (403, "replaced (certificate-superseded)", Renew, Exit::Denied, "explain", false),
            (403, "dead (certificate-revoked)", Renew, Exit::Denied, "replace", false),
            (401, "", Renew, Exit::Denied, "replace", false),
            (403, "too late (renewal-late)", Renew, Exit::Expired, "replace", false),
            (403, "no (device-quarantined)", Renew, Exit::Denied, "release", false),
            (403, "no (device-banned)", Renew, Exit::Denied, "final", false),
            (403, "elsewhere (certificate-environment)", Renew, Exit::Usage, "--env", false),
            (400, "again (renewal-same-key)", Renew, Exit::Conflict, "another key", false),
            (403, "denied (key-not-usable)", Renew, Exit::Conflict, "another key", false),
            (400, "names (csr-name)", Renew, Exit::Conflict, "another key", false),
            (503, "busy (est-busy)", Renew, Exit::Unreachable, "waiting", true),
            (503, "full (disk-full)", Renew, Exit::Unreachable, "make space", false),
            (503, "full (disk-full)", Confirm, Exit::Unreachable, "disk of the authority is full", false),
            (503, "back (clock)", Renew, Exit::Expired, "set the clock", false),
            (500, "", Renew, Exit::Unreachable, "again", false),
            (403, "other (confirm-other)", Confirm, Exit::Conflict, "rotate", false),
            (403, "replaced (certificate-superseded)", Confirm, Exit::Denied, "explain", false),
            (401, "", Confirm, Exit::Denied, "replace", false),
            (401, "", enrol, Exit::Denied, "token create", false),
            (403, "no (device-banned)", enrol, Exit::Denied, "explain", false),
            (404, "", enrol, Exit::NotFound, "env list", false),
            (503, "busy (est-busy)", enrol, Exit::Unreachable, "again", true),
            (503, "full (disk-full)", enrol, Exit::Unreachable, "make space", false),
        ];
        for (status, says, call, exit, fix, again) in rows {
            let code = says.rsplit_once('(').map_or("", |(_, code)| code.trim_end_matches(')'));
            let (code, says) = (code.to_owned(), says.to_owned());
            let answer =
                Answer::Refused { status, code: code.clone(), says: says.clone(), retry_after: None };
            let refused = read(answer, call).unwrap();
            let shown = refused.failure.to_string();
            assert_eq!((refused.failure.exit(), refused.again.is_some()), (exit, again), "{says}: {shown}");
            assert!(shown.contains(fix), "{says}: {shown}");
            assert!(shown.contains(&code), "{says}: {shown}");
        }
        let refused =
            Answer::Refused { status: 404, code: String::new(), says: String::new(), retry_after: None };
        assert!(read(refused, Call::Anchors).is_none(), "the anchors that are known will do");
    }

    #[test]
    fn only_a_connection_that_broke_is_tried_again() {
        for (why, exit, again) in [
            (Trouble::Connect, Exit::Unreachable, true),
            (Trouble::Protocol, Exit::Unreachable, true),
            (Trouble::Timeout, Exit::Unreachable, false),
            (Trouble::TlsUntrusted, Exit::Unreachable, false),
            (Trouble::TlsExpired, Exit::Expired, false),
            (Trouble::TlsAlert(42), Exit::Denied, false),
        ] {
            let refused = read(Answer::Unreachable { why, says: "why".to_owned() }, Call::Renew).unwrap();
            assert_eq!((refused.failure.exit(), refused.again.is_some()), (exit, again), "{why:?}");
        }
    }
}
