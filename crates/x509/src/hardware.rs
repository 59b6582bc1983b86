//! Which piece of hardware a maker's certificate is about (IDevID, IEEE 802.1AR §8.6; hardwareModuleName, RFC 4108 §5).
//!
//! In: a [`Certificate`], which says nothing about trust. Out: [`HardwareId`], or why it names none or several. The
//! identifier is compared octet by octet: no folding of case, no trimming. Octets that are no text are written with a prefix
//! that no text may have, so that they equal no text.

use crate::certificate::Certificate;
use core::fmt;
use core::str::FromStr;

/// How a maker calls one piece of hardware. It tells people which one it is: not for public records.
///
/// Written as the text that it is, or, where it is octets that are no text, as [`HardwareId::OCTETS`] and lower-case
/// hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HardwareId(String);

/// Why a certificate, or a text, identifies no piece of hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHardwareId {
    /// Neither a serialNumber in the subject nor a hardwareModuleName: the maker must issue another one.
    #[error("the certificate names no hardware: neither serialNumber in the subject nor hardwareModuleName")]
    Missing,
    /// Two names that are not the same.
    #[error("the certificate names its hardware in two ways that do not agree")]
    Disagreeing,
    /// Empty, too long, or with octets that cannot be shown.
    #[error(
        "a hardware identifier has 1 to {} printable ASCII characters, and no space at either end; or it is `{}` and \
         1 to {} octets in hexadecimal, of which one is not printable",
        HardwareId::CHARS_MAX,
        HardwareId::OCTETS,
        HardwareId::OCTETS_MAX
    )]
    Malformed,
}

impl BadHardwareId {
    /// Stable code for logs, answers and documentation.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "hardware-id-missing",
            Self::Disagreeing => "hardware-id-disagreeing",
            Self::Malformed => "hardware-id-malformed",
        }
    }
}

impl HardwareId {
    /// ub-serial-number of X.520, in characters; a hwSerialNum is held to it as well.
    pub const CHARS_MAX: usize = 64;

    /// Octets of a hwSerialNum that is no text.
    pub const OCTETS_MAX: usize = Self::CHARS_MAX / 2;

    /// What octets that are no text begin with when they are written. No text does.
    pub const OCTETS: &str = "hex:";

    /// What `certificate` says. Where subject and hardwareModuleName both speak, they must agree.
    ///
    /// A hwSerialNum is octets: those that are all printable are text; others stay octets. A serialNumber that spells
    /// them in hexadecimal, in either case, agrees with them, and is then the identifier.
    ///
    /// # Errors
    /// [`BadHardwareId`].
    pub fn of(certificate: &Certificate) -> Result<Self, BadHardwareId> {
        let mut named: Option<Self> = None;
        for text in certificate.subject_serial_numbers() {
            let id = Self::of_text(text)?;
            if named.as_ref().is_some_and(|known| *known != id) {
                return Err(BadHardwareId::Disagreeing);
            }
            named = Some(id);
        }
        for octets in certificate.hardware_serials() {
            let id = Self::of_octets(octets)?;
            match &named {
                Some(known) if *known == id || known.spells(&id) => {}
                Some(_) => return Err(BadHardwareId::Disagreeing),
                None => named = Some(id),
            }
        }
        named.ok_or(BadHardwareId::Missing)
    }

    fn of_text(text: &str) -> Result<Self, BadHardwareId> {
        let shown = text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ');
        let sized = (1..=Self::CHARS_MAX).contains(&text.len());
        let good = shown && sized && text.trim() == text && !text.starts_with(Self::OCTETS);
        if good { Ok(Self(text.to_owned())) } else { Err(BadHardwareId::Malformed) }
    }

    fn of_octets(octets: &[u8]) -> Result<Self, BadHardwareId> {
        if octets.iter().all(u8::is_ascii_graphic) {
            return Self::of_text(core::str::from_utf8(octets).map_err(|_| BadHardwareId::Malformed)?);
        }
        if octets.len() > Self::OCTETS_MAX {
            return Err(BadHardwareId::Malformed);
        }
        let digits = octets.iter().map(|octet| format!("{octet:02x}"));
        Ok(Self(core::iter::once(Self::OCTETS.to_owned()).chain(digits).collect()))
    }

    /// Whether it is a text of the hexadecimal digits of `octets`.
    fn spells(&self, octets: &Self) -> bool {
        octets.0.strip_prefix(Self::OCTETS).is_some_and(|digits| self.0.eq_ignore_ascii_case(digits))
    }

    /// As it is written; reads back as the same.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HardwareId {
    type Err = BadHardwareId;

    fn from_str(written: &str) -> Result<Self, BadHardwareId> {
        let Some(digits) = written.strip_prefix(Self::OCTETS) else {
            return Self::of_text(written);
        };
        let octets = octets_of(digits).ok_or(BadHardwareId::Malformed)?;
        // Octets that are a text are that text: one way to write each identifier.
        let id = Self::of_octets(&octets)?;
        if id.0.starts_with(Self::OCTETS) { Ok(id) } else { Err(BadHardwareId::Malformed) }
    }
}

fn octets_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let octets = pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?));
    if rest.is_empty() { octets.collect() } else { None }
}

impl fmt::Debug for HardwareId {
    /// Without the identifier: what is logged is kept longer than what may be known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HardwareId(..)")
    }
}

#[cfg(test)]
mod tests;
