//! Serial numbers (RFC 5280 §4.1.2.2): one prefix octet, then sixteen random octets.

use core::fmt;
use core::str::FromStr;

/// Why octets are not a serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSerial {
    /// No octets.
    #[error("a serial number has at least one octet")]
    Empty,
    /// The sign bit is set.
    #[error("a serial number is positive")]
    Negative,
    /// A zero octet that DER forbids.
    #[error("a serial number has no needless leading zero")]
    Padded,
    /// The number zero.
    #[error("a serial number is not zero")]
    Zero,
    /// More than twenty octets.
    #[error("a serial number has at most 20 octets, this one has {octets}")]
    TooLong {
        /// Length as given.
        octets: usize,
    },
    /// Text that is not pairs of hexadecimal digits.
    #[error("a serial number is written in hexadecimal")]
    NotHex,
}

/// The life of one authority's store: raised when a backup is adopted, so that no serial of a lost future returns.
///
/// 0x01..=0x7f keeps the sign bit clear, which some clients need; 0x4c is kept for pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(u8);

impl Incarnation {
    /// The first life.
    pub const FIRST: Self = Self(1);

    /// The prefix octet.
    pub fn octet(self) -> u8 {
        self.0
    }

    /// The next life, or `None` when the octet is used up.
    pub fn next(self) -> Option<Self> {
        Self::try_from(self.0 + 1).or_else(|()| Self::try_from(self.0 + 2)).ok()
    }
}

impl TryFrom<u8> for Incarnation {
    type Error = ();
    fn try_from(octet: u8) -> Result<Self, ()> {
        if (0x01..=0x7f).contains(&octet) && octet != 0x4c { Ok(Self(octet)) } else { Err(()) }
    }
}

/// Serial number of one certificate: positive, at most 20 octets in DER.
///
/// No `Default`, no `From<u64>`: a serial is drawn by the CA or read from a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialNumber([u8; SerialNumber::OCTETS]);

impl SerialNumber {
    /// Most octets that RFC 5280 allows.
    pub const OCTETS: usize = 20;

    /// A new serial: the prefix octet and 128 random bits.
    pub fn draw(incarnation: Incarnation, random: [u8; 16]) -> Self {
        let mut octets = [0; Self::OCTETS];
        octets[3] = incarnation.octet();
        octets[4..].copy_from_slice(&random);
        Self(octets)
    }

    /// Content octets of the DER INTEGER: minimal, sign bit clear.
    pub fn der_content(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|octet| **octet == 0).count();
        let sign = usize::from(self.0.get(zeros).is_some_and(|octet| octet & 0x80 != 0));
        // A 20-octet value with its top bit set cannot be built, so a sign octet always has room.
        &self.0[zeros.saturating_sub(sign)..]
    }
}

impl TryFrom<&[u8]> for SerialNumber {
    type Error = BadSerial;
    /// Reads the content octets of a DER INTEGER.
    fn try_from(der: &[u8]) -> Result<Self, BadSerial> {
        match der {
            [] => Err(BadSerial::Empty),
            [first, ..] if first & 0x80 != 0 => Err(BadSerial::Negative),
            [0, second, ..] if second & 0x80 == 0 => Err(BadSerial::Padded),
            [0] => Err(BadSerial::Zero),
            _ if der.len() > Self::OCTETS => Err(BadSerial::TooLong { octets: der.len() }),
            _ => {
                let mut octets = [0; Self::OCTETS];
                octets[Self::OCTETS - der.len()..].copy_from_slice(der);
                Ok(Self(octets))
            }
        }
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = self.0.iter().take_while(|octet| **octet == 0).count();
        self.0.iter().skip(zeros).try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = BadSerial;
    /// Reads hexadecimal as `openssl x509 -serial` prints it, colons allowed.
    fn from_str(text: &str) -> Result<Self, BadSerial> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let octets = hex::decode(digits).map_err(|_| BadSerial::NotHex)?;
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let value = octets.get(zeros..).unwrap_or_default();
        match value {
            [] if octets.is_empty() => Err(BadSerial::Empty),
            [] => Err(BadSerial::Zero),
            [first, ..] if first & 0x80 != 0 => Self::try_from([&[0], value].concat().as_slice()),
            _ => Self::try_from(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_is_read_as_rfc_5280_allows() {
        use BadSerial::*;
        let cases: &[(&str, &[u8], Result<(), BadSerial>)] = &[
            ("no octets", &[], Err(Empty)),
            ("zero is not positive", &[0x00], Err(Zero)),
            ("sign bit", &[0x80], Err(Negative)),
            ("sign bit kept clear by a zero", &[0x00, 0x80], Ok(())),
            ("zero that DER forbids", &[0x00, 0x01], Err(Padded)),
            ("twenty octets", &[0x7f; 20], Ok(())),
            ("one octet too many", &[0x7f; 21], Err(TooLong { octets: 21 })),
        ];
        for (name, der, expected) in cases {
            let read = SerialNumber::try_from(*der);
            assert_eq!(read.clone().map(drop), *expected, "{name}");
            if let Ok(serial) = read {
                assert_eq!(serial.der_content(), *der, "{name}: writes what it read");
                assert_eq!(serial.to_string().parse(), Ok(serial), "{name}: text reads back");
            }
        }
    }

    #[test]
    fn a_drawn_serial_has_its_incarnation_first_and_a_clear_top_bit() {
        let serial = SerialNumber::draw(Incarnation::FIRST, [0xff; 16]);
        assert_eq!(serial.der_content().first(), Some(&0x01));
        assert_eq!(serial.der_content().len(), 17);
    }

    #[test]
    fn incarnations_step_over_the_octet_kept_for_pseudonyms_and_end() {
        let before = Incarnation::try_from(0x4b).unwrap();
        assert_eq!(before.next().map(Incarnation::octet), Some(0x4d));
        assert_eq!(Incarnation::try_from(0x7f).unwrap().next(), None);
        assert!(Incarnation::try_from(0x4c).is_err());
    }
}
