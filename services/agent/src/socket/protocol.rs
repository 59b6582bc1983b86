//! The lines of the socket: what may be asked, and how answers look. Version 1; unknown words are refused.

use serde::{Deserialize, Serialize};

/// Longest thing that is signed: a TLS transcript has 130 octets, a token some kilobytes.
pub const MESSAGE_OCTETS_MAX: usize = 64 * 1024;
/// Longest line: the longest message in base64, and the words round it.
pub const LINE_OCTETS_MAX: usize = MESSAGE_OCTETS_MAX / 3 * 4 + 1024;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// The certificate in force, its chain and the anchors.
    Certificate {
        /// In which environment; may be left out where there is only one.
        environment: Option<String>,
    },
    /// A signature with the current key.
    Sign {
        /// In which environment.
        environment: Option<String>,
        /// `ecdsa-sha256`, `ecdsa-sha384` or `ed25519`: what the key makes.
        algorithm: String,
        /// What is to be signed (not its hash), in base64.
        message: String,
    },
    /// How every identity stands.
    Status {},
    /// The same in sentences, with what to do.
    Why {
        /// One, or all.
        environment: Option<String>,
    },
    /// A new key and certificate now.
    Renew {
        /// In which environment.
        environment: Option<String>,
    },
}

/// A refusal, for programs and people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// Stable code.
    pub(crate) code: String,
    /// What is wrong.
    pub(crate) error: String,
    /// What helps.
    pub(crate) fix: String,
}

impl Refused {
    pub(crate) fn new(code: &str, error: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: code.to_owned(), error: error.into(), fix: fix.into() }
    }
}

/// What came of a question: `ok` and the answer's own members, or `ok: false` and the refusal's.
#[derive(Debug, Serialize)]
pub(crate) struct Line<T> {
    ok: bool,
    #[serde(flatten)]
    rest: T,
}

/// One line, with its end.
pub(crate) fn line<T: Serialize>(answer: Result<T, Refused>) -> Vec<u8> {
    let written = match answer {
        Ok(rest) => serde_json::to_vec(&Line { ok: true, rest }),
        Err(rest) => serde_json::to_vec(&Line { ok: false, rest }),
    };
    // Structs of texts and numbers: nothing in them can be refused by JSON.
    let mut octets = written.unwrap_or_else(|_| br#"{"ok":false,"code":"internal"}"#.to_vec());
    octets.push(b'\n');
    octets
}

/// Answer to [`Ask::Certificate`].
#[derive(Debug, Serialize)]
pub(crate) struct CertificateAnswer {
    pub(crate) environment: String,
    pub(crate) identity: String,
    /// PEM, leaf first, without the root.
    pub(crate) chain: String,
    /// PEM.
    pub(crate) anchors: String,
    /// RFC 3339.
    pub(crate) not_after: String,
    /// What [`Ask::Sign`] takes as algorithm.
    pub(crate) algorithm: &'static str,
}

/// Answer to [`Ask::Sign`].
#[derive(Debug, Serialize)]
pub(crate) struct SignatureAnswer {
    /// Base64; ECDSA in DER, Ed25519 raw.
    pub(crate) signature: String,
    /// SHA-256 of the certificate whose key signed.
    pub(crate) certificate: String,
}

/// Answer to [`Ask::Renew`].
#[derive(Debug, Serialize)]
pub(crate) struct RenewAnswer {
    pub(crate) environment: String,
}

/// Answer to [`Ask::Status`].
#[derive(Debug, Serialize)]
pub(crate) struct StatusAnswer {
    pub(crate) environments: Vec<EnvironmentStatus>,
}

/// Answer to [`Ask::Why`].
#[derive(Debug, Serialize)]
pub(crate) struct WhyAnswer {
    pub(crate) environments: Vec<EnvironmentWhy>,
}

/// Sentences about one identity.
#[derive(Debug, Serialize)]
pub(crate) struct EnvironmentWhy {
    pub(crate) environment: String,
    pub(crate) lines: Vec<String>,
}

/// How one identity stands; times are RFC 3339.
#[derive(Debug, Default, Serialize)]
pub(crate) struct EnvironmentStatus {
    pub(crate) environment: String,
    pub(crate) identity: String,
    /// Whether it is in force now, and nobody need act.
    pub(crate) fresh: bool,
    pub(crate) certificate: Option<CertificateStatus>,
    pub(crate) progress: &'static str,
    pub(crate) renews_at: Option<String>,
    pub(crate) next_at: Option<String>,
    pub(crate) renewed_at: Option<String>,
    pub(crate) renewed_by: Option<&'static str>,
    pub(crate) failures: u32,
    pub(crate) failure: Option<FailureStatus>,
    /// What the authority thinks: `good`, `quarantined`, `banned`, `lost`.
    pub(crate) standing: &'static str,
    /// Who must act: `nobody`, `new-proof`, `release`, `new-device`, `device-keeper`, `authority`.
    pub(crate) needs: &'static str,
    /// The last hook that failed.
    pub(crate) hook: Option<String>,
    /// The time used for decisions, and the machine's own.
    pub(crate) now: Option<String>,
    pub(crate) clock: Option<String>,
    /// One sentence.
    pub(crate) summary: String,
}

/// The certificate in force.
#[derive(Debug, Serialize)]
pub(crate) struct CertificateStatus {
    pub(crate) fingerprint: String,
    pub(crate) uri: Option<String>,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
}

/// The last failure since the last success.
#[derive(Debug, Serialize)]
pub(crate) struct FailureStatus {
    pub(crate) at: String,
    pub(crate) code: String,
    pub(crate) says: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_read_strictly() {
        let sign = |text: &str| Ask::Sign {
            environment: Some("lab".into()),
            algorithm: "ed25519".into(),
            message: text.into(),
        };
        let rows: &[(&str, &str, Option<Ask>)] = &[
            ("status", r#"{"op":"status"}"#, Some(Ask::Status {})),
            ("why, all", r#"{"op":"why"}"#, Some(Ask::Why { environment: None })),
            (
                "certificate",
                r#"{"op":"certificate","environment":"lab"}"#,
                Some(Ask::Certificate { environment: Some("lab".into()) }),
            ),
            (
                "sign",
                r#"{"op":"sign","environment":"lab","algorithm":"ed25519","message":"eA=="}"#,
                Some(sign("eA==")),
            ),
            (
                "renew",
                r#"{"op":"renew","environment":"lab"}"#,
                Some(Ask::Renew { environment: Some("lab".into()) }),
            ),
            ("unknown op", r#"{"op":"key"}"#, None),
            ("unknown member", r#"{"op":"certificate","environment":"lab","key":true}"#, None),
            ("unknown member of a bare op", r#"{"op":"status","x":1}"#, None),
            ("no message", r#"{"op":"sign","environment":"lab","algorithm":"ed25519"}"#, None),
            ("no object", r#""status""#, None),
            ("two objects", r#"{"op":"status"}{"op":"status"}"#, None),
            ("empty", "", None),
        ];
        for (name, text, expected) in rows {
            assert_eq!(serde_json::from_str::<Ask>(text).ok(), *expected, "{name}");
        }
    }

    #[test]
    fn an_answer_is_one_line_and_says_whether_it_is_one() {
        let good = line(Ok(RenewAnswer { environment: "lab".into() }));
        assert_eq!(good, b"{\"ok\":true,\"environment\":\"lab\"}\n");
        let bad = line(Err::<RenewAnswer, _>(Refused::new("x", "a\nb", "c")));
        assert_eq!(bad, b"{\"ok\":false,\"code\":\"x\",\"error\":\"a\\nb\",\"fix\":\"c\"}\n");
    }

    /// Programs read these; a name that changes breaks them.
    #[test]
    fn the_members_of_a_status_stay() {
        let environment = EnvironmentStatus {
            environment: "lab".into(),
            certificate: Some(CertificateStatus {
                fingerprint: "07".into(),
                uri: None,
                not_before: "a".into(),
                not_after: "b".into(),
            }),
            failure: Some(FailureStatus { at: "c".into(), code: "d".into(), says: "e".into() }),
            ..EnvironmentStatus::default()
        };
        let written = line(Ok(StatusAnswer { environments: vec![environment] }));
        let expected = concat!(
            r#"{"ok":true,"environments":[{"environment":"lab","identity":"","fresh":false,"#,
            r#""certificate":{"fingerprint":"07","uri":null,"not_before":"a","not_after":"b"},"progress":"","#,
            r#""renews_at":null,"next_at":null,"renewed_at":null,"renewed_by":null,"failures":0,"#,
            r#""failure":{"at":"c","code":"d","says":"e"},"standing":"","needs":"","hook":null,"now":null,"#,
            r#""clock":null,"summary":""}]}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
