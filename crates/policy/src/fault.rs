//! Why a value cannot enter the policy decision point.

/// What is wrong with a topic, a filter, a pattern, an update path, a rule name or a certificate's scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyInputFault {
    /// Nothing was given.
    #[error("a topic cannot be empty")]
    Empty,
    /// More than the bound allows.
    #[error("{octets} octets, at most {max} are accepted")]
    TooLong {
        octets: usize,
        /// The bound.
        max: usize,
    },
    /// More levels than [`crate::Topic::LEVELS_MAX`].
    #[error("{levels} levels, at most {max} are accepted")]
    TooDeep {
        levels: usize,
        /// The bound.
        max: usize,
    },
    /// Not UTF-8 (MQTT 5.0 §1.5.4).
    #[error("not UTF-8")]
    NotUtf8,
    /// NUL, another control character, or a code point that is no character.
    #[error("a control character or a non-character")]
    Control,
    /// `+` or `#` where a topic name is expected, or not alone in its level, or `#` before the end.
    #[error("a wildcard stands where none may (`+` fills a level, `#` fills the last one)")]
    Wildcard,
    /// A `.` or `..` level: harmless in MQTT, a climb once the topic is a path.
    #[error("a level may not be `.` or `..`")]
    DotLevel,
    /// `a//b`, `/a` or `a/`: a service behind that drops empty levels would see another topic than the one decided.
    #[error("a level may not be empty")]
    EmptyLevel,
    /// `$share` without a group or without a filter (MQTT 5.0 §4.8.2), or in a policy pattern.
    #[error("not a shared subscription: expected `$share/GROUP/FILTER`")]
    Share,
    /// An update path is a model and a file.
    #[error(
        "a model or file is made of letters, digits, `.`, `_`, `+` and `-`, and starts with a letter or digit"
    )]
    UpdatePath,
    /// An update pattern is `MODEL/FILE`, each a name or `*`.
    #[error("an update pattern is `MODEL/FILE`, each a name or `*`")]
    UpdatePattern,
    /// A rule's name goes into logs and answers.
    #[error("a rule id is 1 to 64 letters, digits, `.`, `_` or `-`")]
    RuleId,
    /// A certificate's scope string is not `KEY:VALUE`, or its value could change a topic.
    #[error("`{scope}` is not a scope of the form `key:value`")]
    Scope {
        /// The string in the certificate.
        scope: String,
    },
    /// A scope that may stand once stands twice.
    #[error("scope `{key}` is given twice")]
    ScopeTwice {
        /// `model` or `custody`.
        key: &'static str,
    },
    /// More scope strings than [`crate::Subject::SCOPES_MAX`].
    #[error("{scopes} scope strings, at most {max} are accepted")]
    TooManyScopes {
        scopes: usize,
        /// The bound.
        max: usize,
    },
}
