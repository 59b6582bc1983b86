//! What a refused renewal means to whoever holds the device: the authority's code, what it is about, and what helps.

use crate::enrolment::words;
use crate::failure::{Exit, Failure};
use touchmark_dial::DialFault;
use touchmark_identity::Name;

/// Which of the two phases was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Renewal,
    Confirmation,
}

/// A refusal, and what it does to the new key.
pub(super) struct Refused {
    pub(super) failure: Failure,
    /// Asking again with this key is pointless: the next attempt makes another.
    pub(super) key_is_spent: bool,
}

impl Refused {
    pub(super) fn read(fault: DialFault, turn: Turn, name: &Name) -> Self {
        let DialFault::Status { status, problem } = fault else {
            return Self { failure: Failure::at_authority(fault), key_is_spent: false };
        };
        let (says, code) = words(&problem);
        if let Some(failure) = Failure::at_authoritys_machine(code, says) {
            return Self { failure, key_is_spent: false };
        }
        // A stranger to the authority gets no words (nothing is told to those who have proven nothing).
        let code = if status == 401 && code == "est-refused" { "certificate-unknown" } else { code };
        let (exit, fix) = advice(status, code, name);
        let title = match turn {
            Turn::Renewal => format!("the renewal was refused with {status}"),
            Turn::Confirmation => format!("the new certificate was not confirmed ({status})"),
        };
        let why =
            if says.is_empty() { "the authority gives no reason to those it does not know" } else { says };
        Self {
            failure: Failure::new(exit, code, title).why(why).fix(fix),
            key_is_spent: match turn {
                Turn::Renewal => code.starts_with("csr-") || code.contains("key"),
                Turn::Confirmation => code.starts_with("certificate-"),
            },
        }
    }
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

    fn refused(status: u16, text: &str, turn: Turn) -> Refused {
        let problem = touchmark_api::Problem { detail: Some(text.to_owned()), ..Default::default() };
        let fault = DialFault::Status { status, problem: Box::new(problem) };
        Refused::read(fault, turn, &"pump-01".parse().unwrap())
    }

    #[test]
    fn each_refusal_has_its_exit_code_and_a_way_on() {
        use Turn::{Confirmation, Renewal};
        let rows = [
            (403, "replaced (certificate-superseded)", Renewal, Exit::Denied, "explain", false),
            (403, "dead (certificate-revoked)", Renewal, Exit::Denied, "replace", false),
            (401, "", Renewal, Exit::Denied, "replace", false),
            (403, "too late (renewal-late)", Renewal, Exit::Expired, "replace", false),
            (403, "no (device-quarantined)", Renewal, Exit::Denied, "release", false),
            (403, "no (device-banned)", Renewal, Exit::Denied, "final", false),
            (403, "elsewhere (certificate-environment)", Renewal, Exit::Usage, "--env", false),
            (400, "again (renewal-same-key)", Renewal, Exit::Conflict, "another key", true),
            (403, "denied (key-not-usable)", Renewal, Exit::Conflict, "another key", true),
            (400, "names (csr-name)", Renewal, Exit::Conflict, "another key", true),
            (503, "busy (est-busy)", Renewal, Exit::Unreachable, "waiting", false),
            (503, "full (disk-full)", Renewal, Exit::Unreachable, "make space", false),
            (
                503,
                "full (disk-full)",
                Confirmation,
                Exit::Unreachable,
                "disk of the authority is full",
                false,
            ),
            (503, "back (clock)", Renewal, Exit::Expired, "set the clock", false),
            (500, "", Renewal, Exit::Unreachable, "again", false),
            (403, "other (confirm-other)", Confirmation, Exit::Conflict, "rotate", false),
            (403, "replaced (certificate-superseded)", Confirmation, Exit::Denied, "explain", true),
            (401, "", Confirmation, Exit::Denied, "replace", true),
        ];
        for (status, text, turn, exit, fix, key_is_spent) in rows {
            let read = refused(status, text, turn);
            let shown = read.failure.to_string();
            assert_eq!((read.failure.exit(), read.key_is_spent), (exit, key_is_spent), "{text}");
            assert!(shown.contains(fix), "{text}: {shown}");
            let code = text.rsplit_once('(').map_or("", |(_, code)| code.trim_end_matches(')'));
            assert!(shown.contains(code), "{text}: {shown}");
        }
    }
}
