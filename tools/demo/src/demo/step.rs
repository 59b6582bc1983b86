//! The steps of the demonstration: what each claims, and how each can be made to fail for a real reason.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    Start,
    Enrol,
    Publish,
    Rotate,
    Stranger,
    Thief,
    ForeignTopic,
    Questions,
    Revoke,
    Reconnect,
    Quarantine,
    Offline,
    Kill,
    Audit,
    Openssl,
}

impl Step {
    pub(crate) const ALL: [Self; 15] = [
        Self::Start,
        Self::Enrol,
        Self::Publish,
        Self::Rotate,
        Self::Stranger,
        Self::Thief,
        Self::ForeignTopic,
        Self::Questions,
        Self::Revoke,
        Self::Reconnect,
        Self::Quarantine,
        Self::Offline,
        Self::Kill,
        Self::Audit,
        Self::Openssl,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Enrol => "enrol",
            Self::Publish => "publish",
            Self::Rotate => "rotate",
            Self::Stranger => "stranger",
            Self::Thief => "thief",
            Self::ForeignTopic => "foreign-topic",
            Self::Questions => "questions",
            Self::Revoke => "revoke",
            Self::Reconnect => "reconnect",
            Self::Quarantine => "quarantine",
            Self::Offline => "offline",
            Self::Kill => "kill",
            Self::Audit => "audit",
            Self::Openssl => "openssl",
        }
    }

    /// What must be true.
    pub(crate) fn claim(self) -> &'static str {
        match self {
            Self::Start => "authority and gateway start as two processes, with nothing else installed",
            Self::Enrol => "each device makes its own key and gets exactly one certificate, eight at a time",
            Self::Publish => "what a device publishes is seen at the far end",
            Self::Rotate => "a device changes key and certificate while it publishes, and no message is lost",
            Self::Stranger => "a stranger without a certificate is refused, and counted",
            Self::Thief => "another device's certificate is worth nothing without its key",
            Self::ForeignTopic => {
                "publishing to another device's topic is denied, logged, and does not arrive"
            }
            Self::Questions => "the four questions about a device have answers",
            Self::Revoke => "revoking ends the live session within 2 s, and nobody else's",
            Self::Reconnect => {
                "the revoked device is refused when it comes back, with the reason, in the log"
            }
            Self::Quarantine => "quarantine shuts a device out, release lets the same certificate in again",
            Self::Offline => {
                "a gateway restarted without its authority still refuses the revoked, serves the good"
            }
            Self::Kill => "kill -9 of the authority amid enrolments loses nothing that was acknowledged",
            Self::Audit => "the logs verify from outside, against a head kept since the start",
            Self::Openssl => "OpenSSL accepts chain and CRL, and finds the revoked certificate revoked",
        }
    }

    /// What `--sabotage` does to it. Each is something that happens, or that a careless change could do.
    pub(crate) fn sabotage(self) -> &'static str {
        match self {
            Self::Start => "the authority is told to listen on an address that this machine does not have",
            Self::Enrol => "two devices get the same single-use token",
            Self::Publish => "the gateway hangs (SIGSTOP) while the device publishes",
            Self::Rotate => "a backup of the device from before is put back: it goes on with its old key",
            Self::Stranger => "the stranger is given a device's certificate and key",
            Self::Thief => "the thief is given the key as well",
            Self::ForeignTopic => "a policy is activated that lets everybody publish everywhere",
            Self::Questions => "a device is asked about that never connected",
            Self::Revoke => "no push: the gateway hangs (SIGSTOP) for some seconds after the call",
            Self::Reconnect => "an operator gives the revoked device a fresh token before it comes back",
            Self::Quarantine => "the release is forgotten",
            Self::Offline => "the gateway is given its status snapshot from before the revocation",
            Self::Kill => "a database from before the enrolments is put back after the kill",
            Self::Audit => "the last octet of the journal's entries is cut off",
            Self::Openssl => "OpenSSL is told that it is ten years later: every certificate has expired",
        }
    }
}

/// `--sabotage STEP`, or `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    List,
    Of(Step),
}

pub(crate) fn sabotage(text: &str) -> Result<Sabotage, String> {
    if text == "list" {
        return Ok(Sabotage::List);
    }
    let found = Step::ALL.into_iter().find(|step| step.name() == text);
    found.map(Sabotage::Of).ok_or_else(|| {
        let names: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
        format!("one of: list, {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_sabotaged_by_its_name() {
        for step in Step::ALL {
            assert_eq!(sabotage(step.name()), Ok(Sabotage::Of(step)));
            assert!(!step.claim().is_empty() && !step.sabotage().is_empty());
        }
        assert_eq!(sabotage("list"), Ok(Sabotage::List));
        assert!(sabotage("lisst").is_err());
    }
}
