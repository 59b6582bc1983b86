//! the start of the way to the signing key: what every enrolment protocol turns its messages into.
//!
//! In: a request whose possession is proven, and what was presented with it, none of it believed yet.

use touchmark_identity::{EnvironmentName, Fingerprint, NamePrefix, Secret};
use touchmark_x509::csr::Csr;

/// What the requester wants: a first certificate, or a successor of the one it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// A certificate on the word of a token, or of a certificate of another kind.
    Enrol,
    /// A successor to the certificate that is presented.
    Renew,
}

/// On whose word a certificate is asked for; nothing of it is looked up yet.
#[derive(Debug)]
pub enum PresentedCredential {
    /// An enrolment token.
    Token {
        /// The device's name; or a token's prefix, and then the request names the device.
        username: NamePrefix,
        /// The token's secret.
        password: Secret<String>,
    },
    /// The certificate of this TLS connection: possession proven, path accepted.
    ClientCertificate(Fingerprint),
    /// Nothing.
    None,
}

/// The requester's description of itself; only ever shown, never decided on by the RA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    /// Longest description kept: real ones have less than 40 characters.
    pub const CHARS_MAX: usize = 128;

    /// Keeps the printable ASCII of the beginning; `None` when nothing is left.
    pub fn from_header(text: &str) -> Option<Self> {
        let kept: String =
            text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(Self::CHARS_MAX).collect();
        let kept = kept.trim();
        (!kept.is_empty()).then(|| Self(kept.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One request for a certificate. Not `Clone`: it is admitted or refused once.
#[derive(Debug)]
pub struct EnrolmentRequest {
    parts: RequestParts,
}

/// An [`EnrolmentRequest`] taken apart by the RA.
#[derive(Debug)]
pub struct RequestParts {
    /// First certificate or successor.
    pub intent: Intent,
    /// The key, with possession proven, and the wishes that came with it.
    pub csr: Csr,
    /// The environment asked for; `None` is the default environment.
    pub label: Option<EnvironmentName>,
    /// On whose word.
    pub credential: PresentedCredential,
    /// Which program asks.
    pub user_agent: Option<UserAgent>,
}

impl EnrolmentRequest {
    /// Takes a proven request: a [`Csr`] exists only after its signature was checked.
    pub fn new(
        intent: Intent,
        csr: Csr,
        label: Option<EnvironmentName>,
        credential: PresentedCredential,
        user_agent: Option<UserAgent>,
    ) -> Self {
        Self { parts: RequestParts { intent, csr, label, credential, user_agent } }
    }

    /// First certificate or successor.
    pub fn intent(&self) -> Intent {
        self.parts.intent
    }

    /// The key and the wishes.
    pub fn csr(&self) -> &Csr {
        &self.parts.csr
    }

    /// The environment asked for; `None` is the default environment.
    pub fn label(&self) -> Option<&EnvironmentName> {
        self.parts.label.as_ref()
    }

    /// On whose word.
    pub fn credential(&self) -> &PresentedCredential {
        &self.parts.credential
    }

    /// Which program asks.
    pub fn user_agent(&self) -> Option<&UserAgent> {
        self.parts.user_agent.as_ref()
    }

    /// Everything, for the one who admits it.
    pub fn into_parts(self) -> RequestParts {
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_short_and_printable() {
        let long = "x".repeat(500);
        let kept = "x".repeat(UserAgent::CHARS_MAX);
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("plain", "libest 3.2.0p", Some("libest 3.2.0p")),
            ("terminal escape", "a\x1b[2Jb", Some("a[2Jb")),
            ("long", &long, Some(&kept)),
            ("empty", "", None),
            ("blank", " \t ", None),
        ];
        for (name, text, expected) in rows {
            let read = UserAgent::from_header(text);
            assert_eq!(read.as_ref().map(UserAgent::as_str), *expected, "{name}");
        }
    }
}
