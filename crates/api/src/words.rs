//! Closed sets of words. In a request, any other word is refused, and those that are taken are named; in an answer it is
//! kept ([`Word`]), so that an older client reads what a newer authority says.

use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is no word of the set that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words of the set.
    pub taken: &'static [&'static str],
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of: {}", self.taken.join(", "))
    }
}

impl core::error::Error for UnknownWord {}

/// Serde by the text of a value.
macro_rules! in_text {
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { taken: &[$($word),*] }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        in_text!($name);

        impl PartialEq<$name> for Word<$name> {
            fn eq(&self, other: &$name) -> bool {
                self.known() == Some(other)
            }
        }
    )*};
}

/// A text that is one of two kinds of names; no text is both.
macro_rules! either {
    ($($(#[$doc:meta])* $name:ident { $one:ident($one_type:ty), $other:ident($other_type:ty) })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $one($one_type),
            $other($other_type),
        }

        impl FromStr for $name {
            type Err = <$other_type as FromStr>::Err;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self::$one).or_else(|_| text.parse().map(Self::$other))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::$one(one) => one.fmt(f),
                    Self::$other(other) => other.fmt(f),
                }
            }
        }

        in_text!($name);
    )*};
}

pub(crate) use {either, in_text};

/// Serde by the text of a value of another crate.
pub(crate) mod text {
    use super::*;

    pub(crate) fn serialize<T: fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

words! {
    /// Whether a device may act.
    Standing {
        Active "active",
        Quarantined "quarantined",
        Banned "banned",
    }
    /// What a token lets in.
    TokenKind {
        Device "device",
        Service "service",
        /// A service with the role of a gateway; shown as a service.
        Gateway "gateway",
        Operator "operator",
    }
    /// What a suspected clone leads to.
    CloneResponse {
        Alarm "alarm",
        /// The device is shut out until it is released.
        Quarantine "quarantine",
    }
    /// How a decision went.
    Verdict {
        Allow "allow",
        Deny "deny",
    }
    /// Where a certificate is in its life; by the clock, where it is past its end.
    CertificateState {
        Intended "intended",
        Issued "issued",
        Confirmed "confirmed",
        Superseded "superseded",
        Revoked "revoked",
        /// Never issued, and listed as revoked.
        Burned "burned",
        Expired "expired",
    }
    TokenState {
        Usable "usable",
        Used "used",
        Expired "expired",
        Void "void",
    }
    /// Where an operator's roles hold.
    Reach {
        Environment "environment",
        Organisation "organisation",
    }
    /// What a profile issues.
    IdentityKind {
        /// To a device.
        Operational "operational",
        Service "service",
        Operator "operator",
    }
    /// Who or what is spoken of; a gateway is a service.
    SubjectKind {
        Device "device",
        Operator "operator",
        Service "service",
    }
    RevokerKind {
        Person "person",
        Automation "automation",
    }
    /// Who set a renewal going.
    RenewalManner {
        /// A program, by itself.
        Automatic "automatic",
        Manual "manual",
        /// The requester did not say.
        Unknown "unknown",
    }
    /// What a device does at a gateway.
    Action {
        Connect "connect",
        Publish "publish",
        Subscribe "subscribe",
        RequestUpdate "request-update",
    }
    /// How a peer showed who it is.
    Proof {
        /// By the key of its certificate, in this TLS connection.
        Mtls "mtls",
        /// The gateway speaks for it.
        Bridged "bridged",
        None "none",
    }
    /// Whether a change is in force at a gateway.
    EnforcementState {
        Applied "applied",
        /// Online, and has not acknowledged.
        Late "late",
        /// Nobody has heard of it.
        Unknown "unknown",
        /// An operator declared it so.
        Offline "offline",
        /// The authority refuses it, and it said that it serves nobody.
        CutOff "cut-off",
    }
    /// How a gateway stands.
    GatewayStanding {
        /// Asked of late, and has all in force.
        Online "online",
        /// Asked of late, and has not.
        Late "late",
        /// Not heard of for 30 s, or not since the authority started.
        Unknown "unknown",
        /// Declared so.
        Offline "offline",
        /// None of its certificates is accepted any more, and it may still serve by the feed it holds.
        Refused "refused",
        /// Refused, and it said that it serves nobody.
        CutOff "cut-off",
    }
    /// How old its feed may be before a gateway stops acting on it.
    Staleness {
        Strict "strict",
        Standard "standard",
        LifeSafety "life-safety",
    }
}

/// A word of a closed set in an answer, or one that only a newer authority knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Word<T> {
    Known(T),
    Other(Box<str>),
}

impl<T> Word<T> {
    /// The word, if it is of the set.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(word) => Some(word),
            Self::Other(_) => None,
        }
    }
}

impl<T: FromStr> Word<T> {
    pub fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Other(text.into()), Self::Known)
    }
}

impl<T: FromStr> FromStr for Word<T> {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::of(text))
    }
}

impl<T> From<T> for Word<T> {
    fn from(word: T) -> Self {
        Self::Known(word)
    }
}

/// By the text, known or not.
impl<T: fmt::Display> PartialEq<&str> for Word<T> {
    fn eq(&self, other: &&str) -> bool {
        let text = self.to_string();
        text == *other
    }
}

impl<T: fmt::Display> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(word) => word.fmt(f),
            Self::Other(text) => f.pad(text),
        }
    }
}

impl<T: fmt::Display> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: FromStr> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_takes_the_words_of_a_set_and_an_answer_any() {
        let refused = serde_json::from_str::<Standing>(r#""retired""#).unwrap_err().to_string();
        assert_eq!(refused, "one of: active, quarantined, banned");
        for text in ["active", "retired"] {
            let json = format!("{text:?}");
            let word: Word<Standing> = serde_json::from_str(&json).unwrap();
            assert_eq!((word == Standing::Active, word.to_string()), (text == "active", text.to_owned()));
            assert_eq!(serde_json::to_string(&word).unwrap(), json);
        }
    }
}
