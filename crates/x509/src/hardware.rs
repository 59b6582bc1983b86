//! Which piece of hardware a maker's certificate is about (IDevID, IEEE 802.1AR §8.6; hardwareModuleName, RFC 4108 §5).
//!
//! In: a [`Certificate`], which says nothing about trust. Out: [`HardwareId`], or why it names none or several. The
//! identifier is compared octet by octet: no folding of case, no trimming.

use crate::certificate::Certificate;
use core::fmt;
use core::str::FromStr;

/// How a maker calls one piece of hardware. It tells people which one it is: not for public records.
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
        "a hardware identifier has 1 to {} printable ASCII characters, and no space at either end",
        HardwareId::CHARS_MAX
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

    /// What `certificate` says. Where subject and hardwareModuleName both speak, they must agree.
    ///
    /// A hwSerialNum is octets: those that are all printable are text; others are shown in hexadecimal, and agree
    /// with a serialNumber that spells them so, in either case.
    ///
    /// # Errors
    /// [`BadHardwareId`].
    pub fn of(certificate: &Certificate) -> Result<Self, BadHardwareId> {
        let mut named: Option<Self> = None;
        for text in certificate.subject_serial_numbers() {
            let id: Self = text.parse()?;
            if named.as_ref().is_some_and(|known| *known != id) {
                return Err(BadHardwareId::Disagreeing);
            }
            named = Some(id);
        }
        for octets in certificate.hardware_serials() {
            let (id, spelt) = Self::of_octets(octets)?;
            match &named {
                Some(known) if *known == id || spelt && known.0.eq_ignore_ascii_case(&id.0) => {}
                Some(_) => return Err(BadHardwareId::Disagreeing),
                None => named = Some(id),
            }
        }
        named.ok_or(BadHardwareId::Missing)
    }

    /// The identifier, and whether its octets had to be spelt out.
    fn of_octets(octets: &[u8]) -> Result<(Self, bool), BadHardwareId> {
        if octets.iter().all(u8::is_ascii_graphic) {
            let text = core::str::from_utf8(octets).map_err(|_| BadHardwareId::Malformed)?;
            return Ok((text.parse()?, false));
        }
        if octets.len() > Self::CHARS_MAX / 2 {
            return Err(BadHardwareId::Malformed);
        }
        let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        Ok((digits.parse()?, true))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HardwareId {
    type Err = BadHardwareId;

    fn from_str(text: &str) -> Result<Self, BadHardwareId> {
        let shown = text.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ');
        let good = shown && !text.is_empty() && text.len() <= Self::CHARS_MAX && text.trim() == text;
        if good { Ok(Self(text.to_owned())) } else { Err(BadHardwareId::Malformed) }
    }
}

impl fmt::Debug for HardwareId {
    /// Without the identifier: what is logged is kept longer than what may be known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HardwareId(..)")
    }
}

#[cfg(test)]
mod tests;
