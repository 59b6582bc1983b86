//! MQTT's two counted field types, held so that neither can be invalid: both always encode.

use core::fmt;

use crate::Fault;

/// A UTF-8 Encoded String: at most 65 535 octets, no U+0000, no surrogates (MQTT 5.0 §1.5.4).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Longest text that its two length octets can count.
    pub const OCTETS_MAX: usize = u16::MAX as usize;

    /// A text to send.
    pub fn new(text: &'a str) -> Result<Self, Fault> {
        if text.len() > Self::OCTETS_MAX {
            return Err(Fault::Malformed { what: "text of more than 65535 octets" });
        }
        if text.as_bytes().contains(&0) {
            return Err(Fault::Malformed { what: "U+0000 in a text" });
        }
        Ok(Self(text))
    }

    pub(crate) fn from_octets(octets: &'a [u8]) -> Result<Self, Fault> {
        let text =
            core::str::from_utf8(octets).map_err(|_| Fault::Malformed { what: "text that is not UTF-8" })?;
        Self::new(text)
    }

    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The first character that the standard advises against: a control character or a Unicode non-character.
    ///
    /// Receivers MAY refuse these (§1.5.4); whoever writes texts to a log or a terminal should.
    pub fn discouraged(self) -> Option<char> {
        discouraged(self.0)
    }
}

pub(crate) fn discouraged(text: &str) -> Option<char> {
    text.chars().find(|c| {
        let code = u32::from(*c);
        c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
    })
}

impl<'a> TryFrom<&'a str> for Text<'a> {
    type Error = Fault;
    fn try_from(text: &'a str) -> Result<Self, Fault> {
        Self::new(text)
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// Binary Data: at most 65 535 octets (MQTT 5.0 §1.5.6). `Debug` tells only the length: passwords are binary.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Binary<'a>(&'a [u8]);

impl<'a> Binary<'a> {
    /// Longest data that its two length octets can count.
    pub const OCTETS_MAX: usize = u16::MAX as usize;

    /// Data to send.
    pub fn new(octets: &'a [u8]) -> Result<Self, Fault> {
        if octets.len() > Self::OCTETS_MAX {
            return Err(Fault::Malformed { what: "binary data of more than 65535 octets" });
        }
        Ok(Self(octets))
    }

    /// The octets.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> TryFrom<&'a [u8]> for Binary<'a> {
    type Error = Fault;
    fn try_from(octets: &'a [u8]) -> Result<Self, Fault> {
        Self::new(octets)
    }
}

impl fmt::Debug for Binary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.0.len())
    }
}
